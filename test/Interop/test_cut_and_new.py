"""Smaller models cut out of real ones, which transformers loads, and declarations drafted for architectures that mbc does
not know."""

import json
import shutil
import subprocess

import pytest
import torch
import transformers
from checkpoints import read_megatron
from conftest import BASE, MBC
from layout import assert_same_tensors, read_folder
from safetensors.torch import save_file
from test_fp8 import CONFIG as DEEPSEEK
from test_fp8 import make_fp8

MOE = BASE | dict(
    num_hidden_layers=5,
    num_experts=6,
    num_experts_per_tok=4,
    moe_intermediate_size=24,
    decoder_sparse_step=2,
    mlp_only_layers=[1, 4],
    head_dim=16,
    norm_topk_prob=True,
)


def mbc(*arguments, status=0):
    result = subprocess.run([MBC, *map(str, arguments)], capture_output=True, text=True)
    assert result.returncode == status, result.stdout + result.stderr
    return result.stdout + result.stderr


def save_random(model_class, config, folder):
    torch.manual_seed(3)
    model = model_class(config).to(torch.bfloat16)
    model.save_pretrained(folder)
    (folder / "tokenizer_config.json").write_text("{}\n")
    return folder


@pytest.fixture(scope="module")
def moe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cut") / "moe"
    return save_random(transformers.Qwen3MoeForCausalLM, transformers.Qwen3MoeConfig(**MOE), folder)


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cut") / "dense"
    config = transformers.Qwen3Config(**(BASE | dict(num_hidden_layers=4, head_dim=16)))
    return save_random(transformers.Qwen3ForCausalLM, config, folder)


def load(folder):
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        folder, output_loading_info=True, attn_implementation="eager", experts_implementation="eager"
    )
    assert not {kind: keys for kind, keys in info.items() if keys}
    with torch.no_grad():
        return model(torch.arange(9).reshape(1, -1)).logits


def test_cut_layers_of_a_dense_model(dense, tmp_path):
    mbc("toy", "--cut", dense, "-o", tmp_path / "small", "--layers", "2")
    whole, small = read_folder(dense), read_folder(tmp_path / "small")
    assert_same_tensors(
        small,
        {name: tensor for name, tensor in whole.items() if ".layers.2." not in name and ".layers.3." not in name},
    )
    config = json.loads((tmp_path / "small/config.json").read_text())
    assert config["num_hidden_layers"] == 2 and config["layer_types"] == ["full_attention"] * 2
    assert (tmp_path / "small/tokenizer_config.json").exists()
    load(tmp_path / "small")
    mbc("roundtrip", tmp_path / "small")


@pytest.mark.parametrize("layers, experts", [(3, 3), (5, 2), (2, 6)])
def test_cut_experts(moe, tmp_path, layers, experts):
    mbc("toy", "--cut", moe, "-o", tmp_path / "small", "--layers", layers, "--experts", experts)
    whole, small = read_folder(moe), read_folder(tmp_path / "small")
    for name, tensor in small.items():
        expected = whole[name]
        if "mlp.gate.weight" in name:
            expected = expected[:experts]
        assert_same_tensors({name: tensor}, {name: expected})
    config = json.loads((tmp_path / "small/config.json").read_text())
    assert config["num_hidden_layers"] == layers
    assert config["num_experts_per_tok"] == min(4, experts)
    assert config["mlp_only_layers"] == [layer for layer in [1, 4] if layer < layers]
    load(tmp_path / "small")
    mbc("roundtrip", tmp_path / "small")


def test_cut_packed_experts(moe, tmp_path):
    tensors = read_folder(moe)
    for layer in (3,):
        prefix = f"model.layers.{layer}.mlp.experts."
        parts = [tensors.pop(f"{prefix}{e}.down_proj.weight") for e in range(6)]
        tensors[prefix + "down_proj"] = torch.stack(parts)
        parts = [
            torch.cat([tensors.pop(f"{prefix}{e}.{half}_proj.weight") for half in ("gate", "up")]) for e in range(6)
        ]
        tensors[prefix + "gate_up_proj"] = torch.stack(parts)
    shutil.copytree(moe, tmp_path / "packed")
    for file in (tmp_path / "packed").glob("*.safetensors*"):
        file.unlink()
    save_file(tensors, tmp_path / "packed/model.safetensors", metadata={"format": "pt"})
    text = mbc("toy", "--cut", tmp_path / "packed", "-o", tmp_path / "small", "--experts", "2")
    assert "cut Qwen3Moe" in text
    small = read_folder(tmp_path / "small")
    name = "model.layers.3.mlp.experts.gate_up_proj"
    assert_same_tensors({name: small[name]}, {name: tensors[name][:2].contiguous()})


def test_cut_deepseek(tmp_path):
    source = make_fp8(tmp_path / "hf")
    mbc("toy", "--cut", source, "-o", tmp_path / "small", "--layers", "2", "--experts", "2")
    config = json.loads((tmp_path / "small/config.json").read_text())
    assert config["num_hidden_layers"] == 2 and config["first_k_dense_replace"] == 1
    assert config["n_routed_experts"] == 2 and config["n_group"] == config["topk_group"] == 1
    whole, small = read_folder(source), read_folder(tmp_path / "small")
    # The MTP layer stands behind the last one.
    assert_same_tensors(
        {"x": small["model.layers.2.eh_proj.weight"]}, {"x": whole["model.layers.3.eh_proj.weight"]}
    )
    for suffix in ("weight", "weight_scale_inv"):
        name = f"model.layers.1.mlp.experts.1.down_proj.{suffix}"
        assert_same_tensors({"x": small[name]}, {"x": whole[name]})
    assert not any("experts.2." in name for name in small)
    mbc("roundtrip", tmp_path / "small")
    mbc("toy", "--cut", source, "-o", tmp_path / "dense", "--layers", "1")
    assert json.loads((tmp_path / "dense/config.json").read_text())["n_group"] == DEEPSEEK["n_group"]


def test_cut_refusals(dense, moe, tmp_path):
    out = tmp_path / "out"
    assert "the model has 4 layers, cannot keep 9" in mbc("toy", "--cut", dense, "-o", out, "--layers", 9, status=2)
    assert "has no experts" in mbc("toy", "--cut", dense, "-o", out, "--experts", 2, status=2)
    assert "the model has 6 experts" in mbc("toy", "--cut", moe, "-o", out, "--experts", 7, status=2)
    assert "--layers N, --experts K" in mbc("toy", "--cut", moe, "-o", out, status=2)
    assert "one of them" in mbc("toy", dense, "--cut", moe, "-o", out, "--layers", 1, status=2)
    assert "go with --cut" in mbc("toy", dense, "-o", out, "--layers", 1, status=2)
    mbc("toy", "--cut", dense, "-o", out, "--layers", 0, status=2)
    assert not out.exists()


# Drafts


RENAMED = {
    "model.embed_tokens": "transformer.tok_embeddings",
    "model.norm": "transformer.final_norm",
    "lm_head": "output",
    "model.layers.": "transformer.blocks.",
    "self_attn.q_proj": "attn.wq",
    "self_attn.k_proj": "attn.wk",
    "self_attn.v_proj": "attn.wv",
    "self_attn.o_proj": "attn.wo",
    "self_attn.q_norm": "attn.query_norm",
    "self_attn.k_norm": "attn.key_norm",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate.": "ffn.router.",
    "mlp.gate_proj": "ffn.w1",
    "mlp.up_proj": "ffn.w3",
    "mlp.down_proj": "ffn.w2",
    ".gate_proj": ".w1",
    ".up_proj": ".w3",
    ".down_proj": ".w2",
    "mlp.experts": "ffn.experts",
}


def rename(folder, target, table, architecture="MyNewForCausalLM"):
    tensors = {}
    for name, tensor in read_folder(folder).items():
        for old, new in table.items():
            name = name.replace(old, new)
        tensors[name] = tensor
    target.mkdir()
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = [architecture]
    config["model_type"] = "my_new"
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    return target


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    folder = tmp_path_factory.mktemp("new") / "llama"
    return save_random(transformers.LlamaForCausalLM, transformers.LlamaConfig(**BASE), folder)


@pytest.mark.parametrize("name", ["llama", "dense", "moe"])
def test_a_renamed_model_converts_at_once(request, name, tmp_path):
    folder = rename(request.getfixturevalue(name), tmp_path / "hf", RENAMED)
    assert "not declared" in mbc("import", folder, "-o", tmp_path / "megatron", status=2)
    text = mbc("new", "--from", folder, "-o", tmp_path / "draft")
    assert "to decide" not in text
    base = {"llama": "Llama", "dense": "Qwen3", "moe": "Qwen3Moe"}[name]
    assert f"drafted MyNew from {base}:" in text
    mbc("check", "--model-path", tmp_path / "draft", folder)
    mbc("roundtrip", "--model-path", tmp_path / "draft", folder)
    # The same Megatron checkpoint as from the model with its usual names.
    for source, target in ((folder, "a"), (request.getfixturevalue(name), "b")):
        mbc("import", "--model-path", tmp_path / "draft", source, "-o", tmp_path / target)
    [(a, _), (b, _)] = [read_megatron(next((tmp_path / name).glob("iter_*"))) for name in "ab"]
    assert_same_tensors(a, b)


def test_another_architecture_with_the_same_names(dense, tmp_path):
    folder = rename(dense, tmp_path / "hf", {})
    assert "to decide" not in mbc("new", "--from", folder, "-o", tmp_path / "draft")
    assert "use Attention" in (tmp_path / "draft/mappings/my_new.mbc").read_text()
    mbc("roundtrip", "--model-path", tmp_path / "draft", folder)


def test_what_cannot_be_told_is_marked(llama, tmp_path):
    table = RENAMED | {"self_attn.k_proj": "attn.alpha", "self_attn.v_proj": "attn.beta"}
    folder = rename(llama, tmp_path / "hf", table)
    text = mbc("new", "--from", folder, "-o", tmp_path / "draft")
    assert '"transformer.blocks.{l}.attn.alpha.weight" or "transformer.blocks.{l}.attn.beta.weight"' in text
    mapping = tmp_path / "draft/mappings/my_new.mbc"
    lines = mapping.read_text().splitlines()
    refused = mbc("check", "--model-path", tmp_path / "draft", folder, status=2)
    [marked] = [number for number, line in enumerate(lines, 1) if '"?? ' in line]
    assert f"{mapping}:{marked}:" in refused
    # Decided by hand, it converts.
    text = mapping.read_text()
    text = text.replace("?? model.layers.{l}.self_attn.k_proj", "transformer.blocks.{l}.attn.alpha")
    mapping.write_text(text.replace("?? model.layers.{l}.self_attn.v_proj", "transformer.blocks.{l}.attn.beta"))
    mbc("roundtrip", "--model-path", tmp_path / "draft", folder)


def test_tensors_of_no_family_are_listed(llama, tmp_path):
    folder = rename(llama, tmp_path / "hf", RENAMED)
    tensors = read_folder(folder)
    for layer in range(2):
        tensors[f"transformer.blocks.{layer}.adapter.weight"] = torch.ones(3, 5, dtype=torch.bfloat16)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    text = mbc("new", "--from", folder, "-o", tmp_path / "draft")
    assert 'nothing uses "transformer.blocks.{#}.adapter.weight" [3, 5], 2 tensors' in text
    assert "adapter" in mbc("check", "--model-path", tmp_path / "draft", folder, status=2)


def test_new_refusals(llama, tmp_path):
    folder = rename(llama, tmp_path / "hf", RENAMED)
    config = json.loads((folder / "config.json").read_text())
    del config["hidden_size"]
    (folder / "config.json").write_text(json.dumps(config))
    assert "no declared family takes this configuration" in mbc(
        "new", "--from", folder, "-o", tmp_path / "draft", status=2
    )
    assert not (tmp_path / "draft").exists()
