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


def assert_exports_the_source(job, peers, mbc, folder):
    source = peers.source(job)
    peers.result(job)
    mbc("export", peers.output(job), "-o", folder, "--hf-model", source)
    assert_same_tensors(read_folder(folder), read_folder(source))
    for name in ("config.json", "tokenizer.json"):
        assert (folder / name).read_bytes() == (source / name).read_bytes()
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


@parametrize(IMPORTS, lambda job: job.case in QUICK and job.layout in QUICK_LAYOUTS)
def test_import_by_bridge(job, peers, mbc, tmp_path):
    assert_exports_the_source(job, peers, mbc, tmp_path / "hf")
    [iteration] = peers.output(job).glob("iter_*")
    assert (iteration / "common.pt").exists() == (job.stack == "old")


def save(case, stack, layout, **options):
    if LAYOUTS[layout][0] > 1:
        options["vocab"] = 256  # Megatron-LM pads to a multiple of 128 x TP
    return Job("save", case, stack, layout, options=tuple(options.items()))


SAVES = [
    save(case, stack, layout, keys=keys)
    for case in ("llama", "llama-tied", "llama-biases", "llama-one-layer", "qwen2", "qwen3")
    for stack in STACKS
    for layout in LAYOUTS
    for keys in ("stacked", "indexed", "singleton")
    if not (case == "llama-one-layer" and "pp2" in layout)
]
SAVES += [save("llama-fp32", stack, layout, dtype="float32") for stack in STACKS for layout in LAYOUTS]
SAVES += [save("llama-odd-vocabulary", stack, layout, vocab=256) for stack in STACKS for layout in LAYOUTS]


@parametrize(SAVES, lambda job: job.case in QUICK and job.layout in QUICK_LAYOUTS)
def test_save_by_megatron_core(job, peers, mbc, tmp_path):
    assert_exports_the_source(job, peers, mbc, tmp_path / "hf")


def singleton(tensors):
    """Keys as with singleton_local_shards: an index for each layer, gate and up apart."""
    for name in [name for name in tensors if name.startswith("decoder.layers.")]:
        for i, tensor in enumerate(tensors.pop(name)):
            indexed = name.replace("layers.", f"layers.{i}.")
            if name.endswith(".linear_fc1.weight"):
                tensors[f"{indexed}_w"], tensors[f"{indexed}_v"] = tensor.chunk(2)
            else:
                tensors[indexed] = tensor


def test_halves_of_a_gated_weight(mbc, tmp_path):
    source = make_folder("llama", tmp_path / "source")
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


TRAINED = [
    save(case, stack, layout, optimizer=optimizer)
    for case in ("llama", "llama-tied", "qwen3")
    for stack in STACKS
    for layout in LAYOUTS
    for optimizer in ("fully_reshardable", "dp_reshardable")
]


@parametrize(TRAINED, lambda job: job.case == "llama" and job.layout in QUICK_LAYOUTS)
def test_save_during_training(job, peers, mbc, tmp_path):
    assert_exports_the_source(job, peers, mbc, tmp_path / "hf")
    keys = FileSystemReader(peers.output(job) / "iter_0000010").read_metadata().state_dict_metadata
    assert any(key.startswith("optimizer.") and "exp_avg_sq" in key for key in keys)
    assert any(key.startswith("rng_state/") for key in keys)
    assert any(key.startswith("rerun_state_machine_state/") for key in keys)
