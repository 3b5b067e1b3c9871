#!/usr/bin/env python3
"""Turns SmolLM2-135M-Instruct.Q4_1.gguf into an ordinary Hugging Face folder in bfloat16.

    make_smollm2.py GGUF OUT_DIR        write the folder (about 270 MB, about 20 seconds)
    make_smollm2.py --check OUT_DIR     ask the model for the capital of France, through transformers

The weights are the 4-bit ones of the GGUF file, dequantised and rounded to bfloat16: a real model that
answers, though not the bytes that the hub has. The same GGUF gives the same folder, byte for byte.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

TENSORS, PARAMETERS = 272, 134_515_008
WEIGHTS_SHA256 = "7ef915c9bf9d94d8d70211970476878352a5b95855c589ae987916d7a455242b"

HIDDEN, FFN, LAYERS, HEADS, KV_HEADS, VOCAB = 576, 1536, 30, 9, 3, 49152

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": HIDDEN,
    "initializer_range": 0.041666666666666664,
    "intermediate_size": FFN,
    "is_llama_config": True,
    "max_position_embeddings": 8192,
    "mlp_bias": False,
    "model_type": "llama",
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "num_key_value_heads": KV_HEADS,
    "pad_token_id": 2,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_interleaved": False,
    "rope_scaling": None,
    "rope_theta": 100000,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.42.3",
    "use_cache": True,
    "vocab_size": VOCAB,
}

GENERATION_CONFIG = {
    "_from_model_config": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
    "transformers_version": "4.42.3",
}

TOP_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
}
LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def hugging_face_name(name):
    if name in TOP_NAMES:
        return TOP_NAMES[name]
    _, layer, leaf, _ = name.split(".")  # blk.7.attn_q.weight
    return f"model.layers.{layer}.{LAYER_NAMES[leaf]}.weight"


def undo_rope_order(weight, heads):
    """llama.cpp interleaves the two halves of each head's rows; transformers keeps them apart."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def read_weights(gguf_file):
    import numpy as np
    import torch
    from gguf import GGUFReader, dequantize

    weights = {}
    for tensor in GGUFReader(gguf_file).tensors:
        values = dequantize(tensor.data, tensor.tensor_type)
        if not np.isfinite(values).all():
            sys.exit(f"error: {gguf_file}: tensor '{tensor.name}' holds a value that is not finite")
        if ".attn_q." in tensor.name:
            values = undo_rope_order(values, HEADS)
        elif ".attn_k." in tensor.name:
            values = undo_rope_order(values, KV_HEADS)
        weights[hugging_face_name(tensor.name)] = torch.tensor(values).to(torch.bfloat16)
    return weights


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def forget_how_it_was_loaded(path):
    fields = json.loads(path.read_text(encoding="utf-8"))
    write_json(path, {key: value for key, value in fields.items() if key not in ("is_local", "local_files_only")})


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make(gguf_file, out):
    from safetensors.torch import save_file
    from transformers import AutoTokenizer

    weights = read_weights(gguf_file)
    parameters = sum(weight.numel() for weight in weights.values())
    if (len(weights), parameters) != (TENSORS, PARAMETERS):
        sys.exit(
            f"error: {gguf_file}: {len(weights)} tensors, {parameters} parameters; expected {TENSORS}, {PARAMETERS}"
        )

    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    save_file(weights, part / "model.safetensors", metadata={"format": "pt"})
    (part / "model.safetensors").chmod(0o644)
    write_json(part / "config.json", CONFIG)
    write_json(part / "generation_config.json", GENERATION_CONFIG)
    tokenizer = AutoTokenizer.from_pretrained(str(gguf_file.parent), gguf_file=gguf_file.name, model_max_length=8192)
    tokenizer.save_pretrained(part)
    forget_how_it_was_loaded(part / "tokenizer_config.json")

    digest = sha256(part / "model.safetensors")
    if digest != WEIGHTS_SHA256:
        sys.exit(f"error: {part}/model.safetensors: sha256 {digest}, expected {WEIGHTS_SHA256}")
    shutil.rmtree(out, ignore_errors=True)
    os.replace(part, out)
    print(f"{out}: {len(weights)} tensors, {parameters:,} parameters, bfloat16")


def check(folder):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model, info = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    problems = {kind: keys for kind, keys in info.items() if keys}
    if problems:
        sys.exit(f"error: {folder}: transformers reports {problems}")
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    with torch.no_grad():
        output = model.generate(**prompt, max_new_tokens=20, do_sample=False)
    answer = tokenizer.decode(output[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True).strip()
    print(f"What is the capital of France? {answer}")
    if answer != "The capital of France is Paris.":
        sys.exit("error: expected 'The capital of France is Paris.'")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="check a folder made before")
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    arguments = parser.parse_args()
    if len(arguments.paths) != (1 if arguments.check else 2):
        parser.error("expected GGUF OUT_DIR, or --check OUT_DIR")
    os.environ["HF_HUB_OFFLINE"] = "1"
    if arguments.check:
        check(arguments.paths[0])
    else:
        make(*arguments.paths)


if __name__ == "__main__":
    main()
