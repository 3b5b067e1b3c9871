"""FP8 weights with block scales, both ways, against PyTorch's own E4M3: a DeepSeek-V3 whose sizes are no multiples of a
block, with every byte, odd scales and damages. The oracle is the formula; transformers itself fails on such sizes."""

import filecmp
import json
import shutil
import subprocess

import pytest
import torch
from checkpoints import read_megatron, save_with_pytorch
from conftest import MBC
from layout import assert_same_tensors, read_folder
from safetensors.torch import save_file

E4M3 = torch.float8_e4m3fn
SUFFIX = "_scale_inv"
BITS = {torch.bfloat16: torch.int16, torch.float16: torch.int16, torch.float32: torch.int32}
NAN_BITS = {torch.bfloat16: 0x7FC0, torch.float16: 0x7E00, torch.float32: 0x7FC00000}
CONFIG = {
    "architectures": ["DeepseekV3ForCausalLM"],
    "first_k_dense_replace": 1,
    "hidden_act": "silu",
    "hidden_size": 200,
    "initializer_range": 0.02,
    "intermediate_size": 144,
    "kv_lora_rank": 140,
    "max_position_embeddings": 256,
    "model_type": "deepseek_v3",
    "moe_intermediate_size": 72,
    "moe_layer_freq": 1,
    "n_group": 2,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "norm_topk_prob": True,
    "num_attention_heads": 4,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 3,
    "num_key_value_heads": 4,
    "num_nextn_predict_layers": 1,
    "q_lora_rank": 136,
    "qk_nope_head_dim": 24,
    "qk_rope_head_dim": 16,
    "quantization_config": {
        "activation_scheme": "dynamic",
        "fmt": "e4m3",
        "quant_method": "fp8",
        "weight_block_size": [128, 128],
    },
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "rope_theta": 10000,
    "routed_scaling_factor": 2.5,
    "scoring_func": "sigmoid",
    "tie_word_embeddings": False,
    "topk_group": 1,
    "topk_method": "noaux_tc",
    "torch_dtype": "bfloat16",
    "v_head_dim": 24,
    "vocab_size": 96,
}


def mbc(*arguments, status=0):
    result = subprocess.run([MBC, *map(str, arguments)], capture_output=True, text=True)
    assert result.returncode == status, result.stdout + result.stderr
    return result.stdout + result.stderr


def expand(scale, shape, block):
    rows, cols = block
    wide = scale.float().repeat_interleave(rows, -2).repeat_interleave(cols, -1)
    return wide[..., : shape[-2], : shape[-1]]


def dequantized(tensors, block, dtype=torch.bfloat16):
    """Values of all tensors but scales: element * scale in fp32, rounded once."""
    values = {}
    for name, tensor in tensors.items():
        if name.endswith(SUFFIX):
            continue
        if tensor.dtype == E4M3:
            scale = expand(tensors[name + SUFFIX], tensor.shape, block)
            sign = torch.where(tensor.view(torch.uint8) >= 128, -1.0, 1.0)
            nan = (tensor.view(torch.uint8) & 0x7F) == 0x7F
            tensor = (tensor.float() * scale).to(dtype)
            # PyTorch makes other bits of a NaN from case to case; it is to keep its sign, without payload.
            plain = torch.tensor(NAN_BITS[dtype], dtype=BITS[dtype]).view(dtype)
            tensor = torch.where(nan, torch.copysign(plain, sign.to(dtype)), tensor)
        values[name] = tensor
    return values


def write_folder(folder, tensors, config):
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def make_fp8(folder, block=(128, 128), scales="f32"):
    """A folder of random FP8 bytes, NaN, subnormal numbers and -0 among them."""
    config = json.loads(json.dumps(CONFIG))
    config["quantization_config"]["weight_block_size"] = list(block)
    if scales != "f32":
        config["quantization_config"]["scale_fmt"] = "ue8m0"
    folder.parent.mkdir(parents=True, exist_ok=True)
    source = folder.parent / (folder.name + "-config.json")
    source.write_text(json.dumps(config))
    mbc("toy", source, "-o", folder, "--quiet")
    tensors = read_folder(folder)
    generator = torch.Generator().manual_seed(7)
    for name, tensor in tensors.items():
        if tensor.dtype == E4M3:
            # float8 has no infinity: every byte is a number or one of two NaNs
            bytes = torch.randint(0, 256, tensor.shape, generator=generator, dtype=torch.uint8)
            tensors[name] = bytes.view(E4M3)
        if name.endswith(SUFFIX):
            exponent = torch.randint(-20, -6, tensor.shape, generator=generator).float()
            scale = 2.0**exponent
            if scales == "f32":
                scale *= 1 + torch.rand(tensor.shape, generator=generator)
            tensors[name] = scale.to(torch.float8_e8m0fnu) if scales == "e8m0" else scale
    write_folder(folder, tensors, config)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_fp8(tmp_path_factory.mktemp("fp8") / "hf")


@pytest.fixture(scope="module")
def megatron(folder):
    target = folder.parent / "megatron"
    text = mbc("import", folder, "-o", target)
    assert "export restores every byte of them, as proved" in text
    return target


@pytest.mark.parametrize("block", [(128, 128), (128, 64), (24, 56), (1, 128)])
@pytest.mark.parametrize("scales", ["f32", "ue8m0", "e8m0"])
def test_every_value_and_every_byte(tmp_path, block, scales):
    source = make_fp8(tmp_path / "hf", block, scales)
    mbc("import", source, "-o", tmp_path / "megatron", "--tp", "2", "--ep", "2")
    # As values: no element differs from the formula.
    mbc("export", tmp_path / "megatron", "-o", tmp_path / "bf16", "--dtype", "bfloat16")
    assert_same_tensors(read_folder(tmp_path / "bf16"), dequantized(read_folder(source), block))
    assert "quantization_config" not in json.loads((tmp_path / "bf16/config.json").read_text())
    # As they were: the same files.
    mbc("export", tmp_path / "megatron", "-o", tmp_path / "back")
    names = sorted(path.name for path in source.iterdir())
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == names
    _, different, errors = filecmp.cmpfiles(source, tmp_path / "back", names, shallow=False)
    assert not different + errors


def test_every_byte_through_the_legacy_format(folder, megatron, tmp_path):
    legacy = ("--format", "torch", "--tp", "2", "--pp", "3")
    mbc("import", folder, "-o", tmp_path / "imported", *legacy)
    mbc("reshard", megatron, "-o", tmp_path / "resharded", *legacy)
    mbc("reshard", tmp_path / "imported", "-o", tmp_path / "again", "--ep", "2")
    names = sorted(path.name for path in folder.iterdir())
    for step in ("imported", "resharded", "again"):
        assert "all equal" in mbc("verify", tmp_path / step)
        mbc("export", tmp_path / step, "-o", tmp_path / (step + "-hf"))
        _, different, errors = filecmp.cmpfiles(folder, tmp_path / (step + "-hf"), names, shallow=False)
        assert not different + errors


def test_megatron_holds_the_values(folder, megatron):
    [iteration] = megatron.glob("iter_*")
    tensors, _ = read_megatron(iteration)
    values = dequantized(read_folder(folder), (128, 128))
    for layer in range(3):
        name = f"decoder.layers.{layer}.self_attention.linear_kv_down_proj.weight"
        assert_same_tensors(
            {"x": tensors[name]}, {"x": values[f"model.layers.{layer}.self_attn.kv_a_proj_with_mqa.weight"]}
        )


@pytest.mark.parametrize("dtype, torch_dtype", [("float32", torch.float32), ("float16", torch.float16)])
def test_casts_round_once(folder, tmp_path, dtype, torch_dtype):
    """To the type asked for, but router corrections, which are pinned."""
    tensors = read_folder(folder)
    values = dequantized(tensors, (128, 128), torch_dtype)
    text = mbc("import", folder, "-o", tmp_path / "megatron", "--dtype", dtype)
    assert "the model pins it" in text or dtype == "float32"
    mbc("export", tmp_path / "megatron", "-o", tmp_path / "hf")
    pinned = [name for name in values if "e_score_correction_bias" in name]
    expected = {name: value if name in pinned else value.to(torch_dtype) for name, value in values.items()}
    assert_same_tensors(read_folder(tmp_path / "hf"), expected)
    assert "compared after the cast" in mbc("verify", folder, tmp_path / "megatron")
    mbc("verify", tmp_path / "megatron")


def test_verify_compares_values(folder, megatron, tmp_path):
    assert "all equal" in mbc("verify", megatron)
    assert "equal bit for bit" in mbc("verify", folder, megatron)
    mbc("export", megatron, "-o", tmp_path / "bf16", "--dtype", "bfloat16")
    assert "FP8 is compared as element times block scale" in mbc("verify", folder, tmp_path / "bf16", "--tensors-only")
    # One bit of one element, and of one scale.
    for suffix in ("", SUFFIX):
        tensors = read_folder(folder)
        name = "model.layers.1.mlp.experts.2.down_proj.weight" + suffix
        tensors[name].view(torch.uint8).view(-1)[0] ^= 0x10
        write_folder(tmp_path / ("changed" + suffix), tensors, CONFIG)
        assert name in mbc("verify", tmp_path / ("changed" + suffix), megatron, status=1)
        assert name in mbc("verify", tmp_path / ("changed" + suffix), folder, status=1)
    # Damage to a recorded scale is seen.
    damaged = tmp_path / "megatron"
    shutil.copytree(megatron, damaged, symlinks=True)
    [extras] = damaged.glob("iter_*/mbc/extras.safetensors")
    raw = bytearray(extras.read_bytes())
    raw[-2] ^= 1
    extras.write_bytes(raw)
    assert "has changed" in mbc("verify", damaged, status=1)


def test_new_scales(megatron, tmp_path):
    for block in (128, 40):
        out = tmp_path / str(block)
        mbc("export", megatron, "-o", tmp_path / f"{block}-bf16", "--dtype", "bfloat16")
        # NaN has no place in a block with a scale
        assert "cannot" in mbc("export", megatron, "-o", out, "--fp8-block", block, status=2)
        assert not out.exists()


@pytest.fixture(scope="module")
def trained(folder):
    """FP8 without NaN, imported, and two tensors changed by PyTorch."""
    source = folder.parent / "finite"
    tensors = read_folder(folder)
    for name, tensor in tensors.items():
        if tensor.dtype == E4M3:
            raw = tensor.view(torch.uint8)
            raw[(raw & 0x7F) == 0x7F] ^= 1
    write_folder(source, tensors, CONFIG)
    original = folder.parent / "finite-megatron"
    mbc("import", source, "-o", original)

    def change(state):
        state["decoder.layers.2.self_attention.linear_proj.weight"][3, 5] *= 1.0625
        state["decoder.final_layernorm.weight"] += 1

    save_with_pytorch(original, folder.parent / "trained", change)
    return original, folder.parent / "trained"


def test_trained_weights_are_never_forced_into_old_scales(trained, tmp_path):
    _, megatron = trained
    text = mbc("export", megatron, "-o", tmp_path / "hf", status=2)
    assert "'model.layers.2.self_attn.o_proj.weight': 1 values" in text
    assert "1 of " in text and "--fp8-block" in text and "--dtype bfloat16" in text
    assert not (tmp_path / "hf").exists()
    mbc("export", megatron, "-o", tmp_path / "bf16", "--dtype", "bfloat16")
    assert read_folder(tmp_path / "bf16")["model.layers.2.self_attn.o_proj.weight"].dtype == torch.bfloat16


@pytest.mark.parametrize("block", [128, 40])
@pytest.mark.parametrize("powers", [False, True])
def test_quantized_export(trained, tmp_path, block, powers):
    original, _ = trained
    source = tmp_path / "megatron"
    shutil.copytree(original, source, symlinks=True)
    if powers:
        [path] = source.glob("iter_*/mbc/files/config.json")
        config = json.loads(path.read_text())
        config["quantization_config"]["scale_fmt"] = "ue8m0"
        path.write_text(json.dumps(config))
    mbc("export", source, "-o", tmp_path / "bf16", "--dtype", "bfloat16")
    mbc("export", source, "-o", tmp_path / "fp8", "--fp8-block", block, "--max-shard-size", "200KB")
    values, quantized = read_folder(tmp_path / "bf16"), read_folder(tmp_path / "fp8")
    scaled = {name for name in quantized if name + SUFFIX in quantized}
    assert len(scaled) > 50 and set(values) | {name + SUFFIX for name in scaled} == set(quantized)
    for name, value in values.items():
        if name not in scaled:
            assert_same_tensors({name: quantized[name]}, {name: value})
            continue
        rows, cols = value.shape
        padded = torch.zeros(-(-rows // block) * block, -(-cols // block) * block)
        padded[:rows, :cols] = value.float().abs()
        largest = padded.reshape(-(-rows // block), block, -1, block).amax(dim=(1, 3))
        scale = largest / 448.0
        if powers:
            scale = 2.0 ** torch.ceil(torch.log2(scale))
        bytes = (value.float() / expand(scale, value.shape, (block, block))).clamp(-448, 448).to(E4M3)
        assert_same_tensors(
            {"weight": quantized[name], "scale": quantized[name + SUFFIX]}, {"weight": bytes, "scale": scale}
        )
    config = json.loads((tmp_path / "fp8/config.json").read_text())["quantization_config"]
    assert config["quant_method"] == "fp8" and config["fmt"] == "e4m3"
    assert config["weight_block_size"] == [block, block]
    index = json.loads((tmp_path / "fp8/model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(t.numel() * t.element_size() for t in quantized.values())
    # What was written is a source again.
    mbc("roundtrip", tmp_path / "fp8")


def test_a_bf16_source_becomes_fp8(trained, tmp_path):
    original, _ = trained
    mbc("export", original, "-o", tmp_path / "bf16", "--dtype", "bfloat16")
    mbc("import", tmp_path / "bf16", "-o", tmp_path / "megatron")
    mbc("export", tmp_path / "megatron", "-o", tmp_path / "fp8", "--fp8-block", "128")
    mbc("export", original, "-o", tmp_path / "direct", "--fp8-block", "128")
    assert_same_tensors(read_folder(tmp_path / "fp8"), read_folder(tmp_path / "direct"))
    mbc("check", tmp_path / "fp8")


@pytest.mark.parametrize("scale", [0.0, 1e-44, 3e38])
def test_lost_bytes_are_named(folder, tmp_path, scale):
    tensors = read_folder(folder)
    name = "model.layers.0.self_attn.kv_a_proj_with_mqa.weight"
    tensors[name + SUFFIX][1, 1] = scale
    write_folder(tmp_path / "hf", tensors, CONFIG)
    text = mbc("import", tmp_path / "hf", "-o", tmp_path / "megatron")
    assert f"'{name}'" in text and "not the same bytes" in text
    mbc("export", tmp_path / "megatron", "-o", tmp_path / "bf16", "--dtype", "bfloat16")
    values = dequantized(tensors, (128, 128))
    assert_same_tensors(read_folder(tmp_path / "bf16"), values)
    mbc("export", tmp_path / "megatron", "-o", tmp_path / "back")
    assert_same_tensors(dequantized(read_folder(tmp_path / "back"), (128, 128)), values)


Q = "model.layers.0.self_attn.q_a_proj.weight"


def no_scale(tensors, config):
    del tensors[Q + SUFFIX]


def no_weight(tensors, config):
    del tensors[Q]


def stray_scale(tensors, config):
    tensors["model.norm.weight" + SUFFIX] = torch.ones(1, 1)


def orphan_scale(tensors, config):
    tensors["model.layers.0.self_attn.other.weight" + SUFFIX] = torch.ones(1, 1)


def floor_divided(tensors, config):
    tensors[Q + SUFFIX] = tensors[Q + SUFFIX][:1, :1].clone()


def flat_scale(tensors, config):
    tensors[Q + SUFFIX] = tensors[Q + SUFFIX].reshape(-1).clone()


def integer_scale(tensors, config):
    tensors[Q + SUFFIX] = tensors[Q + SUFFIX].to(torch.int32)


def infinite_scale(tensors, config):
    tensors[Q + SUFFIX][1, 0] = float("inf")


def plain_weight(tensors, config):
    tensors[Q] = tensors[Q].to(torch.bfloat16)


def other_fp8(tensors, config):
    tensors[Q] = tensors[Q].view(torch.uint8).view(torch.float8_e5m2)


def fp8_norm(tensors, config):
    tensors["model.norm.weight"] = tensors["model.norm.weight"].to(E4M3)


def unsaid(tensors, config):
    del config["quantization_config"]


def contradicted(tensors, config):
    for name in [name for name in tensors if name.endswith(SUFFIX)]:
        del tensors[name]
        weight = name.removesuffix(SUFFIX)
        tensors[weight] = tensors[weight].to(torch.bfloat16)


def other_blocks(tensors, config):
    config["quantization_config"]["weight_block_size"] = [64, 128]


def no_blocks(tensors, config):
    config["quantization_config"]["weight_block_size"] = [128]


def zero_blocks(tensors, config):
    config["quantization_config"]["weight_block_size"] = [0, 128]


@pytest.mark.parametrize(
    "damage, expected",
    [
        (no_scale, f"block scale '{Q}{SUFFIX}' is missing"),
        (no_weight, f"tensor '{Q}' is missing"),
        (stray_scale, "'model.norm.weight_scale_inv' (model.safetensors) is a block scale, and"),
        (orphan_scale, "is a block scale, and there is no tensor 'model.layers.0.self_attn.other.weight'"),
        (floor_divided, "has shape [1, 1], expected [2, 2] for blocks of 128 x 128"),
        (flat_scale, "has shape [4], expected [2, 2]"),
        (integer_scale, "has dtype I32, expected F32"),
        (infinite_scale, f"block scale '{Q}{SUFFIX}' holds inf for block [1, 0]"),
        (plain_weight, f"'{Q}' (model.safetensors) is BF16, expected F8_E4M3"),
        (other_fp8, "(model.safetensors) is F8_E5M2, expected F8_E4M3"),
        (fp8_norm, "tensor 'model.norm.weight' (model.safetensors) has dtype F8_E4M3, expected BF16"),
        (unsaid, "has no quantization_config"),
        (contradicted, "no tensor is; remove quantization_config"),
        (other_blocks, "for blocks of 64 x 128"),
        (no_blocks, "expected two positive integers"),
        (zero_blocks, "expected two positive integers"),
    ],
)
def test_damages_are_refused(folder, tmp_path, damage, expected):
    tensors, config = read_folder(folder), json.loads(json.dumps(CONFIG))
    damage(tensors, config)
    write_folder(tmp_path / "hf", tensors, config)
    text = mbc("import", tmp_path / "hf", "-o", tmp_path / "megatron", status=2)
    assert expected in text, text
    assert ".mbc:" in text or str(tmp_path / "hf") in text
    assert not (tmp_path / "megatron").exists()


def test_fp8_needs_a_declaration(tmp_path):
    config = {
        "architectures": ["LlamaForCausalLM"], "hidden_size": 16, "intermediate_size": 20, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": 16, "rms_norm_eps": 1e-5,
        "max_position_embeddings": 32, "rope_theta": 10000.0, "hidden_act": "silu", "torch_dtype": "bfloat16",
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    mbc("toy", tmp_path / "config.json", "-o", tmp_path / "hf")
    mbc("import", tmp_path / "hf", "-o", tmp_path / "megatron")
    text = mbc("export", tmp_path / "megatron", "-o", tmp_path / "out", "--fp8-block", "128", status=2)
    assert "lets no tensor be FP8" in text
    assert "option '--fp8-block'" in mbc(
        "export", tmp_path / "megatron", "-o", tmp_path / "out", "--fp8-block", "0", status=2
    )


def test_overflow_is_refused(folder, tmp_path):
    tensors = read_folder(folder)
    tensors["model.layers.1.input_layernorm.weight"][17] = 70000.0
    write_folder(tmp_path / "hf", tensors, CONFIG)
    text = mbc("import", tmp_path / "hf", "-o", tmp_path / "megatron", "--dtype", "float16", status=2)
    assert "'model.layers.1.input_layernorm.weight' has 1 values beyond the range of F16" in text
    mbc("import", tmp_path / "hf", "-o", tmp_path / "megatron")
    text = mbc("export", tmp_path / "megatron", "-o", tmp_path / "out", "--dtype", "float16", status=2)
    assert "'model.layers.1.input_layernorm.weight' has 1 values beyond the range of F16" in text
    assert not (tmp_path / "out").exists()
