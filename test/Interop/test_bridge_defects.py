"""What Megatron Bridge was seen to do wrong, mostly with exit status 0, and what mbc does with the same input: the
table of README.md, line by line."""

import shutil

import pytest
import torch
import yaml
from checkpoints import read_megatron, save_with_pytorch
from conftest import change_config, change_weights, make_folder
from layout import assert_same_tensors, read_folder, same_bits
from peers.reference import logits


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


def save_changed(mbc, source, folder, change):
    """A checkpoint of the folder, its tensors changed."""
    mbc("import", source, "-o", folder / "imported")
    save_with_pytorch(folder / "imported", folder / "changed", change)
    return folder / "changed"


def assert_same_logits(folder, source):
    """Judged by transformers, of the version beside these tests."""
    assert torch.equal(logits(folder / "hf"), logits(source))


# 1: DeepSeek models without q_lora_rank


@pytest.mark.parametrize("case", ["deepseek-v2-lite", "moonlight"])
def test_full_query_projection_comes_back(mbc, tmp_path, case):
    source = make_folder(case, tmp_path / "source")
    round_trip(mbc, source, tmp_path)
    assert_same_logits(tmp_path, source)
    [iteration] = (tmp_path / "megatron").glob("iter_*")
    tensors, _ = read_megatron(iteration)
    expected = read_folder(source)["model.layers.3.self_attn.q_proj.weight"]
    assert same_bits(tensors["decoder.layers.3.self_attention.linear_q_proj.weight"], expected)
    # null has to be said: Megatron's default is 512
    model = yaml.safe_load((iteration / "run_config.yaml").read_text())["model"]
    assert model["q_lora_rank"] is None and "q_lora_rank" in model
    # The norm that Megatron Core 0.19 puts before that projection
    assert not any("linear_q_proj.layer_norm" in name for name in tensors)


def test_norm_before_the_query_projection_is_refused(mbc, tmp_path):
    """A checkpoint trained with that norm computes what no Hugging Face model of this architecture can."""
    name = "decoder.layers.1.self_attention.linear_q_proj.layer_norm_weight"
    source = make_folder("deepseek-v2-lite", tmp_path / "source")
    changed = save_changed(mbc, source, tmp_path, lambda tensors: tensors.update({name: torch.ones(48).bfloat16()}))
    assert f"tensor '{name}'" in mbc("export", changed, "-o", tmp_path / "hf", status=2)
    assert not (tmp_path / "hf").exists()


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


# 6: mixtures of experts with dense layers


@pytest.mark.parametrize("case", ["qwen3-moe-dense-layers", "qwen3-moe-sparse-step"])
def test_dense_layers_of_a_mixture_come_back(mbc, tmp_path, case):
    source = make_folder(case, tmp_path / "source")
    weights = read_folder(source)
    dense = {i for i in range(4) if f"model.layers.{i}.mlp.gate_proj.weight" in weights}
    assert dense == {0, 2}
    round_trip(mbc, source, tmp_path)
    assert_same_logits(tmp_path, source)
    [iteration] = (tmp_path / "megatron").glob("iter_*")
    model = yaml.safe_load((iteration / "run_config.yaml").read_text())["model"]
    assert model["moe_layer_freq"] == [0, 1, 0, 1]


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


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_router_bias_comes_back_in_its_type(mbc, tmp_path, dtype):
    """Megatron has it in fp32 whatever the type of the model."""
    source = make_folder("deepseek-v3", tmp_path / "source")

    def store(weights):
        for name in weights:
            if name.endswith("e_score_correction_bias"):
                weights[name] = weights[name].to(dtype)

    change_weights(source, store)
    round_trip(mbc, source, tmp_path)
    assert_same_logits(tmp_path, source)
    [iteration] = (tmp_path / "megatron").glob("iter_*")
    stored = read_megatron(iteration)[0]["decoder.layers.3.mlp.router.expert_bias"]
    expected = read_folder(source)["model.layers.3.mlp.gate.e_score_correction_bias"]
    assert expected.dtype == dtype and same_bits(stored, expected.float())


# 9: rope scaling, of which Megatron has a part only; 12: config.json as other versions of transformers write it


def change_rope(folder, **rope):
    change_config(folder, lambda config: config.update(rope_parameters=dict(rope_theta=10000.0) | rope))


@pytest.mark.parametrize("case", ["llama-llama3-rope", "llama-llama3-rope-old", "qwen2", "qwen2-tied-old-spellings"])
def test_config_comes_back_in_its_own_spelling(mbc, tmp_path, case):
    round_trip(mbc, make_folder(case, tmp_path / "source"), tmp_path)


def test_config_without_a_scoring_function(mbc, tmp_path):
    """As transformers saves a DeepSeek-V3, whose class knows one only."""
    source = make_folder("deepseek-v3", tmp_path / "source")
    change_config(source, lambda config: [config.pop(name, None) for name in ("scoring_func", "topk_method")])
    round_trip(mbc, source, tmp_path)
    assert_same_logits(tmp_path, source)


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


# 14: the layer that predicts the token after the next


def test_mtp_layer_comes_back(mbc, tmp_path):
    source = make_folder("deepseek-v3-mtp", tmp_path / "source")
    predicting = {name for name in read_folder(source) if name.startswith("model.layers.4.")}
    assert {"model.layers.4.embed_tokens.weight", "model.layers.4.shared_head.head.weight"} < predicting
    round_trip(mbc, source, tmp_path)
    assert_same_logits(tmp_path, source)


@pytest.mark.parametrize("name", ["embed_tokens.weight", "shared_head.head.weight", "eh_proj.weight", "hnorm.weight"])
def test_mtp_layer_with_a_tensor_missing_is_refused(refuses, name):
    name = f"model.layers.4.{name}"
    refuses(lambda weights: weights.pop(name), f"tensor '{name}' is missing", "deepseek-v3-mtp")
