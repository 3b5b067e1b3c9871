"""Models that nobody released: layers, heads or experts removed, a vocabulary grown, unusual sizes; and both spellings of
experts. Converted from the model's own config.json, judged by transformers' logits."""

import random

import pytest
import torch
from checkpoints import read_megatron
from conftest import BASE, SPARSE, V2, V3, change_config, change_weights, make_folder, write_model
from layout import Expected, assert_same_tensors, read_folder
from peers.reference import logits, read_config


def assert_comes_back(mbc, source, folder, *options):
    mbc("import", source, "-o", folder / "megatron", *options)
    mbc("export", folder / "megatron", "-o", folder / "hf")
    weights = read_folder(source)
    assert_same_tensors(read_folder(folder / "hf"), weights)
    assert torch.equal(logits(folder / "hf"), logits(source))
    [iteration] = (folder / "megatron").glob("iter_*")
    assert_same_tensors(read_megatron(iteration)[0], Expected(weights, read_config(source)).tensors)


def odd_sizes(seed):
    """A configuration of random family and sizes, none of them a power of two by design."""
    pick = random.Random(seed)
    architecture = ["Llama", "Qwen2", "Qwen3", "Qwen3Moe", "DeepseekV2", "DeepseekV3"][seed % 6]
    layers, heads = pick.randint(2, 5), pick.choice([2, 3, 5, 6])
    groups = pick.choice([size for size in range(1, heads + 1) if heads % size == 0])
    fields = dict(
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=groups,
        hidden_size=heads * pick.choice([10, 14, 22]),
        intermediate_size=pick.choice([37, 50, 91]),
        vocab_size=pick.choice([113, 131, 150]),
        tie_word_embeddings=pick.random() < 0.3,
    )
    experts = pick.choice([3, 5, 7])
    if architecture in ("Qwen3", "Qwen3Moe"):
        fields["head_dim"] = pick.choice([6, 10, 26])
    if architecture == "Qwen3Moe":
        dense = sorted(pick.sample(range(layers), pick.randint(0, layers - 1)))
        fields = SPARSE | fields | dict(
            num_experts=experts,
            num_experts_per_tok=pick.randint(1, experts),
            moe_intermediate_size=pick.choice([5, 18, 33]),
            mlp_only_layers=dense,
            norm_topk_prob=pick.random() < 0.5,
        )
    if architecture.startswith("Deepseek"):
        fields = (V2 if architecture == "DeepseekV2" else V3) | fields | dict(
            num_key_value_heads=heads,
            q_lora_rank=pick.choice([None, 11, 20]),
            kv_lora_rank=pick.choice([10, 14]),
            qk_nope_head_dim=pick.choice([8, 12]),  # even, as transformers' DeepSeek-V2 takes pairs of its sums
            qk_rope_head_dim=pick.choice([2, 6, 10]),
            v_head_dim=pick.choice([5, 13]),
            first_k_dense_replace=pick.randint(0, layers - 1),
            n_routed_experts=experts,
            n_shared_experts=pick.choice([1, 3]),
            num_experts_per_tok=pick.randint(1, experts),
            moe_intermediate_size=pick.choice([5, 18, 33]),
            n_group=1,
            topk_group=1,
        )
    return architecture, fields


@pytest.mark.parametrize("seed", [pytest.param(seed, marks=pytest.mark.full if seed >= 6 else ()) for seed in range(36)])
def test_sizes_of_no_released_model(mbc, tmp_path, seed):
    assert_comes_back(mbc, write_model(tmp_path / "source", seed, *odd_sizes(seed)), tmp_path)


def drop_experts(folder):
    def change(weights):
        for name in list(weights):
            place = name.partition(".mlp.experts.")[2]
            if place and int(place.split(".")[0]) >= 5:
                del weights[name]
            elif name.endswith((".mlp.gate.weight", ".e_score_correction_bias")):
                weights[name] = weights[name][:5].clone()

    change_weights(folder, change)
    names = ("num_experts", "num_local_experts", "n_routed_experts")
    change_config(folder, lambda config: config.update({name: 5 for name in names if name in config}))


def drop_layers(folder):
    """The second and third of four, the rest renumbered."""

    def change(weights):
        for name in [name for name in weights if name.startswith(("model.layers.1.", "model.layers.2."))]:
            del weights[name]
        for name in [name for name in weights if name.startswith("model.layers.3.")]:
            weights[name.replace(".3.", ".1.", 1)] = weights.pop(name)

    change_weights(folder, change)
    change_config(folder, lambda config: config.update(num_hidden_layers=2))


def grow_vocabulary(folder):
    def change(weights):
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            weights[name] = torch.cat([weights[name], weights[name][:7].neg()])

    change_weights(folder, change)
    change_config(folder, lambda config: config.update(vocab_size=BASE["vocab_size"] + 7))


@pytest.mark.parametrize("case", ["qwen3-moe", "deepseek-v2"])
@pytest.mark.parametrize("cut", [drop_experts, drop_layers, grow_vocabulary])
def test_pruned_and_grown_models(mbc, tmp_path, case, cut):
    source = make_folder(case, tmp_path / "source")
    cut(source)
    assert_comes_back(mbc, source, tmp_path)


def test_heads_removed(mbc, tmp_path):
    """One of two groups of heads."""
    source = make_folder("qwen3-moe", tmp_path / "source")

    def change(weights):
        for name in weights:
            if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight")):
                weights[name] = weights[name][: len(weights[name]) // 2].clone()
            if name.endswith("o_proj.weight"):
                weights[name] = weights[name][:, : weights[name].shape[1] // 2].clone()

    change_weights(source, change)
    change_config(source, lambda config: config.update(num_attention_heads=2, num_key_value_heads=1))
    assert_comes_back(mbc, source, tmp_path)


# Experts in a tensor each, or all of a layer in one

SPELLINGS = ["qwen3-moe", "deepseek-v2", "deepseek-v3"]


def pack(weights):
    """The spelling of transformers 5 in memory."""
    for last in [name for name in weights if name.endswith(".mlp.experts.7.down_proj.weight")]:
        stem = last.removesuffix("7.down_proj.weight")
        gate, up, down = (
            torch.stack([weights.pop(f"{stem}{e}.{part}_proj.weight") for e in range(8)])
            for part in ("gate", "up", "down")
        )
        weights[f"{stem}gate_up_proj"], weights[f"{stem}down_proj"] = torch.cat([gate, up], dim=1), down


@pytest.mark.parametrize("case", SPELLINGS)
def test_both_spellings_of_experts_give_one_checkpoint(mbc, tmp_path, case):
    apart = make_folder(case, tmp_path / "apart")
    packed = make_folder(case, tmp_path / "packed")
    change_weights(packed, pack)
    assert "model.layers.1.mlp.experts.gate_up_proj" in read_folder(packed)
    found = []
    for source in (apart, packed):
        folder = tmp_path / f"{source.name}-converted"
        folder.mkdir()
        assert_comes_back(mbc, source, folder)
        [iteration] = (folder / "megatron").glob("iter_*")
        found.append(read_megatron(iteration)[0])
    assert_same_tensors(*found)


def test_both_spellings_at_once_are_refused(mbc, tmp_path):
    source = make_folder("qwen3-moe", tmp_path / "source")

    def change(weights):
        apart = dict(weights)
        pack(weights)
        weights.update(apart)

    change_weights(source, change)
    assert "model.layers.0.mlp.experts." in mbc("import", source, "-o", tmp_path / "megatron", status=2)
    assert not (tmp_path / "megatron").exists()


def test_one_packed_tensor_of_two_is_refused(mbc, tmp_path):
    source = make_folder("qwen3-moe", tmp_path / "source")

    def change(weights):
        pack(weights)
        del weights["model.layers.2.mlp.experts.down_proj"]

    change_weights(source, change)
    assert "model.layers.2.mlp.experts." in mbc("import", source, "-o", tmp_path / "megatron", status=2)
    assert not (tmp_path / "megatron").exists()
