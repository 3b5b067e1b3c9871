"""tokens.py BATCH LENGTH: writes zeros as an int32 .npy file [BATCH, LENGTH] to stdout."""

import struct
import sys

shape = int(sys.argv[1]), int(sys.argv[2])
header = f"{{'descr': '<i4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
sys.stdout.buffer.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(4 * shape[0] * shape[1]))
