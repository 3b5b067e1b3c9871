"""assemble.py CONFIGS TARGET[,TARGET...]: compiles each configuration and has ptxas assemble all of its kernels, without
spills or other local memory. One configuration of each architecture, or with MBC_ALL_CONFIGS=1 every one."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

script = Path(__file__).with_name("ptx.py")
targets = sys.argv[2].split(",")
seen = set()
kernels = 0
for config in sorted(Path(sys.argv[1]).glob("*.json"), key=lambda path: (path.stat().st_size, path.name)):
    architecture = json.loads(config.read_text())["architectures"][0]
    if architecture in seen and not os.environ.get("MBC_ALL_CONFIGS"):
        continue
    seen.add(architecture)
    command = ["mbc", "compile", "--config", str(config), "-o", "x.mlir", "--overwrite", "--to", "generate"]
    subprocess.run([*command, "--dtype", "bfloat16", "--target", ",".join(targets)], check=True, stdout=subprocess.DEVNULL)
    for target in targets:
        with open("x.mlir") as text, open("x.ptx", "w") as ptx:
            subprocess.run([sys.executable, script, target], stdin=text, stdout=ptx, check=True)
        ran = subprocess.run(["ptxas", f"--gpu-name={target}", "-v", "x.ptx", "-o", "x.cubin"], capture_output=True, text=True)
        assert ran.returncode == 0, f"{config.name} for {target}: {ran.stderr}"
        frames = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores", ran.stderr)
        assert frames and all(frame == ("0", "0") for frame in frames), f"{config.name} for {target}: {ran.stderr}"
        kernels += len(frames)
print(f"assembled {len(seen)} architectures, {kernels} kernels")
