#!/usr/bin/env python3
"""Times a mixture of experts in mbc beside transformers, and the compilation of the largest released ones, in one run.

  test/Bench/mixture.py [DIR [REPEATS]]      default build/bench/mixture, 5 repeats

Needs build/release and .venv. DIR is made by `mbc toy` where it is not there yet: Qwen3-MoE of 16 layers and 64 experts, 8 of them
for a token, 1 GB in bfloat16. A repeat is a fresh process of each, one after another, in bfloat16 on 2 threads: a prompt of 512
tokens, then greedy tokens, of which mbc makes more because it is faster; transformers with each of its ways to compute experts, a
call with another prompt before what is timed. The table has medians. Memory is the most that a process of mbc-run had, weights in the page
cache that it maps included. Compilations are of test/Inputs/configs, for all processors, with nothing in the cache.
"""

import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import generate as single

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = ROOT / "build/release/bin"
THREADS, PROMPT, NEW, THEIR_NEW = 2, 512, 64, 12
MiB = 1 << 20
CONFIG = {
    "architectures": ["Qwen3MoeForCausalLM"],
    "model_type": "qwen3_moe",
    "torch_dtype": "bfloat16",
    "hidden_size": 512,
    "intermediate_size": 1536,
    "moe_intermediate_size": 304,
    "num_hidden_layers": 16,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "num_experts": 64,
    "num_experts_per_tok": 8,
    "norm_topk_prob": True,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "vocab_size": 16384,
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "rope_scaling": None,
    "attention_bias": False,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "initializer_range": 0.02,
}

TRANSFORMERS = f"""
import json, sys, time, torch, transformers
transformers.utils.logging.disable_progress_bar()
torch.set_num_threads({THREADS})
model = transformers.AutoModelForCausalLM.from_pretrained(
    sys.argv[1], dtype=torch.bfloat16, experts_implementation=sys.argv[2]).eval()
tokens = torch.tensor([json.load(open(sys.argv[3]))])
with torch.inference_mode():
    # Another prompt first: tokens choose their experts, so that no two prompts have products of the same sizes.
    model((tokens * 31 + 7) % model.config.vocab_size, use_cache=True, logits_to_keep=1)
    start = time.perf_counter()
    out = model(tokens, use_cache=True, logits_to_keep=1)
    prefill = time.perf_counter() - start
    token = out.logits[:, -1:].argmax(-1)
    start = time.perf_counter()
    for _ in range({THEIR_NEW}):
        out = model(token, past_key_values=out.past_key_values, use_cache=True)
        token = out.logits[:, -1:].argmax(-1)
print(json.dumps([{THEIR_NEW} / (time.perf_counter() - start), prefill]))
"""


def measured(*command):
    """What a process printed, its seconds, and the most memory that it had, in bytes."""
    with tempfile.TemporaryFile() as out:
        start = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        assert status == 0, command
        out.seek(0)
        return out.read().decode(), seconds, usage.ru_maxrss * 1024


def main(folder=ROOT / "build/bench/mixture", repeats="5"):
    folder = pathlib.Path(folder).resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        if not folder.exists():
            (scratch / "config.json").write_text(json.dumps(CONFIG))
            single.output(BIN / "mbc", "toy", scratch / "config.json", "-o", folder, "--quiet")
        prompt = [i * 7919 % CONFIG["vocab_size"] for i in range(PROMPT)]
        (scratch / "prompt.json").write_text(json.dumps(prompt))
        program = scratch / "mixture.mbcp"
        single.output(BIN / "mbc", "compile", folder, "-o", program, "--dtype", "bfloat16", "--length", 1024, "--quiet")
        commands = {
            "mbc": (
                BIN / "mbc-run", "generate", program, "--weights", folder, "--tokens", ",".join(map(str, prompt)),
                "--max-new-tokens", NEW, "--ignore-eos", "--threads", THREADS, "--json", "--quiet",
            ),
        }
        for way in ("eager", "batched_mm", "grouped_mm"):
            commands[f"transformers {way}"] = (
                ROOT / ".venv/bin/python", "-c", TRANSFORMERS, folder, way, scratch / "prompt.json",
            )
        decode, prefill, over = {key: [] for key in commands}, {key: [] for key in commands}, []
        for _ in range(int(repeats)):
            for key, command in commands.items():
                text, _, peak = measured(*command)
                found = json.loads(text if key == "mbc" else text.splitlines()[-1])
                if key == "mbc":
                    memory = found["memory"]
                    over.append(peak - memory["weight_bytes"] - memory["state_bytes"])
                    found = found["decode_tokens_per_second"], found["prefill_seconds"]
                decode[key].append(found[0])
                prefill[key].append(found[1])
        compilations = {}
        for model in ("DeepSeek-V3", "Qwen3-235B-A22B"):
            runs = [
                measured(BIN / "mbc", "compile", "--config", ROOT / f"test/Inputs/configs/{model}.json", "-o", scratch / "model.mbcp",
                         "--overwrite", "--quiet")[1:]
                for _ in range(int(repeats))
            ]
            compilations[model] = [statistics.median(values) for values in zip(*runs)]

    print(f"{folder.name}, {platform.machine()}, bfloat16, {THREADS} threads, medians of {repeats}, load {os.getloadavg()[0]:.1f}")
    rates = {key: (statistics.median(decode[key]), statistics.median(prefill[key])) for key in commands}
    rate, seconds = rates["mbc"]
    for key, (theirs, their_seconds) in rates.items():
        print(f"{key:24}decode {theirs:7.1f} tok/s, mbc {rate / theirs:5.1f}x   "
              f"prefill({PROMPT}) {their_seconds:6.2f} s, mbc {their_seconds / seconds:5.2f}x")
    others = [value for key, value in rates.items() if key != "mbc"]
    print(f"beside the faster of theirs: decode {rate / max(r for r, _ in others):.1f}x (target 3), "
          f"prefill {min(s for _, s in others) / seconds:.2f}x (target 2)")
    print(f"memory of mbc-run: weights {memory['weight_bytes'] / MiB:.0f} MiB + state {memory['state_bytes'] / MiB:.0f} MiB "
          f"+ {max(over) / MiB:.0f} MiB (target: at most 128)")
    for model, (seconds, peak) in compilations.items():
        print(f"compile {model:20}{seconds:6.2f} s, {peak / MiB:4.0f} MiB (targets: 2 s, 512 MiB)")


if __name__ == "__main__":
    if "-h" in sys.argv or "--help" in sys.argv:
        sys.exit(__doc__.strip())
    main(*sys.argv[1:])
