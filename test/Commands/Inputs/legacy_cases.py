"""Damages of the legacy torch format, for damage.py: the folders of ranks, and what their files say. A rank's file is read and
written again without PyTorch."""

import argparse
import collections
import io
import os
import pickle
import re
import shutil
import zipfile

from damage_cases import CASES, Case, read, usage, write

OPTIONS = ["--format", "torch", "--tp", "2"]  # of the checkpoint that is damaged
FILE = "model_optim_rng.pt"
QKV = "decoder.layers.0.self_attention.linear_qkv.weight"
NORM = "decoder.final_layernorm.weight"


class LegacyCase(Case):
    """`change` gets the iteration folder of a checkpoint of two tensor-parallel ranks."""

    def __init__(self, name, change, *expected, **settings):
        super().__init__("legacy: " + name, *expected, run=settings.pop("run", "export"), **settings)
        self.change = change

    def make(self, work, checkpoint):
        source = os.path.join(work, "source")
        shutil.copytree(os.path.join(os.path.dirname(checkpoint), "legacy"), source, symlinks=True)
        self.change(os.path.join(source, "iter_0000000"))


def legacy(name, change, *expected, **settings):
    CASES.append(LegacyCase(name, change, *expected, **settings))


class Named:
    """A class of a package that is not there, by its name."""

    def __init__(self, module, name):
        self.module, self.name = module, name

    def __call__(self, *arguments):
        return Called(self, arguments)


class Called:
    def __init__(self, callee, arguments):
        self.callee, self.arguments = callee, arguments

    def __reduce__(self):
        return self.callee, self.arguments


class Storage(tuple):
    pass


class Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        known = {"OrderedDict": collections.OrderedDict, "Namespace": argparse.Namespace}
        return known.get(name) or Named(module, name)

    def persistent_load(self, identity):
        return Storage(identity)


class Pickler(pickle._Pickler):  # the one in Python, which can be taught how names are written
    def persistent_id(self, value):
        return tuple(value) if isinstance(value, Storage) else None

    def save_named(self, value):
        self.write(pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode())
    dispatch = {**pickle._Pickler.dispatch, Named: save_named}


class RankFile:
    """The dict of a rank's file, and its storages by their keys."""

    def __init__(self, path):
        with zipfile.ZipFile(path) as file:
            entries = {name.split("/", 1)[1]: file.read(name) for name in file.namelist()}
        self.state = Unpickler(io.BytesIO(entries["data.pkl"])).load()
        self.storages = {name[5:]: raw for name, raw in entries.items() if name.startswith("data/")}

    def tensor(self, name):
        return self.state["model"][name].arguments

    def write(self, path):
        stream = io.BytesIO()
        Pickler(stream, 2).dump(self.state)
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("archive/data.pkl", stream.getvalue())
            file.writestr("archive/version", "3\n")
            for key, raw in self.storages.items():
                file.writestr("archive/data/" + key, raw)


def edit(change, rank="mp_rank_01"):
    def apply(folder):
        path = os.path.join(folder, rank, FILE)
        file = RankFile(path)
        change(file)
        file.write(path)
    return apply


def argument(name, value):
    return edit(lambda file: setattr(file.state["args"], name, value))


def entry(name, value):
    return edit(lambda file: file.state.__setitem__(name, value))


def arguments_of(name, **changes):
    """Changes arguments of a tensor: offset, size, strides."""
    def change(file):
        tensor = file.state["model"][name]
        positions = {"offset": 1, "size": 2, "strides": 3}
        values = list(tensor.arguments)
        for key, value in changes.items():
            values[positions[key]] = value
        file.state["model"][name] = Called(tensor.callee, tuple(values))
    return edit(change)


def bytes_of(name, change):
    def apply(file):
        key = file.tensor(name)[0][2]
        file.storages[key] = change(file.storages[key])
    return edit(apply)


def flip(folder):
    """A bit of a weight, behind the back of its checksum."""
    path = os.path.join(folder, "mp_rank_01", FILE)
    key = RankFile(path).tensor(QKV)[0][2]
    with zipfile.ZipFile(path) as file:
        at = file.getinfo("model_optim_rng/data/" + key).header_offset
    raw = bytearray(read(path))
    length, extra = raw[at + 26] + 256 * raw[at + 27], raw[at + 28] + 256 * raw[at + 29]
    raw[at + 30 + length + extra] ^= 1
    write(path, bytes(raw))


def in_rank(folder, rank, change):
    change(os.path.join(folder, rank))


ALL = "export verify inspect reshard"
legacy("a rank is missing", lambda folder: in_rank(folder, "mp_rank_01", shutil.rmtree), "mp_rank", "tensor_model_parallel_size = 2")
legacy("the first rank is missing", lambda folder: in_rank(folder, "mp_rank_00", shutil.rmtree), "'mp_rank_00'", "missing", run=ALL)
legacy("a rank too many", lambda folder: shutil.copytree(folder + "/mp_rank_00", folder + "/mp_rank_02"), "folders", "3")
legacy("no rank's file", lambda folder: os.remove(f"{folder}/mp_rank_01/{FILE}"), "mp_rank_01", "model_optim_rng", run=ALL)
legacy("a rank's file has no byte", lambda folder: write(f"{folder}/mp_rank_01/{FILE}", b""), "mp_rank_01", run=ALL)
legacy("a rank's file is cut", lambda folder: write(f"{folder}/mp_rank_01/{FILE}", read(f"{folder}/mp_rank_01/{FILE}")[:-300]),
       "mp_rank_01", run=ALL)
legacy("a rank's file is rubbish", lambda folder: write(f"{folder}/mp_rank_01/{FILE}", bytes(range(256)) * 64), "mp_rank_01")
legacy("a rank's file is a folder", lambda folder: (os.remove(f"{folder}/mp_rank_01/{FILE}"), os.mkdir(f"{folder}/mp_rank_01/{FILE}")),
       "mp_rank_01")
legacy("a folder of another name", lambda folder: os.rename(folder + "/mp_rank_01", folder + "/mp_rank_one"), "'mp_rank_one'", run=ALL)
legacy("folders of two forms", lambda folder: os.rename(folder + "/mp_rank_01", folder + "/mp_rank_01_000"), "mp_rank_01_000", "layout")
legacy("another iteration", entry("iteration", 7), "disagree", "mp_rank_01", "iteration", "7", run=ALL)
legacy("another number of layers", argument("num_layers", 99), "disagree", "num_layers", "99")
legacy("another seed", argument("seed", 99), "disagree", "seed", "99", "not stated")
legacy("another tensor-parallel size", argument("tensor_model_parallel_size", 4), "disagree", "tensor_model_parallel_size")
legacy("the order of old rows", entry("checkpoint_version", 1.0), "checkpoint_version 1", "expected 2")
legacy("no model", edit(lambda file: file.state.pop("model")), "mp_rank_01", "'model'")
legacy("the model is a list", entry("model", [1, 2]), "'mp_rank_01/model' is no dict")
legacy("chunks on one rank alone", edit(lambda file: file.state.update(model0=file.state["model"], model1=file.state.pop("model"))),
       "disagree", "chunks")
legacy("the second chunk alone", edit(lambda file: file.state.update(model1=file.state.pop("model"))), "missing")
legacy("a model of no Megatron Core", edit(lambda file: file.state["model"].__setitem__("language_model", {"encoder": {}})),
       "'language_model'", "Megatron Core")
legacy("a tensor is missing", edit(lambda file: file.state["model"].pop(QKV)), f"mp_rank_01/model/{QKV}", "missing", run="export verify reshard")
legacy("a tensor too many", edit(lambda file: file.state["model"].__setitem__("decoder.layers.0.more.weight", file.state["model"][NORM])),
       r"decoder\.layers\.0\.more\.weight", "no parameter")
legacy("a layer too many", edit(lambda file: file.state["model"].__setitem__(
       "decoder.layers.9.self_attention.linear_qkv.weight", file.state["model"][QKV])), r"decoder\.layers\.9", "no parameter")
legacy("a tensor of another shape", arguments_of(QKV, size=(2, 2), strides=(2, 1)), re.escape(QKV), r"\[2, 2\]")
legacy("a tensor lies across", arguments_of(QKV, strides=(1, 2)), re.escape(QKV), "contiguous|fit")
legacy("a tensor beyond its storage", arguments_of(QKV, offset=10**9), re.escape(QKV), "fit")
legacy("a number in place of a tensor", edit(lambda file: file.state["model"].__setitem__(QKV, 3)), re.escape(QKV), "tensor")
legacy("a storage is missing", edit(lambda file: file.storages.pop(file.tensor(QKV)[0][2])), re.escape(QKV), "data/")
legacy("a storage is short", bytes_of(QKV, lambda raw: raw[:-2]), re.escape(QKV), "bytes")
legacy("copies of a norm differ", bytes_of(NORM, lambda raw: bytes([raw[0] ^ 1]) + raw[1:]), "disagree", re.escape(NORM),
       run="export verify reshard")
legacy("a bit flipped", flip, "mp_rank_01", "CRC", run="export reshard")  # for verify it is a difference from the manifest
legacy("a pickle that runs a command", lambda folder: edit(
       lambda file: file.state.__setitem__("args", Named("posix", "system")("touch out/executed")))(folder), "forbidden", "posix.system",
       run=ALL)
def neither_record_nor_arguments(folder):
    shutil.rmtree(folder + "/mbc")
    for rank in ("mp_rank_00", "mp_rank_01"):
        edit(lambda file: file.state.pop("args"), rank)(folder)


legacy("neither a record of the source nor arguments", neither_record_nor_arguments, "no 'args'", "--hf-model")

TORCH = ["import", "source", "-o", "OUT", "--format", "torch"]
usage("format of no name", ["import", "source", "-o", "OUT", "--format", "zarr"], "--format", "'zarr'", "torch_dist")
usage("layer spec of no name", TORCH + ["--layer-spec", "apex"], "--layer-spec", "'apex'", "local")
usage("experts of no name", TORCH + ["--experts", "many"], "--experts", "'many'", "sequential")
usage("mcore of no version", TORCH + ["--mcore", "new"], "--mcore", "'new'")
usage("rank of no such kind", TORCH + ["--rank", "dp=1"], "--rank", "'dp=1'", "tp=N")
usage("rank given twice", TORCH + ["--rank", "tp=0,tp=1"], "--rank", "'tp=1'")
usage("rank that is not there", TORCH + ["--tp", "2", "--rank", "tp=2"], "--rank", "no such rank", "mp_rank_01")
usage("rank of torch_dist", ["import", "source", "-o", "OUT", "--rank", "tp=0"], "--rank", "--format torch")
usage("layer spec of torch_dist", ["import", "source", "-o", "OUT", "--layer-spec", "te"], "--layer-spec", "--format torch")
usage("chunks on one stage", TORCH + ["--vpp", "2"], "vpp = 2", "pp > 1")
usage("more layers than there are in the first stage", TORCH + ["--pp", "2", "--decoder-first-pipeline-num-layers", "9"],
      "cannot cut", "stages", "9")
usage("an uneven stage, and the embedding", TORCH + ["--pp", "2", "--decoder-first-pipeline-num-layers", "1",
      "--account-for-embedding-in-pipeline-split"], "embedding", "one of both")
usage("an uneven stage of one", TORCH + ["--decoder-last-pipeline-num-layers", "1"], "pp > 1")
usage("vocabulary divisible by 0", TORCH + ["--make-vocab-size-divisible-by", "0"], "--make-vocab-size-divisible-by", "'0'")
usage("reshard of a Hugging Face folder", ["reshard", "source", "-o", "OUT"], "source", "no Megatron checkpoint", "mbc import")
usage("reshard to nowhere", ["reshard", "source"], "-o,--output")
