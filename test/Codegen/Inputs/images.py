"""images.py PREFIX < FILE.mlir: writes the bytes of every exec.image to PREFIX-TARGET.so."""

import re
import sys

for target, numbers in re.findall(r'exec\.image "([^"]*)" \[([^]]*)\]', sys.stdin.read()):
    with open(f"{sys.argv[1]}-{target}.so", "wb") as file:
        file.write(bytes(int(number) & 255 for number in numbers.split(",")))
