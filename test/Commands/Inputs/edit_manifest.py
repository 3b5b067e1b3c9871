"""Changes the manifest of a checkpoint: edit_manifest.py change|swap|add|version CHECKPOINT [TENSOR ...]"""

import json
import sys

what, root, names = sys.argv[1], sys.argv[2], sys.argv[3:]
path = root + "/iter_0000000/mbc/manifest.json"
with open(path) as file:
    manifest = json.load(file)
tensors = manifest["tensors"]
if what == "change":
    tensors[names[0]] = "0" * 32
elif what == "swap":
    tensors[names[0]], tensors[names[1]] = tensors[names[1]], tensors[names[0]]
elif what == "add":
    tensors[names[0]] = "0" * 32
elif what == "version":
    manifest["version"] = 99
with open(path, "w") as file:
    json.dump(manifest, file, indent=2)
