"""The config.json of a dense Llama, Qwen2 or Qwen3 as a plain Megatron Core GPTModel, without Bridge or mbc."""

import json
import os

import torch
import torch.nn.functional as F
from megatron.core import dist_checkpointing, parallel_state
from megatron.core.models.gpt import GPTModel
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_with_transformer_engine_spec
from megatron.core.transformer.transformer_config import TransformerConfig


def read_config(folder):
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    config["rope"] = config.get("rope_scaling") or config.get("rope_parameters") or {}
    config["theta"] = config.get("rope_theta") or config["rope"].get("rope_theta", 10000.0)
    return config


def build(folder, dtype, tp, pp, vocab=None):
    """The model of this rank, with every parameter NaN: what is not loaded cannot pass."""
    config = read_config(folder)
    heads, hidden, kind = config["num_attention_heads"], config["hidden_size"], config["model_type"]
    rope = config["rope"]
    transformer = TransformerConfig(
        num_layers=config["num_hidden_layers"],
        hidden_size=hidden,
        ffn_hidden_size=config["intermediate_size"],
        num_attention_heads=heads,
        num_query_groups=config.get("num_key_value_heads") or heads,
        kv_channels=config.get("head_dim") or hidden // heads,
        normalization="RMSNorm",
        layernorm_epsilon=config["rms_norm_eps"],
        gated_linear_unit=True,
        activation_func=F.silu,
        # Megatron has one flag for the biases of attention output and MLP
        add_bias_linear=bool(config.get("mlp_bias")),
        add_qkv_bias=kind == "qwen2" or bool(config.get("attention_bias")),
        qk_layernorm=kind == "qwen3",
        hidden_dropout=0.0,
        attention_dropout=0.0,
        params_dtype=dtype,
        pipeline_dtype=dtype,
        bf16=dtype == torch.bfloat16,
        use_cpu_initialization=True,
        tensor_model_parallel_size=tp,
        pipeline_model_parallel_size=pp,
        apply_rope_fusion=False,
        bias_activation_fusion=False,
        bias_dropout_fusion=False,
        masked_softmax_fusion=False,
        gradient_accumulation_fusion=False,
    )
    model = GPTModel(
        config=transformer,
        transformer_layer_spec=get_gpt_layer_with_transformer_engine_spec(qk_layernorm=transformer.qk_layernorm),
        vocab_size=vocab or config["vocab_size"],
        max_sequence_length=config["max_position_embeddings"],
        pre_process=parallel_state.is_pipeline_first_stage(),
        post_process=parallel_state.is_pipeline_last_stage(),
        parallel_output=True,
        share_embeddings_and_output_weights=bool(config.get("tie_word_embeddings")),
        position_embedding_type="rope",
        rotary_base=int(config["theta"]),
        rope_scaling=rope.get("rope_type") == "llama3",
        rope_scaling_factor=rope.get("factor", 8.0),
    ).eval()
    model.to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(float("nan"))
    return config, transformer, model


def iteration_folder(root):
    """The folder that the tracker names, or ROOT itself."""
    tracker = os.path.join(root, "latest_checkpointed_iteration.txt")
    if not os.path.exists(tracker):
        return root
    with open(tracker) as file:
        name = file.read().strip()
    return os.path.join(root, name if name == "release" else f"iter_{int(name):07d}")


def load(model, root, strict):
    """Megatron Core's own load, of every entry that the model asks for; what is left without a value."""
    folder = iteration_folder(root)
    state = model.sharded_state_dict(metadata=dist_checkpointing.load_content_metadata(folder))
    loaded = dist_checkpointing.load(state, folder, strict=strict)
    found = model.load_state_dict({key: loaded[key] for key in state if key in loaded}, strict=False)
    # TE's attention module has the method, Megatron Core saves nothing for it
    missing = [key for key in found.missing_keys if not key.endswith("core_attention._extra_state")]
    return missing + found.unexpected_keys + unloaded(model)


def unloaded(model):
    return [name for name, parameter in model.named_parameters() if parameter.isnan().any()]


def logits(model, transformer, tokens):
    """The logits of all ranks' vocabulary rows, on the last pipeline stage; None on the others."""
    import torch.distributed as dist

    batch, length = tokens.shape
    if not parallel_state.is_pipeline_first_stage():
        received = torch.empty(length, batch, transformer.hidden_size, dtype=transformer.params_dtype)
        dist.recv(received, parallel_state.get_pipeline_model_parallel_prev_rank())
        model.set_input_tensor(received)
    with torch.no_grad():
        out = model(tokens, torch.arange(length).expand(batch, length), None).contiguous()
    if not parallel_state.is_pipeline_last_stage():
        dist.send(out, parallel_state.get_pipeline_model_parallel_next_rank())
        return None
    parts = [torch.empty_like(out) for _ in range(parallel_state.get_tensor_model_parallel_world_size())]
    dist.all_gather(parts, out, group=parallel_state.get_tensor_model_parallel_group())
    return torch.cat(parts, -1)
