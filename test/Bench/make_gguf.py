#!/usr/bin/env python3
"""Writes a GGUF file of a Hugging Face folder of the Llama family, for measuring beside llama.cpp.

  test/Bench/make_gguf.py HF_DIR FILE.gguf [bf16|f16|f32]

Matrices are stored in the type that is named, vectors in float32. There is no tokenizer in the file: the
measurements pass token ids. Needs the packages gguf, numpy and safetensors.
"""

import json
import pathlib
import sys

import gguf
import numpy
import torch
from safetensors import safe_open

TYPES = {
    "bf16": (torch.bfloat16, gguf.GGMLQuantizationType.BF16),
    "f16": (torch.float16, gguf.GGMLQuantizationType.F16),
    "f32": (torch.float32, gguf.GGMLQuantizationType.F32),
}
NAMES = {
    "input_layernorm.weight": "attn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight",
    "self_attn.o_proj.weight": "attn_output.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight",
    "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
}
WHOLE = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}


def interleaved(weight, heads):
    """Rows of halves as rows of pairs: llama.cpp turns neighbours for this family."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).transpose(1, 2).reshape(rows, columns)


def main(folder, target, name="bf16"):
    folder = pathlib.Path(folder)
    config = json.loads((folder / "config.json").read_text())
    if config["model_type"] != "llama":
        sys.exit(f"error: {folder}: model_type '{config['model_type']}', expected 'llama'")
    heads = config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads") or heads
    writer = gguf.GGUFWriter(target, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(config.get("head_dim") or config["hidden_size"] // heads)
    rope = config.get("rope_parameters") or {}
    writer.add_rope_freq_base(config.get("rope_theta") or rope.get("rope_theta") or 10000.0)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("none")
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as tensors:
            for key in tensors.keys():
                weight = tensors.get_tensor(key)
                if key in WHOLE:
                    out = WHOLE[key]
                else:
                    _, _, layer, rest = key.split(".", 3)
                    out = f"blk.{layer}.{NAMES[rest]}"
                    if rest.startswith(("self_attn.q", "self_attn.k")):
                        weight = interleaved(weight, heads if "q_proj" in rest else kv_heads)
                dtype, kind = TYPES[name if weight.ndim == 2 else "f32"]
                bits = weight.to(dtype).contiguous().view(torch.uint8).numpy()
                array = bits if dtype is torch.bfloat16 else bits.view(numpy.float16 if dtype is torch.float16 else numpy.float32)
                writer.add_tensor(out, array, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4) or sys.argv[-1] in ("-h", "--help"):
        sys.exit(__doc__.strip())
    main(*sys.argv[1:])
