"""check_configs.py EXPECTED_TSV CONFIG_FOLDER: `mbc check` on every released configuration of the table must count what
the table says. Prints the failures and a summary."""

import json
import subprocess
import sys

expected, folder = sys.argv[1:]
rows = [line.split("\t") for line in open(expected) if not line.startswith(("#", "config\t"))]
failed = 0
for config, tensors, elements, optional, _ in rows:
    run = subprocess.run(["mbc", "check", "--config", f"{folder}/{config}", "--json"], capture_output=True, text=True)
    result = json.loads(run.stdout)
    if run.returncode:
        failed += 1
        print(f"{config}: exit status {run.returncode}: {run.stderr}")
        continue
    found = (result["implied"]["tensors"], result["implied"]["elements"], result["optional"]["tensors"])
    if found != (int(tensors), int(elements), int(optional)):
        failed += 1
        print(f"{config}: found {found}, expected {(tensors, elements, optional)}")
print(f"{len(rows)} configurations, {failed} wrong")
