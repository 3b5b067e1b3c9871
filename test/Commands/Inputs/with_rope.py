"""with_rope.py CONFIG ROPE_SCALING: prints the config with that rope_scaling."""

import json
import sys

with open(sys.argv[1]) as file:
    config = json.load(file)
config["rope_scaling"] = json.loads(sys.argv[2])
print(json.dumps(config, indent=2))
