"""Ranks of a legacy torch checkpoint in the real Megatron Core: loaded strictly, and saved as Megatron-LM saves them."""

import argparse
import json
import os

import startup
import torch


def init(layout):
    from megatron.core import parallel_state
    from megatron.core.tensor_parallel.random import model_parallel_cuda_manual_seed

    startup.init_processes()
    parallel_state.initialize_model_parallel(
        tensor_model_parallel_size=layout["tp"],
        pipeline_model_parallel_size=layout["pp"],
        expert_model_parallel_size=layout["ep"],
        expert_tensor_parallel_size=layout["etp"],
    )
    model_parallel_cuda_manual_seed(0)


def build(hf, layout):
    """The bf16 model of this rank, with layers of the kind that the layout names, and every parameter NaN."""
    import torch.nn.functional as F
    from megatron.core import parallel_state
    from megatron.core.models.gpt import GPTModel
    from megatron.core.models.gpt.gpt_layer_specs import get_gpt_decoder_block_spec
    from megatron.core.transformer.transformer_config import TransformerConfig

    with open(os.path.join(hf, "config.json")) as file:
        config = json.load(file)
    heads, layers, kind = config["num_attention_heads"], config["num_hidden_layers"], config["model_type"]
    experts = config.get("num_experts") or config.get("num_local_experts")
    mixture = {}
    if experts:
        mixture = dict(
            num_moe_experts=experts,
            moe_ffn_hidden_size=config["moe_intermediate_size"],
            moe_router_topk=config["num_experts_per_tok"],
            moe_layer_freq=[int(i not in config["mlp_only_layers"]) for i in range(layers)],
            moe_grouped_gemm=layout["experts"] == "grouped",
            moe_token_dispatcher_type="allgather",
            moe_router_load_balancing_type="none",
        )
    transformer = TransformerConfig(
        num_layers=layers,
        hidden_size=config["hidden_size"],
        ffn_hidden_size=config["intermediate_size"],
        num_attention_heads=heads,
        num_query_groups=config["num_key_value_heads"],
        kv_channels=config.get("head_dim") or config["hidden_size"] // heads,
        normalization="RMSNorm",
        gated_linear_unit=True,
        activation_func=F.silu,
        add_bias_linear=bool(config.get("mlp_bias")),
        add_qkv_bias=bool(config.get("attention_bias")),
        qk_layernorm=kind.startswith("qwen3"),
        params_dtype=torch.bfloat16,
        pipeline_dtype=torch.bfloat16,
        bf16=True,
        use_cpu_initialization=True,
        tensor_model_parallel_size=layout["tp"],
        pipeline_model_parallel_size=layout["pp"],
        expert_model_parallel_size=layout["ep"],
        expert_tensor_parallel_size=layout["etp"],
        num_layers_in_first_pipeline_stage=layout["chunks"][0] if layout["chunks"] else None,
        apply_rope_fusion=False,
        gradient_accumulation_fusion=False,
        **mixture,
    )
    multiple = layout["multiple"] * layout["tp"]
    model = GPTModel(
        config=transformer,
        transformer_layer_spec=get_gpt_decoder_block_spec(
            transformer, use_transformer_engine=not layout["local"], normalization="RMSNorm"
        ),
        vocab_size=-(-config["vocab_size"] // multiple) * multiple,
        max_sequence_length=config["max_position_embeddings"],
        pre_process=parallel_state.is_pipeline_first_stage(),
        post_process=parallel_state.is_pipeline_last_stage(),
        share_embeddings_and_output_weights=bool(config.get("tie_word_embeddings")),
        position_embedding_type="rope",
    ).to(torch.bfloat16)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(float("nan"))
    return model


def rank_folder(root, iteration):
    """The folder of this rank: by Megatron-LM where it is installed."""
    from megatron.core import parallel_state as mpu

    try:
        from megatron.training.checkpointing import get_checkpoint_name
    except ImportError:
        name = f"mp_rank_{mpu.get_tensor_model_parallel_rank():02d}"
        if mpu.get_pipeline_model_parallel_world_size() > 1:
            name += f"_{mpu.get_pipeline_model_parallel_rank():03d}"
        if mpu.get_expert_model_parallel_world_size() > 1:
            name += f"_{mpu.get_expert_model_parallel_rank():03d}"
        return os.path.join(root, f"iter_{iteration:07d}", name)
    return os.path.dirname(get_checkpoint_name(root, iteration))


def read(folder):
    with torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(os.path.join(folder, "model_optim_rng.pt"), weights_only=True)["model"]


def is_state(name):
    return name.endswith("_extra_state")


def load_ranks(checkpoint, oracle, hf, layout):
    """A strict load of this rank's file; problems: parameters that are not those of the oracle's file."""
    init(layout)
    model = build(hf, layout)
    state = read(rank_folder(checkpoint, 0))
    # What Transformer Engine keeps of its own differs from version to version; Megatron-LM loads without it, too
    found = model.load_state_dict(state, strict=False)
    problems = [name for name in found.missing_keys + found.unexpected_keys if not is_state(name)]
    if layout["local"]:
        model.load_state_dict(state, strict=True)
    expected = {name: tensor for name, tensor in read(rank_folder(oracle, 0)).items() if not is_state(name)}
    for name, tensor in model.state_dict().items():
        if not is_state(name) and not torch.equal(tensor.view(torch.int16), expected.pop(name).view(torch.int16)):
            problems.append(f"{name} differs")
    return {"problems": problems + sorted(expected)}


def save_ranks(oracle, out, hf, layout):
    """The state dicts of Megatron Core's modules, which have taken the oracle's weights."""
    init(layout)
    from megatron.core import parallel_state as mpu

    model = build(hf, layout)
    found = model.load_state_dict(read(rank_folder(oracle, 0)), strict=False)
    problems = [name for name in found.missing_keys + found.unexpected_keys if not is_state(name)]
    problems += [name for name, parameter in model.named_parameters() if parameter.isnan().any()]
    args = argparse.Namespace(
        num_layers=model.config.num_layers,
        tensor_model_parallel_size=layout["tp"],
        pipeline_model_parallel_size=layout["pp"],
        expert_model_parallel_size=layout["ep"],
        expert_tensor_parallel_size=layout["etp"],
        params_dtype=torch.bfloat16,
        rank=startup.RANK,
    )
    state = {"args": args, "checkpoint_version": 3.0, "iteration": 10}
    state["model"] = model.state_dict_for_save_checkpoint()
    state["rng_state"] = [{"torch_rng_state": torch.get_rng_state()}]
    if mpu.get_expert_data_parallel_rank() == 0:
        folder = rank_folder(out, 10)
        os.makedirs(folder)
        torch.save(state, os.path.join(folder, "model_optim_rng.pt"))
    return {"problems": problems}
