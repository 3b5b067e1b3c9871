"""Runs every `// example` block of a README through mbc-translate.

usage: examples.py README.md FOLDER
"""

import pathlib
import re
import subprocess
import sys

readme, folder = sys.argv[1], pathlib.Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
text = pathlib.Path(readme).read_text()
blocks = re.findall(r"^```[a-z]*\n(// example: ([^\n]*)\n.*?)^```$", text, re.M | re.S)
failures = 0
for number, (source, title) in enumerate(blocks):
    path = folder / f"example{number}.mbc"
    path.write_text(source)
    result = subprocess.run(["mbc-translate", "--mbc-to-mlir", path], capture_output=True, text=True)
    print(f"example {title}: {'ok' if result.returncode == 0 else 'FAILED'}")
    if result.returncode != 0:
        print(result.stderr)
        failures += 1
print(f"{len(blocks)} examples, {failures} failed")
sys.exit(failures != 0)
