"""What mbc writes, read by the programs that others use: transformers, safetensors, PyTorch's distributed checkpoint
reader, Python's zipfile and pickletools; and what PyTorch writes, read by mbc."""

import filecmp
import io
import json
import pickletools
import shutil
import zipfile

import pytest
import torch
import transformers
import yaml
from checkpoints import load_safely, read_megatron, records, save_with_pytorch
from conftest import NOT_NUMBERS, make_folder
from layout import Expected, assert_same_tensors, read_folder
from peers.reference import logits
from safetensors import safe_open


def assert_sound_zip(file):
    """An archive that Python's zipfile finds whole and whose pickle is made of nothing but known parts."""
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        [pickle] = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        pickletools.dis(archive.read(pickle), out=io.StringIO())


# Exported folders


def test_exported_tensors_are_equal(converted):
    assert_same_tensors(read_folder(converted.exported), read_folder(converted.source))


def test_exported_files_are_equal(converted):
    names = sorted(path.name for path in converted.source.iterdir())
    assert sorted(path.name for path in converted.exported.iterdir()) == names
    _, different, errors = filecmp.cmpfiles(converted.source, converted.exported, names, shallow=False)
    assert not different + errors


def test_exported_folder_loads_in_transformers(converted):
    if converted.name in NOT_NUMBERS:
        pytest.skip("the weights hold NaN")
    assert torch.equal(logits(converted.exported), logits(converted.source))


def test_safetensors_accepts_exported_files(converted):
    stored = {}
    for file in converted.exported.glob("*.safetensors"):
        with safe_open(file, framework="pt") as reader:
            assert reader.metadata() == {"format": "pt"}
            stored |= dict.fromkeys(reader.keys(), file.name)
    index = converted.exported / "model.safetensors.index.json"
    assert index.exists() == (set(stored.values()) != {"model.safetensors"})
    if index.exists():
        assert json.loads(index.read_text())["weight_map"] == stored


# Written checkpoints


def test_checkpoint_has_the_layout_of_megatron(converted):
    expected = Expected(read_folder(converted.source), converted.config)
    tensors, others = read_megatron(converted.iteration)
    assert_same_tensors(tensors, expected.tensors)
    assert expected.extra_state <= others


def test_checkpoint_records_are_sound(converted):
    pickletools.dis((converted.iteration / ".metadata").read_bytes(), out=io.StringIO())
    seen = 0
    for _, record in records(converted.iteration):
        assert_sound_zip(io.BytesIO(record))
        load_safely(io.BytesIO(record))
        seen += 1
    assert seen > 0


def test_checkpoint_side_files(converted):
    iteration, root = converted.iteration, converted.megatron
    assert json.loads((iteration / "metadata.json").read_text())["sharded_backend"] == "torch_dist"

    assert_sound_zip(iteration / "common.pt")
    common = load_safely(iteration / "common.pt")
    assert common["checkpoint_version"] == 3.0
    indexed = Expected(read_folder(converted.source), converted.config).indexed
    assert bool(common["content_metadata"].get("non_homogeneous_layers")) == indexed

    for path in (iteration / "train_state.pt", root / "latest_train_state.pt"):
        assert_sound_zip(path)
        assert load_safely(path)["step"].item() == 0

    tracker = (root / "latest_checkpointed_iteration.txt").read_text().strip()
    assert (root / (tracker if tracker == "release" else f"iter_{int(tracker):07d}") / ".metadata").exists()

    model = yaml.safe_load((iteration / "run_config.yaml").read_text())["model"]
    config = converted.config
    tied = config["tie_word_embeddings"]
    config = config.get("text_config") or config
    heads = config["num_attention_heads"]
    rope = config.get("rope_parameters") or config
    expected = {
        "num_layers": config["num_hidden_layers"],
        "hidden_size": config["hidden_size"],
        "ffn_hidden_size": config["intermediate_size"],
        "num_attention_heads": heads,
        "num_query_groups": config.get("num_key_value_heads") or heads,
        "vocab_size": config["vocab_size"],
        "layernorm_epsilon": config["rms_norm_eps"],
        "rotary_base": rope["rope_theta"],
        "share_embeddings_and_output_weights": tied,
    }
    if "kv_lora_rank" in config:
        same = ("q_lora_rank", "kv_lora_rank", "v_head_dim")
        expected |= {field: config[field] for field in same}
        expected["moe_shared_expert_intermediate_size"] = config["n_shared_experts"] * config["moe_intermediate_size"]
        expected["mtp_num_layers"] = config.get("num_nextn_predict_layers") or None
    else:
        expected["kv_channels"] = config.get("head_dim") or config["hidden_size"] // heads
    if "moe_intermediate_size" in config:
        expected["num_moe_experts"] = next(
            config[name] for name in ("num_experts", "num_local_experts", "n_routed_experts") if name in config
        )
        expected["moe_ffn_hidden_size"] = config["moe_intermediate_size"]
        expected["moe_router_topk"] = config["num_experts_per_tok"]
    assert {field: model.get(field) for field in expected} == expected


# Checkpoints that PyTorch writes


def test_checkpoint_written_by_pytorch_is_exported(converted, mbc, tmp_path):
    save_with_pytorch(converted.megatron, tmp_path / "megatron")
    mbc("export", tmp_path / "megatron", "-o", tmp_path / "hf")
    assert_same_tensors(read_folder(tmp_path / "hf"), read_folder(converted.source))


# Options and other commands


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_import_into_a_dtype(mbc, tmp_path, dtype):
    source = make_folder("llama-fp32-norms", tmp_path / "source")
    mbc("import", source, "-o", tmp_path / "megatron", "--dtype", dtype)
    cast = {name: tensor.to(getattr(torch, dtype)) for name, tensor in read_folder(source).items()}
    [iteration] = (tmp_path / "megatron").glob("iter_*")
    tensors, _ = read_megatron(iteration)
    assert_same_tensors(tensors, Expected(cast, json.loads((source / "config.json").read_text())).tensors)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_export_into_a_dtype(mbc, tmp_path, dtype):
    source = make_folder("qwen3", tmp_path / "source")
    mbc("import", source, "-o", tmp_path / "megatron")
    mbc("export", tmp_path / "megatron", "-o", tmp_path / "hf", "--dtype", dtype)
    cast = {name: tensor.to(getattr(torch, dtype)) for name, tensor in read_folder(source).items()}
    assert_same_tensors(read_folder(tmp_path / "hf"), cast)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "hf", dtype="auto")
    assert model.dtype == getattr(torch, dtype)


def test_export_into_shards(mbc, tmp_path):
    source = make_folder("llama", tmp_path / "source")
    mbc("import", source, "-o", tmp_path / "megatron")
    mbc("export", tmp_path / "megatron", "-o", tmp_path / "hf", "--max-shard-size", "40KB")
    assert_same_tensors(read_folder(tmp_path / "hf"), read_folder(source))
    files = sorted(path.name for path in (tmp_path / "hf").glob("*.safetensors"))
    assert len(files) > 1 and files[0] == f"model-00001-of-{len(files):05d}.safetensors"
    assert torch.equal(logits(tmp_path / "hf"), logits(source))


@pytest.mark.parametrize("sizes", [("--tp", 2), ("--tp", 4), ("--pp", 2), ("--tp", 2, "--pp", 2)], ids=str)
def test_parallel_sizes_do_not_change_the_tensors(mbc, tmp_path, sizes):
    source = make_folder("llama", tmp_path / "source")
    mbc("import", source, "-o", tmp_path / "megatron", *sizes)
    [iteration] = (tmp_path / "megatron").glob("iter_*")
    tensors, _ = read_megatron(iteration)
    config = json.loads((source / "config.json").read_text())
    assert_same_tensors(tensors, Expected(read_folder(source), config).tensors)


def test_verify(mbc, tmp_path):
    source = make_folder("llama", tmp_path / "source")
    mbc("import", source, "-o", tmp_path / "megatron")
    mbc("verify", source, tmp_path / "megatron")
    mbc("verify", tmp_path / "megatron", source)
    damaged = shutil.copytree(source, tmp_path / "damaged")
    with open(damaged / "model.safetensors", "r+b") as file:
        file.seek(-1, io.SEEK_END)
        last = file.read(1)
        file.seek(-1, io.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    mbc("verify", source, damaged, status=1)
    mbc("verify", tmp_path / "megatron", damaged, status=1)


def test_roundtrip(mbc, tmp_path):
    mbc("roundtrip", make_folder("qwen2", tmp_path / "source"))
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


# A real, trained model


def test_smollm2(smollm2):
    source = read_folder(smollm2.source)
    assert_same_tensors(read_folder(smollm2.exported), source)
    tensors, others = read_megatron(smollm2.iteration)
    expected = Expected(source, smollm2.config)
    assert_same_tensors(tensors, expected.tensors)
    assert expected.extra_state <= others
    assert torch.equal(logits(smollm2.exported), logits(smollm2.source))
