"""torch_dist checkpoints read, rewritten and changed through PyTorch."""

import argparse
import io
import math
import shutil

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner
from torch.distributed.checkpoint.metadata import BytesStorageMetadata, TensorStorageMetadata


def read_megatron(iteration):
    """Every tensor of a torch_dist checkpoint, through PyTorch, and the names of its other entries."""
    metadata = FileSystemReader(iteration).read_metadata()
    tensors, others = {}, set()
    for key, entry in metadata.state_dict_metadata.items():
        if isinstance(entry, TensorStorageMetadata):
            # The chunks tile the tensor: PyTorch itself would leave a gap as it is.
            assert sum(math.prod(chunk.sizes) for chunk in entry.chunks) == math.prod(entry.size), key
            tensors[key] = torch.empty(entry.size, dtype=entry.properties.dtype)
        else:
            assert isinstance(entry, BytesStorageMetadata)
            others.add(key)
    dcp.load(tensors, storage_reader=FileSystemReader(iteration), no_dist=True)
    return tensors, others


def records(iteration):
    """The (entry, bytes) of every stored record."""
    for index, info in FileSystemReader(iteration).read_metadata().storage_data.items():
        with open(iteration / info.relative_path, "rb") as file:
            file.seek(info.offset)
            record = file.read(info.length)
        assert len(record) == info.length, index
        yield index, record


def load_safely(file):
    with torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(file, weights_only=True)


def save_with_pytorch(megatron, copy, change=lambda tensors: None):
    """The same checkpoint, its tensors (changed) and entries written by PyTorch in its own way."""
    shutil.copytree(megatron, copy, symlinks=True, ignore=shutil.ignore_patterns("*.distcp", ".metadata"))
    [source], [target] = megatron.glob("iter_*"), copy.glob("iter_*")
    state, others = read_megatron(source)
    change(state)
    for index, record in records(source):
        if index.fqn in others:
            state[index.fqn] = load_safely(io.BytesIO(record))
    dcp.save(
        state,
        storage_writer=FileSystemWriter(target, thread_count=2),
        planner=DefaultSavePlanner(flatten_state_dict=False, flatten_sharded_tensors=False),
        no_dist=True,
    )
