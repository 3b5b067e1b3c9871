"""The torch_dist reader and writer against PyTorch itself.

Needs torch, numpy and pytest. MBC_DCP_TOOL names the program that
test/Unit/IO/dcp_tool.cpp builds; the default is build/release/bin/dcp_tool.
"""

import io
import os
import pathlib
import pickle
import re
import struct
import subprocess
import warnings
import zipfile

import pytest

torch = pytest.importorskip("torch")
import torch.distributed.checkpoint as dcp  # noqa: E402
from torch.distributed.checkpoint import FileSystemReader, FileSystemWriter  # noqa: E402
from torch.distributed.checkpoint.metadata import (  # noqa: E402
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.filesystem import _StorageInfo  # noqa: E402

warnings.filterwarnings("ignore", message="torch.distributed is")

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = pathlib.Path(
    os.environ.get("MBC_DCP_TOOL", ROOT / "build" / "release" / "bin" / "dcp_tool")
)
CUTS = ["whole", "rows", "columns", "grid"]

if not TOOL.exists():
    pytest.skip(f"{TOOL} is not built", allow_module_level=True)


def tool(*args, fails=False):
    done = subprocess.run(
        [TOOL, *map(str, args)], capture_output=True, text=True, check=False
    )
    assert (done.returncode != 0) == fails, done.stderr
    return done.stderr if fails else done.stdout


def raw(tensor):
    """The bytes of a tensor, in row-major order."""
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def state():
    generator = torch.Generator().manual_seed(1)

    def random(*shape):
        return torch.randn(*shape, generator=generator)

    nan = random(5, 3)
    nan[2] = float("nan")
    return {
        "layers.weight": random(4, 33, 70).bfloat16(),
        "embedding": random(1003, 96).half(),
        "scalar": torch.tensor(3.5),
        "vector": random(7).double(),
        "integers": torch.arange(12).reshape(3, 4),
        "small": torch.arange(6, dtype=torch.int32).reshape(1, 6),
        "bytes": torch.arange(13, dtype=torch.uint8),
        "flags": torch.tensor([True, False, True]),
        "empty": torch.zeros(0, 5),
        "fp8": random(64, 64).to(torch.float8_e4m3fn),
        "fp8e5": random(8, 8).to(torch.float8_e5m2),
        "nan": nan,
        "big": random(1500, 2100),
    }


def dump(folder, out):
    """{name: (dtype, shape, bytes)} as the reader sees them."""
    found = {}
    for line in tool("dump", folder, out).splitlines():
        fields = line.split("\t")
        if fields[0] == "object":
            continue
        data = (out / f"{fields[0]}.bin").read_bytes()
        found[fields[1]] = (fields[2], fields[3], data)
    return found


def expect_same(found, want):
    assert set(found) == set(want)
    for name, tensor in want.items():
        dtype, shape, data = found[name]
        assert dtype == str(tensor.dtype).removeprefix("torch.")
        assert shape == str(list(tensor.shape))
        assert data == raw(tensor), name


def save(folder, tensors, **options):
    dcp.save(tensors, storage_writer=FileSystemWriter(folder, **options), no_dist=True)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "checkpoint"
    save(folder, state(), thread_count=3)
    return folder


def test_reads_what_dcp_saves(saved, tmp_path):
    expect_same(dump(saved, tmp_path / "out"), state())
    assert tool("verify", saved) == "0 records without checksum\n"


def test_reads_one_file_per_rank(tmp_path):
    save(tmp_path / "c", state(), single_file_per_rank=False)
    expect_same(dump(tmp_path / "c", tmp_path / "out"), state())


def test_reads_records_without_checksums(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        save(tmp_path / "c", state())
    finally:
        torch.serialization.set_crc32_options(True)
    expect_same(dump(tmp_path / "c", tmp_path / "out"), state())
    count = len(state())
    assert tool("verify", tmp_path / "c") == f"{count} records without checksum\n"


def cut(shape, parts):
    """Boxes (offsets, sizes): axis i in parts[i] pieces, uneven."""
    boxes = [((), ())]
    for axis, size in enumerate(shape):
        n = parts[axis] if axis < len(parts) else 1
        edges = [size * i // n for i in range(n + 1)]
        boxes = [
            (o + (a,), s + (b - a,))
            for o, s in boxes
            for a, b in zip(edges, edges[1:])
            if b > a or size == 0
        ]
    return boxes


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("parts", [(1,), (4,), (2, 3), (1, 2, 5), (2, 2, 2)])
def test_reads_foreign_tilings(tmp_path, parts, protocol):
    """Metadata of PyTorch's classes, with chunks as several ranks write them."""
    tensors, entries, storage = state(), {}, {}
    folder = tmp_path / "c"
    folder.mkdir()
    files = [open(folder / f"__{i}_0.distcp", "wb") for i in range(2)]
    for name, tensor in tensors.items():
        chunks = []
        for k, (offsets, sizes) in enumerate(cut(tensor.shape, parts)):
            part = tensor
            for axis, (o, s) in enumerate(zip(offsets, sizes)):
                part = part.narrow(axis, o, s)
            record = io.BytesIO()
            torch.save(part.contiguous().clone(), record)
            file = files[k % 2]
            at = file.tell()
            file.write(record.getvalue())
            offset = torch.Size(offsets)
            chunks.append(ChunkStorageMetadata(offset, torch.Size(sizes)))
            storage[MetadataIndex(name, offset, k)] = _StorageInfo(
                f"__{k % 2}_0.distcp", at, len(record.getvalue())
            )
        chunks.reverse()
        properties = TensorProperties(dtype=tensor.dtype)
        entries[name] = TensorStorageMetadata(properties, tensor.size(), chunks)
    for file in files:
        file.close()
    with open(folder / ".metadata", "wb") as file:
        pickle.dump(Metadata(entries, None, storage), file, protocol=protocol)
    expect_same(dump(folder, tmp_path / "out"), tensors)
    tool("verify", folder)


@pytest.mark.parametrize("name", CUTS)
def test_torch_reads_what_is_written(saved, tmp_path, name):
    out, want = tmp_path / "out", state()
    tool("copy", saved, out, name, 3)
    assert sorted(p.name for p in out.iterdir()) == sorted(
        [".metadata", "common.pt", "metadata.json"]
        + [f"__0_{i}.distcp" for i in range(3)]
    )

    reader = FileSystemReader(out)
    metadata = reader.read_metadata()
    loaded = {
        key: torch.zeros(value.size).to(value.properties.dtype)
        for key, value in metadata.state_dict_metadata.items()
        if hasattr(value, "size")
    }
    dcp.load(loaded, storage_reader=FileSystemReader(out), no_dist=True)
    assert set(loaded) == set(want)
    for key, tensor in want.items():
        assert loaded[key].dtype == tensor.dtype
        assert raw(loaded[key]) == raw(tensor), key

    for index, info in metadata.storage_data.items():
        data = (out / info.relative_path).read_bytes()
        record = data[info.offset : info.offset + info.length]
        assert zipfile.ZipFile(io.BytesIO(record)).testzip() is None
        value = torch.load(io.BytesIO(record), weights_only=True)
        if index.offset is None:
            assert value == [None]
        else:
            assert value.is_contiguous()
            # A storage of its own, at a multiple of 64 of the file.
            assert value.untyped_storage().nbytes() == value.nbytes
            entry = zipfile.ZipFile(io.BytesIO(record)).getinfo("archive/data/0")
            lengths = record[entry.header_offset + 26 :][:4]
            begin = entry.header_offset + 30 + sum(struct.unpack("<HH", lengths))
            assert (info.offset + begin) % 64 == 0
            assert record[begin : begin + value.nbytes] == raw(value)
    assert torch.load(out / "common.pt", weights_only=True) == {}
    assert zipfile.ZipFile(out / "common.pt").testzip() is None
    expect_same(dump(out, tmp_path / "dump"), want)


def test_common_state_round_trip(saved, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    tool("copy", saved, first, "whole", 1)
    common = {
        "checkpoint_version": 3.0,
        "iteration": 2**40,
        "negative": [-1, -300, -70000],
        "content_metadata": {"singleton_local_shards": False, "none": None},
        "name": "caf\u00e9",
    }
    torch.save(common, first / "common.pt")
    tool("copy", first, second, "whole", 1)
    assert torch.load(second / "common.pt", weights_only=True) == common
    assert "'checkpoint_version': 3" in tool("common", second)


def test_forbidden_global_in_common_state(saved, tmp_path):
    class Attack:
        def __reduce__(self):
            return os.system, ("true",)

    tool("copy", saved, tmp_path / "c", "whole", 1)
    torch.save({"args": Attack()}, tmp_path / "c" / "common.pt")
    message = tool("common", tmp_path / "c", fails=True)
    assert re.search(r"forbidden global '(posix|os)\.system'", message)


def test_train_state(tmp_path):
    path = tmp_path / "train_state.pt"
    tool("trainstate", path, 5)
    loaded = torch.load(path, weights_only=True)
    assert list(loaded) == [
        "step",
        "consumed_train_samples",
        "skipped_train_samples",
        "consumed_valid_samples",
        "floating_point_operations_so_far",
        "do_train",
        "do_valid",
        "do_test",
    ]
    assert loaded["step"].item() == 5 and loaded["step"].dtype == torch.int64
    assert loaded["floating_point_operations_so_far"].dtype == torch.float32
    assert loaded["do_train"].item() is False
    assert all(value.shape == () for value in loaded.values())


def test_views_and_strides(tmp_path):
    """A record may hold a view: contiguous ones are read, others refused."""
    base = torch.arange(24.0).reshape(6, 4)
    for name, tensor, good in [
        ("rows", base[2:4], True),
        ("columns", base[:, 1:3], False),
        ("transposed", base.t(), False),
        ("parameter", torch.nn.Parameter(base), True),
    ]:
        folder = tmp_path / name
        folder.mkdir()
        record = io.BytesIO()
        torch.save(tensor, record)
        (folder / "__0_0.distcp").write_bytes(record.getvalue())
        zero = torch.Size([0, 0])
        entry = TensorStorageMetadata(
            TensorProperties(dtype=tensor.dtype),
            tensor.size(),
            [ChunkStorageMetadata(zero, tensor.size())],
        )
        info = _StorageInfo("__0_0.distcp", 0, len(record.getvalue()))
        with open(folder / ".metadata", "wb") as file:
            pickle.dump(
                Metadata({name: entry}, None, {MetadataIndex(name, zero): info}), file
            )
        if good:
            expect_same(dump(folder, tmp_path / "out"), {name: tensor.detach()})
        else:
            assert "is not contiguous" in tool("verify", folder, fails=True)
