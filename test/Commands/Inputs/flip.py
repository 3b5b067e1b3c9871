"""flip.py FILE TENSOR: changes the lowest bit but two of a bfloat16 tensor's first element."""

import json
import sys

path, tensor = sys.argv[1:]
with open(path, "r+b") as file:
    length = int.from_bytes(file.read(8), "little")
    begin = json.loads(file.read(length))[tensor]["data_offsets"][0]
    file.seek(8 + length + begin)
    low = file.read(1)[0] ^ 4
    file.seek(-1, 1)
    file.write(bytes([low]))
