"""Tasks for the real Megatron Core, Megatron Bridge and Megatron-LM, one after another in the same processes: importing
these packages takes seconds, a task on a tiny model far less.

    python peer.py TASKS.json RESULTS.json                          one process
    torchrun --nproc-per-node N peer.py TASKS.json RESULTS.json     N processes, which every task uses

TASKS is a list of {"do": name of a function below, "with": its arguments}; RESULTS the list of what they returned,
{"error": traceback} where one failed on any rank.
"""

import startup  # noqa: I001  first: it makes the packages importable without a GPU

import argparse
import contextlib
import datetime
import json
import os
import random
import sys
import traceback

import legacy
import numpy
import torch
import torch.distributed as dist


def import_hf(hf, out, sizes):
    """A Hugging Face folder -> a torch_dist checkpoint, by Bridge."""
    from megatron.bridge import AutoBridge

    startup.init_processes()
    if startup.WORLD == 1:
        AutoBridge.import_ckpt(hf, out)
        return {}
    bridge = AutoBridge.from_hf_pretrained(hf)
    provider = bridge.to_megatron_provider(load_weights=True)
    for name, size in provider_fields(sizes).items():
        setattr(provider, name, size)
    provider.pipeline_dtype = provider.params_dtype
    provider.finalize()
    provider.initialize_model_parallel(seed=0)
    with contiguous_scatter():
        model = provider.provide_distributed_model(wrap_with_ddp=False, use_cpu_initialization=True)
    bridge.save_megatron_model(model, out, hf_tokenizer_path=hf)
    return {}


def provider_fields(sizes):
    return dict(
        tensor_model_parallel_size=sizes["tp"],
        pipeline_model_parallel_size=sizes["pp"],
        expert_model_parallel_size=sizes["ep"],
        expert_tensor_parallel_size=sizes["etp"],
    )


@contextlib.contextmanager
def no_norm_before_full_query():
    """Megatron Core 0.19 puts a norm of its own before the query projection of latent attention without q_lora_rank:
    DeepSeek-V2-Lite and Moonlight have none, and Megatron Core 0.16 builds none."""
    try:
        from megatron.core.transformer.mla_qk_norm_config import QKNormConfigResolver
    except ImportError:
        yield
        return
    resolve = QKNormConfigResolver.resolve

    def without_norm(self):
        parts = resolve(self)
        return parts if self.has_q_lora else parts | {"linear_q_proj": self.linear_impl}

    QKNormConfigResolver.resolve = without_norm
    try:
        yield
    finally:
        QKNormConfigResolver.resolve = resolve


@contextlib.contextmanager
def contiguous_scatter():
    """Bridge 0.3.1 scatters chunks that are not contiguous, which gloo reads as if they were: wrong weights."""
    scatter = dist.scatter

    def contiguous(tensor, chunks=None, *args, **named):
        return scatter(tensor, [chunk.contiguous() for chunk in chunks] if chunks else chunks, *args, **named)

    dist.scatter = contiguous
    try:
        yield
    finally:
        dist.scatter = scatter


def export_hf(checkpoint, hf, out, sizes):
    """A torch_dist checkpoint -> a Hugging Face folder, by Bridge."""
    from megatron.bridge import AutoBridge

    bridge = AutoBridge.from_hf_pretrained(hf)
    if startup.WORLD == 1:
        bridge.export_ckpt(checkpoint, out, show_progress=False)
        return {}
    startup.init_model_parallel(**sizes)
    overrides = provider_fields(sizes) | dict(pipeline_dtype=torch.bfloat16)
    model = bridge.load_megatron_model(checkpoint, mp_overrides=overrides)
    bridge.save_hf_pretrained(model, out, show_progress=False)
    return {}


def load(checkpoint, hf, logits, sizes, vocab=None, grouped=True, strict="raise_all"):
    """A strict load into a plain fp32 GPTModel of Megatron Core, and its logits against those of transformers."""
    startup.init_model_parallel(**sizes)
    import gpt

    config, transformer, model = gpt.build(hf, torch.float32, sizes, vocab, grouped)
    problems = gpt.load(model, checkpoint, strict)
    return {"problems": problems} | compare(model, config, transformer, logits)


def compare(model, config, transformer, logits):
    import gpt

    expected = torch.load(logits)
    out = gpt.logits(model, transformer, expected["tokens"])
    if out is None:
        return {}
    return distance(out[..., : config["vocab_size"]], expected["logits"])


def distance(actual, expected):
    return {"difference": (actual - expected).abs().max().item(), "largest": expected.abs().max().item()}


def load_megatron_lm(checkpoint, hf, logits, flags=()):
    """Megatron-LM's own load_checkpoint: it follows the tracker file and checks the stored arguments."""
    sizes = dict(tp=1, pp=1, ep=1, etp=1)
    startup.init_model_parallel(**sizes)
    import gpt
    from megatron.core import num_microbatches_calculator
    from megatron.training import global_vars
    from megatron.training.arguments import parse_args, validate_args
    from megatron.training.checkpointing import load_checkpoint

    config, transformer, model = gpt.build(hf, torch.float32, sizes)
    arguments = {
        "--load": checkpoint,
        "--num-layers": transformer.num_layers,
        "--hidden-size": transformer.hidden_size,
        "--num-attention-heads": transformer.num_attention_heads,
        "--num-query-groups": transformer.num_query_groups,
        "--kv-channels": transformer.kv_channels,
        "--ffn-hidden-size": transformer.ffn_hidden_size,
        "--seq-length": config["max_position_embeddings"],
        "--max-position-embeddings": config["max_position_embeddings"],
        "--vocab-size": config["vocab_size"],
        "--micro-batch-size": 1,
        "--position-embedding-type": "rope",
        "--normalization": "RMSNorm",
        "--tokenizer-type": "NullTokenizer",
        "--distributed-backend": "gloo",
    }
    switches = """--group-query-attention --bf16 --swiglu --use-cpu-initialization --exit-on-missing-checkpoint
        --no-gradient-accumulation-fusion --no-rope-fusion --no-masked-softmax-fusion --no-bias-swiglu-fusion""".split()
    if not transformer.add_bias_linear:
        switches.append("--disable-bias-linear")
    saved, sys.argv = sys.argv, ["megatron"] + [str(x) for pair in arguments.items() for x in pair] + switches + [*flags]
    try:
        args = parse_args()
        validate_args(args)
        global_vars.set_args(args)
        num_microbatches_calculator.init_num_microbatches_calculator(0, None, 1, 1, 1)
        iteration, _ = load_checkpoint([model], None, None)
    finally:
        sys.argv = saved
        global_vars.unset_global_variables()
        num_microbatches_calculator.unset_num_microbatches_calculator()
    return {"iteration": iteration, "problems": gpt.unloaded(model)} | compare(model, config, transformer, logits)


def stored_arguments(config, transformer, sizes, vocab):
    """The argparse.Namespace that Megatron-LM stores: the fields that its loader and converters read."""
    args = argparse.Namespace(
        **{
            name: getattr(transformer, name)
            for name in """num_layers hidden_size ffn_hidden_size num_attention_heads num_query_groups kv_channels
                add_bias_linear add_qkv_bias normalization attention_dropout hidden_dropout qk_layernorm params_dtype
                bf16 moe_router_topk moe_ffn_hidden_size moe_grouped_gemm moe_layer_freq moe_router_score_function
                moe_router_pre_softmax moe_router_enable_expert_bias moe_router_num_groups moe_router_group_topk
                moe_router_topk_scaling_factor moe_shared_expert_intermediate_size moe_aux_loss_coeff
                multi_latent_attention mtp_num_layers""".split()
        }
    )
    args.fp16, args.init_method_std = False, 0.02
    args.use_rope_scaling, args.rope_scaling_factor, args.rotary_seq_len_interpolation_factor = False, 8.0, None
    args.norm_epsilon, args.swiglu, args.group_query_attention = transformer.layernorm_epsilon, True, True
    args.num_experts = transformer.num_moe_experts
    if args.multi_latent_attention:
        for name in """q_lora_rank kv_lora_rank qk_head_dim qk_pos_emb_head_dim v_head_dim rope_type
                rotary_scaling_factor mscale mscale_all_dim beta_fast beta_slow original_max_position_embeddings""".split():
            setattr(args, name, getattr(transformer, name))
    args.seq_length = args.max_position_embeddings = config["max_position_embeddings"]
    args.position_embedding_type, args.rotary_base, args.rotary_percent = "rope", int(config["theta"]), 1.0
    args.untie_embeddings_and_output_weights = not config.get("tie_word_embeddings")
    args.padded_vocab_size, args.vocab_size, args.make_vocab_size_divisible_by = vocab, config["vocab_size"], 128
    args.tensor_model_parallel_size, args.pipeline_model_parallel_size = sizes["tp"], sizes["pp"]
    args.expert_model_parallel_size, args.expert_tensor_parallel_size = sizes["ep"], sizes["etp"]
    args.context_parallel_size = 1
    args.world_size = startup.WORLD
    args.iteration, args.consumed_train_samples, args.consumed_valid_samples = 10, 80, 0
    args.ckpt_format, args.ckpt_fully_parallel_save = "torch_dist", True
    return args


def save(
    source, hf, out, sizes, dtype="bfloat16", vocab=None, keys="stacked", optimizer=None, grouped=True
):
    """A checkpoint as Megatron-LM saves it, of the weights in the torch_dist checkpoint SOURCE.
    keys: stacked, indexed (non_homogeneous_layers) or singleton (singleton_local_shards);
    optimizer: how the distributed optimizer saves its state, of a run that made one step."""
    startup.init_model_parallel(**sizes)
    import gpt
    from megatron.core import dist_checkpointing, parallel_state
    from megatron.core.dist_checkpointing.mapping import ShardedObject, ShardedTensorFactory, ShardedTensor
    from megatron.core.dist_checkpointing.serialization import get_default_save_sharded_strategy
    from megatron.core.dist_checkpointing.strategies.fully_parallel import FullyParallelSaveStrategyWrapper

    config, transformer, model = gpt.build(hf, getattr(torch, dtype), sizes, vocab, grouped)
    # Megatron-LM says it too; Megatron Core 0.16 asks for it where an MTP layer embeds again
    groups = {"dp_cp_group": parallel_state.get_data_parallel_group(with_context_parallel=True)}
    state = model.sharded_state_dict(metadata=dict(groups))
    weights = {key: x for key, x in state.items() if isinstance(x, (ShardedTensor, ShardedTensorFactory))}
    loaded = dist_checkpointing.load(weights, source)
    model.load_state_dict(loaded, strict=False)
    problems = gpt.unloaded(model)

    metadata = {"singleton_local_shards": keys == "singleton", "chained_optim_avoid_prefix": True}
    if keys == "indexed":
        metadata["non_homogeneous_layers"] = True
    if optimizer:
        metadata["distrib_optim_sharding_type"] = optimizer
    state = {
        "args": stored_arguments(config, transformer, sizes, vocab or config["vocab_size"]),
        "checkpoint_version": 3.0,
        "iteration": 10,
        "num_floating_point_operations_so_far": 0,
    }
    state["model"] = model.sharded_state_dict(metadata=metadata | groups)
    if optimizer:
        state["optimizer"] = optimizer_state(model, transformer, state["model"], metadata)
        ranks = parallel_state.get_tensor_model_parallel_rank(), parallel_state.get_pipeline_model_parallel_rank()
        rng = dict(
            random_rng_state=random.getstate(),
            np_rng_state=numpy.random.get_state(),
            torch_rng_state=torch.get_rng_state(),
            cuda_rng_state=torch.get_rng_state(),
            rng_tracker_states={},
        )
        replica = parallel_state.get_data_parallel_rank()
        state["rng_state"] = ShardedObject("rng_state", [rng], (sizes["pp"], sizes["tp"]), ranks[::-1], replica_id=replica)
        rerun = {"mode": "disabled", "sharded": {}}
        state["rerun_state_machine"] = ShardedObject(
            "rerun_state_machine_state", rerun, (startup.WORLD,), (startup.RANK,), replica_id=0
        )
        state["opt_param_scheduler"] = {"max_lr": 1e-3, "num_steps": 80, "lr_decay_style": "cosine"}

    folder = os.path.join(out, "iter_0000010")
    if startup.RANK == 0:
        os.makedirs(folder)
    dist.barrier()
    replicas = parallel_state.get_data_parallel_group(with_context_parallel=True)
    strategy = FullyParallelSaveStrategyWrapper(get_default_save_sharded_strategy(), replicas, False)
    dist_checkpointing.save(state, folder, strategy, content_metadata=metadata)
    dist.barrier()
    if startup.RANK == 0:
        with open(os.path.join(out, "latest_checkpointed_iteration.txt"), "w") as file:
            file.write("10")
    return {"problems": problems}


def optimizer_state(model, transformer, model_state, metadata):
    """What Megatron Core's distributed Adam saves after one step with random gradients and a learning rate of 0."""
    from megatron.core.distributed import DistributedDataParallel, DistributedDataParallelConfig
    from megatron.core.optimizer import OptimizerConfig, get_megatron_optimizer

    with on_gpu_by_name():
        wrapped = DistributedDataParallel(
            transformer, DistributedDataParallelConfig(use_distributed_optimizer=True), model
        )
        bf16 = transformer.params_dtype == torch.bfloat16
        optimizer = get_megatron_optimizer(
            OptimizerConfig(
                optimizer="adam",
                lr=0.0,
                weight_decay=0.0,
                bf16=bf16,
                params_dtype=transformer.params_dtype,
                use_distributed_optimizer=True,
                clip_grad=0.0,
            ),
            [wrapped],
        )
        for buffer in wrapped.buffers:
            buffer.grad_data.normal_()
        optimizer.step()
        return optimizer.sharded_state_dict(model_state, metadata=metadata)


@contextlib.contextmanager
def on_gpu_by_name():
    """Megatron's optimizers accept parameters whose type is called torch.cuda.*Tensor."""
    plain = torch.Tensor.type

    def named(self, *args, **options):
        result = plain(self, *args, **options)
        return result.replace("torch.", "torch.cuda.", 1) if isinstance(result, str) else result

    torch.Tensor.type = named
    try:
        yield
    finally:
        torch.Tensor.type = plain


def reload(source, exported):
    """The logits of two folders that hold the same model, by this environment's transformers."""
    import reference

    return distance(reference.logits(exported), reference.logits(source))


def resave(hf, out):
    """A folder as this environment's transformers saves the model that it holds."""
    import reference

    model, _ = reference.load(hf, dtype="auto")
    model.save_pretrained(out)
    return {}


TASKS = {task.__name__: task for task in (import_hf, export_hf, load, load_megatron_lm, save, reload, resave)}
TASKS |= {task.__name__: task for task in (legacy.load_ranks, legacy.save_ranks)}


def perform(task):
    """The result of this rank. A task "as_it_is" sees Megatron Core as installed."""
    arguments = dict(task["with"])
    try:
        with contextlib.nullcontext() if arguments.pop("as_it_is", False) else no_norm_before_full_query():
            return TASKS[task["do"]](**arguments)
    except BaseException:  # PyTorch's CheckpointException is no Exception
        return {"error": traceback.format_exc()}


def merge(results):
    """One result of all ranks': lists joined, else what the first rank has that says anything."""
    merged = {}
    for result in results:
        for key, value in result.items():
            merged[key] = merged.get(key, []) + value if isinstance(value, list) else merged.get(key, value)
    return merged


def main():
    tasks, results = map(os.path.abspath, sys.argv[1:])
    with open(tasks) as file:
        tasks = json.load(file)
    done = []
    for index, task in enumerate(tasks):
        print(f"[{startup.RANK}] {task}", flush=True)
        startup.begin(f"{results}.{index}.meet")
        result = perform(task)
        startup.end()
        print(f"[{startup.RANK}] {result}", flush=True)
        # Not by a collective: after a failure on one rank the others run into a timeout
        store = dist.FileStore(f"{results}.{index}.ends", startup.WORLD)
        store.set_timeout(datetime.timedelta(seconds=240))
        store.set(str(startup.RANK), json.dumps(result))
        if startup.RANK == 0:
            done.append(merge(json.loads(store.get(str(rank))) for rank in range(startup.WORLD)))
            with open(results, "w") as file:
                json.dump(done, file)


if __name__ == "__main__":  # Megatron Core's saver starts a process that imports this file again
    main()
