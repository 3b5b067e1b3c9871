"""Makes COUNT odd configurations of every family that is converted, from a seed, and runs `mbc toy` and `mbc roundtrip` on each:
uneven heads, one KV head, head_dim that is no quotient, odd vocabularies and layer counts, biases, ties, rope spellings, mixed
dense and sparse layers.

    random_configs.py SEED COUNT FOLDER
"""

import json
import os
import random
import shutil
import subprocess
import sys


def rope(r, config):
    """One of the spellings and kinds of rope that a hub folder may have."""
    theta = r.choice([10000, 500000.0, 1e6])
    kind = r.choice(["none", "null", "linear", "dynamic", "llama3", "yarn", "parameters"])
    if kind == "parameters":
        config["rope_parameters"] = {"rope_theta": theta, "rope_type": "default"}
        return
    config["rope_theta"] = theta
    tag = r.choice(["type", "rope_type"])
    if kind == "null":
        config["rope_scaling"] = None
    elif kind in ("linear", "dynamic"):
        config["rope_scaling"] = {tag: kind, "factor": 2.0}
    elif kind == "yarn":
        config["rope_scaling"] = {tag: kind, "factor": 4.0, "original_max_position_embeddings": 128}
    elif kind == "llama3":
        config["rope_scaling"] = {"rope_type": kind, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}


def base(r, architecture, model_type):
    kv = r.choice([1, 2, 3])
    group = r.choice([1, 2, 3, 5])
    heads = kv * group
    config = {
        "architectures": [architecture],
        "model_type": model_type,
        "hidden_act": "silu",
        "hidden_size": heads * r.choice([2, 6, 8]),
        "intermediate_size": r.randrange(3, 40),
        "max_position_embeddings": 512,
        "num_attention_heads": heads,
        "num_hidden_layers": r.randrange(1, 6),
        "num_key_value_heads": kv,
        "rms_norm_eps": r.choice([1e-5, 1e-6]),
        "tie_word_embeddings": r.random() < 0.5,
        r.choice(["torch_dtype", "dtype"]): "bfloat16",
        "vocab_size": r.randrange(5, 200),
    }
    if r.random() < 0.5:
        config["head_dim"] = r.choice([4, 10, 16])
    if r.random() < 0.3:
        config["use_cache"] = r.random() < 0.5
        config["some_private_field"] = {"nested": [1, 2]}
    rope(r, config)
    return config


def llama(r):
    config = base(r, "LlamaForCausalLM", "llama")
    config["attention_bias"] = r.random() < 0.3
    config["mlp_bias"] = r.random() < 0.3
    if r.random() < 0.2:
        config.pop("num_key_value_heads")
    return config


def qwen2(r):
    return base(r, "Qwen2ForCausalLM", "qwen2") | {"use_sliding_window": False, "sliding_window": 128, "max_window_layers": 2}


def qwen3(r):
    config = base(r, "Qwen3ForCausalLM", "qwen3") | {"attention_bias": r.random() < 0.3}
    config.setdefault("head_dim", 8)
    return config


def qwen3_moe(r):
    config = base(r, "Qwen3MoeForCausalLM", "qwen3_moe")
    config.setdefault("head_dim", 8)
    experts = r.choice([2, 5, 8])
    return config | {
        "num_experts": experts,
        "num_experts_per_tok": r.randrange(1, experts + 1),
        "moe_intermediate_size": r.randrange(2, 20),
        "norm_topk_prob": r.random() < 0.5,
        "decoder_sparse_step": r.choice([1, 1, 2]),
        "mlp_only_layers": r.choice([[], [0]]),
    }


FAMILIES = [llama, qwen2, qwen3, qwen3_moe]


def run(*command):
    return subprocess.run(command, capture_output=True, text=True)


def main():
    seed, count, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    failures = 0
    for case in range(count):
        r = random.Random(seed * 1000 + case)
        config = FAMILIES[case % len(FAMILIES)](r)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        path = os.path.join(folder, "config.json")
        with open(path, "w") as file:
            json.dump(config, file, indent=2)
        toy = run("mbc", "toy", path, "-o", os.path.join(folder, "hf"), "--quiet", "--max-shard-size", r.choice(["5GB", "2kB"]))
        trip = run("mbc", "roundtrip", os.path.join(folder, "hf")) if toy.returncode == 0 else toy
        if trip.returncode != 0 or "equal bit for bit" not in trip.stdout or "equal byte for byte; weight files too" not in trip.stdout:
            failures += 1
            print(f"seed {seed} case {case}: {json.dumps(config)}\n{toy.stderr}{trip.stdout}{trip.stderr}")
    print(f"{count - failures} of {count} configurations came back")
    sys.exit(failures != 0)


main()
