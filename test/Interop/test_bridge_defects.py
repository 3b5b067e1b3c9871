"""What Megatron Bridge was seen to do wrong, mostly with exit status 0, and what mbc does with the same input: the
table of README.md, line by line. (Lines on mixtures of experts and DeepSeek models are tested where these are.)"""

import json
import shutil

import pytest
import torch
from checkpoints import read_megatron, save_with_pytorch
from conftest import change_weights, make_folder
from layout import assert_same_tensors, read_folder, same_bits


@pytest.fixture
def refuses(mbc, tmp_path):
    """refuses(change, message, case): the folder of that case, its weights changed, is refused and nothing written."""

    def check(change, message, case="llama"):
        source = make_folder(case, tmp_path / "source")
        mbc("import", source, "-o", tmp_path / "before")
        change_weights(source, change)
        assert message in mbc("import", source, "-o", tmp_path / "megatron", status=2)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["before", "source"]

    return check


def round_trip(mbc, source, folder, *options):
    mbc("import", source, "-o", folder / "megatron", *options)
    mbc("export", folder / "megatron", "-o", folder / "hf")
    assert_same_tensors(read_folder(folder / "hf"), read_folder(source))
    assert (folder / "hf/config.json").read_bytes() == (source / "config.json").read_bytes()


# 2: a parameter that no mapping names


@pytest.mark.parametrize("case", ["llama-biases", "llama-attention-bias"])
def test_biases_of_llama_come_back(mbc, tmp_path, case):
    source = make_folder(case, tmp_path / "source")
    assert any(name.endswith("o_proj.bias") for name in read_folder(source))
    round_trip(mbc, source, tmp_path)


# 3: a tensor that is missing


@pytest.mark.parametrize(
    "name",
    [
        "model.layers.1.mlp.down_proj.weight",
        "model.layers.0.self_attn.k_proj.weight",
        "model.layers.1.input_layernorm.weight",
        "model.norm.weight",
        "lm_head.weight",
    ],
)
def test_missing_tensor_is_refused(refuses, name):
    refuses(lambda weights: weights.pop(name), f"tensor '{name}' is missing")


def save_changed(mbc, source, folder, change):
    """A checkpoint of the folder, its tensors changed."""
    mbc("import", source, "-o", folder / "imported")
    save_with_pytorch(folder / "imported", folder / "changed", change)
    return folder / "changed"


@pytest.mark.parametrize("name", ["decoder.layers.mlp.linear_fc2.weight", "decoder.final_layernorm.weight"])
def test_tensor_missing_in_megatron_is_refused(mbc, tmp_path, name):
    source = make_folder("llama", tmp_path / "source")
    changed = save_changed(mbc, source, tmp_path, lambda tensors: tensors.pop(name))
    assert name in mbc("export", changed, "-o", tmp_path / "hf", status=2)
    assert not (tmp_path / "hf").exists()


# 4: a tensor that nobody consumes


def test_tensor_without_a_use_is_refused(refuses):
    name = "model.layers.0.self_attn.sinks"
    refuses(lambda weights: weights.update({name: torch.ones(4)}), f"tensor '{name}'")


def test_tensor_without_a_use_in_megatron_is_refused(mbc, tmp_path):
    source = make_folder("llama", tmp_path / "source")
    name = "decoder.layers.self_attention.core_attention.softmax_offset"
    changed = save_changed(mbc, source, tmp_path, lambda tensors: tensors.update({name: torch.ones(2, 4)}))
    assert f"tensor '{name}'" in mbc("export", changed, "-o", tmp_path / "hf", status=2)
    assert not (tmp_path / "hf").exists()


# 5: a tensor that is stored transposed


@pytest.mark.parametrize("part", ["mlp.down_proj", "mlp.up_proj", "self_attn.k_proj"])
def test_transposed_tensor_is_refused(refuses, part):
    name = f"model.layers.1.{part}.weight"

    def transpose(weights):
        weights[name] = weights[name].t().contiguous()

    refuses(transpose, "it is transposed")


# 7: tied by the configuration, but stored and different


def test_contradicted_tie_is_refused(refuses):
    def untie(weights):
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
        weights["lm_head.weight"][-1, -1] += 1

    refuses(untie, "the configuration ties 'lm_head.weight' to 'model.embed_tokens.weight'", "llama-tied")


# 8: mixed types


@pytest.mark.parametrize("case", ["llama-fp32-norms", "llama-mixed-parts", "llama-mixed-layers"])
def test_mixed_types_come_back(mbc, tmp_path, case):
    source = make_folder(case, tmp_path / "source")
    assert len({tensor.dtype for tensor in read_folder(source).values()}) > 1
    round_trip(mbc, source, tmp_path)
    [iteration] = (tmp_path / "megatron").glob("iter_*")
    norms = {name: tensor for name, tensor in read_megatron(iteration)[0].items() if name.endswith("norm_weight")}
    if case == "llama-fp32-norms":
        assert {tensor.dtype for tensor in norms.values()} == {torch.float32}


# 9: rope scaling, of which Megatron has a part only; 12: config.json as other versions of transformers write it


def change_rope(folder, **rope):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["rope_parameters"] = dict(rope_theta=10000.0) | rope
    path.write_text(json.dumps(config, indent=2) + "\n")


@pytest.mark.parametrize("case", ["llama-llama3-rope", "llama-llama3-rope-old", "qwen2", "qwen2-tied-old-spellings"])
def test_config_comes_back_in_its_own_spelling(mbc, tmp_path, case):
    round_trip(mbc, make_folder(case, tmp_path / "source"), tmp_path)


@pytest.mark.parametrize(
    "rope",
    [
        dict(rope_type="longrope", short_factor=[1.0] * 6, long_factor=[2.0] * 6),
        dict(rope_type="mystery", factor=2.0),
        dict(rope_type="llama3", factor=8.0),
    ],
    ids=["unsupported", "unknown", "incomplete"],
)
def test_rope_scaling_that_is_not_known_is_refused(mbc, tmp_path, rope):
    source = make_folder("llama", tmp_path / "source")
    change_rope(source, **rope)
    assert "rope" in mbc("import", source, "-o", tmp_path / "megatron", status=2)
    assert not (tmp_path / "megatron").exists()


# 10: padded vocabulary; 13: a vocabulary that the tensor-parallel size does not divide


def pad(tensors):
    for name in ("embedding.word_embeddings.weight", "output_layer.weight"):
        rows = tensors[name].new_ones(256 - 131, tensors[name].shape[1])
        tensors[name] = torch.cat([tensors[name], rows])


@pytest.mark.parametrize("record", [True, False], ids=["record", "no-record"])
def test_padding_of_the_vocabulary_is_cut_off(mbc, tmp_path, record):
    source = make_folder("llama-odd-vocabulary", tmp_path / "source")
    padded = save_changed(mbc, source, tmp_path, pad)
    if not record:
        shutil.rmtree(next(padded.glob("iter_*")) / "mbc")
    mbc("export", padded, "-o", tmp_path / "hf", *(() if record else ("--hf-model", source)))
    exported = read_folder(tmp_path / "hf")
    assert exported["lm_head.weight"].shape == exported["model.embed_tokens.weight"].shape == (131, 48)
    assert_same_tensors(exported, read_folder(source))


def test_vocabulary_with_rows_missing_is_refused(mbc, tmp_path):
    source = make_folder("llama-odd-vocabulary", tmp_path / "source")
    name = "embedding.word_embeddings.weight"
    short = save_changed(mbc, source, tmp_path, lambda tensors: tensors.update({name: tensors[name][:128]}))
    assert name in mbc("export", short, "-o", tmp_path / "hf", status=2)


@pytest.mark.parametrize("size", [2, 4])
def test_vocabulary_need_not_divide(mbc, tmp_path, size):
    source = make_folder("llama-odd-vocabulary", tmp_path / "source")
    round_trip(mbc, source, tmp_path, "--tp", size)


# 11: row-parallel weights, wrong with more than one rank


@pytest.mark.parametrize("sizes", [("--tp", 2), ("--tp", 2, "--pp", 2)], ids=str)
def test_row_parallel_weights_are_whole(mbc, tmp_path, sizes):
    source = make_folder("llama", tmp_path / "source")
    mbc("import", source, "-o", tmp_path / "megatron", *sizes)
    [iteration] = (tmp_path / "megatron").glob("iter_*")
    tensors, _ = read_megatron(iteration)
    for i in range(2):
        for megatron, part in (("self_attention.linear_proj", "self_attn.o_proj"), ("mlp.linear_fc2", "mlp.down_proj")):
            expected = read_folder(source)[f"model.layers.{i}.{part}.weight"]
            assert same_bits(tensors[f"decoder.layers.{megatron}.weight"][i], expected)
