"""Changes a Megatron checkpoint as if it had been saved so, checksums and all.

edit_checkpoint.py ROOT flip TENSOR           the lowest bit of its first byte
edit_checkpoint.py ROOT exchange-halves TENSOR   of the first layer: gate and up of linear_fc1
edit_checkpoint.py ROOT manifest FROM TO      a text of its manifest"""

import os
import sys

from weight_files import TorchDist

folder, action, arguments = os.path.join(sys.argv[1], "iter_0000000"), sys.argv[2], sys.argv[3:]
if action == "manifest":
    path = os.path.join(folder, "mbc", "manifest.json")
    with open(path) as file:
        text = file.read()
    assert arguments[0] in text
    with open(path, "w") as file:
        file.write(text.replace(arguments[0], arguments[1], 1))
    sys.exit()
records = TorchDist(folder)
raw = bytearray(records.get(arguments[0]))
if action == "flip":
    raw[0] ^= 1
else:
    half = len(raw) // records.tensors[arguments[0]].shape[0] // 2
    raw[:half], raw[half:2 * half] = raw[half:2 * half], raw[:half]
records.set(arguments[0], bytes(raw))
