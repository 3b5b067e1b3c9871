"""Damages and edits model.safetensors of a folder, knowing nothing but the format.

weights.py FOLDER flip TENSOR ELEMENT      flips the lowest bit of an element; prints its offset in the file
weights.py FOLDER widen TEXT               makes the BF16 tensors F32 whose name contains TEXT
weights.py FOLDER drop TENSOR
weights.py FOLDER rename TENSOR NAME
weights.py FOLDER reshape TENSOR SIZE,...
weights.py FOLDER copy TENSOR NAME         stores the tensor a second time
"""

import json
import os
import struct
import sys

folder, action, *arguments = sys.argv[1:]
path = os.path.join(folder, "model.safetensors")
with open(path, "rb") as file:
    length = struct.unpack("<Q", file.read(8))[0]
    header = json.loads(file.read(length))
    data = file.read()
metadata = header.pop("__metadata__", None)
tensors = {name: [e["dtype"], e["shape"], data[e["data_offsets"][0]:e["data_offsets"][1]]] for name, e in header.items()}

if action == "flip":
    name, element = arguments[0], int(arguments[1])
    begin, end = header[name]["data_offsets"]
    count = 1
    for size in header[name]["shape"]:
        count *= size
    at = 8 + length + begin + element * ((end - begin) // count)
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))
    print("offset", at)
    sys.exit()
if action == "widen":
    for name, tensor in tensors.items():
        if arguments[0] in name and tensor[0] == "BF16":
            raw = tensor[2]
            tensor[0], tensor[2] = "F32", b"".join(b"\0\0" + raw[i:i + 2] for i in range(0, len(raw), 2))
elif action == "drop":
    del tensors[arguments[0]]
elif action == "rename":
    tensors = {arguments[1] if name == arguments[0] else name: tensor for name, tensor in tensors.items()}
elif action == "reshape":
    tensors[arguments[0]][1] = [int(size) for size in arguments[1].split(",")]
elif action == "copy":
    tensors[arguments[1]] = list(tensors[arguments[0]])
else:
    sys.exit("unknown action " + action)

header, at = {"__metadata__": metadata} if metadata else {}, 0
for name, (dtype, shape, raw) in tensors.items():
    header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(raw)]}
    at += len(raw)
text = json.dumps(header, separators=(",", ":")).encode()
text += b" " * (-len(text) % 8)
with open(path, "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text + b"".join(tensor[2] for tensor in tensors.values()))
