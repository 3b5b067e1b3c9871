#!/usr/bin/env python3
"""Compares bfloat16 logits of mbc-run with those of transformers on the same device, by their distance from float32.

  check_beside_transformers.py CASES MBC_RUN [DEVICE]      default: cuda

CASES are folders of device_cases.py, whose float32 logits are the truth. Of each family: the mean error of mbc over that of
transformers (eager attention), of all its models and lengths together; at most 1.1. Where bfloat16 decides which experts a row
goes to, single rows are far off on either side: of mixtures the ratio is of the medians of rows. What transformers does not
load there is named. Needs python, numpy, torch and transformers."""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
import transformers
from check_device import MIXTURES

BOUND = 1.1
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


def of_transformers(model, case, length, device):
    inputs = {"input_ids": torch.from_numpy(np.load(case / f"tokens-{length}.npy")).long().to(device)}
    if (case / f"pixels-{length}.npy").exists():
        inputs["pixel_values"] = torch.from_numpy(np.load(case / f"pixels-{length}.npy")).to(device, torch.bfloat16)
        inputs["image_grid_thw"] = torch.from_numpy(np.load(case / f"grid-{length}.npy")).long().to(device)
        inputs["mm_token_type_ids"] = (inputs["input_ids"] == model.config.image_token_id).int()
    with torch.no_grad():
        return model(**inputs).logits.float().cpu().numpy()


def of_mbc(mbc_run, case, length, device, scratch):
    out = scratch / "out.npy"
    out.unlink(missing_ok=True)
    pictures = [part for name in ("pixels", "grid") if (case / f"{name}-{length}.npy").exists()
                for part in (f"--{name}", case / f"{name}-{length}.npy")]
    subprocess.run([str(part) for part in (mbc_run, "logits", case / "bfloat16-512.mbcp", "--weights", case / "hf", "--device", device, "--quiet",
                                           "--tokens", case / f"tokens-{length}.npy", "-o", out, *pictures)], check=True)
    return np.load(out)


def main(cases, mbc_run, device="cuda"):
    families, failed = {}, False
    with tempfile.TemporaryDirectory() as scratch:
        for case in sorted(path.parent for path in pathlib.Path(cases).glob("*/case.json")):
            lengths = sorted(int(path.stem.split("-")[1]) for path in case.glob("float32-*.npy"))
            if not lengths:
                continue
            try:
                kind = transformers.AutoModelForImageTextToText if any(case.glob("pixels-*")) else transformers.AutoModelForCausalLM
                model = kind.from_pretrained(case / "hf", dtype=torch.bfloat16, attn_implementation="eager", experts_implementation="eager").to(device).eval()
                pairs = []
                for length in lengths:
                    truth = np.load(case / f"float32-{length}.npy")
                    pairs.append([np.abs(found - truth).mean(-1).ravel() for found in
                                  (of_mbc(mbc_run, case, length, device, pathlib.Path(scratch)), of_transformers(model, case, length, device))])
            except (ImportError, RuntimeError, TypeError, ValueError, AttributeError) as error:
                print(f"{case.name}: not compared: {str(error).splitlines()[0]}")
                continue
            families.setdefault(case.name.rsplit("-", 1)[0], []).extend(pairs)
    for family, pairs in families.items():
        ours, theirs = (np.concatenate(rows) for rows in zip(*pairs))
        middle = np.median if family.startswith(MIXTURES) else np.mean
        ratio = middle(ours) / middle(theirs)
        failed |= not ratio <= BOUND
        print(f"{family:14} {ours.size:6} rows: {ratio:.3f} of transformers' error{'' if ratio <= BOUND else f', expected at most {BOUND}'}")
    return failed or not families


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__.strip())
    sys.exit(main(*sys.argv[1:]))
