"""Fixtures of the interoperation tests: the tool under test, and tiny Hugging Face folders with random weights that
transformers itself writes. tools/test.sh runs them; by hand: .venv/bin/python -m pytest test/Interop"""

import json
import os
import subprocess
from pathlib import Path

os.environ["MBC_CACHE"] = "off"
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
YARN = dict(
    rope_type="yarn",
    rope_theta=10000.0,
    factor=40.0,
    beta_fast=32.0,
    beta_slow=1.0,
    mscale=0.707,
    mscale_all_dim=0.707,
    original_max_position_embeddings=64,
)
SPARSE = dict(
    num_hidden_layers=4,
    head_dim=16,
    num_experts=8,
    num_experts_per_tok=2,
    moe_intermediate_size=24,
    norm_topk_prob=True,
)
LATENT = dict(
    num_hidden_layers=4,
    num_key_value_heads=4,
    kv_lora_rank=16,
    q_lora_rank=32,
    qk_nope_head_dim=24,
    qk_rope_head_dim=16,
    v_head_dim=20,
    first_k_dense_replace=1,
    n_routed_experts=8,
    n_shared_experts=2,
    num_experts_per_tok=2,
    moe_intermediate_size=24,
    n_group=1,
    topk_group=1,
)
V2 = LATENT | dict(topk_method="greedy", norm_topk_prob=False, routed_scaling_factor=1.0)
# Two experts of a group decide on it, as in transformers: Megatron Core takes num_experts_per_tok / topk_group
V3 = LATENT | dict(
    n_group=4,
    topk_group=2,
    num_experts_per_tok=4,
    scoring_func="sigmoid",
    topk_method="noaux_tc",
    norm_topk_prob=True,
    routed_scaling_factor=2.5,
    num_nextn_predict_layers=0,
)
SEEING = dict(
    text_config=BASE
    | dict(rope_parameters=dict(rope_type="default", rope_theta=1000000.0, mrope_section=[1, 2, 3])),
    vision_config=dict(
        depth=2,
        hidden_size=32,
        intermediate_size=40,
        num_heads=2,
        out_hidden_size=48,
        fullatt_block_indexes=[1],
        patch_size=4,
        window_size=16,
    ),
    tie_word_embeddings=False,
    image_token_id=100,
    video_token_id=101,
    vision_start_token_id=102,
    vision_end_token_id=103,
)


def change_config(folder, change):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def old_spellings(folder):
    """Rewrites config.json with the spellings of transformers 4 and of the hub, and without what has a default."""

    def change(config):
        text = config.pop("text_config", {})
        config |= {name: value for name, value in text.items() if name not in ("model_type", "architectures")}
        config.get("vision_config", {}).pop("rope_parameters", None)
        rope = config.pop("rope_parameters")
        config["rope_theta"] = rope.pop("rope_theta")
        config["rope_scaling"] = None if rope["rope_type"] == "default" and len(rope) == 1 else rope
        if "mrope_section" in rope:
            rope["type"] = rope.pop("rope_type").replace("default", "mrope")
        config["torch_dtype"] = config.pop("dtype")
        if "num_local_experts" in config:
            config["num_experts"] = config.pop("num_local_experts")
        if config.get("head_dim") == config["hidden_size"] // config["num_attention_heads"]:
            del config["head_dim"]

    change_config(folder, change)


def change_weights(folder, change):
    path = folder / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})


def router_bias_in_fp32(folder):
    """The correction of the router as the hub stores it: transformers saves it in the type of the model."""

    def change(weights):
        for name in weights:
            if name.endswith("e_score_correction_bias"):
                weights[name] = weights[name].float() + 0.001

    change_weights(folder, change)


def mtp_layer(folder):
    """A layer that predicts the token after the next, which transformers neither loads nor saves."""
    router_bias_in_fp32(folder)
    layers = json.loads((folder / "config.json").read_text())["num_hidden_layers"]

    def change(weights):
        last, new = f"model.layers.{layers - 1}.", f"model.layers.{layers}."
        generator = torch.Generator().manual_seed(4)

        def random(shape, dtype):
            return torch.randn(shape, generator=generator).mul(0.3).to(dtype)

        hidden, dtype = weights["model.norm.weight"].shape[0], weights["model.norm.weight"].dtype
        for name in [name for name in weights if name.startswith(last)]:
            weights[name.replace(last, new)] = random(weights[name].shape, weights[name].dtype)
        for name in ("enorm", "hnorm", "shared_head.norm"):
            weights[f"{new}{name}.weight"] = random([hidden], dtype)
        weights[f"{new}eh_proj.weight"] = random([hidden, 2 * hidden], dtype)
        weights[f"{new}embed_tokens.weight"] = weights["model.embed_tokens.weight"].clone()
        weights[f"{new}shared_head.head.weight"] = weights["lm_head.weight"].clone()

    change_weights(folder, change)
    change_config(folder, lambda config: config.update(num_nextn_predict_layers=1))


def moonlight(folder):
    """Stored frequencies, and a file for each layer with numbers that are not padded."""
    router_bias_in_fp32(folder)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    for i in range(4):
        weights[f"model.layers.{i}.self_attn.rotary_emb.inv_freq"] = 10000.0 ** -(torch.arange(0, 16, 2) / 16)
    files = {}
    for name in weights:
        layer = int(name.split(".")[2]) + 1 if name.startswith("model.layers.") else 5
        files.setdefault(f"model-{layer}-of-5.safetensors", {})[name] = weights[name]
    for file, part in files.items():
        save_file(part, folder / file, metadata={"format": "pt"})
    index = {
        "metadata": {"total_size": sum(tensor.nbytes for tensor in weights.values())},
        "weight_map": {name: file for file, part in files.items() for name in part},
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def hub_mixture(folder):
    """A mixture as the hub has it: old spellings, and the field of the router's loss."""
    old_spellings(folder)
    change_config(folder, lambda config: config.update(seq_aux=True, aux_loss_alpha=0.002, ep_size=1, moe_layer_freq=1))


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


PACKED = "as transformers 5 has it in memory: experts in one tensor, a vision model below `model.`"

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
    "qwen3-moe": ("Qwen3Moe", SPARSE, "bfloat16", None),
    "qwen3-moe-packed": ("Qwen3Moe", SPARSE, "bfloat16", PACKED),
    "qwen3-moe-softmax-first": ("Qwen3Moe", SPARSE | dict(norm_topk_prob=False), "bfloat16", old_spellings),
    "qwen3-moe-dense-layers": ("Qwen3Moe", SPARSE | dict(mlp_only_layers=[0, 2]), "bfloat16", None),
    "qwen3-moe-sparse-step": ("Qwen3Moe", SPARSE | dict(decoder_sparse_step=2), "bfloat16", old_spellings),
    "qwen2.5-vl": ("Qwen2_5_VL", SEEING, "bfloat16", None),
    "qwen2.5-vl-hub": ("Qwen2_5_VL", SEEING, "bfloat16", old_spellings),
    "qwen2.5-vl-in-memory": ("Qwen2_5_VL", SEEING, "bfloat16", PACKED),
    "deepseek-v2": ("DeepseekV2", V2, "bfloat16", None),
    "deepseek-v2-packed": ("DeepseekV2", V2, "bfloat16", PACKED),
    "deepseek-v2-hub": ("DeepseekV2", V2, "bfloat16", hub_mixture),
    "deepseek-v2-yarn": ("DeepseekV2", V2 | dict(rope_parameters=YARN), "bfloat16", None),
    "deepseek-v2-groups": (
        "DeepseekV2",
        V2 | dict(topk_method="group_limited_greedy", n_group=4, topk_group=2, num_experts_per_tok=3),
        "bfloat16",
        None,
    ),
    "deepseek-v2-lite": ("DeepseekV2", V2 | dict(q_lora_rank=None), "bfloat16", None),
    "deepseek-v3": ("DeepseekV3", V3, "bfloat16", router_bias_in_fp32),
    "deepseek-v3-packed": ("DeepseekV3", V3, "bfloat16", PACKED),
    "deepseek-v3-yarn": (
        "DeepseekV3",
        V3 | dict(rope_parameters=YARN | dict(mscale=1.0, mscale_all_dim=1.0)),
        "bfloat16",
        router_bias_in_fp32,
    ),
    "deepseek-v3-mtp": ("DeepseekV3", V3, "bfloat16", mtp_layer),
    "moonlight": ("DeepseekV3", V3 | dict(q_lora_rank=None, n_group=1, topk_group=1), "bfloat16", moonlight),
}
NOT_NUMBERS = {"llama-special-values"}  # no logits to compare
# Run with --interop-all only: their neighbours in the table differ from them little
SLOW = {
    "qwen3-moe-packed",
    "qwen3-moe-softmax-first",
    "qwen3-moe-sparse-step",
    "qwen2.5-vl",
    "qwen2.5-vl-in-memory",
    "deepseek-v2",
    "deepseek-v2-hub",
    "deepseek-v2-yarn",
    "deepseek-v2-groups",
    "deepseek-v3-packed",
    "deepseek-v3-yarn",
}


def make_folder(name, folder):
    architecture, changes, dtype, afterwards = CASES[name]
    return write_model(folder, sum(name.encode()), architecture, changes, dtype, afterwards)


def write_model(folder, seed, architecture, changes, dtype="bfloat16", afterwards=None):
    """A folder that transformers saves, of random weights, changed afterwards."""
    [model_class] = [
        getattr(transformers, architecture + kind)
        for kind in ("ForCausalLM", "ForConditionalGeneration")
        if hasattr(transformers, architecture + kind)
    ]
    base = {} if "text_config" in changes else BASE
    config = getattr(transformers, architecture + "Config")(**(base | changes))
    torch.manual_seed(seed)
    model = model_class(config)
    with torch.no_grad():
        for parameter in model.parameters():  # norms start as 1 and biases as 0: nothing to tell apart
            parameter.normal_(std=0.3)
        for name, buffer in model.named_buffers():
            if name.endswith("e_score_correction_bias"):
                buffer.normal_(std=0.3)
    options = {}
    if afterwards is PACKED:
        options["save_original_format"] = False
    elif isinstance(afterwards, str):
        options["max_shard_size"] = afterwards
    model.to(getattr(torch, dtype)).save_pretrained(folder, **options)
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


@pytest.fixture(
    scope="session",
    params=[pytest.param(case, marks=pytest.mark.full if case in SLOW else ()) for case in CASES],
)
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
