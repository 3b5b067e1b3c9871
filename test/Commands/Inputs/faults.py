"""faults.py FOLDER LIBRARY POINTS [kills]: imports and exports that are killed, or whose system calls fail, at POINTS points each;
LIBRARY is that of test/Faults. Afterwards the target is the old one or the new one, complete, or, where there was none, absent;
and the next run leaves nothing of the killed one behind. Exit status 1 when something was wrong.

Half of the kills are at random calls of a small model, so that every step of making and replacing a folder is met; the other
half at random times of one of 40 MB.
"""

import errno
import filecmp
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True

from mutation_models import LLAMA, finish
from mutations import mbc

LARGE = {**LLAMA, "hidden_size": 512, "intermediate_size": 1500, "vocab_size": 2000, "num_hidden_layers": 6,
         "num_attention_heads": 8}


def same(a, b, but=()):
    """Whether two trees hold the same files, those of the names `but` aside."""
    def files(root):
        return sorted(os.path.relpath(os.path.join(folder, name), root) for folder, _, names in os.walk(root) for name in names
                      if name not in but)
    names = files(a)
    return names == files(b) and filecmp.cmpfiles(a, b, names, shallow=False)[0] == names


class Bench:
    """One conversion: its command, an older target, and what the result should be."""

    def __init__(self, root, library, command, source, old, overwrite):
        self.root, self.library, self.command, self.old, self.overwrite = root, library, command, old, overwrite
        self.out, self.target = os.path.join(root, "out"), os.path.join(root, "out", "target")
        self.arguments = [command, source, "-o", self.target] + (["--overwrite"] if overwrite else [])
        self.reset()
        self.expect(mbc(*self.arguments))
        self.new = os.path.join(root, "new")
        os.rename(self.target, self.new)

    def expect(self, done):
        if done[0] != 0:
            sys.exit(f"{self.command}: {done}")

    def reset(self):
        shutil.rmtree(self.out, ignore_errors=True)
        os.makedirs(self.out)
        if self.overwrite:
            shutil.copytree(self.old, self.target, symlinks=True)

    def start(self, **faults):
        environment = {**os.environ, **({"LD_PRELOAD": self.library} if faults else {}),
                       **{f"FAULT_{name.upper()}": str(value) for name, value in faults.items()}}
        return subprocess.Popen(["mbc", *self.arguments, "--quiet"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def calls(self, **faults):
        path = os.path.join(self.root, "calls")
        self.reset()
        self.start(count=path, **faults).communicate()
        with open(path) as file:
            return int(file.read())

    def state(self):
        if not os.path.lexists(self.target):
            return "absent"
        if self.overwrite and same(self.target, self.old):
            return "old"
        if not same(self.target, self.new):
            return "HALF"
        verified = mbc("verify", self.target)
        return "new" if verified[0] == 0 else f"REFUSED {verified}"

    def leftovers(self):
        return [name for name in os.listdir(self.out) if name != "target"]


def kill_points(bench, points, r, count):
    """Kills at `points` of the `count` calls, or at random times where there is no count."""
    begin = time.monotonic()
    bench.reset()
    bench.start().communicate()
    duration = time.monotonic() - begin
    chosen = sorted(r.sample(range(1, count + 1), min(points, count))) if count else range(points)
    states, wrong, removed = {}, [], 0
    for point in chosen:
        # Every second run meets what the one before it has left.
        before = len(bench.leftovers())
        if point % 2 or bench.state() not in ("old", "absent"):
            bench.reset()
            before = 0
        if count:
            process = bench.start(at=point, do="kill")
        else:
            process = bench.start()
            time.sleep(r.random() * duration * 1.05)
            process.send_signal(signal.SIGKILL)
        process.communicate()
        state = bench.state()
        states[state] = states.get(state, 0) + 1
        if state not in ("old", "new", "absent") or state == "absent" and bench.overwrite:
            wrong.append(f"{bench.command} killed at {point}: {state}")
        left = len(bench.leftovers())
        removed += before
        if left > 1 and process.returncode == -signal.SIGKILL and left > before + 1:
            wrong.append(f"{bench.command} killed at {point}: left {bench.leftovers()}")
    # The next run removes what is left, and says so.
    bench.reset()
    process = bench.start(at=count // 2, do="kill") if count else bench.start()
    if not count:
        while process.poll() is None and not bench.leftovers():
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    process.communicate()
    left = bench.leftovers()
    done = subprocess.run(["mbc", *bench.arguments], capture_output=True, text=True)
    said = done.stdout.count("left by a run that was killed")
    if done.returncode != 0 or bench.leftovers() or bench.state() != "new" or said != len(left):
        wrong.append(f"{bench.command} after a kill: {done.returncode} {done.stderr}{bench.state()} {bench.leftovers()}, "
                     f"{len(left)} left, {said} named")
    return states, wrong


def failing_calls(bench, points, r, reads):
    """EIO, ENOSPC and others at random calls: status 3, the reason in the message, and nothing left."""
    faults = {"reads": 1} if reads else {}
    count = bench.calls(**faults)
    states, wrong = {}, []
    for point in sorted(r.sample(range(1, count + 1), min(points, count))):
        code = r.choice([errno.EIO] if reads else [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS])
        bench.reset()
        process = bench.start(at=point, do=code, **faults)
        error = process.communicate()[1].decode()
        state = bench.state()
        states[f"{process.returncode} {state}"] = states.get(f"{process.returncode} {state}", 0) + 1
        good = ("new",) if process.returncode == 0 else ("old", "new") if bench.overwrite else ("absent", "new")
        # Once the new one is in place, what failed is said with where the rest is.
        if state not in good or process.returncode not in (0, 3) or process.returncode == 3 and not any(
                reason in error.lower() for reason in (os.strerror(code).lower(), "no space left: ")):
            wrong.append(f"{bench.command} call {point} fails with {errno.errorcode[code]}: {process.returncode} {state}: {error}")
        if bench.leftovers() and "is left at" not in error:
            # What cannot be removed is removed by the next run.
            bench.expect(mbc(*bench.arguments, *([] if bench.overwrite or state == "absent" else ["--overwrite"])))
            if bench.leftovers():
                wrong.append(f"{bench.command} call {point} fails: left {bench.leftovers()}")
    return states, wrong


def changing_source(bench, points, r, files):
    """A file that somebody writes while it is read: refused, or not read any more."""
    count = bench.calls()
    states, wrong = {}, []
    for point in sorted(r.sample(range(1, count + 1), min(points, count))):
        path = r.choice(files)
        bench.reset()
        time.sleep(0.01)
        process = bench.start(at=point, do="touch", path=path)
        error = process.communicate()[1].decode()
        state = bench.state()
        states[f"{process.returncode} {state}"] = states.get(f"{process.returncode} {state}", 0) + 1
        refused = process.returncode == 2 and "has changed while it was read" in error and state != "new"
        if not refused and not (process.returncode == 0 and state == "new"):
            wrong.append(f"{bench.command} source written at call {point}: {process.returncode} {state}: {error}")
    if not any(name.startswith("2 ") for name in states):
        wrong.append(f"{bench.command}: a source that was written was never noticed")
    return states, wrong


def make(root, config, seed):
    os.makedirs(root, exist_ok=True)
    path = os.path.join(root, "config.json")
    with open(path, "w") as file:
        json.dump(config, file)
    hf, megatron = os.path.join(root, f"hf-{seed}"), os.path.join(root, f"megatron-{seed}")
    for done in (mbc("toy", path, "-o", hf, "--seed", str(seed)),):
        assert done[0] == 0, done
    finish(hf)
    done = mbc("import", hf, "-o", megatron)
    assert done[0] == 0, done
    return hf, megatron


def main():
    root, library, points = os.path.abspath(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    r = random.Random(0)
    failed = []

    def say(what, done):
        states, wrong = done
        print(f"{what}: " + ", ".join(f"{count} {state}" for state, count in sorted(states.items())), flush=True)
        failed.extend(wrong)

    for size, config in (("small", LLAMA), ("large", LARGE)):
        new, old = make(os.path.join(root, size), config, 1), make(os.path.join(root, size), config, 2)
        for command, index in (("import", 0), ("export", 1)):
            for overwrite in (False, True):
                place = os.path.join(root, f"{size}-{command}-{overwrite}")
                os.makedirs(place)
                bench = Bench(place, library, command, new[index], old[1 - index], overwrite)
                what = f"{command} {'over an old target' if overwrite else 'to a new name'}, {size}"
                count = bench.calls() if size == "small" else 0
                say(f"{what}, killed at {'calls' if count else 'times'}", kill_points(bench, -(-points // 4), r, count))
                if size == "small" and "kills" not in sys.argv:
                    say(f"{what}, calls fail", failing_calls(bench, -(-points // 4), r, False))
                    say(f"{what}, reads fail", failing_calls(bench, -(-points // 8), r, True))
                    folder = new[index] if index == 0 else os.path.join(new[index], "iter_0000000")
                    files = [os.path.join(folder, name) for name in os.listdir(folder)
                             if os.path.isfile(os.path.join(folder, name))]
                    say(f"{what}, source written", changing_source(bench, -(-points // 8), r, files))
                shutil.rmtree(place)
    for text in failed:
        print("WRONG " + text)
    print(f"{len(failed)} wrong")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
