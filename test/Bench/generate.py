#!/usr/bin/env python3
"""Times prefill and decode of mbc beside llama.cpp and transformers: one sequence, the same threads, interleaved.

  test/Bench/generate.py [HF_DIR [REPEATS]]      default build/models/SmolLM2-135M-Instruct, 5 repeats

Needs a quiet machine, `ninja -C build/release mbc generate_bench`, the Python environment of the tests with the package gguf,
and for llama.cpp an environment with llama-cpp-python in build/peers/llama, which the first run makes (it compiles for
about 10 minutes). A repeat is a fresh process of each, which gives the median of 5 prefills of 512 tokens and of 5 decodes of
64 tokens after them; the table has the medians of the repeats.
"""

import json
import pathlib
import platform
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
THREADS, PROMPT, NEW, TRIES = 2, 512, 64, 5

LLAMA = f"""
import json, statistics, sys, time
import llama_cpp, numpy
model = llama_cpp.Llama(sys.argv[1], n_ctx={PROMPT + NEW}, n_threads={THREADS}, n_threads_batch={THREADS}, n_batch={PROMPT},
                        n_ubatch={PROMPT}, verbose=False)
tokens = numpy.random.default_rng(1).integers(model.n_vocab(), size={PROMPT}).tolist()
prefills, decodes = [], []
for _ in range({TRIES}):
    model.reset()
    start = time.perf_counter()
    model.eval(tokens)
    prefills.append(time.perf_counter() - start)
    start = time.perf_counter()
    for _ in range({NEW}):
        model.eval([5])
    decodes.append((time.perf_counter() - start) / {NEW})
print(json.dumps(dict(prefill_seconds=statistics.median(prefills), decode_tokens_per_second=1 / statistics.median(decodes))))
"""

TRANSFORMERS = f"""
import json, statistics, sys, time
import torch, transformers
torch.set_num_threads({THREADS})
model = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=getattr(torch, sys.argv[2])).eval()
tokens = torch.randint(model.config.vocab_size, (1, {PROMPT}), generator=torch.Generator().manual_seed(1))
prefills, decodes = [], []
with torch.inference_mode():
    for _ in range({TRIES}):
        start = time.perf_counter()
        out = model(tokens, use_cache=True, logits_to_keep=1)
        prefills.append(time.perf_counter() - start)
        start = time.perf_counter()
        for _ in range({NEW}):
            token = out.logits[:, -1:].argmax(-1)
            out = model(token, past_key_values=out.past_key_values, use_cache=True)
        decodes.append((time.perf_counter() - start) / {NEW})
print(json.dumps(dict(prefill_seconds=statistics.median(prefills), decode_tokens_per_second=1 / statistics.median(decodes))))
"""


def output(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: {command[0]} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def main(folder=ROOT / "build/models/SmolLM2-135M-Instruct", repeats="5"):
    folder = pathlib.Path(folder).resolve()
    scratch = ROOT / "build/bench"
    scratch.mkdir(parents=True, exist_ok=True)
    python, llama = ROOT / ".venv/bin/python", ROOT / "build/peers/llama/bin/python"
    if not llama.exists():
        print("making build/peers/llama ...", flush=True)
        output(python, "-m", "venv", llama.parents[1])
        output(llama, "-m", "pip", "install", "--quiet", "llama-cpp-python")
    rows = {}
    for dtype, short in (("bfloat16", "bf16"), ("float32", "f32")):
        program, gguf = scratch / f"{folder.name}-{short}.mbcp", scratch / f"{folder.name}-{short}.gguf"
        mbc = ROOT / "build/release/bin/mbc"
        output(mbc, "compile", folder, "-o", program, "--overwrite", "--dtype", dtype, "--chunk", PROMPT, "--quiet")
        output(python, ROOT / "test/Bench/make_gguf.py", folder, gguf, short)
        bench = ROOT / "build/release/bin/generate_bench"
        rows |= {
            (dtype, "mbc"): (bench, program, folder, THREADS, PROMPT, NEW, TRIES),
            (dtype, "llama.cpp"): (llama, "-c", LLAMA, gguf),
            (dtype, "transformers"): (python, "-c", TRANSFORMERS, folder, dtype),
        }
    found = {row: [] for row in rows}
    for _ in range(int(repeats)):
        for row, command in rows.items():
            found[row].append(json.loads(output(*command).splitlines()[-1]))
    flags = pathlib.Path("/proc/cpuinfo").read_text()
    sets = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f" {name}" in flags]
    print(f"{folder.name}, {platform.machine()} with {', '.join(sets) or 'no vectors'}, {THREADS} threads, medians of {repeats}")
    print(f"{'':24}{f'prefill of {PROMPT}':>26}{'decode':>30}")
    for dtype in ("bfloat16", "float32"):
        def median(name, key, dtype=dtype):
            return statistics.median(result[key] for result in found[dtype, name])

        prefill, decode = median("mbc", "prefill_seconds"), median("mbc", "decode_tokens_per_second")
        for name in ("mbc", "llama.cpp", "transformers"):
            seconds, rate = median(name, "prefill_seconds"), median(name, "decode_tokens_per_second")
            print(f"{dtype:10}{name:14}{seconds * 1e3:10.0f} ms, mbc {seconds / prefill:5.2f}x{rate:14.1f} tok/s, mbc {decode / rate:5.2f}x")


if __name__ == "__main__":
    if "-h" in sys.argv or "--help" in sys.argv:
        sys.exit(__doc__.strip())
    main(*sys.argv[1:])
