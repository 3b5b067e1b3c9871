"""fingerprints.py FILE.safetensors: a line for each tensor, as examples/convert prints them."""

import json
import sys

TYPES = {"BF16": "bfloat16", "F32": "float32", "F16": "float16"}

with open(sys.argv[1], "rb") as file:
    data = file.read()
size = int.from_bytes(data[:8], "little")
header = json.loads(data[8 : 8 + size])
header.pop("__metadata__", None)
for name, info in header.items():
    begin, end = (8 + size + offset for offset in info["data_offsets"])
    value = 0xCBF29CE484222325
    for byte in data[begin:end]:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    print(name, TYPES[info["dtype"]], *info["shape"], f"{value:x}")
