"""full_disk.py FOLDER: imports and exports onto file systems of growing size, and onto one that cannot be written. Runs itself
again in a mount namespace of its own, where it may mount."""

import os
import subprocess
import sys

sys.dont_write_bytecode = True

from faults import make, same
from mutation_models import LLAMA
from mutations import mbc

CONFIG = {**LLAMA, "hidden_size": 96, "intermediate_size": 200, "vocab_size": 500}


def namespace():
    """How to get one, as root and as anybody."""
    return ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--mount", "--map-root-user"]


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def main():
    root = os.path.abspath(sys.argv[1])
    new, old, wrong = make(os.path.join(root, "new"), CONFIG, 1), make(os.path.join(root, "old"), LLAMA, 2), 0
    disk = os.path.join(root, "disk")
    os.makedirs(disk)
    target = os.path.join(disk, "target")
    for command, source, other in (("import", new[0], old[1]), ("export", new[1], old[0])):
        count = {"full": 0, "done": 0}
        for size in range(100, 3000, 150):
            mount("-t", "tmpfs", "-o", f"size={size}k", "tmpfs", disk)
            copied = subprocess.run(["cp", "-r", other, target], stderr=subprocess.DEVNULL).returncode == 0
            if copied:
                status, _, error = mbc(command, source, "-o", target, "--overwrite")
                left = [name for name in os.listdir(disk) if name != "target"]
                full = status == 3 and ("No space left" in error or "no space left" in error) and same(target, other)
                done = status == 0 and mbc("verify", source, target)[0] == 0
                count["full" if full else "done"] += 1
                if not (full or done) or left:
                    wrong += 1
                    print(f"WRONG {command} in {size} KiB: {status} {error} {left}")
            subprocess.run(["umount", disk], check=True)
        print(f"{command}: {count['full']} full, {count['done']} done")
    mount("-t", "tmpfs", "-o", "size=4m", "tmpfs", disk)
    mount("-o", "remount,ro", disk)
    status, _, error = mbc("import", new[0], "-o", target)
    print("read-only: " + ("refused" if status == 3 and "read-only file system" in error.lower() else f"WRONG {status} {error}"))
    subprocess.run(["umount", disk], check=True)
    sys.exit(bool(wrong))


if len(sys.argv) > 2 and sys.argv[2] == "inside":
    main()
elif len(sys.argv) > 1:
    sys.exit(subprocess.run([*namespace(), sys.executable, __file__, sys.argv[1], "inside"]).returncode)
