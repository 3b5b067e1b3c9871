"""damage_program.py PROGRAM WEIGHTS OUTPUT: cuts and flips a program in many places; mbc-run refuses each with status 2 and one
line that names the file, and writes nothing. `--abi PROGRAM OUTPUT` writes a copy of a later version."""

import os
import struct
import subprocess
import sys


def of_later_abi(data):
    """The root table's first field."""
    root = struct.unpack_from("<I", data, 0)[0]
    fields = root - struct.unpack_from("<i", data, root)[0]
    place = root + struct.unpack_from("<H", data, fields + 4)[0]
    changed = bytearray(data)
    struct.pack_into("<I", changed, place, struct.unpack_from("<I", data, place)[0] + 1)
    return bytes(changed)


def refused(data, what):
    open(damaged, "wb").write(data)
    run = subprocess.run(["mbc-run", "logits", damaged, "--weights", weights, "--tokens", "1,2", "-o", output],
                         capture_output=True, text=True, errors="replace")
    lines = run.stderr.splitlines()
    assert run.returncode == 2 and len(lines) == 1 and lines[0].startswith(f"error: {damaged}: "), (what, run)
    assert not run.stdout and not os.path.exists(output), what


if sys.argv[1] == "--abi":
    open(sys.argv[3], "wb").write(of_later_abi(open(sys.argv[2], "rb").read()))
else:
    program, weights, output = sys.argv[1:]
    damaged = program + ".damaged"
    data = open(program, "rb").read()
    for size in {0, 3, 7, 8, 100, len(data) // 3, len(data) // 2, len(data) - 1}:
        refused(data[:size], f"cut to {size}")
    refused(data + b"\0", "a byte more")
    step = len(data) // 200
    for place in range(0, len(data), step):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place // step % 8
        refused(bytes(flipped), f"flipped at {place}")
    os.remove(damaged)
    print("all refused")
