"""same_config.py ORIGINAL REBUILT: every field of the original that means something is in the rebuilt config.json."""

import json
import sys

original, rebuilt = (json.load(open(path)) for path in sys.argv[1:])
# Read by no model, or null and thus absent
IGNORED = {"use_sliding_window", "sliding_window", "hidden_act", "topk_method", "scoring_func", "mlp_only_layers"}


def differences(a, b, path):
    for name, value in a.items():
        where = f"{path}{name}"
        if isinstance(value, dict) and isinstance(b.get(name), dict):
            yield from differences(value, b[name], where + ".")
        elif name not in IGNORED and where not in NOT_CARRIED and b.get(name) != value:
            yield f"{where}: {value!r} became {b.get(name)!r}"


NOT_CARRIED = {"rope_scaling.type", "vision_config.window_size", "vision_config.model_type"}
found = list(differences(original, rebuilt, ""))
print("\n".join(found) or "same")
sys.exit(bool(found))
