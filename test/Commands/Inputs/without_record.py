"""without_record.py CHECKPOINT [FIELD=JSON | FIELD= | -SECTION ...]: takes mbc's record out of an imported checkpoint, as
if a training run had saved it, and changes or takes out fields of its run_config.yaml. --raw TEXT: the whole file."""

import re
import shutil
import sys
from pathlib import Path

root, *settings = sys.argv[1:]
[iteration] = Path(root).glob("iter_*")
shutil.rmtree(iteration / "mbc", ignore_errors=True)
path = iteration / "run_config.yaml"
if settings[:1] == ["--raw"]:
    path.write_text(settings[1].replace("\\n", "\n"))
    sys.exit()
if settings == ["--none"]:
    path.unlink()
    sys.exit()
text = path.read_text()
for setting in settings:
    field, _, value = setting.partition("=")
    pattern = re.compile(rf"^  {re.escape(field)}:.*\n(?:    .*\n)*", re.M)
    line = f"  {field}: {value}\n" if value else ""
    text, count = pattern.subn(lambda _: line, text, count=1)
    if not count and value:
        text = text.replace("model:\n", "model:\n" + line, 1)
path.write_text(text)
