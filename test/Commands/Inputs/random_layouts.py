"""Makes COUNT models of every family, from a seed, and converts each to the legacy torch format in a random layout, to another
one and to torch_dist without a Hugging Face folder between, and back: tensor parallel, pipeline with equal and uneven stages and
virtual chunks, experts cut over two kinds of ranks, names of both layer specs, three kinds of expert modules, padded vocabularies.

    random_layouts.py SEED COUNT FOLDER
"""

import json
import os
import random
import shutil
import subprocess
import sys


def dense(r, architecture, model_type):
    kv, group = r.choice([1, 2, 4]), r.choice([1, 2, 4])
    return {
        "architectures": [architecture], "model_type": model_type, "hidden_act": "silu",
        "hidden_size": 8 * kv * group, "intermediate_size": 8 * r.randrange(1, 5), "max_position_embeddings": 512,
        "num_attention_heads": kv * group, "num_key_value_heads": kv, "head_dim": r.choice([4, 8]),
        "num_hidden_layers": r.randrange(2, 9), "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "tie_word_embeddings": r.random() < 0.5, "torch_dtype": r.choice(["bfloat16", "bfloat16", "float32"]),
        "vocab_size": r.randrange(5, 400),
    }


def llama(r):
    return dense(r, "LlamaForCausalLM", "llama") | {"attention_bias": r.random() < 0.4, "mlp_bias": r.random() < 0.4}


def qwen2(r):
    config = dense(r, "Qwen2ForCausalLM", "qwen2") | {"use_sliding_window": False}
    config.pop("head_dim")
    return config


def qwen3(r):
    return dense(r, "Qwen3ForCausalLM", "qwen3") | {"attention_bias": False}


def qwen3_moe(r):
    config = dense(r, "Qwen3MoeForCausalLM", "qwen3_moe")
    return config | {
        "num_experts": r.choice([4, 8]), "num_experts_per_tok": 2, "moe_intermediate_size": 4 * r.randrange(1, 5),
        "norm_topk_prob": r.random() < 0.5, "decoder_sparse_step": r.choice([1, 1, 2]),
        "mlp_only_layers": r.choice([[], [0]]), "attention_bias": False,
    }


def qwen2_5_vl(r):
    config = dense(r, "Qwen2_5_VLForConditionalGeneration", "qwen2_5_vl")
    config.pop("head_dim")
    return config | {
        "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]}, "use_sliding_window": False,
        "vision_config": {"depth": 2, "hidden_size": 16, "num_heads": 2, "intermediate_size": 20, "in_chans": 3,
                          "patch_size": 2, "out_hidden_size": config["hidden_size"], "fullatt_block_indexes": [1]},
    }


def deepseek(r, version):
    heads = r.choice([2, 4])
    config = {
        "architectures": [f"DeepseekV{version}ForCausalLM"], "model_type": f"deepseek_v{version}", "hidden_act": "silu",
        "hidden_size": 32, "intermediate_size": 24, "moe_intermediate_size": 8, "max_position_embeddings": 512,
        "num_attention_heads": heads, "num_key_value_heads": heads, "num_hidden_layers": r.randrange(2, 7),
        "q_lora_rank": r.choice([None, 8]), "kv_lora_rank": 12, "qk_nope_head_dim": 6, "qk_rope_head_dim": 4,
        "v_head_dim": 8, "n_routed_experts": 8, "n_shared_experts": r.choice([1, 2]), "num_experts_per_tok": 2,
        "n_group": 2, "topk_group": 1, "first_k_dense_replace": 1, "moe_layer_freq": 1, "routed_scaling_factor": 1.0,
        "norm_topk_prob": version == 3, "scoring_func": "sigmoid" if version == 3 else "softmax",
        "topk_method": "noaux_tc" if version == 3 else "group_limited_greedy", "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0, "rope_scaling": None, "attention_bias": False, "tie_word_embeddings": False,
        "torch_dtype": "bfloat16", "vocab_size": r.randrange(5, 400),
    }
    if version == 3:
        config["num_nextn_predict_layers"] = r.choice([0, 1])
    else:
        config |= {"seq_aux": True, "aux_loss_alpha": 0.001}
    return config


FAMILIES = [llama, qwen2, qwen3, qwen3_moe, qwen2_5_vl, lambda r: deepseek(r, 2), lambda r: deepseek(r, 3)]


def layout(r, config):
    """Options of a random layout, most of which Megatron would accept."""
    experts = config.get("num_experts") or config.get("n_routed_experts")
    tp, pp = r.choice([n for n in (1, 2, 2, 4) if config["num_attention_heads"] % n == 0]), r.choice([1, 2, 2, 3, 4])
    layers = config["num_hidden_layers"]
    options = ["--tp", tp]
    if pp > 1 and layers >= pp:
        options += ["--pp", pp]
        kind = r.choice(["even", "first", "last", "embedding", "vpp"])
        if layers % pp or kind in ("first", "last"):
            if kind == "embedding" and (layers + 1) % pp == 0:
                options += ["--account-for-embedding-in-pipeline-split"]
            elif kind == "embedding" and (layers + 2) % pp == 0:
                options += ["--account-for-embedding-in-pipeline-split", "--account-for-loss-in-pipeline-split"]
            else:
                end = "last" if kind == "last" else "first"
                inner = r.choice([n for n in range(1, layers) if (layers - n) % (pp - 1) == 0 and n < layers])
                options += [f"--decoder-{end}-pipeline-num-layers", inner]
        elif kind == "vpp" and layers % (2 * pp) == 0:
            options += ["--vpp", 2]
    if experts:
        options += ["--ep", r.choice([1, 2, 4])]
        if r.random() < 0.5:
            options += ["--etp", r.choice([n for n in (1, 2, 4) if tp % n == 0])]
    return options


def names(r):
    options = ["--layer-spec", r.choice(["te", "te", "local"]), "--experts", r.choice(["grouped", "sequential", "fused"])]
    if r.random() < 0.5:
        options += ["--mcore", r.choice(["0.16", "0.19.2"])]
    if r.random() < 0.7:
        options += ["--make-vocab-size-divisible-by", r.choice([1, 7, 64])]
    return options


class Refused(Exception):
    pass


def mbc(*arguments):
    done = subprocess.run(["mbc", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode == 2 and ("cannot shard" in done.stderr or "cannot cut" in done.stderr):
        raise Refused
    if done.returncode:
        raise AssertionError(f"{arguments}: {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def main():
    seed, count, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    failures = refused = 0
    for case in range(count):
        r = random.Random(seed * 1000 + case)
        config = FAMILIES[case % len(FAMILIES)](r)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)

        def at(name):
            return os.path.join(folder, name)
        with open(at("config.json"), "w") as file:
            json.dump(config, file, indent=2)
        said = []
        try:
            mbc("toy", at("config.json"), "-o", at("hf"))
            if config.get("num_nextn_predict_layers"):  # random tensors, of which these are copies in a real folder
                inner = f"model.layers.{config['num_hidden_layers']}."
                for name, copy in (("model.embed_tokens.weight", "embed_tokens.weight"),
                                   ("lm_head.weight", "shared_head.head.weight")):
                    subprocess.run([sys.executable, os.path.join(os.path.dirname(__file__), "weights.py"), at("hf"), "copy",
                                    name, inner + copy], check=True)
            for command, source, target, torch in (("import", "hf", "a", True), ("reshard", "a", "b", True),
                                                   ("reshard", "b", "c", False)):
                for attempt in range(60):
                    options = layout(r, config) + (["--format", "torch"] + names(r) if torch else [])
                    try:
                        mbc(command, at(source), "-o", at(target), *options)
                        break
                    except Refused:
                        refused += 1
                else:
                    raise AssertionError("no layout fits")
                said.append(options)
            mbc("reshard", at("c"), "-o", at("d"), *said[0])
            for made in "abcd":
                mbc("verify", at(made))
                mbc("verify", at("hf"), at(made))
            # The same layout is the same bytes, wherever they came from.
            for place, _, files in os.walk(at("a")):
                for name in files:
                    if name == "model_optim_rng.pt":
                        path = os.path.join(place, name)
                        with open(path, "rb") as one, open(path.replace(at("a"), at("d"), 1), "rb") as other:
                            assert one.read() == other.read(), f"{path} differs"
            mbc("export", at("b"), "-o", at("back"))
            mbc("verify", at("hf"), at("back"))
        except AssertionError as failure:
            failures += 1
            print(f"seed {seed} case {case}: {json.dumps(config)}\n{said}\n{failure}")
    print(f"{count - failures} of {count} models came back; {refused} layouts refused")
    sys.exit(failures != 0)


main()
