"""Fixtures of the interoperation tests: the tool under test, and tiny Hugging Face folders with random weights that
transformers itself writes. tools/test.sh runs them; by hand: .venv/bin/python -m pytest test/Interop"""

import json
import os
import subprocess
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

import pytest  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

transformers.utils.logging.disable_progress_bar()

ROOT = Path(__file__).resolve().parents[2]
MBC = Path(os.environ.get("MBC") or ROOT / "build/release/bin/mbc")

BASE = dict(
    hidden_size=48,
    intermediate_size=88,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=128,
    max_position_embeddings=256,
    tie_word_embeddings=False,
)
LLAMA3_ROPE = dict(
    rope_type="llama3",
    rope_theta=500000.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=64,
)
# Megatron has a field for the factor alone
MEGATRON_ROPE = LLAMA3_ROPE | dict(original_max_position_embeddings=8192)


def old_spellings(folder):
    """Rewrites config.json with the spellings of transformers 4, and without what has a default."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    config["torch_dtype"] = config.pop("dtype")
    if config.get("head_dim") == config["hidden_size"] // config["num_attention_heads"]:
        del config["head_dim"]
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def change_weights(folder, change):
    path = folder / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})


def norms_in_fp32(folder):
    def change(weights):
        for name in weights:
            if "norm" in name:
                weights[name] = weights[name].float()

    change_weights(folder, change)


def layers_of_different_types(folder):
    def change(weights):
        for name in ("input_layernorm.weight", "self_attn.q_proj.weight", "mlp.up_proj.weight"):
            weights[f"model.layers.1.{name}"] = weights[f"model.layers.1.{name}"].float()
        weights["model.layers.0.mlp.gate_proj.weight"] = weights["model.layers.0.mlp.gate_proj.weight"].half()

    change_weights(folder, change)


def parts_of_different_types(folder):
    def change(weights):
        for name in weights:
            if "v_proj" in name or "up_proj" in name:
                weights[name] = weights[name].float()

    change_weights(folder, change)


def stored_copy_of_tied_head(folder):
    def change(weights):
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()

    change_weights(folder, change)


def special_values(folder):
    """NaN payloads, infinities, subnormals and -0 in every tensor: bits are bits."""

    def change(weights):
        bits = torch.tensor([0x7FC1, -1, 0x7F80, -0x80, 1, -0x7FFF, -0x8000], dtype=torch.int16)
        for weight in weights.values():
            weight.view(-1)[: bits.numel()] = bits.view(torch.bfloat16)

    change_weights(folder, change)


# name -> (architecture, changes to BASE, dtype, what is done to the folder afterwards)
CASES = {
    "llama": ("Llama", {}, "bfloat16", None),
    "llama-tied": ("Llama", dict(tie_word_embeddings=True), "bfloat16", None),
    "llama-tied-copy": ("Llama", dict(tie_word_embeddings=True), "bfloat16", stored_copy_of_tied_head),
    "llama-old-spellings": ("Llama", {}, "bfloat16", old_spellings),
    "llama-llama3-rope": ("Llama", dict(rope_parameters=LLAMA3_ROPE), "bfloat16", None),
    "llama-llama3-rope-old": ("Llama", dict(rope_parameters=LLAMA3_ROPE), "bfloat16", old_spellings),
    "llama-megatron-rope": ("Llama", dict(rope_parameters=MEGATRON_ROPE), "bfloat16", None),
    "llama-biases": ("Llama", dict(attention_bias=True, mlp_bias=True), "bfloat16", None),
    "llama-attention-bias": ("Llama", dict(attention_bias=True), "bfloat16", None),
    "llama-head-dim": ("Llama", dict(head_dim=32), "bfloat16", None),
    "llama-one-kv-head": ("Llama", dict(num_key_value_heads=1), "bfloat16", None),
    "llama-no-groups": ("Llama", dict(num_key_value_heads=4), "bfloat16", None),
    "llama-odd": ("Llama", dict(vocab_size=131, num_hidden_layers=5, intermediate_size=83), "bfloat16", None),
    "llama-odd-vocabulary": ("Llama", dict(vocab_size=131), "bfloat16", None),
    "llama-nine-heads": ("Llama", dict(hidden_size=72, num_attention_heads=9, num_key_value_heads=3), "bfloat16", None),
    "llama-one-layer": ("Llama", dict(num_hidden_layers=1), "bfloat16", None),
    "llama-fp32": ("Llama", {}, "float32", None),
    "llama-fp16": ("Llama", {}, "float16", None),
    "llama-fp32-norms": ("Llama", {}, "bfloat16", norms_in_fp32),
    "llama-mixed-parts": ("Llama", {}, "bfloat16", parts_of_different_types),
    "llama-mixed-layers": ("Llama", dict(num_hidden_layers=3), "bfloat16", layers_of_different_types),
    "llama-special-values": ("Llama", {}, "bfloat16", special_values),
    "llama-sharded": ("Llama", dict(num_hidden_layers=4), "bfloat16", "40KB"),
    "qwen2": ("Qwen2", {}, "bfloat16", None),
    "qwen2-tied-old-spellings": ("Qwen2", dict(tie_word_embeddings=True), "bfloat16", old_spellings),
    "qwen3": ("Qwen3", dict(head_dim=16), "bfloat16", None),
    "qwen3-tied-copy": ("Qwen3", dict(head_dim=32, tie_word_embeddings=True), "bfloat16", stored_copy_of_tied_head),
}
NOT_NUMBERS = {"llama-special-values"}  # no logits to compare


def make_folder(name, folder):
    architecture, changes, dtype, afterwards = CASES[name]
    config = getattr(transformers, architecture + "Config")(**(BASE | changes))
    torch.manual_seed(sum(name.encode()))
    model = getattr(transformers, architecture + "ForCausalLM")(config)
    with torch.no_grad():
        for parameter in model.parameters():  # norms start as 1 and biases as 0: nothing to tell apart
            parameter.normal_(std=0.3)
    shards = dict(max_shard_size=afterwards) if isinstance(afterwards, str) else {}
    model.to(getattr(torch, dtype)).save_pretrained(folder, **shards)
    if callable(afterwards):
        afterwards(folder)
    return folder


def run(*arguments, status=0):
    """Runs mbc and returns what it printed; any other exit status than expected fails the test."""
    command = [str(argument) for argument in (MBC, *arguments)]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    if result.returncode != status:
        pytest.fail(
            f"$ {' '.join(command)}\nexit status {result.returncode}, expected {status}\n{result.stdout}{result.stderr}",
            pytrace=False,
        )
    return result.stdout + result.stderr


@pytest.fixture(scope="session")
def mbc():
    if not MBC.is_file():
        pytest.fail(f"{MBC} is missing; run tools/build.sh", pytrace=False)
    return run


class Converted:
    """A Hugging Face folder, the Megatron checkpoint imported from it, and the folder exported from that."""

    def __init__(self, mbc, name, source, scratch):
        self.name, self.source = name, source
        self.megatron, self.exported = scratch / "megatron", scratch / "hf"
        self.config = json.loads((source / "config.json").read_text())
        mbc("import", source, "-o", self.megatron)
        mbc("export", self.megatron, "-o", self.exported)

    @property
    def iteration(self):
        [folder] = self.megatron.glob("iter_*")
        return folder


@pytest.fixture(scope="session", params=list(CASES))
def converted(request, mbc, tmp_path_factory):
    scratch = tmp_path_factory.mktemp(request.param)
    return Converted(mbc, request.param, make_folder(request.param, scratch / "source"), scratch)


@pytest.fixture(scope="session")
def peers(request, mbc, tmp_path_factory):
    """The real Megatron programs, with the jobs of all tests that were selected."""
    from stacks import Peers

    calls = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    jobs = [parameters["job"] for parameters in calls if "job" in parameters]
    return Peers(mbc, tmp_path_factory.mktemp("peers"), jobs)


@pytest.fixture(scope="session")
def smollm2(mbc, tmp_path_factory):
    source = ROOT / "build/models/SmolLM2-135M-Instruct"
    if not source.is_dir():
        pytest.fail(f"{source} is missing; run tools/get-model.sh", pytrace=False)
    return Converted(mbc, "SmolLM2", source, tmp_path_factory.mktemp("SmolLM2"))
