"""The damages, one row each: what is wrong, how it is made, and what the message must say."""

import json
import os
import pickle
import re
import shutil
import struct
import subprocess
import zipfile
import zlib

import torch_dist as dcp
from hf_folder import (DOWN1, EMBED, FIRST, HEAD, INDEX, K0, NORM, Q0, SECOND, UP0, V1, Folder, layer, split, tensor)

QKV, FC1 = "decoder.layers.self_attention.linear_qkv.weight", "decoder.layers.mlp.linear_fc1.weight"
FINAL = "decoder.final_layernorm.weight"


class Case:
    """A folder `source` and what is done with it."""
    export, exact, compare, left_out, megatron = [], True, None, (), False

    def __init__(self, name, *expected, run="import", status=2, source="source", target="out/target", options=(),
                 arguments=None, file_limit=None, needs=None):
        self.name, self.expected, self.status = name, expected, status
        self.commands = ["usage"] if arguments is not None else run.split()
        self.source, self.target, self.options = [source] if source else [], target, list(options)
        self.arguments, self.file_limit, self.needs = arguments, file_limit, needs

    def skip(self):
        return self.needs is not None and not self.needs()

    def make(self, work, checkpoint):
        pass

    def undo(self, work):
        pass


class HfCase(Case):
    def __init__(self, name, change, *expected, **settings):
        self.fields = settings.pop("fields", {})
        super().__init__(name, *expected, **settings)
        self.change = change

    def make(self, work, checkpoint):
        folder = Folder(**self.fields)
        self.change(folder)
        folder.write(os.path.join(work, "source"))


class MegatronCase(Case):
    """`change` gets the iteration folder; `root_change` that of the whole checkpoint."""

    def __init__(self, name, change, *expected, at_root=False, **settings):
        super().__init__(name, *expected, run=settings.pop("run", "export"), **settings)
        self.change, self.at_root = change, at_root

    def make(self, work, checkpoint):
        source = os.path.join(work, "source")
        shutil.copytree(checkpoint, source, symlinks=True)
        self.change(source if self.at_root else os.path.join(source, "iter_0000000"))


CASES = []


def hf(name, change, *expected, **settings):
    CASES.append(HfCase("hf: " + name, change, *expected, **settings))


def config(name, fields, *expected, **settings):
    """Fields of config.json (`...` takes one out); weights stay those of the good one."""
    hf("config: " + name, lambda f: change_config(f, fields), *expected, **settings)


def change_config(folder, fields):
    folder.config = {key: value for key, value in {**folder.config, **fields}.items() if value is not ...}


def megatron(name, change, *expected, **settings):
    CASES.append(MegatronCase("megatron: " + name, change, *expected, **settings))


def usage(name, arguments, *expected, status=2):
    CASES.append(HfCase("usage: " + name, lambda f: None, *expected, arguments=arguments, status=status))


def write(path, raw):
    with open(path, "wb") as file:
        file.write(raw if isinstance(raw, bytes) else raw.encode())


def read(path):
    with open(path, "rb") as file:
        return file.read()


def in_file(file, name):
    return [re.escape(file), re.escape(name)]


def setter(*parts):
    """[a, b, value]: x[a][b] = value, as a function of x."""
    def change(x):
        for part in parts[:-2]:
            x = x[part]
        x[parts[-2]] = parts[-1]
    return change


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 269060552\n"

#===---------------------------------------------------------------------------------------------------------------===#
# Weight files
#===---------------------------------------------------------------------------------------------------------------===#

hf("no byte", lambda f: f.patch(FIRST, lambda raw: b""), FIRST, "truncated", run="import inspect")
hf("cut in the length", lambda f: f.patch(FIRST, lambda raw: raw[:5]), FIRST, "truncated")
hf("cut in the header", lambda f: f.patch(FIRST, lambda raw: raw[:60]), FIRST, "truncated", run="import verify")
hf("cut after the header", lambda f: f.patch(FIRST, lambda raw: raw[:len(raw) - len(split(raw)[1])]), FIRST, "truncated")
hf("cut in the data", lambda f: f.patch(SECOND, lambda raw: raw[:-1]), SECOND, "truncated", run="import verify check inspect")
hf("bytes after the data", lambda f: f.patch(SECOND, lambda raw: raw + b"\0"), SECOND, "1 bytes? follow", run="import verify")
hf("header of 2^62 bytes", lambda f: f.patch(FIRST, lambda raw: struct.pack("<Q", 1 << 62) + raw[8:]), FIRST,
   "4611686018427387904", run="import verify inspect")
hf("header of 2^64 - 1 bytes", lambda f: f.patch(FIRST, lambda raw: b"\xff" * 8 + raw[8:]), FIRST, "18446744073709551615")
hf("header of 0 bytes", lambda f: f.patch(FIRST, lambda raw: bytes(8) + raw[8:]), FIRST, "header")
hf("header is no JSON", lambda f: f.header(FIRST, lambda text: b"hello, world"), FIRST, "header")
hf("header is an array", lambda f: f.header(FIRST, lambda text: b"[1, 2]"), FIRST, "header does not start")
hf("header of truncated JSON", lambda f: f.header(FIRST, lambda text: text.rstrip()[:-20]), FIRST, "line|byte")
hf("header of not UTF-8", lambda f: f.header(FIRST, lambda text: text.replace(b"embed", b"emb\xff\xfe")), FIRST, "UTF-8")
hf("header of text after JSON", lambda f: f.header(FIRST, lambda text: text.rstrip() + b"x"), FIRST)
hf("header of 100,000 open brackets", lambda f: f.header(FIRST, lambda text: b'{"a":' + b"[" * 100000), FIRST)
hf("header with a duplicate tensor", lambda f: f.header(FIRST, lambda text: text.rstrip()[:-1] + b"," + text[text.index(
   b'"model.embed'):text.index(b"}}" if b"}}" in text[:text.index(b"},") + 2] else b"},", text.index(b'"model.embed')) + 1]
   + b"}"), FIRST, re.escape(EMBED), "twice|duplicate")
hf("header with a duplicate member", lambda f: f.header(FIRST, lambda text: text.replace(
   b'"dtype":"BF16"', b'"dtype":"BF16","dtype":"F16"', 1)), FIRST, re.escape(EMBED), "duplicate key 'dtype'")
hf("header with a duplicate in __metadata__", lambda f: f.header(FIRST, lambda text: text.replace(
   b'"format":"pt"', b'"format":"pt","format":"tf"', 1)), FIRST, "duplicate key 'format'")
hf("__metadata__ with a number", lambda f: f.header(FIRST, lambda text: text.replace(
   b'"format":"pt"', b'"format":1', 1)), FIRST, "format")
hf("entry without a shape", lambda f: f.header(FIRST, lambda text: text.replace(b'"shape":[37,16],', b"", 1)), FIRST,
   re.escape(EMBED), "has no 'shape'")
hf("entry with an unknown member", lambda f: f.entry(FIRST, EMBED, stride=[1]), *in_file(FIRST, EMBED), "stride")
hf("overlapping offsets", lambda f: f.entry(FIRST, K0, data_offsets=[1000, 1256]), FIRST, "inside tensor")
hf("a hole", lambda f: hole(f), FIRST, re.escape(Q0), "hole")


def hole(f):
    def change(raw):
        header, data = split(raw)
        begin = header[Q0]["data_offsets"][0]
        for name, entry in header.items():
            if name != "__metadata__" and entry["data_offsets"][0] >= begin:
                entry["data_offsets"] = [offset + 2 for offset in entry["data_offsets"]]
        return struct.pack("<Q", len(json.dumps(header))) + json.dumps(header).encode() + data[:begin] + b"\0\0" + data[begin:]
    f.patch(FIRST, change)


hf("offsets beyond the end", lambda f: f.entry(SECOND, HEAD, data_offsets=[1 << 40, (1 << 40) + 1184]), *in_file(SECOND, HEAD),
   "beyond")
hf("offsets near 2^64", lambda f: f.entry(SECOND, NORM, data_offsets=[2**64 - 65, 2**64 - 1]), *in_file(SECOND, NORM))
hf("end before begin", lambda f: f.entry(FIRST, Q0, data_offsets=[2000, 1000]), *in_file(FIRST, Q0), "before it begins")
hf("negative offset", lambda f: f.entry(FIRST, Q0, data_offsets=[-2, 510]), *in_file(FIRST, Q0), "-2")
hf("one offset", lambda f: f.entry(FIRST, Q0, data_offsets=[512]), *in_file(FIRST, Q0), "fewer than two")
hf("three offsets", lambda f: f.entry(FIRST, Q0, data_offsets=[0, 512, 512]), *in_file(FIRST, Q0), "more than two")
hf("offset of 1.5", lambda f: f.entry(FIRST, Q0, data_offsets=[1.5, 512]), *in_file(FIRST, Q0), "1.5")
hf("offset of 1e30", lambda f: f.entry(FIRST, Q0, data_offsets=[10**30, 10**30 + 512]), *in_file(FIRST, Q0))
hf("shape is too large for its bytes", lambda f: f.entry(FIRST, Q0, shape=[16, 17]), *in_file(FIRST, Q0), "544", "512")
hf("shape overflows", lambda f: f.entry(FIRST, Q0, shape=[1 << 33, 1 << 33]), *in_file(FIRST, Q0), "2\\^63")
hf("shape overflows to its bytes", lambda f: f.entry(FIRST, Q0, shape=[1 << 32, 1 << 32, 256]), *in_file(FIRST, Q0))
hf("shape with a zero overflows", lambda f: f.entry(FIRST, Q0, shape=[0, 1 << 62, 1 << 62]), *in_file(FIRST, Q0))
hf("shape of a negative size", lambda f: f.entry(FIRST, Q0, shape=[-16, -16]), *in_file(FIRST, Q0), "-16")
hf("shape of a text", lambda f: f.entry(FIRST, Q0, shape="[16, 16]"), FIRST)
hf("unknown dtype", lambda f: f.entry(FIRST, Q0, dtype="bfloat16"), *in_file(FIRST, Q0), "unknown dtype 'bfloat16'")
hf("dtype of another size", lambda f: f.entry(FIRST, Q0, dtype="F32"), *in_file(FIRST, Q0), "1024", "512")
for dtype in ("I64", "BOOL", "F8_E4M3"):
    hf("weights of " + dtype, lambda f, dtype=dtype: f.retype(Q0, dtype), re.escape(Q0), FIRST, dtype, run="import check verify")
hf("git-lfs pointer as weights", lambda f: f.patch(FIRST, lambda raw: LFS), FIRST, "git-lfs", "git lfs pull",
   run="import verify inspect check")
hf("PyTorch pickle named safetensors", lambda f: f.patch(FIRST, lambda raw: b"PK\x03\x04" + bytes(400)), FIRST)

#===---------------------------------------------------------------------------------------------------------------===#
# Index and shards
#===---------------------------------------------------------------------------------------------------------------===#

hf("a shard is missing", lambda f: f.patch(SECOND, lambda raw: None), SECOND, "1 of 2 shards", run="import verify inspect")
hf("index with ..", lambda f: f.map(setter(NORM, "../good/" + SECOND)), re.escape(INDEX), re.escape(NORM), re.escape("../good"))
hf("index of an absolute path", lambda f: f.map(setter(NORM, "/etc/passwd")), re.escape(INDEX), re.escape(NORM), "/etc/passwd")
hf("index into a folder", lambda f: (f.map(setter(NORM, "weights/" + SECOND)), f.action(
   lambda path: (os.mkdir(path + "/weights"), shutil.copy(f"{path}/{SECOND}", path + "/weights")))), re.escape(INDEX),
   re.escape(NORM), "weights/")
hf("index of an empty name", lambda f: f.map(setter(NORM, "")), re.escape(INDEX), re.escape(NORM))
hf("index of a number", lambda f: f.map(setter(NORM, 2)), re.escape(INDEX), re.escape(NORM), "not a string")
hf("index names config.json", lambda f: f.map(setter(NORM, "config.json")), "config.json")
hf("ghost in the index", lambda f: f.map(setter("model.ghost.weight", FIRST)), re.escape(INDEX), "model.ghost.weight", FIRST)
hf("tensor in the wrong shard", lambda f: f.map(setter(NORM, FIRST)), re.escape(INDEX), re.escape(NORM), SECOND)
hf("tensor in two shards", lambda f: f.copy(EMBED, EMBED, SECOND), re.escape(EMBED), FIRST, SECOND, run="import verify inspect")
hf("tensor of a shard is not in the index", lambda f: f.map(lambda names: names.pop(NORM)), SECOND, re.escape(NORM), "index")
hf("index without weight_map", lambda f: f.patch(INDEX, lambda raw: b'{"metadata": {}}'), re.escape(INDEX), "weight_map")
hf("index with an empty weight_map", lambda f: f.patch(INDEX, lambda raw: b'{"weight_map": {}}'), re.escape(INDEX), "weight_map")
hf("index with weight_map of a list", lambda f: f.patch(INDEX, lambda raw: b'{"weight_map": []}'), re.escape(INDEX), "weight_map")
hf("index of truncated JSON", lambda f: f.patch(INDEX, lambda raw: raw[:200]), re.escape(INDEX))
hf("index of no byte", lambda f: f.patch(INDEX, lambda raw: b""), re.escape(INDEX))
hf("index of not UTF-8", lambda f: f.patch(INDEX, lambda raw: raw.replace(b"model.norm", b"model.n\xffrm")), re.escape(INDEX), "UTF-8")
hf("index with a duplicate tensor", lambda f: f.patch(INDEX, lambda raw: raw.replace(
   b'"model.norm.weight"', b'"lm_head.weight": "%s", "model.norm.weight"' % SECOND.encode(), 1)), re.escape(INDEX),
   re.escape(HEAD), "twice|duplicate")
hf("index with two weight_maps", lambda f: f.patch(INDEX, lambda raw: raw.replace(b"{", b'{"weight_map": {},', 1)),
   re.escape(INDEX), "duplicate key 'weight_map'")
hf("a git-lfs pointer as the index", lambda f: f.patch(INDEX, lambda raw: LFS), re.escape(INDEX))
hf("shards without an index", lambda f: setattr(f, "index", False), "model.safetensors.index.json")
hf("an adapter beside the weights", lambda f: f.action(lambda path: shutil.copy(
   f"{path}/{FIRST}", path + "/adapter_model.safetensors")), "adapter")

#===---------------------------------------------------------------------------------------------------------------===#
# The tensors and the declaration
#===---------------------------------------------------------------------------------------------------------------===#

hf("missing tensor", lambda f: f.drop(DOWN1), re.escape(DOWN1), "missing", run="import verify check")
hf("missing q_proj", lambda f: f.drop(Q0), re.escape(Q0), "missing")
hf("missing lm_head", lambda f: f.drop(HEAD), re.escape(HEAD), "missing", run="import check")
hf("unknown tensor", lambda f: f.put("model.extra.weight", "BF16", [16]), "model.extra.weight", SECOND, run="import verify check")
hf("unknown bias", lambda f: f.put("model.layers.0.self_attn.q_proj.bias", "BF16", [16]), "q_proj.bias", SECOND)
hf("extra layer", lambda f: [f.copy(layer(1, n), layer(2, n)) for n in ("self_attn.q_proj", "input_layernorm")], "model.layers.2")
hf("layer spelled 01", lambda f: (f.copy(DOWN1, DOWN1.replace(".1.", ".01.")), f.drop(DOWN1)), "model.layers.*down_proj")
hf("layer spelled +1", lambda f: f.copy(DOWN1, DOWN1.replace(".1.", ".+1.")), re.escape("model.layers.+1"))
hf("layer of 30 digits", lambda f: f.copy(DOWN1, DOWN1.replace(".1.", "." + "9" * 30 + ".")), "9{30}")
hf("name with another case", lambda f: (f.copy(NORM, "model.Norm.weight"), f.drop(NORM)), "model.[nN]orm.weight")
hf("name of no character", lambda f: f.put("", "BF16", [16]), SECOND, "''")
hf("name with a control character", lambda f: f.put("a\n\x1b[31mb", "BF16", [16]), SECOND, r"'a\\x0a\\x1b\[31mb'")
hf("misshapen tensor", lambda f: f.reshape(UP0, [20, 17]), re.escape(UP0), r"\[20, 17\]", r"\[20, 16\]", FIRST,
   run="import verify check")
hf("transposed tensor", lambda f: f.reshape(UP0, [16, 20]), re.escape(UP0), r"\[16, 20\]", "transposed")
hf("tensor of another rank", lambda f: f.reshape(NORM, [16, 1]), re.escape(NORM), r"\[16, 1\]", SECOND)
hf("scalar norm", lambda f: f.reshape(NORM, []), re.escape(NORM), r"\[\]")
hf("empty tensor", lambda f: f.reshape(NORM, [0]), re.escape(NORM), r"\[0\]")
hf("adapter tensor in the weights", lambda f: f.put("model.layers.0.self_attn.q_proj.lora_A.weight", "BF16", [4, 16]), "lora_A")


def tied(change):
    def apply(f):
        f.config["tie_word_embeddings"] = True
        change(f)
    return apply


hf("tied, another lm_head is stored", tied(lambda f: None), re.escape(HEAD), re.escape(EMBED), "tie")
hf("tied, lm_head of another dtype", tied(lambda f: (f.copy(EMBED, HEAD), widen(f, HEAD))), re.escape(HEAD), re.escape(EMBED),
   "F32", "BF16")
hf("tied, lm_head of another shape", tied(lambda f: f.reshape(HEAD, [36, 16])), re.escape(HEAD), r"\[36, 16\]")
hf("tied, no embedding", tied(lambda f: f.drop(EMBED)), re.escape(EMBED), "missing")


def widen(f, name):
    shard = f.shard_of(name)
    dtype, shape, raw = shard[name]
    shard[name] = ["F32", shape, b"".join(b"\0\0" + raw[i:i + 2] for i in range(0, len(raw), 2))]


#===---------------------------------------------------------------------------------------------------------------===#
# config.json
#===---------------------------------------------------------------------------------------------------------------===#

def config_text(name, change, *expected, **settings):
    hf("config: " + name, lambda f: f.patch("config.json", change), "config.json", *expected, **settings)


config_text("missing", lambda raw: None, run="import verify check")
config_text("no byte", lambda raw: b"")
config_text("truncated", lambda raw: raw[:100], run="import verify check")
config_text("an array", lambda raw: b"[]")
config_text("a number", lambda raw: b"7")
config_text("null", lambda raw: b"null")
config_text("not UTF-8", lambda raw: raw.replace(b"silu", b"s\xc3\x28lu"), "UTF-8")
config_text("NaN", lambda raw: raw.replace(b"1e-05", b"NaN"))
config_text("Infinity", lambda raw: raw.replace(b"1e-05", b"-Infinity"))
config_text("a comment", lambda raw: raw.replace(b"{", b"{ // mine\n", 1))
config_text("a trailing comma", lambda raw: raw.replace(b"\n}", b",\n}"))
config_text("duplicate key", lambda raw: raw.replace(b"{", b'{"hidden_size": 32,', 1), "duplicate", "hidden_size",
            run="import verify check")
config_text("100,000 open brackets", lambda raw: b"[" * 100000)
config_text("a git-lfs pointer", lambda raw: LFS)
config_text("a byte order mark", lambda raw: b"\xef\xbb\xbf" + raw)
config("without architectures", {"architectures": ...}, "config.json", "architecture", run="import verify check")
config("architectures empty", {"architectures": []}, "config.json", "architecture")
config("architectures a text", {"architectures": "LlamaForCausalLM"}, "config.json", "architecture")
config("architectures of null", {"architectures": [None]}, "config.json", "architecture")
config("unknown architecture", {"architectures": ["GemmaForCausalLM"]}, "config.json", "GemmaForCausalLM", "LlamaForCausalLM")
for field in ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "intermediate_size", "rms_norm_eps",
              "max_position_embeddings"):
    config(field + " missing", {field: ...}, f"field '{field}' is missing")
# A size is named as the declaration names it, beside the line of the declaration.
NAMES = {"hidden_size": "hidden", "num_hidden_layers": "layers", "num_attention_heads": "heads|group", "vocab_size": "vocab",
         "num_key_value_heads": "kv_heads", "intermediate_size": "ffn", "head_dim": "head_dim"}
for value, text in ((None, "null"), ("16", "text"), (16.5, "fraction"), ([16], "list"), ({}, "object"), (True, "true")):
    config("hidden_size is " + text, {"hidden_size": value}, "hidden", r"config\.json", run="import check")
for field in ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size",
              "intermediate_size", "head_dim"):
    config(field + " is 0", {field: 0}, r"model\.layers\.0" if field == "num_hidden_layers" else NAMES[field])
    config(field + " is negative", {field: -4}, NAMES[field])
    config(field + " is 10^18", {field: 10**18})
    config(field + " is 2^63", {field: 2**63}, NAMES[field])
config("hidden_size is 1e30", {"hidden_size": 1e30}, "hidden")
config("all sizes are 3 * 10^9", {field: 3 * 10**9 for field in ("hidden_size", "vocab_size", "intermediate_size")})
config("layers too many", {"num_hidden_layers": 3}, r"model\.layers\.2\.", "missing")
config("layers too few", {"num_hidden_layers": 1}, r"model\.layers\.1\.")
config("layers of a million", {"num_hidden_layers": 1000000})
config("another head_dim", {"head_dim": 8}, r"_proj\.weight", r"\[16, 16\]", r"\[32, 16\]")
config("another number of kv heads", {"num_key_value_heads": 4}, r"[kv]_proj\.weight", r"\[8, 16\]", r"\[16, 16\]")
config("heads not divisible by kv heads", {"num_key_value_heads": 3}, "kv_heads|num_key_value_heads")
config("more kv heads than heads", {"num_key_value_heads": 8}, "kv_heads|num_key_value_heads")
config("hidden not divisible by heads", {"num_attention_heads": 3}, "heads")
config("another vocabulary", {"vocab_size": 38}, re.escape(EMBED), r"\[37, 16\]", r"\[38, 16\]")
config("unknown rope type", {"rope_scaling": {"rope_type": "spiral", "factor": 2.0}}, "spiral", "llama3")
config("rope type a number", {"rope_scaling": {"rope_type": 3}}, "rope_type|rope_scaling|scaling")
config("llama3 rope without fields", {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "low_freq_factor")
config("rope scaling without a factor", {"rope_scaling": {"type": "linear"}}, "factor")
config("rope scaling of a text", {"rope_scaling": "linear"}, "rope_scaling")
config("rope theta a text", {"rope_theta": "big"}, "rope_theta|theta")
config("another activation", {"hidden_act": "gelu"}, "gelu|hidden_act")
config("attention bias without one", {"attention_bias": True}, r"\.bias")
config("attention bias of a text", {"attention_bias": "yes"}, "biased")
config("quantised", {"quantization_config": {"quant_method": "gptq", "bits": 4}}, "quanti")
config("partial rotary", {"partial_rotary_factor": 0.5}, "partial_rotary_factor")
config("epsilon a text", {"rms_norm_eps": "1e-5"}, "rms_norm_eps|eps")
config("tied a text", {"tie_word_embeddings": "false"}, "tie_word_embeddings|tied")
hf("config: unknown field, strictly", lambda f: change_config(f, {"my_field": 1}), "my_field", options=["--strict-config"])

#===---------------------------------------------------------------------------------------------------------------===#
# Folders
#===---------------------------------------------------------------------------------------------------------------===#

def only(*kept):
    """The written folder, but for all files except these."""
    return lambda path: [os.remove(f"{path}/{name}") for name in os.listdir(path) if name not in kept]


hf("only pytorch_model.bin", lambda f: (f.action(only("config.json")), f.action(lambda path: write(
   path + "/pytorch_model.bin", b"PK\x03\x04"))), "pytorch_model.bin", "safe_serialization", run="import verify inspect check")
hf("only a gguf", lambda f: (f.action(only("config.json")), f.action(lambda path: write(path + "/m.gguf", b"GGUF"))), "m.gguf")
hf("only config.json", lambda f: f.action(only("config.json")), "no weights", run="import verify inspect check")
hf("empty folder", lambda f: f.action(only()), "source", run="import verify inspect check")
hf("no folder", lambda f: f.action(shutil.rmtree), "source", "no such|there is no", run="import export verify inspect check")
hf("a file in place of the folder", lambda f: f.action(lambda path: (shutil.rmtree(path), write(path, b"x"))), "source",
   run="import export verify check")
hf("a fifo in place of the folder", lambda f: f.action(lambda path: (shutil.rmtree(path), os.mkfifo(path))), "source",
   run="import export verify check inspect")
hf("export of a Hugging Face folder", lambda f: None, "source", "Megatron", "mp_rank", run="export")


def replaced(name, make):
    def change(path):
        os.remove(f"{path}/{name}")
        make(f"{path}/{name}")
    return lambda f: f.action(change)


hf("weights are a folder", replaced(SECOND, os.mkdir), SECOND, "folder", run="import inspect")
hf("single weights are a folder", lambda f: (f.single(), replaced("model.safetensors", os.mkdir)(f)), "model.safetensors", "folder")
hf("weights are a fifo", replaced(SECOND, os.mkfifo), SECOND, "regular", run="import inspect")
hf("config.json is a fifo", replaced("config.json", os.mkfifo), "config.json", "regular", run="import check")
hf("config.json is a folder", replaced("config.json", os.mkdir), "config.json", run="import check")
hf("index is a folder", replaced(INDEX, os.mkdir), re.escape(INDEX), "folder")
hf("index is a fifo", replaced(INDEX, os.mkfifo), re.escape(INDEX), "regular")
hf("a side file is a fifo", lambda f: f.action(lambda path: os.mkfifo(path + "/notes.txt")), "notes.txt", "regular")
hf("weights link out of the folder", lambda f: f.action(lambda path: (os.rename(f"{path}/{SECOND}", path + "/../elsewhere"),
   os.symlink("../elsewhere", f"{path}/{SECOND}"))), SECOND, "link out of", "elsewhere", run="import verify inspect")
hf("side file links out of the folder", lambda f: f.action(lambda path: os.symlink("/etc/passwd", path + "/notes.txt")),
   "notes.txt", "/etc/passwd")
hf("config.json links out of the folder", lambda f: f.action(lambda path: (os.rename(path + "/config.json", path + "/../c"),
   os.symlink("../c", path + "/config.json"))), "config.json", "link out of")
hf("weights link to nowhere", replaced(SECOND, lambda path: os.symlink("gone", path)), SECOND, "leads nowhere|no such|incomplete",
   run="import inspect")
hf("weights link to themselves", replaced(SECOND, lambda path: os.symlink(SECOND, path)), SECOND)
hf("side file links to nowhere", lambda f: f.action(lambda path: os.symlink("gone", path + "/notes.txt")), "notes.txt", "nowhere")

#===---------------------------------------------------------------------------------------------------------------===#
# Targets
#===---------------------------------------------------------------------------------------------------------------===#

hf("target exists", lambda f: f.action(lambda path: os.mkdir(path + "/../out/target")), "out/target", "exists", "--overwrite")
hf("target is a file", lambda f: f.action(lambda path: write(path + "/../out/target", b"x")), "out/target", "not a folder",
   options=["--overwrite"])
hf("target links to nowhere", lambda f: f.action(lambda path: os.symlink("gone", path + "/../out/target")), "out/target", "nowhere")
hf("target's parent is missing", lambda f: None, "out/no/target", "out/no", "parent", target="out/no/target")
hf("target's parent is a file", lambda f: f.action(lambda path: write(path + "/../out/f", b"x")), "out/f", target="out/f/target")
hf("target is .", lambda f: None, "'.'|: \\.", target=".")
hf("target is /", lambda f: None, "/", target="/", options=["--overwrite"])
hf("target is the source", lambda f: None, "source", "is the folder that is read", target="source")
hf("target is the source, overwriting", lambda f: None, "source", "is the folder that is read", target="source", options=["--overwrite"])
hf("target is the source by another name", lambda f: None, "source", target="out/../source/", options=["--overwrite"])
hf("target is the source through a link", lambda f: f.action(lambda path: os.symlink("../source", path + "/../out/link")),
   "out/link", "is the folder that is read", target="out/link", options=["--overwrite"])
hf("target is in the source", lambda f: None, "source/megatron", "lies in 'source'", target="source/megatron")
hf("target is above the source", lambda f: f.action(lambda path: (os.mkdir(path + "/../deep"), os.rename(path, path + "/../deep/source"))),
   "holds 'deep/source'", source="deep/source", target="deep", options=["--overwrite"])
hf("target has a name of 300 letters", lambda f: None, "x{50}", "name", target="out/" + "x" * 300)
megatron("target is the source", lambda path: None, "source", target="source", options=["--overwrite"])
megatron("target is the iteration folder", lambda path: None, "source", target="source/iter_0000000", options=["--overwrite"])
megatron("target is above the iteration folder", lambda path: None, "holds 'source/iter_0000000'", source="source/iter_0000000", target="source",
         options=["--overwrite"])
megatron("target is in the source", lambda path: None, "source", target="source/hf")
megatron("import of a Megatron checkpoint", lambda path: None, "source", "Megatron", run="import")
hf("files of 4 kB at most", lambda f: None, "too large|file size", status=3, file_limit=4096)
megatron("files of 512 bytes at most", lambda path: None, "too large|file size", status=3, file_limit=512)


def is_root():
    return os.geteuid() == 0


class FullDisk(HfCase):
    """The target's parent is a file system of 24 kB."""

    def make(self, work, checkpoint):
        super().make(work, checkpoint)
        self.mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", work + "/out"],
                                      capture_output=True).returncode == 0

    def undo(self, work):
        if self.mounted:
            subprocess.run(["umount", work + "/out"], check=True)


def can_mount():
    if not is_root() or not shutil.which("mount"):
        return False
    import tempfile
    with tempfile.TemporaryDirectory() as path:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", path], capture_output=True).returncode == 0
        if done:
            subprocess.run(["umount", path], check=True)
        return done


CASES.append(FullDisk("hf: no space", lambda f: None, "no space", status=3, needs=can_mount))
hf("the target's parent cannot be written to", lambda f: f.action(lambda path: os.chmod(path + "/../out", 0o555)), "out",
   "ermission", status=3, needs=lambda: not is_root())
hf("weights cannot be read", lambda f: f.action(lambda path: os.chmod(f"{path}/{FIRST}", 0)), FIRST, "ermission", status=3,
   needs=lambda: not is_root())

#===---------------------------------------------------------------------------------------------------------------===#
# Usage
#===---------------------------------------------------------------------------------------------------------------===#

usage("unknown flag", ["import", "source", "-o", "OUT", "--fast"], "--fast", "mbc import --help")
usage("no target", ["import", "source"], "-o,--output")
usage("no source", ["export", "-o", "OUT"], "MEGATRON_DIR")
usage("empty target", ["import", "source", "-o", ""], "-o,--output")
usage("empty source", ["import", "", "-o", "OUT"], "HF_DIR")
usage("tp 0", ["import", "source", "-o", "OUT", "--tp", "0"], "--tp", "'0'", "from 1")
usage("tp -1", ["import", "source", "-o", "OUT", "--tp=-1"], "--tp", "'-1'")
usage("tp -1, apart", ["import", "source", "-o", "OUT", "--tp", "-1"], "--tp")
usage("tp 1.5", ["import", "source", "-o", "OUT", "--tp", "1.5"], "--tp", "'1.5'")
usage("tp of 30 digits", ["import", "source", "-o", "OUT", "--tp", "9" * 30], "--tp")
usage("tp 3", ["import", "source", "-o", "OUT", "--tp", "3"], "tp = 3", "admissible tp: 1, 2")
usage("pp 5", ["import", "source", "-o", "OUT", "--pp", "5"], "pp = 5")
usage("vpp 7", ["import", "source", "-o", "OUT", "--vpp", "7"], "vpp")
usage("ep 2 without experts", ["import", "source", "-o", "OUT", "--ep", "2"], "ep = 2")
usage("check of tp 3", ["check", "source", "--tp", "3"], "tp = 3")
usage("roundtrip of tp 3", ["roundtrip", "source", "--tp", "3"], "tp = 3")
usage("dtype int8", ["import", "source", "-o", "OUT", "--dtype", "int8"], "--dtype", "int8", "bfloat16")
usage("threads 0", ["import", "source", "-o", "OUT", "--threads", "0"], "--threads", "'0'")
usage("threads -1", ["import", "source", "-o", "OUT", "--threads=-1"], "--threads")
usage("max-shard-size 0", ["export", "source", "-o", "OUT", "--max-shard-size", "0"], "--max-shard-size", "zero")
usage("max-shard-size abc", ["export", "source", "-o", "OUT", "--max-shard-size", "abc"], "--max-shard-size", "abc")
usage("max-shard-size -5GB", ["export", "source", "-o", "OUT", "--max-shard-size=-5GB"], "--max-shard-size")
usage("max-shard-size of 40 digits", ["export", "source", "-o", "OUT", "--max-shard-size", "9" * 40 + "GB"], "--max-shard-size")
usage("hf-model without config.json", ["export", "source", "-o", "OUT", "--hf-model", "out"], "source|out")

#===---------------------------------------------------------------------------------------------------------------===#
# Megatron: folders and trackers
#===---------------------------------------------------------------------------------------------------------------===#

megatron("no .metadata", lambda path: os.remove(path + "/.metadata"), "iter_0000000", "unfinished", r"\.metadata",
         run="export verify inspect")
megatron(".metadata.tmp", lambda path: os.rename(path + "/.metadata", path + "/.metadata.tmp"), "iter_0000000", "unfinished")
megatron(".metadata is a folder", lambda path: (os.remove(path + "/.metadata"), os.mkdir(path + "/.metadata")), r"\.metadata")
megatron("another backend", lambda path: write(path + "/metadata.json", '{"sharded_backend": "zarr", "sharded_backend_version": 1}'),
         r"metadata\.json", "'zarr'", "torch_dist", run="export verify inspect")
megatron("a later backend", lambda path: write(path + "/metadata.json", '{"sharded_backend": "torch_dist", "sharded_backend_version": 9}'),
         r"metadata\.json", "9")
megatron("metadata.json truncated", lambda path: write(path + "/metadata.json", '{"sharded_'), r"metadata\.json")
megatron("metadata.json an array", lambda path: write(path + "/metadata.json", "[]"), r"metadata\.json")
megatron("tracker of a missing iteration", lambda path: (os.remove(path + "/latest_train_state.pt"), write(
         path + "/latest_checkpointed_iteration.txt", "77\n")), "iter_0000077", "tracker", at_root=True, run="export verify inspect")
megatron("tracker of rubbish", lambda path: (os.remove(path + "/latest_train_state.pt"), write(
         path + "/latest_checkpointed_iteration.txt", "../../etc\n")), r"latest_checkpointed_iteration\.txt", r"\.\./\.\./etc",
         at_root=True)
megatron("tracker of no byte", lambda path: (os.remove(path + "/latest_train_state.pt"), write(
         path + "/latest_checkpointed_iteration.txt", "")), r"latest_checkpointed_iteration\.txt", at_root=True)
megatron("tracker of a binary", lambda path: (os.remove(path + "/latest_train_state.pt"), write(
         path + "/latest_checkpointed_iteration.txt", bytes(range(256)))), r"latest_checkpointed_iteration\.txt", at_root=True)
megatron("tracker of -1", lambda path: (os.remove(path + "/latest_train_state.pt"), write(
         path + "/latest_checkpointed_iteration.txt", "-1")), r"latest_checkpointed_iteration\.txt", "'-1'", at_root=True)
megatron("train state truncated", lambda path: write(path + "/latest_train_state.pt", read(path + "/latest_train_state.pt")[:100]),
         r"latest_train_state\.pt", at_root=True)
megatron("train state of no byte", lambda path: write(path + "/latest_train_state.pt", b""), r"latest_train_state\.pt", at_root=True)
megatron("only trackers", lambda path: (os.remove(path + "/release"), shutil.rmtree(path + "/iter_0000000")), "iter_0000000|release",
         at_root=True)
megatron("release leads nowhere", lambda path: (os.remove(path + "/latest_train_state.pt"), shutil.rmtree(path + "/iter_0000000")),
         "release", at_root=True)


def legacy(path):
    shutil.rmtree(path)
    os.makedirs(path + "/mp_rank_00")
    write(path + "/mp_rank_00/model_optim_rng.pt", b"PK\x03\x04")


megatron("legacy format", legacy, "iter_0000000", "mp_rank_00", r"model_optim_rng\.pt", run="export verify inspect")

#===---------------------------------------------------------------------------------------------------------------===#
# Megatron: .metadata
#===---------------------------------------------------------------------------------------------------------------===#

class Command:
    """Unpickled, a shell command that leaves a file."""

    def __init__(self, module="posix", name="system"):
        self.module, self.name = module, name

    def __reduce__(self):
        return os.system, ("touch out/executed",)


def cut(path, name, count):
    write(f"{path}/{name}", read(f"{path}/{name}")[:count])


def metadata(name, change, *expected, **settings):
    megatron(".metadata: " + name, change, r"\.metadata", *expected, **settings)


def edited(name, change, *expected, **settings):
    metadata(name, dcp.edit(change), *expected, **settings)


metadata("truncated", lambda path: cut(path, ".metadata", 900), "ends|truncated|stop|STOP", run="export verify inspect")
metadata("no byte", lambda path: write(path + "/.metadata", b""), run="export verify inspect")
metadata("rubbish", lambda path: write(path + "/.metadata", bytes(range(256)) * 4))
metadata("a shell command", lambda path: write(path + "/.metadata", pickle.dumps(Command(), 2)), "posix|system",
         run="export verify inspect")
edited("a shell command inside", lambda m: setattr(m, "all_local_plans", Command()), "posix|system")
metadata("a list", lambda path: write(path + "/.metadata", pickle.dumps([1, 2], 2)), "Metadata")
metadata("a string of 2^31 bytes", lambda path: write(path + "/.metadata", b"\x80\x02X\xff\xff\xff\x7fabc"))
metadata("a string of 2^63 bytes", lambda path: write(path + "/.metadata", b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7fabc"))
metadata("a million open marks", lambda path: write(path + "/.metadata", b"\x80\x02" + b"(" * 1000000 + b"."))
metadata("a list in a list, a million times", lambda path: write(path + "/.metadata", b"\x80\x02" + b"]" * 1000000 + b"a" * 999999 + b"."))
metadata("a pickle of its own memo", lambda path: write(path + "/.metadata", b"\x80\x02]q\x00h\x00a."))
metadata("a missing memo", lambda path: write(path + "/.metadata", b"\x80\x02h\x07."))
metadata("an unknown opcode", lambda path: write(path + "/.metadata", b"\x80\x02\xff."))
metadata("protocol 99", lambda path: write(path + "/.metadata", b"\x80\x63N."))
edited("no storage_data", lambda m: delattr(m, "storage_data"), "storage_data")
megatron(".metadata: no entry", dcp.edit(lambda m: (m.state_dict_metadata.clear(), m.storage_data.clear())), "iter_0000000",
         "embedding.word_embeddings.weight", "missing")
edited("a gap in the tiling", lambda m: setattr(dcp.entry(m, QKV).chunks[0], "sizes", dcp.size(1, 31, 16)), re.escape(QKV))
edited("a missing chunk", lambda m: dcp.entry(m, QKV).chunks.pop(), re.escape(QKV))
edited("overlapping chunks", lambda m: setattr(dcp.entry(m, QKV).chunks[1], "offsets", dcp.size(0, 1, 0)), re.escape(QKV))
edited("a chunk out of the tensor", lambda m: setattr(dcp.entry(m, QKV).chunks[1], "offsets", dcp.size(5, 0, 0)), re.escape(QKV))
edited("a chunk of a negative size", lambda m: setattr(dcp.entry(m, QKV).chunks[0], "sizes", dcp.size(-1, 32, 16)), re.escape(QKV))
edited("a chunk of another rank", lambda m: setattr(dcp.entry(m, QKV).chunks[0], "sizes", dcp.size(32, 16)), re.escape(QKV), "rank")
edited("no chunks", lambda m: dcp.entry(m, QKV).chunks.clear(), re.escape(QKV), "chunks")
edited("a shape that overflows", lambda m: setattr(dcp.entry(m, QKV), "size", dcp.size(1 << 62, 1 << 62)), re.escape(QKV), "too large")
edited("a negative shape", lambda m: setattr(dcp.entry(m, QKV), "size", dcp.size(-2, 32, 16)), re.escape(QKV))
edited("a chunk without data", lambda m: m.storage_data.pop(dcp.slices(m, QKV)[1][0]), re.escape(QKV), r"\[1, 0, 0\]")
edited("offset beyond the file", lambda m: setattr(dcp.slices(m, QKV)[0][1], "offset", 1 << 40), re.escape(QKV), "1099511627776",
       "distcp", run="export verify inspect")
edited("a negative offset", lambda m: setattr(dcp.slices(m, QKV)[0][1], "offset", -8), re.escape(QKV))
edited("a length beyond the file", lambda m: setattr(dcp.slices(m, QKV)[0][1], "length", (1 << 63) - 1), re.escape(QKV))
edited("data in another folder", lambda m: setattr(dcp.slices(m, QKV)[0][1], "relative_path", "../x.distcp"), re.escape(QKV), "x.distcp")
edited("data in an absolute path", lambda m: setattr(dcp.slices(m, QKV)[0][1], "relative_path", "/etc/passwd"), re.escape(QKV), "/etc/passwd")
edited("data of an unknown tensor type", lambda m: setattr(dcp.entry(m, QKV).properties, "state",
       (dcp.fake("torch", "quint8"),) + dcp.entry(m, QKV).properties.state[1:]), re.escape(QKV), "quint8")


def distcp(path):
    return next(name for name in os.listdir(path) if name.endswith(".distcp"))


megatron(".distcp: missing", lambda path: os.remove(f"{path}/{distcp(path)}"), r"\.distcp", run="export verify inspect")
megatron(".distcp: truncated", lambda path: cut(path, distcp(path), 4000), r"\.distcp", "4000|truncated", run="export verify inspect")
megatron(".distcp: no byte", lambda path: cut(path, distcp(path), 0), r"\.distcp")
megatron(".distcp: a git-lfs pointer", lambda path: write(f"{path}/{distcp(path)}", LFS), r"\.distcp")
megatron(".distcp: a folder", lambda path: (os.remove(f"{path}/__0_0.distcp"), os.mkdir(f"{path}/__0_0.distcp")), r"\.distcp")


#===---------------------------------------------------------------------------------------------------------------===#
# Megatron: records
#===---------------------------------------------------------------------------------------------------------------===#

def damaged(name, key, change, *expected, **settings):
    megatron("record: " + name, dcp.record(key, change), r"\.distcp", re.escape(key), *expected, **settings)


def poke(offset, form, value):
    return lambda raw: struct.pack_into(form, raw, offset(raw), value)


def same(raw, old, new):
    at = raw.index(old)
    raw[at:at + len(new)] = new


damaged("data of one byte more", QKV, lambda raw: [struct.pack_into("<I", raw, dcp.central(raw) + at, 1025) for at in (20, 24)],
        run="export verify inspect")
damaged("data of one byte less", QKV, lambda raw: [struct.pack_into("<I", raw, dcp.central(raw) + at, 1023) for at in (20, 24)])
damaged("data of 2 GB", QKV, lambda raw: [struct.pack_into("<I", raw, dcp.central(raw) + at, 2**31) for at in (20, 24)])
damaged("compressed data", QKV, poke(lambda raw: dcp.central(raw) + 10, "<H", 8))
damaged("encrypted data", QKV, lambda raw: struct.pack_into("<H", raw, dcp.central(raw) + 8, 1))
damaged("a local header elsewhere", QKV, poke(lambda raw: dcp.central(raw) + 42, "<I", 0xFFFFFF))
damaged("no end of the directory", QKV, lambda raw: same(raw, b"PK\x05\x06", b"XXXX"))
damaged("no data of this name", QKV, lambda raw: raw.__setitem__(slice(0, len(raw)), raw.replace(b"archive/data/0", b"archive/data/1")))
damaged("no zip", QKV, lambda raw: raw.__setitem__(slice(0, len(raw)), bytes(len(raw))))
damaged("a bit of the data", QKV, lambda raw: raw.__setitem__(dcp.payload(raw) + 5, raw[dcp.payload(raw) + 5] ^ 1), "CRC|checksum",
        run="export")  # for verify it is a difference from the manifest: mutations.test
damaged("a checksum", QKV, lambda raw: struct.pack_into("<I", raw, dcp.central(raw) + 16, 0xDEAD), "CRC|checksum", run="verify export")
damaged("a pickle of rubbish", FINAL, lambda raw: raw.__setitem__(slice(dcp.payload(raw, b"archive/data.pkl"),
        dcp.payload(raw, b"archive/data.pkl") + 8), b"\xff" * 8))
damaged("a forbidden global", FINAL, lambda raw: forbid(raw), "forbidden global", r"os\.my_module", run="export verify inspect")


def forbid(raw):
    """A global of another module, of a name of the same length, and the checksum of that."""
    name, at = b"archive/data.pkl", dcp.payload(raw, b"archive/data.pkl")
    same(raw, b"ctorch._utils\n", b"cos.my_module\n")
    length = struct.unpack_from("<I", raw, dcp.central(raw, name) + 24)[0]
    struct.pack_into("<I", raw, dcp.central(raw, name) + 16, zlib.crc32(raw[at:at + length]))


megatron("record: another dtype than .metadata", dcp.edit(lambda m: setattr(dcp.entry(m, QKV).properties, "state",
         (dcp.fake("torch", "float16"),) + dcp.entry(m, QKV).properties.state[1:])), re.escape(QKV), "bfloat16", "float16", r"\.distcp",
         run="export verify inspect")
megatron("record: another shape than .metadata", dcp.edit(lambda m: swap(m)), re.escape(QKV), r"\.distcp", r"\[1, 32, 16\]")


def swap(m):
    """The same bytes as another box."""
    entry = dcp.entry(m, QKV)
    entry.size = dcp.size(2, 16, 32)
    for chunk in entry.chunks:
        chunk.sizes = dcp.size(1, 16, 32)


megatron("record: that of another tensor", dcp.edit(lambda m: setattr(dcp.slices(m, QKV)[0][1], "offset",
         dcp.slices(m, FC1)[0][1].offset)), re.escape(QKV), r"\.distcp")

#===---------------------------------------------------------------------------------------------------------------===#
# Megatron: keys, common state, the record of the source
#===---------------------------------------------------------------------------------------------------------------===#

def forget(m, key):
    del m.state_dict_metadata[key]
    for index, _ in dcp.slices(m, key):
        del m.storage_data[index]


def rename(m, key, other):
    m.state_dict_metadata[other] = m.state_dict_metadata.pop(key)
    for index, _ in dcp.slices(m, key):
        index.fqn = other


megatron("a key is missing", dcp.edit(lambda m: forget(m, QKV)), re.escape(QKV), run="export verify")
megatron("a key is unknown", dcp.edit(lambda m: rename(m, FC1, "decoder.layers.mlp.other.weight")), r"mlp\.(other|linear_fc1)\.weight",
         run="export verify")
megatron("a tensor of another shape", dcp.edit(lambda m: rename(m, FINAL, HEAD + ".x")), re.escape(HEAD) + "|" + re.escape(FINAL))


def torch_object(path, value):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("common/data.pkl", pickle.dumps(value, 2))
        archive.writestr("common/version", "3\n")


def common(name, change, *expected, **settings):
    megatron("common.pt: " + name, lambda path: change(path + "/common.pt"), r"common\.pt", *expected, **settings)


common("a shell command", lambda path: torch_object(path, {"args": Command()}), "posix|system", run="export verify")
common("truncated", lambda path: write(path, read(path)[:200]), run="export verify")
common("no byte", lambda path: write(path, b""))
common("a list", lambda path: torch_object(path, [1]), "dict")
common("a list in a list, a million times", lambda path: deep(path))


def deep(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("common/data.pkl", b"\x80\x02" + b"]" * 1000000 + b"a" * 999999 + b".")
        archive.writestr("common/version", "3\n")


def source_record(name, change, *expected, **settings):
    def apply(path):
        with open(path + "/mbc/source.json") as file:
            record = json.load(file)
        change(record)
        write(path + "/mbc/source.json", json.dumps(record))
    megatron("mbc/source.json: " + name, apply, *(expected or [r"source\.json"]), **settings)


def record_text(name, raw, *expected, **settings):
    megatron("mbc/source.json: " + name, lambda path: write(path + "/mbc/source.json", raw), r"source\.json", *expected, **settings)


record_text("no byte", b"", run="export verify inspect")
record_text("truncated", b'{"version": 1, "sha')
record_text("a list", b"[]")
record_text("a text", b'"x"')
source_record("a later version", lambda r: r.update(version=2), r"source\.json", "version 2", "newer mbc")
source_record("version 0", lambda r: r.update(version=0), r"source\.json", "version")
source_record("no version", lambda r: r.pop("version"), r"source\.json", "version")
source_record("version a text", lambda r: r.update(version="1"), r"source\.json", "version")
source_record("cast unknown", lambda r: r.update(cast="float17"), r"source\.json", "float17")
source_record("cast a number", lambda r: r.update(cast=7), r"source\.json", "'cast'", "7")
source_record("shards a text", lambda r: r.update(shards="model.safetensors"), r"source\.json", "shards")
source_record("no shards", lambda r: r.update(shards=[]), r"source\.json", "shards")
source_record("a shard with ..", lambda r: r.update(shards=["../../../../etc/passwd"]), r"source\.json", "shard")
source_record("a shard of an absolute path", lambda r: r.update(shards=["/etc/passwd"]), r"source\.json", "shard")
source_record("a shard twice", lambda r: r.update(shards=[FIRST, FIRST]), r"source\.json|" + FIRST)
source_record("a shard left out", lambda r: r.update(shards=[FIRST]), "source|" + SECOND)
source_record("a file with ..", lambda r: r["files"].append("../../x"), r"source\.json", "plain name")
source_record("a file that is not there", lambda r: r["files"].append("gone.json"), "gone.json")
source_record("a file that is a weight file", lambda r: r["files"].append(FIRST), FIRST)
source_record("files a text", lambda r: r.update(files="config.json"), r"source\.json", "file")
source_record("an index with ..", lambda r: r.update(index="../../x"), r"source\.json", "index")
source_record("an index that is not there", lambda r: r.update(index="gone.json"), "gone.json")
source_record("an index that is config.json", lambda r: r.update(index="config.json"), "config.json")
source_record("extras that are not there", lambda r: r.update(extras=True), "extras")
source_record("extras a text", lambda r: r.update(extras="yes"), r"source\.json", "extras")
megatron("mbc/headers: missing", lambda path: shutil.rmtree(path + "/mbc/headers"), "mbc/headers", FIRST, run="export verify inspect")
megatron("mbc/headers: one is missing", lambda path: os.remove(f"{path}/mbc/headers/{SECOND}.json"), SECOND)
megatron("mbc/headers: one is truncated", lambda path: cut(path, f"mbc/headers/{SECOND}.json", 300), SECOND)


def header(name, file, change, *expected):
    def apply(path):
        at = f"{path}/mbc/headers/{file}.json"
        content = json.loads(read(at))
        change(content)
        write(at, json.dumps(content, separators=(",", ":")))
    megatron("mbc/headers: " + name, apply, *expected)


header("another shape", SECOND, lambda h: h[NORM].update(shape=[4, 4]), re.escape(NORM))
header("another tensor", SECOND, lambda h: h.update({"x": h.pop(NORM)}), r"'x'|" + re.escape(NORM))
header("an overlap", SECOND, lambda h: h[NORM].update(data_offsets=[0, 64]), SECOND)
megatron("mbc/headers: one tensor in two", lambda path: shutil.copy(f"{path}/mbc/headers/{FIRST}.json", f"{path}/mbc/headers/{SECOND}.json"),
         "source|" + SECOND)
megatron("mbc/headers: the index is rubbish", lambda path: write(f"{path}/mbc/headers/{INDEX}", b"rubbish"), re.escape(INDEX))
megatron("mbc/files: no config.json", lambda path: os.remove(path + "/mbc/files/config.json"), r"config\.json", run="export verify")
megatron("mbc/files: another model", lambda path: write(path + "/mbc/files/config.json", read(path + "/mbc/files/config.json").replace(
         b'"num_hidden_layers": 2', b'"num_hidden_layers": 4')), "source|layers", run="export verify")
megatron("mbc/files: a side file links out", lambda path: (os.remove(path + "/mbc/files/tokenizer.json"), os.symlink(
         "/etc/passwd", path + "/mbc/files/tokenizer.json")), r"tokenizer\.json")
megatron("neither mbc folder nor a whole run_config.yaml", lambda path: (shutil.rmtree(path + "/mbc"), open(
         path + "/run_config.yaml", "w").write("model: {}")), "--hf-model", "iter_0000000", run="export verify")
