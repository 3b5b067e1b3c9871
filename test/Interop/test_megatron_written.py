"""Checkpoints that mbc writes, judged by the real Megatron Core, Megatron Bridge and Megatron-LM (see README.md)."""

from conftest import CASES, NOT_NUMBERS
from layout import assert_same_tensors, read_folder
from stacks import DAMAGE, STACKS, Job, parametrize

BOTH = ["tp1", "tp2pp2"]
# model -> layouts that Megatron can give it (two heads and one layer a rank, at least)
FAMILIES = {
    "llama": BOTH,
    "llama-tied": BOTH,
    "llama-megatron-rope": BOTH,
    "qwen2": BOTH,
    "qwen2-tied-old-spellings": BOTH,
    "qwen3": BOTH,
}
SHAPES = {
    "llama-tied-copy": BOTH,
    "llama-head-dim": BOTH,
    "llama-one-kv-head": ["tp1", "pp2"],
    "llama-no-groups": BOTH,
    "llama-odd": ["tp1"],
    "llama-nine-heads": ["tp1", "pp2"],
    "llama-one-layer": ["tp1", "tp2"],
    "llama-fp32": BOTH,
    "llama-fp16": BOTH,
    "llama-sharded": BOTH,
    "qwen3-tied-copy": BOTH,
}
# Bridge has no mapping for biases of Llama, rounds mixed types, and never pads the vocabulary
MEGATRON_ONLY = {
    "llama-biases": BOTH,
    "llama-fp32-norms": BOTH,
    "llama-mixed-parts": BOTH,
    "llama-mixed-layers": ["tp1", "tp2"],
}
EXPERTS = [*BOTH, "tp2ep2", "tp2ep2etp2"]
MIXTURES = {
    "qwen3-moe": EXPERTS,
    "qwen3-moe-softmax-first": ["tp1"],
    "deepseek-v2": EXPERTS,
    "deepseek-v2-yarn": ["tp1"],
    "deepseek-v2-lite": EXPERTS,
    "deepseek-v3": EXPERTS,
    "deepseek-v3-yarn": ["tp1"],
    "moonlight": [*BOTH, "tp2ep2"],
}
# Bridge knows no dense layers in a Qwen3-MoE, and the old one no MTP layer
MIXTURES_OF_MEGATRON_ONLY = {
    "qwen3-moe-dense-layers": EXPERTS,
    "qwen3-moe-sparse-step": ["tp1", "tp2pp2"],
}
SEEING = {"qwen2.5-vl": ["tp1"], "qwen2.5-vl-hub": ["tp1"]}
QUICK = {"llama", "qwen3"}
QUICK_MIXTURES = {"qwen3-moe", "deepseek-v3", "deepseek-v3-mtp"}


def is_quick(job):
    return job.case in QUICK or (job.case in QUICK_MIXTURES and job.layout in ("tp1", "tp2ep2") and not job.options)


def jobs(task, families, **options):
    return [
        Job(task, case, stack, layout, **options)
        for case, layouts in families.items()
        for stack in STACKS
        for layout in layouts
    ]


LOADS = jobs("load", FAMILIES | SHAPES | MEGATRON_ONLY)
LOADS += jobs("load", {"llama-odd-vocabulary": BOTH}, options=(("vocab", 256),))
LOADS += jobs("load", {"llama-odd-vocabulary": ["tp1"]})
LOADS += jobs("load", MIXTURES | MIXTURES_OF_MEGATRON_ONLY)
# Experts one after another instead of all in one module: the same checkpoint
LOADS += jobs("load", {"qwen3-moe": ["tp1", "tp2ep2"], "deepseek-v3": ["tp1", "tp2ep2"]}, options=(("grouped", False),))
# Megatron Core 0.16 demands an entry of attention in the MTP layer that 0.19 does not know: it is written, and
# 0.19 is told to pass over what it does not ask for, as it does unless told otherwise.
LOADS += [Job("load", "deepseek-v3-mtp", "old", layout) for layout in EXPERTS]
LOADS += [Job("load", "deepseek-v3-mtp", "new", layout, options=(("strict", "raise_unexpected"),)) for layout in EXPERTS]


def assert_equal_logits(result, job):
    latent = job.case.startswith(("deepseek", "moonlight"))
    assert result["largest"] > 1
    assert result["difference"] <= (3e-5 if latent else 1e-5) * result["largest"]


@parametrize(LOADS, is_quick)
def test_megatron_core_loads_all_and_computes_the_same(job, peers):
    assert_equal_logits(peers.result(job), job)


@parametrize(
    [Job("load", case, "new", "tp1", options=(("as_it_is", True),)) for case in ("deepseek-v2-lite", "moonlight")],
    lambda job: False,
)
def test_norm_that_no_checkpoint_of_these_models_has(job, peers):
    """Megatron Core 0.19 as it is builds a norm before the full query projection; the model has none."""
    assert "self_attention.linear_q_proj.layer_norm_weight" in peers.outcome(job)["error"]


@parametrize(
    [Job("load", "llama", stack, "tp1", damage=damage) for stack in STACKS for damage in DAMAGE], lambda job: True
)
def test_the_judge_sees_damage(job, peers):
    result = peers.result(job)
    assert result["difference"] > 1e-4 * result["largest"]


# Megatron-LM is in the new stack only
MEGATRON_LM = jobs("load_megatron_lm", FAMILIES | SHAPES | MEGATRON_ONLY, alone=True)
MEGATRON_LM = [job for job in MEGATRON_LM if job.stack == "new"]


@parametrize(MEGATRON_LM, lambda job: job.case in QUICK)
def test_megatron_lm_loads_it(job, peers):
    result = peers.result(job)
    assert_equal_logits(result, job)
    assert result["iteration"] == 0


EXPORTS = jobs("export_hf", FAMILIES | SHAPES | {"llama-odd-vocabulary": ["tp1"]}, alone=True)
EXPORTS += [Job("export_hf", case, stack, "tp2pp2") for case in FAMILIES for stack in STACKS]
EXPORTS += jobs("export_hf", MIXTURES | SEEING, alone=True)
EXPORTS += [
    Job("export_hf", case, stack, layout)
    for case in ("qwen3-moe", "deepseek-v2", "deepseek-v3")
    for stack in STACKS
    for layout in ("tp2pp2", "tp2ep2")
]
EXPORTS += [Job("export_hf", "deepseek-v3-mtp", "new", "tp1")]


def left_out_by_bridge(job, name):
    """The copies that an MTP layer stores; frequencies, which the old Bridge computes anew."""
    return (
        name.endswith((".shared_head.head.weight", "layers.4.embed_tokens.weight"))
        or job.stack == "old"
        and name.endswith(".inv_freq")
    )


@parametrize(EXPORTS, lambda job: is_quick(job) and job.layout != "tp2ep2")
def test_bridge_exports_the_original_tensors(job, peers):
    peers.result(job)
    expected, exported = (
        {name: tensor for name, tensor in read_folder(folder).items() if not left_out_by_bridge(job, name)}
        for folder in (peers.source(job), peers.output(job))
    )
    if job.case.endswith("-tied-copy"):
        exported.setdefault("lm_head.weight", exported["model.embed_tokens.weight"])  # Bridge leaves the copy out
    assert_same_tensors(exported, expected)


# The way back, judged by the transformers of both environments; the one of the tests is in test_huggingface.py
PACKED_EXPERTS = {case for case in CASES if case.endswith("-packed")}  # transformers 4 cannot read them
RELOADS = [
    Job("reload", case, stack, "tp1")
    for case in CASES
    for stack in STACKS
    if case not in NOT_NUMBERS
    and not (stack == "old" and case in PACKED_EXPERTS)
    and not (stack == "new" and case == "deepseek-v2-groups")  # its forward pass fails in transformers 5.12.1
]


@parametrize(RELOADS, lambda job: job.case in QUICK_MIXTURES)
def test_transformers_loads_what_comes_back(job, peers):
    result = peers.result(job)
    assert result["difference"] == 0
    assert result["largest"] > 1
