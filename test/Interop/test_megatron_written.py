"""Checkpoints that mbc writes, judged by the real Megatron Core, Megatron Bridge and Megatron-LM (see README.md)."""

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
QUICK = {"llama", "qwen3"}


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


def assert_equal_logits(result):
    assert result["largest"] > 1
    assert result["difference"] <= 1e-5 * result["largest"]


@parametrize(LOADS, lambda job: job.case in QUICK)
def test_megatron_core_loads_all_and_computes_the_same(job, peers):
    assert_equal_logits(peers.result(job))


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
    assert_equal_logits(result)
    assert result["iteration"] == 0


EXPORTS = jobs("export_hf", FAMILIES | SHAPES | {"llama-odd-vocabulary": ["tp1"]}, alone=True)
EXPORTS += [Job("export_hf", case, stack, "tp2pp2") for case in FAMILIES for stack in STACKS]


@parametrize(EXPORTS, lambda job: job.case in QUICK)
def test_bridge_exports_the_original_tensors(job, peers):
    peers.result(job)
    expected, exported = read_folder(peers.source(job)), read_folder(peers.output(job))
    if job.case.endswith("-tied-copy"):
        exported.setdefault("lm_head.weight", exported["model.embed_tokens.weight"])  # Bridge leaves the copy out
    assert_same_tensors(exported, expected)
