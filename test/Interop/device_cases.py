#!/usr/bin/env python3
"""Writes models of every family with what the host computes of them, for comparing another device, here or elsewhere.

  device_cases.py OUT [SEEDS [FAMILY...]]      default: 10 of each family
  device_cases.py --cut HF_DIR OUT             greedy tokens of 20 prompts, by a real model's first layers and tokens

A case is a folder: `hf` (random weights, float32), programs for float32 and bfloat16 with calls of 5 and of many rows,
tokens [2, length] of several lengths, the pictures of those that see, FP8 weights as they are, and the host's logits and greedy tokens, computed in
float32 and, of bfloat16, how far the host is from float32. With GPU_TARGET=sm_90 in the environment programs have code for
that GPU. check_device.py reads them with numpy alone."""

import copy
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import transformers
from conftest import MBC, mtp_layer, write_model
from safetensors.torch import load_file, save_file
from test_fp8_logits import make_fp8
from test_fp8_logits import odd as odd_fp8
from test_logits import odd
from test_mixture_logits import latent, sparse
from test_mtp_logits import CASES as DRAFTING
from test_vision_logits import IMAGE, seeing

LENGTHS, NEW = (1, 17, 150), 24
TARGET = ["--target", os.environ["GPU_TARGET"]] if "GPU_TARGET" in os.environ else []


def models(seed):
    """Of each family: architecture, changes, what is done to the folder."""
    for family in ("Llama", "Qwen2", "Qwen3"):
        yield family.lower(), (*odd(family, seed), None)
    yield "qwen3_moe", sparse(seed)
    for family in ("DeepseekV2", "DeepseekV3"):
        yield family.lower(), latent(family, seed)
    yield "deepseekv3_fp8", ("DeepseekV3", scaled(seed), lambda folder: make_fp8(folder, "ue8m0" if seed % 4 == 1 else "f32"))
    if seed < len(DRAFTING):
        yield "mtp", ("DeepseekV3", list(DRAFTING.values())[seed], mtp_layer)
    changes, spelling = seeing(seed)
    yield "qwen2_5_vl", ("Qwen2_5_VL", copy.deepcopy(changes), spelling)


def scaled(seed):
    """DeepSeek-V3; of every other seed with widths that kernels read in pieces of 16 bytes, FP8 weights and latents."""
    changes = odd_fp8(seed)
    names = ("hidden_size", "intermediate_size", "moe_intermediate_size", "q_lora_rank", "kv_lora_rank", "qk_rope_head_dim", "v_head_dim")
    if seed % 2 == 0:
        changes |= {name: -(-changes[name] // 16) * 16 for name in names if changes[name]}
    return changes


def mbc(*arguments):
    done = subprocess.run([str(MBC), *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout


def see(config, tokens, random):
    """Puts a picture at the start of each sequence; its pixels and grids."""
    vision = config.vision_config
    fold, grids = vision.spatial_merge_size, []
    for row in tokens:
        height, width = (fold * int(size) for size in random.integers(1, 5, 2))
        count = height * width // fold**2
        if count + 2 > len(row):
            return None
        row[0], row[1 : 1 + count], row[1 + count] = 9, IMAGE, 10
        grids.append((1, height, width))
    numbers = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
    patches = sum(height * width for _, height, width in grids)
    return random.standard_normal((patches, numbers)).astype(np.float32), np.array(grids, np.int32)


def write_case(folder, seed, architecture, changes, afterwards, lengths=LENGTHS):
    hf = write_model(folder / "hf", seed, architecture, changes, "float32")
    if afterwards:
        afterwards(hf)
    config = transformers.AutoConfig.from_pretrained(hf)
    vocab = config.get_text_config().vocab_size
    sees = architecture == "Qwen2_5_VL"
    facts = {"lengths": [], "sees": sees}
    kept = ["--weight-dtype", "float8_e4m3fn"] if getattr(config, "quantization_config", None) else []
    for dtype in ("float32", "bfloat16"):
        for chunk in (5, 512):
            mbc("compile", hf, "-o", folder / f"{dtype}-{chunk}.mbcp", "--dtype", dtype, "--chunk", chunk, "--sequences", "1,3",
                "--length", 256, *(["--patches", 512] if sees else []), *kept, *TARGET, "--quiet")
    random = np.random.default_rng(seed)
    for length in lengths:
        tokens = random.integers(11 if sees else 0, vocab, (2, length)).astype(np.int32)
        more = []
        if sees and (pictures := see(config, tokens, random)):
            for name, array in zip(("pixels", "grid"), pictures):
                np.save(folder / f"{name}-{length}.npy", array)
                more += [f"--{name}", folder / f"{name}-{length}.npy"]
        np.save(folder / f"tokens-{length}.npy", tokens)
        truth = {}
        for dtype in ("float32", "bfloat16"):
            out = folder / f"{dtype}-{length}.npy"
            mbc("logits", hf, "--tokens", folder / f"tokens-{length}.npy", "-o", out, "--dtype", dtype, *more, *kept, "--quiet")
            truth[dtype] = np.load(out)
        (folder / f"bfloat16-{length}.npy").unlink()
        facts["lengths"].append(
            {"length": length, "pictures": bool(more),
             "bfloat16_error": float(np.abs(truth["bfloat16"] - truth["float32"]).mean())})
    if not sees:
        facts["texts"] = write_texts(folder, random, vocab, (3, 30, 70), *kept)
    (folder / "case.json").write_text(json.dumps(facts))


def write_texts(folder, random, vocab, counts, *kept):
    """Prompts of so many tokens, and what comes after them."""
    prompts = [{"tokens": [int(token) for token in random.integers(0, vocab, count)]} for count in counts]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(prompt) + "\n" for prompt in prompts))
    lines = mbc("generate", folder / "hf", "--prompts-file", folder / "prompts.jsonl", "--max-new-tokens", NEW, "--ignore-eos",
                "--dtype", "float32", *kept, "--quiet")
    return [json.loads(line)["tokens"] for line in lines.splitlines()]


def cut(source, out, layers=5, vocab=16384):
    """What of a real model a small machine takes; its embeddings are also its head."""
    folder = pathlib.Path(out) / "cut-0"
    folder.mkdir(parents=True)
    mbc("toy", "--cut", source, "--layers", layers, "-o", folder / "hf", "--quiet")
    [file] = (folder / "hf").glob("*.safetensors")
    weights = load_file(file)
    name = "model.embed_tokens.weight"
    weights[name] = weights[name][:vocab].clone()
    save_file(weights, file, {"format": "pt"})
    config = json.loads((folder / "hf/config.json").read_text())
    assert config["tie_word_embeddings"]
    (folder / "hf/config.json").write_text(json.dumps(config | {"vocab_size": vocab}))
    mbc("compile", folder / "hf", "-o", folder / "float32-512.mbcp", "--dtype", "float32", "--sequences", 8, "--length", 256, *TARGET, "--quiet")
    texts = write_texts(folder, np.random.default_rng(0), vocab, range(5, 105, 5))
    (folder / "case.json").write_text(json.dumps({"lengths": [], "sees": False, "texts": texts}))


def main(out, seeds="10", *families):
    for seed in range(int(seeds)):
        for family, (architecture, changes, afterwards) in models(seed):
            if not families or family in families:
                write_case(pathlib.Path(out) / f"{family}-{seed}", seed, architecture, changes, afterwards)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__.strip())
    if sys.argv[1] == "--cut":
        cut(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
