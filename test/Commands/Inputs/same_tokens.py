"""Fails where two files of generated lines differ in their tokens."""

import json
import sys

one, two = ([json.loads(line)["tokens"] for line in open(name)] for name in sys.argv[1:])
assert one and one == two, (one, two)
