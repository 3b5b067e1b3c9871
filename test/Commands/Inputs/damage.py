"""damage.py FOLDER [TEXT]: runs mbc on damaged and on odd inputs, each made in FOLDER, and says which verdicts are wrong.
TEXT runs only the cases whose names contain it, and prints what mbc said.

A damage is refused with the status that its row gives, in words that its row gives, with nothing written and the source as
it was. What is odd but legal is accepted, and comes back byte for byte. The rows are in damage_cases.py and odd_cases.py.
"""

import concurrent.futures
import hashlib
import os
import re
import resource
import shutil
import stat
import subprocess
import sys

sys.dont_write_bytecode = True

import damage_cases
import legacy_cases  # adds its cases to those of damage_cases
import odd_cases

# What only a library, an interpreter or a crash would say.
FOREIGN = re.compile(
    r"terminate|what\(\)|std::|Assertion|assert|Stack dump|PLEASE submit|Traceback|0x[0-9a-f]{8,}|basic_string|"
    r"bad_alloc|mlir|LLVM|exception|internal error|UNREACHABLE|Sanitizer|runtime error|tl::|bad_expected|filesystem error")


def contents(folder):
    """Everything of a tree that a command must leave alone."""
    found = {}
    for root, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(root, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                found[os.path.relpath(path, folder)] = os.readlink(path)
            elif stat.S_ISREG(mode):
                readable = os.access(path, os.R_OK)
                found[os.path.relpath(path, folder)] = hashlib.md5(read(path)).hexdigest() if readable else mode
            else:
                found[os.path.relpath(path, folder)] = stat.S_IFMT(mode)
    return found


def read(path):
    with open(path, "rb") as file:
        return file.read()


class Run:
    """One process, which may neither hang nor take the machine's memory."""

    def __init__(self, arguments, folder, file_limit=None):
        def limits():
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_CPU, (20, 20))  # an endless loop, however busy the machine is
            if "MBC_SANITIZE" not in os.environ:  # whose shadow memory is larger than any limit
                resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
            if file_limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
        self.command = "mbc " + " ".join(arguments)
        environment = {**os.environ, "TMPDIR": folder}
        try:
            done = subprocess.run(["mbc", *arguments], cwd=folder, capture_output=True, timeout=300, preexec_fn=limits,
                                  env=environment)
        except subprocess.TimeoutExpired:
            self.status, self.error = "no end", ""
            return
        self.status = done.returncode
        text = done.stderr.decode("utf-8", "backslashreplace")
        self.error = re.sub(r"^[a-z ]+ \d+%  .*\n", "", text, flags=re.MULTILINE)  # but for the progress


class Bench:
    """A place for one case: `source`, and `out` for the target, where nothing else may appear."""

    def __init__(self, root, case, number, checkpoint):
        self.case, self.work = case, os.path.join(root, f"{number:03d}")
        self.out, self.wrong, self.said = os.path.join(self.work, "out"), [], []
        os.makedirs(self.out)
        case.make(self.work, checkpoint)

    def arguments(self, command):
        case = self.case
        if case.arguments is not None:
            return [text.replace("OUT", "out/target") for text in case.arguments]
        target = ["-o", case.target] if command in ("import", "export", "reshard") else []
        return [command, *case.source, *target, *case.options]

    def check(self):
        for command in self.case.commands:
            before, beside = contents(self.work), os.listdir(self.work)
            run = Run(self.arguments(command), self.work, self.case.file_limit)
            self.said.append(f"$ {run.command}\n{run.error}status {run.status}")
            self.judge(run)
            after = contents(self.work)
            changed = sorted(name for name in {**before, **after} if before.get(name) != after.get(name))
            if changed or beside != os.listdir(self.work):
                self.wrong.append(f"{run.command}: changed {changed[:4]}")
        self.case.undo(self.work)

    def judge(self, run):
        case, lines = self.case, run.error.splitlines()
        if run.status != case.status:
            self.wrong.append(f"{run.command}: status {run.status}, expected {case.status}: {run.error[:600]}")
            return
        if found := FOREIGN.search(run.error):
            self.wrong.append(f"{run.command}: says {found.group()!r}: {run.error[:600]}")
        located = re.search(r"^[^\n]*\.mbc:\d+:\d+: error: ", run.error, re.MULTILINE) and run.error.endswith("config.json'\n")
        if not located and (len(lines) != 1 or not run.error.startswith("error: ")):
            self.wrong.append(f"{run.command}: not one line: {run.error[:600]}")
        for expected in case.expected:
            if not re.search(expected, run.error):
                self.wrong.append(f"{run.command}: no {expected!r} in: {run.error[:600]}")


class OddBench(Bench):
    def check(self):
        case, source = self.case, self.case.source[0]
        for folder, _, names in os.walk(self.work):
            # As another writer would have made it: nothing that says how an import left it.
            if case.megatron and os.path.basename(folder) == "mbc" and "manifest.json" in names:
                os.remove(os.path.join(folder, "manifest.json"))
        before = contents(self.work)
        megatron, back = self.case.target, "out/back/" if case.target.endswith("/") else "out/back"
        steps = [["verify", megatron], ["export", megatron, "-o", back, *case.export]]
        if not case.megatron:
            steps = [["import", source, "-o", megatron, *case.options]] + steps
            if case.exact:
                steps.append(["verify", source, megatron])
        for arguments in steps:
            run = Run(arguments, self.work)
            self.said.append(f"$ {run.command}\n{run.error}status {run.status}")
            if run.status != 0:
                self.wrong.append(f"{run.command}: status {run.status}, expected 0: {run.error[:600]}")
                return
        after = contents(self.work)
        if any(after.get(name) != what for name, what in before.items()) or any(
                name not in before for name in after if not name.startswith("out/")):
            self.wrong.append(f"{case.name}: the source has changed")
        extra = [name for name in os.listdir(self.out) if name not in ("target", "back")]
        if extra:
            self.wrong.append(f"{case.name}: left behind {extra}")
        if case.exact:
            self.compare(os.path.join(self.work, case.compare or source), os.path.join(self.out, "back"))
        case.undo(self.work)

    def compare(self, source, back):
        """Files only: what a link leads to must come back, and the link need not."""
        def files(folder):
            return {name: read(os.path.join(folder, name)) for name in os.listdir(folder)
                    if os.path.isfile(os.path.join(folder, name)) and name not in self.case.left_out}
        a, b = files(source), files(back)
        differing = sorted(name for name in {**a, **b} if a.get(name) != b.get(name))
        if differing:
            self.wrong.append(f"{self.case.name}: other bytes came back: {differing}")


def main():
    root, only = os.path.abspath(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
    good = damage_cases.Folder()
    good.write(os.path.join(root, "good"))
    checkpoint = os.path.join(root, "checkpoint")
    for name, options in (("checkpoint", []), ("legacy", legacy_cases.OPTIONS)):
        made = Run(["import", "good", "-o", name, *options], root)
        if made.status != 0:
            sys.exit(made.error)
    work = [(Bench, case) for case in damage_cases.CASES] + [(OddBench, case) for case in odd_cases.CASES]
    names = [case.name for _, case in work]
    assert len(set(names)) == len(names), "two cases of one name"

    def one(item):
        number, (bench, case) = item
        if only not in case.name or case.skip():
            return bench, None
        bench = bench(root, case, number, checkpoint)
        bench.check()
        for folder, _, _ in os.walk(bench.work):
            os.chmod(folder, 0o755)
        if not bench.wrong:
            shutil.rmtree(bench.work)
        return type(bench), bench

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        done = list(pool.map(one, enumerate(work)))
    wrong = [bench for _, bench in done if bench and bench.wrong]
    for bench in wrong:
        print(f"WRONG {bench.case.name}\n  " + "\n  ".join(bench.wrong))
    if only:
        for _, bench in done:
            if bench:
                print(f"-- {bench.case.name}\n" + "\n".join(bench.said))
    ran = {kind: sum(1 for k, bench in done if k is kind and bench) for kind in (Bench, OddBench)}
    skipped = sum(1 for _, bench in done if not bench)
    print(f"{ran[Bench]} damages, {ran[OddBench]} oddities, {skipped} skipped, {len(wrong)} wrong verdicts")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
