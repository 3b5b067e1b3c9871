"""Checkpoints of the legacy torch format: what mbc writes, read by PyTorch and compared with legacy_layout.py; the real
programs load it; and what they and PyTorch write, mbc exports (see README.md)."""

import argparse
import json
import shutil

import legacy_layout
import pytest
import torch
import transformers
from conftest import make_folder
from layout import assert_same_tensors, read_folder, same_bits
from legacy_layout import Layout

MOE = dict(
    hidden_size=48,
    intermediate_size=88,
    num_hidden_layers=4,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    vocab_size=131,
    max_position_embeddings=256,
    tie_word_embeddings=False,
    num_experts=4,
    num_experts_per_tok=2,
    moe_intermediate_size=24,
    mlp_only_layers=[1],
)


def make_moe(folder):
    torch.manual_seed(7)
    model = transformers.Qwen3MoeForCausalLM(transformers.Qwen3MoeConfig(**MOE))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder


def make(case, folder):
    return make_moe(folder) if case == "qwen3-moe" else make_folder(case, folder)


def load(file):
    with torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(file, weights_only=True)


CASES = [
    ("llama", Layout()),
    ("llama", Layout(tp=2, pp=2)),
    ("llama", Layout(tp=4, pp=2)),  # two KV heads: plain slices of the rows
    ("llama-biases", Layout(tp=2)),
    ("llama-tied", Layout(pp=2, multiple=1)),
    ("llama-tied", Layout(tp=2, pp=2, local=True)),
    ("llama-odd", Layout(pp=3, chunks=(1, 2, 2), multiple=7)),
    ("llama-odd", Layout(pp=2, chunks=(2, 3))),
    ("llama-sharded", Layout(tp=2, pp=2, vpp=2)),
    ("llama-mixed-parts", Layout(tp=2)),
    ("llama-special-values", Layout(tp=2)),
    ("qwen2-tied-old-spellings", Layout(tp=2)),
    ("qwen3", Layout(tp=2, local=True)),
    ("qwen3-moe", Layout()),
    ("qwen3-moe", Layout(tp=2, ep=2, etp=2)),
    ("qwen3-moe", Layout(tp=2, ep=4, etp=1, pp=2)),
    ("qwen3-moe", Layout(tp=2, ep=2, etp=1, experts="sequential", local=True)),
    ("qwen3-moe", Layout(pp=2, vpp=2, ep=2, experts="sequential")),
    ("qwen3-moe", Layout(tp=2, pp=2, ep=2, etp=2, experts="fused")),
]


@pytest.mark.parametrize("case, layout", CASES)
def test_every_rank_holds_its_part(case, layout, mbc, tmp_path):
    source = make(case, tmp_path / "hf")
    config = json.loads((source / "config.json").read_text())
    mbc("import", source, "-o", tmp_path / "megatron", *layout.options())
    root = tmp_path / "megatron"
    assert (root / "latest_checkpointed_iteration.txt").read_text() == "release"
    folders = legacy_layout.expected(read_folder(source), config, layout)
    assert {file.name for file in (root / "release").iterdir() if file.name.startswith("mp_rank")} == set(folders)
    for folder, models in folders.items():
        state = load(root / "release" / folder / "model_optim_rng.pt")
        assert state["checkpoint_version"] == 3.0 and state["iteration"] == 0
        args = state["args"]
        assert args.tensor_model_parallel_size == layout.tp and args.pipeline_model_parallel_size == layout.pp
        assert args.expert_model_parallel_size == layout.ep and args.ckpt_format == "torch"
        assert args.padded_vocab_size % (layout.multiple * layout.tp) == 0
        assert set(state) == {"args", "checkpoint_version", "iteration"} | set(models)
        for key, expected in models.items():
            extra = {name for name in state[key] if name.endswith("_extra_state")}
            assert all(state[key].pop(name) is None for name in extra)
            layers = any("decoder.layers.0." in name for name in expected)
            assert layers == any("self_attention.linear_qkv._extra_state" in name for name in extra)
            if case == "llama-mixed-parts":  # fused tensors have the wider type of their parts
                expected = {name: tensor.to(state[key][name].dtype) for name, tensor in expected.items()}
            assert_same_tensors(state[key], expected)
    mbc("verify", root)
    mbc("export", root, "-o", tmp_path / "back")
    assert_same_tensors(read_folder(tmp_path / "back"), read_folder(source))


def save(root, folders, args, iteration=100, padding=5.0, change=lambda folder, state: None):
    """As Megatron-LM saves: with the state of the training beside the weights. Rows of padding may hold anything."""
    root.mkdir(parents=True)
    (root / "latest_checkpointed_iteration.txt").write_text(str(iteration))
    for folder, models in folders.items():
        place = root / f"iter_{iteration:07d}" / folder
        place.mkdir(parents=True)
        state = {"args": argparse.Namespace(**args), "checkpoint_version": 3.0, "iteration": iteration}
        for key, tensors in models.items():
            # Each tensor has a storage of its own
            state[key] = {name: tensor.clone() for name, tensor in tensors.items()}
            state[key]["decoder.layers.0.self_attention.linear_qkv._extra_state"] = torch.empty(0, dtype=torch.uint8)
            for name in ("embedding.word_embeddings.weight", "output_layer.weight"):
                if name in state[key]:
                    zero = (state[key][name] == 0).all(1)
                    state[key][name][zero] = padding
        state["optimizer"] = {"state": {0: {"exp_avg": torch.randn(64)}}, "param_groups": [{"lr": 1e-3}]}
        state["opt_param_scheduler"] = {"max_lr": 1e-3}
        state["rng_state"] = [{"torch_rng_state": torch.get_rng_state(), "rng_tracker_states": {}}]
        change(folder, state)
        torch.save(state, place / "model_optim_rng.pt")
        torch.save({}, place / "distrib_optim.pt")


def sizes(layout, config):
    return dict(
        num_layers=config["num_hidden_layers"],
        tensor_model_parallel_size=layout.tp,
        pipeline_model_parallel_size=layout.pp,
        virtual_pipeline_model_parallel_size=layout.vpp if layout.vpp > 1 else None,
        expert_model_parallel_size=layout.ep,
        expert_tensor_parallel_size=layout.etp if layout.ep * layout.etp > 1 else layout.tp,
        params_dtype=torch.bfloat16,
        seed=1234,
        rank=0,
    )


WRITTEN = [(case, layout) for case, layout in CASES if case not in ("llama-special-values", "llama-mixed-parts")]


@pytest.mark.parametrize("case, layout", WRITTEN)
def test_export_of_what_pytorch_saved(case, layout, mbc, tmp_path):
    source = make(case, tmp_path / "hf")
    config = json.loads((source / "config.json").read_text())
    if case == "qwen3-moe" and layout == Layout():
        layout = Layout(etp=1)
    root = tmp_path / "megatron"
    save(root, legacy_layout.expected(read_folder(source), config, layout), sizes(layout, config))
    mbc("export", root, "-o", tmp_path / "back", "--hf-model", source)
    assert_same_tensors(read_folder(tmp_path / "back"), read_folder(source))
    # The same weights in the other format, and back
    mbc("reshard", root, "-o", tmp_path / "dist", "--hf-model", source)
    mbc("verify", source, tmp_path / "dist", "--hf-model", source)
    shutil.rmtree(root)


def test_views_of_one_storage(mbc, tmp_path):
    """Parameters that are windows of one buffer, as with Megatron's contiguous parameter buffers."""
    source = make_folder("llama", tmp_path / "hf")
    config = json.loads((source / "config.json").read_text())

    def one_storage(_, state):
        tensors = {name: tensor for name, tensor in state["model"].items() if not name.endswith("_extra_state")}
        buffer = torch.cat([tensor.reshape(-1) for tensor in tensors.values()])
        at = 0
        for name, tensor in tensors.items():
            state["model"][name] = buffer[at : at + tensor.numel()].view(tensor.shape)
            at += tensor.numel()

    layout = Layout(tp=2)
    folders = legacy_layout.expected(read_folder(source), config, layout)
    save(tmp_path / "megatron", folders, sizes(layout, config), change=one_storage)
    mbc("export", tmp_path / "megatron", "-o", tmp_path / "back", "--hf-model", source)
    assert_same_tensors(read_folder(tmp_path / "back"), read_folder(source))


def test_one_rank_alone(mbc, tmp_path):
    source = make_folder("llama-sharded", tmp_path / "hf")
    layout = ["--format=torch", "--tp=2", "--pp=2"]
    mbc("import", source, "-o", tmp_path / "all", *layout)
    mbc("import", source, "-o", tmp_path / "one", *layout, "--rank", "tp=1,pp=0")
    folders = [path.name for path in (tmp_path / "one/release").iterdir() if path.name.startswith("mp_rank")]
    assert folders == ["mp_rank_01_000"]
    file = "release/mp_rank_01_000/model_optim_rng.pt"
    assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "all" / file).read_bytes()
    assert "a rank is missing" in mbc("export", tmp_path / "one", "-o", tmp_path / "back", status=2)
    mbc("import", source, "-o", tmp_path / "stage", *layout, "--rank", "pp=1")
    folders = [path.name for path in (tmp_path / "stage/release").iterdir() if path.name.startswith("mp_rank")]
    assert sorted(folders) == ["mp_rank_00_001", "mp_rank_01_001"]


def test_same_bits_is_a_judge():
    assert not same_bits(torch.tensor([0.0]), torch.tensor([-0.0]))
