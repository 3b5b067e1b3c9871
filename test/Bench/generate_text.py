#!/usr/bin/env python3
"""Times generation of mbc beside llama.cpp and transformers: 1 and 8 sequences, and the first token from the start of a process.

  test/Bench/generate_text.py [HF_DIR [REPEATS]]      default build/models/SmolLM2-135M-Instruct, 5 repeats

Needs what test/Bench/generate.py needs, which makes the environment of llama.cpp. A repeat is a fresh process of each, one after
another: prompts of 64 tokens, then 64 greedy tokens of every sequence, sampling included; the table has medians of the repeats.
The first token: of a prompt of 42 tokens, programs, weights and Python's files in the page cache, mbc with the program in its cache.
"""

import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

import generate as single

ROOT = pathlib.Path(__file__).resolve().parents[2]
THREADS, PROMPT, NEW, SEQUENCES = 2, 64, 64, (1, 8)

PROMPTS = f"""
import random
random.seed(1)
prompts = [[random.randrange(100, 10000) for _ in range(PROMPT)] for _ in range(int(sys.argv[3]))]
"""

LLAMA = f"""
import json, sys, time
PROMPT, NEW = int(sys.argv[4]), int(sys.argv[5])
{PROMPTS}
import llama_cpp, numpy
llama_cpp.llama_backend_init()
silent = llama_cpp.llama_log_callback(lambda level, text, data: None)
llama_cpp.llama_log_set(silent, None)
model = llama_cpp.llama_model_load_from_file(sys.argv[1].encode(), llama_cpp.llama_model_default_params())
options = llama_cpp.llama_context_default_params()
options.n_ctx = len(prompts) * (PROMPT + NEW + 8)
options.n_batch = options.n_ubatch = 512
options.n_seq_max = len(prompts)
options.n_threads = options.n_threads_batch = {THREADS}
context = llama_cpp.llama_init_from_model(model, options)
vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
batch = llama_cpp.llama_batch_init(512, 0, len(prompts))

def step(rows):
    batch.n_tokens = len(rows)
    for i, (token, position, sequence, wanted) in enumerate(rows):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, position, 1, wanted
        batch.seq_id[i][0] = sequence
    assert llama_cpp.llama_decode(context, batch) == 0
    return [
        int(numpy.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, i), (vocabulary,)).argmax())
        for i, row in enumerate(rows) if row[3]
    ]

tokens = [step([(token, i, s, i == PROMPT - 1) for i, token in enumerate(prompt)])[0] for s, prompt in enumerate(prompts)]
print(tokens[0], flush=True)
start = time.perf_counter()
for at in range(PROMPT, PROMPT + NEW - 1):
    tokens = step([(token, at, s, True) for s, token in enumerate(tokens)])
print(json.dumps(len(prompts) * (NEW - 1) / (time.perf_counter() - start)))
"""

TRANSFORMERS = f"""
import json, sys, time
PROMPT, NEW = int(sys.argv[4]), int(sys.argv[5])
{PROMPTS}
import torch, transformers
torch.set_num_threads({THREADS})
model = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=getattr(torch, sys.argv[2])).eval()
with torch.inference_mode():
    out = model(torch.tensor(prompts), use_cache=True, logits_to_keep=1)
    token = out.logits[:, -1:].argmax(-1)
    print(int(token[0]), flush=True)
    start = time.perf_counter()
    for _ in range(NEW - 1):
        out = model(token, past_key_values=out.past_key_values, use_cache=True)
        token = out.logits[:, -1:].argmax(-1)
print(json.dumps(len(prompts) * (NEW - 1) / (time.perf_counter() - start)))
"""


def first_byte(command):
    """Seconds from the start of a process to the first byte of its output."""
    start = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout.read(1)
    seconds = time.perf_counter() - start
    process.stdout.read()
    assert process.wait() == 0, command
    return seconds


def main(folder=ROOT / "build/models/SmolLM2-135M-Instruct", repeats="5"):
    folder = pathlib.Path(folder).resolve()
    scratch = ROOT / "build/bench"
    scratch.mkdir(parents=True, exist_ok=True)
    python, llama = ROOT / ".venv/bin/python", ROOT / "build/peers/llama/bin/python"
    if not llama.exists():
        sys.exit("error: build/peers/llama is missing; test/Bench/generate.py makes it")
    mbc, mbc_run = ROOT / "build/release/bin/mbc", ROOT / "build/release/bin/mbc-run"
    names = {"sys": sys, "PROMPT": PROMPT}
    lines = {}
    for count in SEQUENCES:
        names["sys"] = type("", (), {"argv": [0, 0, 0, count]})
        exec(PROMPTS, names)  # the same prompts for all
        lines[count] = scratch / f"prompts-{count}.jsonl"
        lines[count].write_text("".join(json.dumps({"tokens": prompt}) + "\n" for prompt in names["prompts"]))
    rates, firsts = {}, {}
    commands = {}
    for dtype, short in (("bfloat16", "bf16"), ("float32", "f32")):
        program, gguf = scratch / f"{folder.name}-{short}-8.mbcp", scratch / f"{folder.name}-{short}.gguf"
        single.output(mbc, "compile", folder, "-o", program, "--overwrite", "--dtype", dtype, "--sequences", 8, "--quiet")
        single.output(python, ROOT / "test/Bench/make_gguf.py", folder, gguf, short)
        ids = ",".join(map(str, names["prompts"][0][:42]))
        for count in SEQUENCES:
            commands |= {
                (dtype, "mbc", count): (
                    mbc_run, "generate", program, "--weights", folder, "--prompts-file", lines[count], "-o", scratch / "out.jsonl",
                    "--max-new-tokens", NEW, "--ignore-eos", "--threads", THREADS, "--json",
                ),
                (dtype, "llama.cpp", count): (llama, "-c", LLAMA, gguf, dtype, count, PROMPT, NEW),
                (dtype, "transformers", count): (python, "-c", TRANSFORMERS, folder, dtype, count, PROMPT, NEW),
            }
        start = ("--tokens", ids, "--max-new-tokens", 1, "--ignore-eos", "--threads", THREADS)
        firsts |= {
            (dtype, "mbc-run"): (mbc_run, "generate", program, "--weights", folder, *start),
            (dtype, "mbc"): (mbc, "generate", folder, "--dtype", dtype, *start),
            (dtype, "mbc, compiling"): (mbc, "generate", folder, "--dtype", dtype, "--no-cache", *start),
            (dtype, "llama.cpp"): (llama, "-c", LLAMA, gguf, dtype, 1, 42, 2),
            (dtype, "transformers"): (python, "-c", TRANSFORMERS, folder, dtype, 1, 42, 2),
        }
    found, seconds = {key: [] for key in commands}, {key: [] for key in firsts}
    for command in firsts.values():
        first_byte(command)
    for _ in range(int(repeats)):
        for key, command in commands.items():
            text = single.output(*command)
            result = json.loads(text if key[1] == "mbc" else text.splitlines()[-1])
            found[key].append(result["decode_tokens_per_second"] if key[1] == "mbc" else result)
        for key, command in firsts.items():
            seconds[key].append(first_byte(command))
    rates = {key: statistics.median(values) for key, values in found.items()}
    load = os.getloadavg()[0]
    print(f"{folder.name}, {platform.machine()}, {THREADS} threads, medians of {repeats}, load {load:.1f}")
    for dtype in ("bfloat16", "float32"):
        for count in SEQUENCES:
            ours = rates[dtype, "mbc", count]
            for name in ("mbc", "llama.cpp", "transformers"):
                rate = rates[dtype, name, count]
                print(f"{dtype:10}{count:2} sequences  {name:16}{rate:8.1f} tok/s, mbc {ours / rate:5.2f}x")
        print(f"{dtype:10}8 sequences of mbc are {rates[dtype, 'mbc', 8] / rates[dtype, 'mbc', 1]:.2f}x one")
        for name in ("mbc-run", "mbc", "mbc, compiling", "llama.cpp", "transformers"):
            print(f"{dtype:10}first token   {name:16}{statistics.median(seconds[dtype, name]):8.2f} s")


if __name__ == "__main__":
    if "-h" in sys.argv or "--help" in sys.argv:
        sys.exit(__doc__.strip())
    main(*sys.argv[1:])
