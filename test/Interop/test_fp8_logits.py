"""FP8 weights that are run: `mbc logits` and `generate` of DeepSeek-V3 folders as the hub has them, E4M3 with a scale for
each block, against transformers fp32 on the dequantised weights, and to the bit against what `mbc import` makes of them."""

import json
import shutil
import subprocess

import numpy as np
import pytest
import torch
import transformers
from conftest import MBC, V3, change_config, mtp_layer, write_model
from safetensors.torch import load_file, save_file
from test_fp8 import E4M3, SUFFIX, expand
from test_logits import mbc_logits
from test_mixture_logits import MARGIN, STRETCHED, Margins, distance, pick, uneven_correction
from test_mtp_logits import Reference

BOUND = 3e-5  # of the largest logit, with attention over latents
BLOCK = (128, 128)
SCALED = ("q_proj", "q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def odd(seed):
    """DeepSeek-V3 of sizes about a block: parts that begin inside of one, experts of less than one, the last one cut."""
    random = np.random.default_rng([seed, 8])
    heads = int(pick(random, 1, 2, 3, 5))
    groups = int(pick(random, 1, 2, 4))
    size = int(random.integers(2, 6))
    chosen = int(random.integers(1, groups + 1))
    return V3 | dict(
        hidden_size=heads * int(random.integers(100, 300) // heads),
        intermediate_size=int(random.integers(60, 400)),
        moe_intermediate_size=int(pick(random, 13, 61, 127, 128, 129, 200)),
        num_attention_heads=heads,
        num_key_value_heads=heads,
        q_lora_rank=None if seed % 3 == 0 else int(random.integers(40, 200)),
        kv_lora_rank=2 * int(random.integers(20, 100)),
        qk_nope_head_dim=2 * int(random.integers(2, 40)),
        qk_rope_head_dim=2 * int(random.integers(1, 20)),
        v_head_dim=int(random.integers(3, 60)),
        num_hidden_layers=3 if seed % 3 == 2 else int(pick(random, 2, 3)),
        first_k_dense_replace=int(seed % 3),
        n_routed_experts=groups * size,
        n_shared_experts=int(pick(random, 1, 2)),
        n_group=groups,
        topk_group=chosen,
        num_experts_per_tok=int(random.integers(1, chosen * size + 1)),
        norm_topk_prob=bool(seed % 2),
        routed_scaling_factor=float(pick(random, 1.0, 2.5)),
        vocab_size=int(random.integers(50, 400)),
        rope_parameters=STRETCHED | dict(mscale=1.0, mscale_all_dim=1.0) if seed % 2 else dict(rope_type="default", rope_theta=1e4),
        num_nextn_predict_layers=0,
    )


CASES = {f"{'ue8m0' if seed % 2 else 'f32'}-{seed}": odd(seed) for seed in range(10)}
PARAMS = [pytest.param(name, marks=[pytest.mark.full] if int(name[-1]) > 3 else []) for name in CASES]


def make_fp8(folder, scales):
    """Weights as the hub has them: the largest magnitude of a block is 448, or near it where scales are powers of two."""
    weights = load_file(folder / "model.safetensors")
    for name, tensor in list(weights.items()):
        if name.split(".")[-2] not in SCALED or tensor.dim() != 2:
            continue
        wide = torch.zeros([-(-size // block) * block for size, block in zip(tensor.shape, BLOCK)])
        wide[: tensor.shape[0], : tensor.shape[1]] = tensor.float()
        blocks = wide.reshape(wide.shape[0] // BLOCK[0], BLOCK[0], wide.shape[1] // BLOCK[1], BLOCK[1])
        scale = blocks.abs().amax((1, 3)) / 448
        if scales == "ue8m0":
            scale = scale.log2().ceil().exp2()
        weights[name] = (tensor.float() / expand(scale, tensor.shape, BLOCK)).to(E4M3)
        weights[name + SUFFIX] = scale.to(torch.float8_e8m0fnu) if scales == "ue8m0" else scale
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    quantization = dict(activation_scheme="dynamic", fmt="e4m3", quant_method="fp8", weight_block_size=list(BLOCK))
    if scales == "ue8m0":
        quantization["scale_fmt"] = "ue8m0"
    change_config(folder, lambda config: config.update(quantization_config=quantization))


def make_plain(folder, target):
    """What the FP8 weights stand for, element * scale in float32, for transformers."""
    shutil.copytree(folder, target)
    weights = load_file(folder / "model.safetensors")
    values = {
        name: tensor.float() * expand(weights[name + SUFFIX], tensor.shape, BLOCK) if tensor.dtype == E4M3 else tensor.float()
        for name, tensor in weights.items()
        if not name.endswith(SUFFIX)
    }
    save_file(values, target / "model.safetensors", metadata={"format": "pt"})
    change_config(target, lambda config: config.pop("quantization_config"))
    return target


def load(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager"
    ).eval()


@pytest.fixture(scope="module", params=PARAMS)
def model(request, tmp_path_factory):
    scratch = tmp_path_factory.mktemp(request.param)
    folder = write_model(scratch / "hf", sum(request.param.encode()), "DeepseekV3", CASES[request.param])
    uneven_correction(folder)
    make_fp8(folder, request.param.split("-")[0])
    return folder, load(make_plain(folder, scratch / "plain"))


def tokens_for(loaded, batch, length):
    return torch.randint(loaded.config.vocab_size, (batch, length), generator=torch.Generator().manual_seed(length))


@pytest.mark.parametrize("length", [1, 17, 512])
def test_logits_are_those_of_transformers(mbc, model, length, tmp_path, record_property):
    folder, loaded = model
    tokens = tokens_for(loaded, 2, length)
    with torch.no_grad(), Margins(loaded) as margins:
        expected = loaded(tokens).logits.numpy()
    unclear = (margins.least.reshape(tokens.shape) < MARGIN).numpy()
    clear = ~np.logical_or.accumulate(unclear, axis=1)
    record_property("rows", int(clear.size))
    record_property("unclear", int((~clear).sum()))
    for chunk in (512, 64, 1):
        found = mbc_logits(mbc, folder, tokens, tmp_path, "--dtype", "float32", "--chunk", chunk)
        error = distance(found, expected, clear)
        record_property(f"error-{chunk}", float(error))
        assert error <= BOUND, chunk


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_kept_as_fp8_they_give_the_same_logits(mbc, model, dtype, tmp_path, record_property):
    """`--weight-dtype float8_e4m3fn`: scales are applied inside of products. A row has the same bits in any company."""
    folder, loaded = model
    tokens = tokens_for(loaded, 2, 100)
    with torch.no_grad(), Margins(loaded) as margins:
        expected = loaded(tokens).logits.numpy()
    clear = ~np.logical_or.accumulate((margins.least.reshape(tokens.shape) < MARGIN).numpy(), axis=1)
    options = ["--dtype", dtype, "--weight-dtype", "float8_e4m3fn"]
    together = mbc_logits(mbc, folder, tokens, tmp_path, *options, "--chunk", 16)
    alone = mbc_logits(mbc, folder, tokens[:1], tmp_path, *options, "--chunk", 16, "--threads", 1)
    assert np.array_equal(alone[0], together[0])
    for chunk in (512, 1):
        found = mbc_logits(mbc, folder, tokens, tmp_path, *options, "--chunk", chunk)
        if dtype == "float32":
            error = distance(found, expected, clear)
            record_property(f"error-{chunk}", float(error))
            assert error <= BOUND, chunk
        else:
            rounded = mbc_logits(mbc, folder, tokens, tmp_path, "--dtype", dtype, "--chunk", chunk)
            # Without the rounding of weights no farther off, but by chance where experts are chosen otherwise.
            assert np.median(np.abs(found - expected)) <= 1.5 * np.median(np.abs(rounded - expected))


def test_kept_as_fp8_in_a_compiled_program(mbc, tmp_path):
    folder, tokens = a_folder(tmp_path), torch.tensor([[1, 2, 3]])
    program = tmp_path / "model.mbcp"
    mbc("compile", folder, "-o", program, "--weight-dtype", "float8_e4m3fn", "--chunk", 4, "--length", 64)
    expected = mbc_logits(mbc, folder, tokens, tmp_path, "--weight-dtype", "float8_e4m3fn", "--chunk", 4)
    assert run_program(program, folder, tokens, tmp_path) == ""
    assert np.array_equal(np.load(tmp_path / "logits.npy"), expected)
    # Megatron holds values.
    mbc("import", folder, "-o", tmp_path / "megatron")
    assert "is not stored as FP8 with block scales of 128 x 128" in run_program(program, tmp_path / "megatron", tokens, tmp_path)
    said = mbc("logits", folder, "--tokens", 1, "-o", tmp_path / "l.npy", "--weight-dtype", "float8", status=2)
    assert "option '--weight-dtype' is 'float8', expected float8_e4m3fn" in said
    change_config(folder, lambda config: config.pop("quantization_config"))
    said = mbc("compile", "--config", folder / "config.json", "-o", tmp_path / "p.mbcp", "--weight-dtype", "float8_e4m3fn", status=2)
    assert "says of no weights that they are FP8" in said


def test_same_bits_as_what_import_makes_of_them(mbc, model, tmp_path):
    folder, loaded = model
    tokens = tokens_for(loaded, 1, 40)
    expected = mbc_logits(mbc, folder, tokens, tmp_path, "--dtype", "bfloat16", "--threads", 1)
    mbc("import", folder, "-o", tmp_path / "megatron")
    mbc("import", folder, "-o", tmp_path / "legacy", "--ckpt-format", "torch")
    for source in (folder, tmp_path / "megatron", tmp_path / "legacy"):
        found = mbc_logits(mbc, source, tokens, tmp_path, "--dtype", "bfloat16", "--threads", 3)
        assert np.array_equal(found, expected), source


def test_a_compiled_program_reads_them(mbc, model, tmp_path):
    folder, loaded = model
    tokens = tokens_for(loaded, 1, 40)
    program = tmp_path / "model.mbcp"
    expected = mbc_logits(mbc, folder, tokens, tmp_path, "--dtype", "bfloat16", "--chunk", 64, "--no-cache")
    mbc("compile", "--config", folder / "config.json", "-o", program, "--dtype", "bfloat16", "--chunk", 64, "--length", 64)
    mbc("import", folder, "-o", tmp_path / "megatron")
    for source in (folder, tmp_path / "megatron"):
        assert run_program(program, source, tokens, tmp_path) == ""
        assert np.array_equal(np.load(tmp_path / "logits.npy"), expected), source


def run_program(program, folder, tokens, scratch):
    """What `mbc-run logits` complains about."""
    np.save(scratch / "tokens.npy", tokens.numpy())
    done = subprocess.run(
        [MBC.with_name("mbc-run"), "logits", program, "--weights", folder, "--tokens", scratch / "tokens.npy",
         "-o", scratch / "logits.npy", "--quiet"],
        capture_output=True, text=True, timeout=300,
    )
    assert done.returncode == (2 if done.stderr else 0), done.stderr
    return done.stderr


def a_folder(scratch, scales="f32", mtp=False):
    folder = write_model(scratch / "hf", 8, "DeepseekV3", V3)
    (mtp_layer if mtp else uneven_correction)(folder)
    make_fp8(folder, scales)
    return folder


DAMAGES = {
    "the scale is missing": (lambda w, name: w.pop(name + SUFFIX), "block scale '{}_scale_inv' is missing"),
    "the scale has another shape": (
        lambda w, name: w.update({name + SUFFIX: torch.ones(2, 3)}), "block scale '{}_scale_inv'"),
    "a scale is no number": (
        lambda w, name: w.update({name + SUFFIX: w[name + SUFFIX] * float("nan")}), "block scale '{}_scale_inv' holds nan"),
    "the scale is beside other values": (
        lambda w, name: w.update({name: w[name].bfloat16()}), "'{}_scale_inv'"),
    "another type of 8 bits": (lambda w, name: w.update({name: w[name].float().to(torch.float8_e5m2)}), "F8_E5M2"),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_damages_are_refused(mbc, what, tmp_path):
    change, said = DAMAGES[what]
    folder, name = a_folder(tmp_path), "model.layers.1.mlp.experts.2.up_proj.weight"
    program = tmp_path / "model.mbcp"
    mbc("compile", folder, "-o", program, "--dtype", "bfloat16", "--length", 64)
    weights = load_file(folder / "model.safetensors")
    change(weights, name)
    save_file(weights, folder / "model.safetensors")
    tokens = torch.tensor([[1, 2, 3]])
    by_mbc = mbc("logits", folder, "--tokens", "1,2,3", "-o", tmp_path / "l.npy", "--quiet", status=2)
    for text in (by_mbc, run_program(program, folder, tokens, tmp_path)):
        assert said.format(name) in text, text
    assert not list(tmp_path.glob("*.npy")) or list(tmp_path.glob("*.npy")) == [tmp_path / "tokens.npy"]


def test_values_among_fp8_are_read_as_they_are(mbc, tmp_path):
    """The declaration lets a tensor be FP8: one that is not, and has no scale, is what it says."""
    folder, name = a_folder(tmp_path), "model.layers.1.mlp.experts.2.up_proj.weight"
    tokens = torch.tensor([[1, 2, 3]])
    expected = mbc_logits(mbc, folder, tokens, tmp_path, "--dtype", "bfloat16")
    weights = load_file(folder / "model.safetensors")
    scale = weights.pop(name + SUFFIX)
    weights[name] = (weights[name].float() * expand(scale, weights[name].shape, BLOCK)).bfloat16()
    save_file(weights, folder / "model.safetensors")
    for again in range(2):  # compiled, and from the cache
        assert np.array_equal(mbc_logits(mbc, folder, tokens, tmp_path, "--dtype", "bfloat16"), expected), again


@pytest.mark.parametrize("scales", ["f32", "ue8m0"])
def test_drafts_are_those_of_the_reference(mbc, scales, tmp_path):
    folder = a_folder(tmp_path, scales, mtp=True)
    plain = make_plain(folder, tmp_path / "plain")
    loaded = load(plain)
    reference = Reference(loaded, load_file(plain / "model.safetensors"))
    tokens = tokens_for(loaded, 2, 40)
    expected = reference(tokens)
    for chunk in (64, 1):
        mbc_logits(mbc, folder, tokens, tmp_path, "--dtype", "float32", "--mtp", "--chunk", chunk)
        draft = np.load(tmp_path / "logits.draft.npy")[:, :-1]
        assert np.abs(draft - expected).max() <= BOUND * np.abs(expected).max(), chunk


def test_generated_tokens_are_those_of_transformers(mbc, tmp_path):
    folder = a_folder(tmp_path)
    loaded = load(make_plain(folder, tmp_path / "plain"))
    prompt = tokens_for(loaded, 1, 12)
    expected = loaded.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=24, do_sample=False, pad_token_id=0, eos_token_id=None
    )[0, 12:].tolist()
    text = ",".join(map(str, prompt[0].tolist()))
    options = ["--tokens", text, "--max-new-tokens", 24, "--ignore-eos", "--json", "--quiet"]
    said = json.loads(mbc("generate", folder, *options, "--dtype", "float32"))
    assert said["results"][0]["tokens"] == expected
    # In the type of config.json the same as from what import makes of it.
    mbc("import", folder, "-o", tmp_path / "megatron")
    tokens = [json.loads(mbc("generate", source, *options))["results"][0]["tokens"] for source in (folder, tmp_path / "megatron")]
    assert tokens[0] == tokens[1]
