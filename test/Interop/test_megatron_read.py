"""Checkpoints that the real Megatron Bridge and Megatron Core write, converted by mbc (see README.md)."""

import shutil

import pytest
from checkpoints import save_with_pytorch
from conftest import make_folder
from layout import assert_same_tensors, read_folder
from stacks import LAYOUTS, STACKS, Job, parametrize
from torch.distributed.checkpoint import FileSystemReader

QUICK = {"llama", "qwen3"}
QUICK_LAYOUTS = {"tp1", "tp2pp2"}
DENSE_LAYOUTS = ("tp1", "dp2", "tp2", "pp2", "tp2pp2")


def is_left_out(name):
    """Frequencies that Moonlight stores: Megatron computes them, and its checkpoints have no place for them."""
    return name.endswith(".rotary_emb.inv_freq")


def as_written(job, tensor, name):
    """The old Bridge rounds the correction of the router to bfloat16 before it stores it in fp32."""
    rounded = job.task == "import_hf" and job.stack == "old" and name.endswith("e_score_correction_bias")
    return tensor.bfloat16().float() if rounded else tensor


def assert_exports_the_source(job, peers, mbc, folder):
    source = peers.source(job)
    peers.result(job)
    mbc("export", peers.output(job), "-o", folder, "--hf-model", source)
    stored = read_folder(source)
    expected = {name: as_written(job, tensor, name) for name, tensor in stored.items() if not is_left_out(name)}
    assert_same_tensors(read_folder(folder), expected)
    for name in ("config.json", "tokenizer.json"):
        assert (folder / name).read_bytes() == (source / name).read_bytes()
    if all(expected.get(name) is tensor for name, tensor in stored.items()):
        mbc("verify", source, folder)
    shutil.rmtree(folder)


IMPORTS = [
    Job("import_hf", case, stack, layout)
    for case in (
        "llama",
        "llama-tied",
        "llama-megatron-rope",
        "llama-head-dim",
        "llama-fp32",
        "qwen2",
        "qwen2-tied-old-spellings",
        "qwen3",
    )
    for stack in STACKS
    for layout in ("tp1", "tp2", "pp2", "tp2pp2")
]
MIXTURE_LAYOUTS = ("tp1", "tp2pp2", "tp2ep2")
IMPORTS += [
    Job("import_hf", case, stack, layout)
    for case in ("qwen3-moe", "qwen3-moe-softmax-first", "deepseek-v2", "deepseek-v2-yarn", "deepseek-v3")
    for stack in STACKS
    for layout in MIXTURE_LAYOUTS
]
# The old Bridge knows neither a full query projection nor an MTP layer
IMPORTS += [
    Job("import_hf", case, "new", layout)
    for case in ("deepseek-v2-lite", "moonlight", "deepseek-v3-mtp")
    for layout in MIXTURE_LAYOUTS
]
IMPORTS += [Job("import_hf", "qwen2.5-vl-hub", stack, "tp1") for stack in STACKS]


def save(case, stack, layout, **options):
    if LAYOUTS[layout][0]["tp"] > 1:
        options["vocab"] = 256  # Megatron-LM pads to a multiple of 128 x TP
    return Job("save", case, stack, layout, options=tuple(options.items()))


QUICK_MIXTURES = {save("deepseek-v3", stack, "tp2ep2", keys="stacked", grouped=stack == "old") for stack in STACKS}
QUICK_MIXTURES |= {Job("import_hf", "qwen3-moe", stack, "tp1") for stack in STACKS}


def is_quick(job):
    return (job.case in QUICK and job.layout in QUICK_LAYOUTS) or job in QUICK_MIXTURES


@parametrize(IMPORTS, is_quick)
def test_import_by_bridge(job, peers, mbc, tmp_path):
    assert_exports_the_source(job, peers, mbc, tmp_path / "hf")
    [iteration] = peers.output(job).glob("iter_*")
    assert (iteration / "common.pt").exists() == (job.stack == "old")


SAVES = [
    save(case, stack, layout, keys=keys)
    for case in ("llama", "llama-tied", "llama-biases", "llama-one-layer", "qwen2", "qwen3")
    for stack in STACKS
    for layout in DENSE_LAYOUTS
    for keys in ("stacked", "indexed", "singleton")
    if not (case == "llama-one-layer" and "pp2" in layout)
]
SAVES += [save("llama-fp32", stack, layout, dtype="float32") for stack in STACKS for layout in DENSE_LAYOUTS]
SAVES += [save("llama-odd-vocabulary", stack, layout, vocab=256) for stack in STACKS for layout in DENSE_LAYOUTS]
SAVES += [
    save(case, stack, layout, keys="stacked", grouped=grouped)
    for case in ("qwen3-moe", "deepseek-v3")
    for stack in STACKS
    for layout in ("tp1", "tp2pp2", "tp2ep2", "tp2ep2etp2")
    for grouped in (True, False)
]
SAVES += [
    save(case, stack, layout, keys=keys)
    for case, keys in (("qwen3-moe", "indexed"), ("qwen3-moe", "singleton"), ("deepseek-v3", "singleton"))
    for stack in STACKS
    for layout in ("tp1", "tp2ep2")
]
SAVES += [
    save(case, stack, layout)
    for case in ("qwen3-moe-dense-layers", "deepseek-v2", "deepseek-v2-lite", "deepseek-v3-mtp", "moonlight")
    for stack in STACKS
    for layout in MIXTURE_LAYOUTS
]

@parametrize(SAVES, is_quick)
def test_save_by_megatron_core(job, peers, mbc, tmp_path):
    assert_exports_the_source(job, peers, mbc, tmp_path / "hf")


def singleton(tensors):
    """Keys as with singleton_local_shards: an index for each layer and expert, gate and up apart."""
    for name in [name for name in tensors if name.startswith("decoder.layers.")]:
        for i, layer in enumerate(tensors.pop(name)):
            indexed = name.replace("layers.", f"layers.{i}.")
            parts = {indexed: layer}
            if ".experts.experts." in name:
                parts = {indexed.replace("experts.linear", f"experts.{e}.linear"): x for e, x in enumerate(layer)}
            for key, tensor in parts.items():
                if key.endswith(".linear_fc1.weight"):
                    tensors[f"{key}_w"], tensors[f"{key}_v"] = tensor.chunk(2)
                else:
                    tensors[key] = tensor


@pytest.mark.parametrize("case", ["llama", "qwen3-moe"])
def test_halves_of_a_gated_weight(mbc, tmp_path, case):
    source = make_folder(case, tmp_path / "source")
    mbc("import", source, "-o", tmp_path / "megatron")
    save_with_pytorch(tmp_path / "megatron", tmp_path / "halves", singleton)
    mbc("export", tmp_path / "halves", "-o", tmp_path / "hf")
    assert_same_tensors(read_folder(tmp_path / "hf"), read_folder(source))


@pytest.mark.parametrize("half", "wv")
def test_half_of_a_gated_weight_is_refused(mbc, tmp_path, half):
    mbc("import", make_folder("llama", tmp_path / "source"), "-o", tmp_path / "megatron")
    name = f"decoder.layers.1.mlp.linear_fc1.weight_{half}"
    save_with_pytorch(tmp_path / "megatron", tmp_path / "half", lambda tensors: (singleton(tensors), tensors.pop(name)))
    other = name[:-1] + {"w": "v", "v": "w"}[half]
    assert f"tensor '{other}'" in mbc("export", tmp_path / "half", "-o", tmp_path / "hf", status=2)
    assert not (tmp_path / "hf").exists()


@pytest.mark.parametrize("damage", ["missing", "shorter", "gap"])
def test_expert_missing_among_keys_of_each_is_refused(mbc, tmp_path, damage):
    mbc("import", make_folder("qwen3-moe", tmp_path / "source"), "-o", tmp_path / "megatron")
    stem = "decoder.layers.1.mlp.experts.experts."
    expert = {"missing": 7, "shorter": 3, "gap": 4}[damage]
    name = f"{stem}{expert}.linear_fc2.weight"

    def change(tensors):
        singleton(tensors)
        weight = tensors.pop(name)
        if damage == "shorter":
            tensors[name] = weight[:-1].clone()

    save_with_pytorch(tmp_path / "megatron", tmp_path / "less", change)
    assert stem in mbc("export", tmp_path / "less", "-o", tmp_path / "hf", status=2)
    assert not (tmp_path / "hf").exists()


TRAINED = [
    save(case, stack, layout, optimizer=optimizer)
    for case in ("llama", "llama-tied", "qwen3")
    for stack in STACKS
    for layout in DENSE_LAYOUTS
    for optimizer in ("fully_reshardable", "dp_reshardable")
]
TRAINED += [
    save(case, stack, layout, optimizer=optimizer)
    for case in ("qwen3-moe", "deepseek-v3")
    for stack in STACKS
    for layout in ("tp1", "tp2ep2")
    for optimizer in ("fully_reshardable", "dp_reshardable")
]


@parametrize(TRAINED, lambda job: job.case == "llama" and job.layout in QUICK_LAYOUTS)
def test_save_during_training(job, peers, mbc, tmp_path):
    assert_exports_the_source(job, peers, mbc, tmp_path / "hf")
    keys = FileSystemReader(peers.output(job) / "iter_0000010").read_metadata().state_dict_metadata
    # Of a chain of optimizers, one for the experts, each has a prefix
    assert any("optimizer." in key and "exp_avg_sq" in key for key in keys)
    assert any(key.startswith("rng_state/") for key in keys)
    assert any(key.startswith("rerun_state_machine_state/") for key in keys)


# Folders that transformers of either version saves, with experts apart or in one tensor, both ways

RESAVES = [
    Job("resave", case, stack, "tp1")
    for case in ("qwen3-moe", "qwen3-moe-dense-layers", "deepseek-v2", "deepseek-v3", "moonlight", "qwen2.5-vl")
    for stack in STACKS
]


@parametrize(RESAVES, lambda job: False)
def test_folder_saved_by_transformers(job, peers, mbc, tmp_path):
    peers.result(job)
    source = peers.output(job)
    mbc("import", source, "-o", tmp_path / "megatron")
    mbc("export", tmp_path / "megatron", "-o", tmp_path / "hf")
    assert_same_tensors(read_folder(tmp_path / "hf"), read_folder(source))
    assert (tmp_path / "hf/config.json").read_bytes() == (source / "config.json").read_bytes()
