"""ptx.py TARGET < FILE.mlir: the text of the exec.gpu_image for TARGET."""

import re
import sys

for target, text in re.findall(r'exec\.gpu_image "([^"]*)" "((?:[^"\\]|\\.)*)"', sys.stdin.read()):
    if target == sys.argv[1]:
        unescaped = re.sub(r"\\([0-9A-F]{2}|.)", lambda m: chr(int(m[1], 16)) if len(m[1]) == 2 else m[1], text)
        sys.stdout.write(unescaped)
