#!/usr/bin/env python3
"""Rates on a GPU beside transformers', in one run, with random weights at the true shapes; for a machine with torch.

  test/Bench/cuda.py prepare OUT          where mbc is: compiles the programs, a few hundred kB
  OUT/cuda.py run BENCH MBC_RUN [WHAT...] on the machine with the GPU: CudaBench and mbc-run; WHAT: decode-1b decode-8b
                                          batch-8b prefill-8b mixture start (default: all)

decode: one sequence, 256 tokens after 128, bfloat16; batch: 32 sequences after 1,024 tokens; prefill: 4,096 tokens; mixture:
Qwen3-30B-A3B's layers, as many as both hold; start: from exec to the first token with weights in the page cache. The
opponent is transformers with a static cache and torch.compile(reduce-overhead), mixtures with grouped_mm, start with
eager. Medians of 5 of each; transformers' tokens include what its generate does between steps."""

import json
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
CONFIGS = {"1b": "Llama-3.2-1B", "8b": "Meta-Llama-3-8B", "30b": "Qwen3-30B-A3B"}
LAYERS = {"30b": 16}


def prepare(out):
    root = HERE.parents[1]
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    shutil.copy(__file__, out / "cuda.py")
    for short, name in CONFIGS.items():
        config = json.loads((root / f"test/Inputs/configs/{name}.json").read_text())
        config["num_hidden_layers"] = LAYERS.get(short, config["num_hidden_layers"])
        (out / short).mkdir(exist_ok=True)
        (out / short / "config.json").write_text(json.dumps(config))
        subprocess.run(
            [root / "build/release/bin/mbc", "compile", "--config", out / short / "config.json", "-o", out / f"{short}.mbcp",
             "--overwrite", "--quiet", "--dtype", "bfloat16", "--chunk", "4096", "--sequences", "1,32", "--length", "8192",
             *sys.argv[3:]],
            check=True,
        )


def ours(bench, program, *options):
    """What CudaBench printed; the milliseconds of a step or a prefill."""
    text = subprocess.run([bench, HERE / f"{program}.mbcp", *map(str, options)], capture_output=True, text=True)
    assert text.returncode == 0, text.stderr
    print(text.stdout, flush=True)
    return float(re.search(r"(?:prefill \d+|tokens): ([\d.]+) ms", text.stdout).group(1))


def load(name, experts=None):
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    config = transformers.AutoConfig.from_pretrained(HERE / name)
    more = dict(experts_implementation=experts) if experts else {}
    torch.manual_seed(0)
    with torch.device("cuda"):
        torch.set_default_dtype(torch.bfloat16)
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16, attn_implementation="sdpa", **more)
        torch.set_default_dtype(torch.float32)
    return model.eval()


def theirs_decode(model, sequences, context, new, compiled=True):
    """Milliseconds of a step: a static cache, and a compiled step that the host calls for each token."""
    import torch
    import transformers

    cache = transformers.StaticCache(config=model.config, max_cache_len=context + new + 8)
    tokens = torch.randint(model.config.vocab_size, (sequences, context), device="cuda")
    times = []
    with torch.inference_mode():
        out = model(tokens, past_key_values=cache, use_cache=True, cache_position=torch.arange(context, device="cuda"), logits_to_keep=1)
        token, place = out.logits[:, -1:].argmax(-1), torch.tensor([context], device="cuda")

        def step(token, place):
            return model(token, past_key_values=cache, use_cache=True, cache_position=place).logits[:, -1:].argmax(-1)

        if compiled:
            step = torch.compile(step, mode="reduce-overhead", fullgraph=False)
        for repeat in range(6):
            place.fill_(context)
            torch.cuda.synchronize()
            start = time.perf_counter()
            for _ in range(new):
                token = step(token.clone(), place)
                place += 1
            torch.cuda.synchronize()
            times.append((time.perf_counter() - start) / new * 1e3)
    return statistics.median(times[1:])


def theirs_prefill(model, length, compiled=True):
    import torch

    tokens = torch.randint(model.config.vocab_size, (1, length), device="cuda")

    def prefill(tokens):
        return model(tokens, use_cache=False, logits_to_keep=1).logits

    if compiled:
        prefill = torch.compile(prefill)
    times = []
    with torch.inference_mode():
        for _ in range(8):
            torch.cuda.synchronize()
            start = time.perf_counter()
            prefill(tokens)
            torch.cuda.synchronize()
            times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times[3:])


def line(what, mine, other, tokens):
    print(f"RESULT {what:12} mbc {mine:8.3f} ms ({tokens / mine * 1e3:8.0f} tok/s)   transformers {other:8.3f} ms "
          f"({tokens / other * 1e3:8.0f} tok/s)   {other / mine:.2f}x", flush=True)


FIRST = """
import sys, torch, transformers
transformers.utils.logging.disable_progress_bar()
model = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.bfloat16, device_map="cuda")
tokens = torch.arange(1, 33, device="cuda")[None]
with torch.inference_mode():
    print(model(tokens).logits[0, -1].argmax().item())
"""


def start(mbc_run):
    """Seconds from exec to the end of a run that makes one token."""
    model = load("1b")
    folder = HERE / "weights"
    model.save_pretrained(folder)
    del model
    command = {
        "mbc-run": [mbc_run, "generate", HERE / "1b.mbcp", "--weights", folder, "--tokens", ",".join(map(str, range(1, 33))),
                    "--max-new-tokens", "1", "--device", "cuda"],
        "transformers": [sys.executable, "-c", FIRST, folder],
    }
    for who, words in command.items():
        times = []
        for _ in range(4 if who == "mbc-run" else 2):
            begin = time.perf_counter()
            done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
            times.append(time.perf_counter() - begin)
            assert done.returncode == 0, done.stderr
        print(f"RESULT start {who}: {' '.join(f'{t:.2f}' for t in times)} s   {done.stderr.strip()[-300:]}", flush=True)


def main(bench, mbc_run, *what):
    what = what or ("decode-1b", "decode-8b", "batch-8b", "prefill-8b", "mixture", "start")
    one = ("--decode", 256, "--context", 128)
    many = ("--decode", 64, "--context", 1024, "--sequences", 32)
    long = ("--prefill", 4096)
    model = None
    if "start" in what:
        start(mbc_run)
    if "decode-1b" in what:
        mine = ours(bench, "1b", *one)
        line("decode 1B", mine, theirs_decode(load("1b"), 1, 128, 256), 1)
    if {"decode-8b", "batch-8b", "prefill-8b"} & set(what):
        mine = {key: ours(bench, "8b", *options) for key, options in
                (("decode-8b", one), ("batch-8b", many), ("prefill-8b", long)) if key in what}
        model = load("8b")
        if "prefill-8b" in what:
            line("prefill 8B", mine["prefill-8b"], theirs_prefill(model, 4096), 4096)
        if "decode-8b" in what:
            line("decode 8B", mine["decode-8b"], theirs_decode(model, 1, 128, 256), 1)
        if "batch-8b" in what:
            line("batch 8B", mine["batch-8b"], theirs_decode(model, 32, 1024, 64), 32)
        del model
    if "mixture" in what:
        mine = [ours(bench, "30b", *options) for options in (one, many, long)]
        model = load("30b", "grouped_mm")
        line("mixture 1", mine[0], theirs_decode(model, 1, 128, 64, False), 1)
        line("mixture 32", mine[1], theirs_decode(model, 32, 1024, 64, False), 32)
        line("mixture 4096", mine[2], theirs_prefill(model, 4096, False), 4096)


if __name__ == "__main__":
    if sys.argv[1:2] == ["prepare"] and len(sys.argv) > 2:
        prepare(sys.argv[2])
    elif sys.argv[1:2] == ["run"] and len(sys.argv) > 3:
        main(*sys.argv[2:])
    else:
        sys.exit(__doc__.strip())
