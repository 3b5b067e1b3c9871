"""Checkpoints without a Hugging Face side, saved by the real Megatron programs: mbc rebuilds config.json from Bridge's
run_config.yaml or Megatron-LM's arguments, and every transformers computes the same logits from the result."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from layout import assert_same_tensors, read_folder
from stacks import LAYOUTS, PEERS, STACKS, Job, parametrize

QUICK = {"llama", "qwen3"}

LOGITS = """
import json, sys, torch, transformers
folder, tokens, out = sys.argv[1:]
model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
with torch.no_grad():
    torch.save(model(torch.load(tokens)["tokens"]).logits, out)
"""


def logits(python, folder, reference, out):
    """What the transformers of that environment makes of the tokens."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    command = [str(word) for word in (python, "-c", LOGITS, folder, reference, out)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert result.returncode == 0, result.stderr[-3000:]
    return torch.load(out)


def assert_exports_without_config(job, peers, mbc, tmp_path):
    source, folder = peers.source(job), tmp_path / "hf"
    peers.result(job)
    printed = mbc("export", peers.output(job), "-o", folder)
    assert "config.json is rebuilt from" in printed
    assert not (folder / "generation_config.json").exists()
    exported, expected = read_folder(folder), read_folder(source)
    assert_same_tensors(exported, expected)
    mbc("verify", peers.output(job), folder)
    reference = peers.logits(job.case)
    saved = torch.load(reference)["logits"]
    for python in [sys.executable] + [PEERS / stack / "bin/python" for stack in STACKS]:
        again = logits(python, folder, reference, tmp_path / "logits.pt")
        assert torch.equal(again, saved) or (again - saved).abs().max() <= 1e-5 * saved.abs().max()
    shutil.rmtree(folder)
    return printed


IMPORTS = [
    Job("import_hf", case, stack, layout)
    for case in ("llama", "llama-tied", "llama-megatron-rope", "llama-head-dim", "llama-fp32", "qwen2", "qwen3")
    for stack in STACKS
    for layout in ("tp1", "tp2pp2")
]


@parametrize(IMPORTS, lambda job: job.case in QUICK and job.layout == "tp1")
def test_bridge(job, peers, mbc, tmp_path):
    [iteration] = (peers.result(job), peers.output(job))[1].glob("iter_*")
    mbc("export", peers.output(job), "-o", tmp_path / "with-tokenizer")
    stored = iteration / "tokenizer"
    assert not stored.exists() or {path.name for path in stored.iterdir()} & {"tokenizer.json"} == {
        path.name for path in (tmp_path / "with-tokenizer").iterdir()
    } & {"tokenizer.json"}
    assert_exports_without_config(job, peers, mbc, tmp_path)


def save(case, stack, layout, **options):
    if LAYOUTS[layout][0]["tp"] > 1:
        options["vocab"] = 256  # Megatron-LM pads to a multiple of 128 x TP
    return Job("save", case, stack, layout, options=tuple(options.items()))


SAVES = [
    save(case, stack, layout, keys=keys)
    for case in ("llama", "llama-tied", "qwen2", "qwen3")
    for stack in STACKS
    for layout in ("tp1", "tp2pp2")
    for keys in ("stacked", "indexed")
]
SAVES += [save("llama", stack, "tp1", optimizer="dp_reshardable") for stack in STACKS]


@parametrize(SAVES, lambda job: job.case in QUICK and dict(job.options).get("keys") != "indexed")
def test_megatron_lm(job, peers, mbc, tmp_path):
    printed = assert_exports_without_config(job, peers, mbc, tmp_path)
    assert ("left out:" in printed) == ("optimizer" in dict(job.options))


COUNTED = save("llama", "new", "tp1", optimizer="dp_reshardable")


@parametrize([COUNTED], lambda job: True)
def test_what_is_left_out_is_counted(job, peers, mbc, tmp_path):
    peers.result(job)
    report = json.loads(mbc("export", peers.output(job), "-o", tmp_path / "hf", "--json", "--quiet"))
    skipped = report["skipped"]
    assert skipped["optimizer_tensors"] >= 3 and skipped["optimizer_objects"] >= 1
    assert skipped["rng_states"] == 1 and skipped["rerun_states"] == 1 and skipped["scheduler"] is True
    assert skipped["extra_states"] > 0


@parametrize([Job("import_hf", "llama", "new", "tp1")], lambda job: True)
def test_another_tokenizer(job, peers, mbc, tmp_path):
    peers.result(job)
    other = tmp_path / "tokenizer"
    other.mkdir()
    (other / "tokenizer.json").write_text('{"version": "1.0"}')
    (other / "model.safetensors").write_text("not copied")
    mbc("export", peers.output(job), "-o", tmp_path / "hf", "--tokenizer", other)
    assert (tmp_path / "hf/tokenizer.json").read_text() == '{"version": "1.0"}'
    assert not (tmp_path / "hf/tokenizer_config.json").exists()
    (other / "tokenizer.json").unlink()
    assert "holds no tokenizer" in mbc(
        "export", peers.output(job), "-o", tmp_path / "none", "--tokenizer", other, status=2
    )


@parametrize([Job("import_hf", "llama", "new", "tp1")], lambda job: True)
def test_hub_shards_are_cut_as_the_reference(job, peers, mbc, tmp_path):
    peers.result(job)
    mbc("export", peers.output(job), "-o", tmp_path / "cut", "--max-shard-size", "60KB")
    mbc("export", peers.output(job), "-o", tmp_path / "again", "--hf-model", tmp_path / "cut")
    names = [{path.name for path in (tmp_path / name).glob("*.safetensors*")} for name in ("cut", "again")]
    assert len(names[0]) > 2 and names[0] == names[1]
    index = "model.safetensors.index.json"
    maps = [json.loads((tmp_path / name / index).read_text())["weight_map"] for name in ("cut", "again")]
    assert maps[0] == maps[1]


@pytest.mark.parametrize("name", ["llama"])
def test_arguments_that_say_too_little(name, peers, mbc, tmp_path):
    """Namespace without what decides the model: everything is named at once."""
    import argparse

    from conftest import make_folder

    source = make_folder(name, tmp_path / "source")
    mbc("import", source, "-o", tmp_path / "megatron")
    [iteration] = (tmp_path / "megatron").glob("iter_*")
    shutil.rmtree(iteration / "mbc")
    (iteration / "run_config.yaml").unlink()
    with torch.serialization.safe_globals([argparse.Namespace]):
        common = torch.load(iteration / "common.pt", weights_only=True)
    for gone in ("norm_epsilon", "rotary_base"):
        delattr(common["args"], gone)
    torch.save(common, iteration / "common.pt")
    printed = mbc("export", tmp_path / "megatron", "-o", tmp_path / "hf", status=2)
    assert "'norm_epsilon'" in printed and "'rotary_base'" in printed and "--hf-model DIR" in printed
    assert not (tmp_path / "hf").exists()
    common["args"] = [1, 2]
    torch.save(common, iteration / "common.pt")
    assert "not a Namespace" in mbc("export", tmp_path / "megatron", "-o", tmp_path / "hf", status=2)
