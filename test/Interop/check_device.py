#!/usr/bin/env python3
"""Compares what a device computes of the cases of device_cases.py with what the host computed.

  check_device.py CASES MBC_RUN [DEVICE]      default: cuda

float32: logits within 2e-4 of the largest, through calls of many rows and of 5, the same bits in a second run, and the
same greedy tokens. bfloat16: mean error against float32 at most 1.2 times the host's. In mixtures a row may choose other
experts where scores are equal to the rounding: rows farther away than the bound are counted, 1 in 200 at most. Prints a
line for each family. Needs python and numpy."""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

BOUND, BFLOAT16, MIXTURES = 2e-4, 1.2, ("qwen3_moe", "deepseek", "mtp")


class Failed(Exception):
    pass


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command))}: status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def check(case, mbc_run, device, scratch):
    """Worst error of float32 and the largest share of the host's in bfloat16, and rows that chose other experts."""
    facts = json.loads((case / "case.json").read_text())
    weights = ("--weights", case / "hf", "--device", device, "--quiet")
    worst, share, other, rows = 0.0, 0.0, 0, 0

    def logits(program, length, pictures):
        more = [part for name in ("pixels", "grid") for part in (f"--{name}", case / f"{name}-{length}.npy")] if pictures else []
        out = scratch / "out.npy"
        out.unlink(missing_ok=True)
        run(mbc_run, "logits", case / program, *weights, "--tokens", case / f"tokens-{length}.npy", "-o", out, *more)
        return np.load(out)

    for of in facts["lengths"]:
        length = of["length"]
        truth = np.load(case / f"float32-{length}.npy")
        largest = np.abs(truth).max()
        for chunk in (512, 5):
            found = logits(f"float32-{chunk}.mbcp", length, of["pictures"])
            errors = np.abs(found - truth).max(-1).ravel() / largest
            if not np.isfinite(found).all():
                raise Failed(f"{case.name}: length {length}, chunk {chunk}: logits are no numbers")
            beyond = int((errors > BOUND).sum())
            if beyond and not case.name.startswith(MIXTURES):
                raise Failed(f"{case.name}: length {length}, chunk {chunk}: {errors.max():.2e} of the largest logit, expected {BOUND}")
            other, rows, worst = other + beyond, rows + errors.size, max(worst, errors[errors <= BOUND].max(initial=0))
            if not np.array_equal(found, logits(f"float32-{chunk}.mbcp", length, of["pictures"])):
                raise Failed(f"{case.name}: length {length}, chunk {chunk}: two runs differ")
        found = logits("bfloat16-512.mbcp", length, of["pictures"])
        error = np.abs(found - truth).mean() / of["bfloat16_error"]
        if not error <= BFLOAT16 and length > 1:
            raise Failed(f"{case.name}: length {length}: bfloat16 is {error:.2f} times as far from float32 as the host's")
        share = max(share, error if length > 1 else 0)
    if other * 200 > rows > 0:
        raise Failed(f"{case.name}: {other} of {rows} rows are beyond {BOUND}")
    if "texts" in facts:
        lines = run(mbc_run, "generate", case / "float32-512.mbcp", *weights, "--prompts-file", case / "prompts.jsonl",
                    "--max-new-tokens", len(facts["texts"][0]), "--ignore-eos")
        for expected, line in zip(facts["texts"], lines.splitlines(), strict=True):
            if json.loads(line)["tokens"] != expected:
                raise Failed(f"{case.name}: tokens {json.loads(line)['tokens']}, expected {expected}")
    return worst, share, other, rows


def main(cases, mbc_run, device="cuda"):
    families, failures = {}, []
    with tempfile.TemporaryDirectory() as scratch:
        for case in sorted(path.parent for path in pathlib.Path(cases).glob("*/case.json")):
            try:
                families.setdefault(case.name.rsplit("-", 1)[0], []).append(check(case, mbc_run, device, pathlib.Path(scratch)))
            except Failed as failure:
                failures.append(str(failure))
    for family, found in families.items():
        worst, share, other, rows = zip(*found)
        print(f"{family:12}{len(found):3} models, the same texts: float32 within {max(worst):.1e} of the largest logit, "
              f"bfloat16 {max(share):.2f} of the host's error, {sum(other)} of {sum(rows)} rows chose other experts")
    if not families:
        failures.append(f"{cases}: no cases")
    print("\n".join(f"FAILED {failure}" for failure in failures), end="\n" if failures else "")
    return bool(failures)


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__.strip())
    sys.exit(main(*sys.argv[1:]))
