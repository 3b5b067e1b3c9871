"""The config.json of a Llama, Qwen2, Qwen3, Qwen3-MoE or DeepSeek as a plain Megatron Core GPTModel, without Bridge or
mbc."""

import os

import reference
import torch
import torch.nn.functional as F
from megatron.core import dist_checkpointing, parallel_state
from megatron.core.models.gpt import GPTModel
from megatron.core.models.gpt.gpt_layer_specs import (
    get_gpt_decoder_block_spec,
    get_gpt_layer_with_transformer_engine_spec,
    get_gpt_mtp_block_spec,
)
from megatron.core.transformer.transformer_config import MLATransformerConfig, TransformerConfig


def read_config(folder):
    config = reference.read_config(folder)
    config["rope"] = config.get("rope_scaling") or config.get("rope_parameters") or {}
    config["theta"] = config.get("rope_theta") or config["rope"].get("rope_theta", 10000.0)
    return config


def attention_fields(config):
    heads, kind = config["num_attention_heads"], config["model_type"]
    return dict(
        num_query_groups=config.get("num_key_value_heads") or heads,
        kv_channels=config.get("head_dim") or config["hidden_size"] // heads,
        # Megatron has one flag for the biases of attention output and MLP
        add_bias_linear=bool(config.get("mlp_bias")),
        add_qkv_bias=kind == "qwen2" or bool(config.get("attention_bias")),
        qk_layernorm=kind in ("qwen3", "qwen3_moe"),
    )


def latent_fields(config):
    rope = config["rope"]
    scaled = (rope.get("rope_type") or rope.get("type")) == "yarn"
    # "rope" without yarn's corrections, which are none at a factor of 1
    scaling = dict(rope_type="rope", rotary_scaling_factor=1.0, mscale=1.0, mscale_all_dim=1.0)
    if scaled:
        names = ("beta_fast", "beta_slow", "mscale", "mscale_all_dim", "original_max_position_embeddings")
        scaling = dict(rope_type="yarn", rotary_scaling_factor=rope["factor"]) | {name: rope[name] for name in names}
    return scaling | dict(
        multi_latent_attention=True,
        num_query_groups=config["num_attention_heads"],
        add_bias_linear=False,
        qk_layernorm=True,
        q_lora_rank=config["q_lora_rank"],
        kv_lora_rank=config["kv_lora_rank"],
        qk_head_dim=config["qk_nope_head_dim"],
        qk_pos_emb_head_dim=config["qk_rope_head_dim"],
        v_head_dim=config["v_head_dim"],
        rotary_base=config["theta"],
        mtp_num_layers=config.get("num_nextn_predict_layers") or None,
    )


def sparse_layers(config):
    """1 for each layer with routed experts, 0 for the others."""
    layers = range(config["num_hidden_layers"])
    if "first_k_dense_replace" in config:
        return [int(i >= config["first_k_dense_replace"]) for i in layers]
    step, dense = config.get("decoder_sparse_step") or 1, config.get("mlp_only_layers") or []
    return [int((i + 1) % step == 0 and i not in dense) for i in layers]


def expert_fields(config, grouped):
    kind = config["model_type"]
    fields = dict(
        num_moe_experts=next(
            config[name] for name in ("num_experts", "num_local_experts", "n_routed_experts") if config.get(name)
        ),
        moe_router_topk=config["num_experts_per_tok"],
        moe_ffn_hidden_size=config["moe_intermediate_size"],
        moe_grouped_gemm=grouped,
        moe_token_dispatcher_type="allgather",
        moe_router_load_balancing_type="none",
        moe_aux_loss_coeff=0.0,
        moe_permute_fusion=False,
        # Scores that do not add up to 1 are a softmax before the choice
        moe_router_pre_softmax=kind == "deepseek_v2" or (kind == "qwen3_moe" and not config.get("norm_topk_prob")),
    )
    sparse = sparse_layers(config)
    # A list, even of ones, makes Megatron Core name layers by index
    if kind.startswith("deepseek") or not all(sparse):
        fields["moe_layer_freq"] = sparse
    if kind.startswith("deepseek"):
        fields |= dict(
            moe_router_dtype="fp32",
            moe_router_topk_scaling_factor=config.get("routed_scaling_factor"),
            moe_shared_expert_intermediate_size=config["moe_intermediate_size"] * config["n_shared_experts"],
        )
        if (config.get("n_group") or 1) > 1:
            fields |= dict(moe_router_num_groups=config["n_group"], moe_router_group_topk=config["topk_group"])
    if kind == "deepseek_v3":
        fields |= dict(moe_router_score_function="sigmoid", moe_router_enable_expert_bias=True)
    return fields


def transformer_config(config, dtype, sizes, grouped):
    latent = "kv_lora_rank" in config
    fields = dict(
        num_layers=config["num_hidden_layers"],
        hidden_size=config["hidden_size"],
        ffn_hidden_size=config["intermediate_size"],
        num_attention_heads=config["num_attention_heads"],
        normalization="RMSNorm",
        layernorm_epsilon=config["rms_norm_eps"],
        gated_linear_unit=True,
        activation_func=F.silu,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        params_dtype=dtype,
        pipeline_dtype=dtype,
        bf16=dtype == torch.bfloat16,
        use_cpu_initialization=True,
        tensor_model_parallel_size=sizes["tp"],
        pipeline_model_parallel_size=sizes["pp"],
        expert_model_parallel_size=sizes["ep"],
        expert_tensor_parallel_size=sizes["etp"],
        apply_rope_fusion=False,
        bias_activation_fusion=False,
        bias_dropout_fusion=False,
        masked_softmax_fusion=False,
        gradient_accumulation_fusion=False,
    )
    fields |= latent_fields(config) if latent else attention_fields(config)
    if "moe_intermediate_size" in config:
        fields |= expert_fields(config, grouped)
    return (MLATransformerConfig if latent else TransformerConfig)(**fields)


def layer_specification(transformer):
    if isinstance(transformer.moe_layer_freq, list):
        return get_gpt_decoder_block_spec(transformer, use_transformer_engine=True)
    return get_gpt_layer_with_transformer_engine_spec(
        num_experts=transformer.num_moe_experts,
        moe_grouped_gemm=transformer.moe_grouped_gemm,
        qk_layernorm=transformer.qk_layernorm,
        multi_latent_attention=transformer.multi_latent_attention,
    )


def build(folder, dtype, sizes, vocab=None, grouped=True):
    """The model of this rank, with every parameter NaN: what is not loaded cannot pass.
    grouped: experts in one module (TEGroupedMLP), else one after another (SequentialMLP)."""
    config = read_config(folder)
    rope = config["rope"]
    transformer = transformer_config(config, dtype, sizes, grouped)
    specification = layer_specification(transformer)
    extra = {}
    if transformer.mtp_num_layers:
        extra["mtp_block_spec"] = get_gpt_mtp_block_spec(transformer, specification, use_transformer_engine=True)
    model = GPTModel(
        config=transformer,
        transformer_layer_spec=specification,
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
        **extra,
    ).eval()
    model.to(dtype)
    with torch.no_grad():
        for name, tensor in learned(model):
            if name.endswith(".expert_bias"):  # as Megatron's own wrapper of a bf16 model keeps it
                tensor.data = tensor.data.float()
            tensor.fill_(float("nan"))
    return config, transformer, model


def learned(model):
    """Parameters, and the correction of the router, which is a buffer."""
    yield from model.named_parameters()
    for name, buffer in model.named_buffers():
        if name.endswith(".expert_bias"):
            yield name, buffer


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
    return [name for name, tensor in learned(model) if tensor.isnan().any()]


def logits(model, transformer, tokens):
    """The logits of all ranks' vocabulary rows, on the last pipeline stage; None on the others."""
    import torch.distributed as dist

    batch, length = tokens.shape
    # A layer for the token after the next is loaded, not run: Megatron Core 0.16 runs it only with labels.
    model.mtp_process, transformer.mtp_num_layers = False, None
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
