"""What is odd but legal: accepted both ways, and the same bytes come back."""

import json
import os
import shutil
import struct

import torch_dist as dcp
from damage_cases import QKV, Case, change_config, tied, widen, write
from hf_folder import EMBED, FIRST, HEAD, INDEX, K0, NORM, Q0, SECOND, UP0, V1, Folder, layer

CASES = []


class OddCase(Case):
    def __init__(self, name, change=lambda f: None, fields=None, source="source", target="out/target", options=(), export=(),
                 exact=True, compare=None, left_out=(), dtype="BF16", needs=None):
        super().__init__(name, source=source, target=target, options=options, status=0, needs=needs)
        self.change, self.fields, self.dtype = change, fields or {}, dtype
        self.export, self.exact, self.compare, self.left_out = list(export), exact, compare, left_out

    def make(self, work, checkpoint):
        folder = Folder(self.dtype, **self.fields)
        self.change(folder)
        folder.write(os.path.join(work, "source"))


class OddMegatron(OddCase):
    """A checkpoint of the good folder, changed so that it means the same."""
    megatron = True

    def make(self, work, checkpoint):
        super().make(work, checkpoint)
        shutil.copytree(checkpoint, os.path.join(work, self.target), symlinks=True)
        self.change_checkpoint(os.path.join(work, self.target))

    def __init__(self, name, change, **settings):
        super().__init__(name, **settings)
        self.change_checkpoint = change


def odd(name, *arguments, **settings):
    CASES.append(OddCase("odd: " + name, *arguments, **settings))


def odd_megatron(name, change, **settings):
    CASES.append(OddMegatron("odd megatron: " + name, change, **settings))


def shuffled(names):
    return dict(sorted(names.items(), key=lambda item: item[0][::-1]))


def raw_values(f, name, bits):
    """Puts bit patterns of two bytes into a BF16 tensor."""
    value = f.shard_of(name)[name]
    value[2] = b"".join(struct.pack("<H", bit) for bit in bits) + value[2][2 * len(bits):]


odd("the good one")
odd("no __metadata__", lambda f: setattr(f, "metadata", None))
odd("empty __metadata__", lambda f: setattr(f, "metadata", {}))
odd("much __metadata__", lambda f: setattr(f, "metadata", {"format": "pt", "": "", "\u00e9": "\u4e2d\u6587\n\"", "a" * 1000: "b" * 9000}))
odd("header padded to 4096", lambda f: setattr(f, "padding", 4096))
odd("header not padded", lambda f: setattr(f, "padding", 1))
odd("any order of tensors", lambda f: f.shards.update({file: shuffled(t) for file, t in f.shards.items()}))
odd("header in another order than the data", lambda f: f.header(FIRST, lambda text: json.dumps(
    shuffled(json.loads(text))).encode()))
odd("escapes in the header", lambda f: f.header(FIRST, lambda text: text.replace(b"model.embed", b"m\\u006fdel.embed")))
odd("any order of the index", lambda f: f.patch(INDEX, lambda raw: json.dumps(
    {"weight_map": shuffled(json.loads(raw)["weight_map"]), "metadata": {"x": [1.50, None]}}).encode()))
odd("index without metadata", lambda f: setattr(f, "total_size", False))
odd("index with a wrong total_size", lambda f: f.patch(INDEX, lambda raw: raw.replace(b'"total_size": ', b'"total_size": 9')))
odd("index of one file", lambda f: (f.single(), setattr(f, "index", True)))
odd("single file", lambda f: f.single())
odd("shards of other names", lambda f: (f.shards.update({"model-1-of-000002.safetensors": f.shards.pop(FIRST)})))
odd("single file and shards", lambda f: f.action(lambda path: single_beside(path)), left_out=(FIRST, SECOND, INDEX))


def single_beside(path):
    other = Folder()
    other.single()
    other.write(path + "-single")
    shutil.move(path + "-single/model.safetensors", path)
    shutil.rmtree(path + "-single")


odd("inv_freq", lambda f: [f.put(f"model.layers.{l}.self_attn.rotary_emb.inv_freq", "F32", [2]) for l in (0, 1)])
odd("bits of NaN, subnormals, -0, infinity", lambda f: raw_values(f, Q0, [
    0x7FC0, 0x7F81, 0xFFC1, 0xFFFF, 0x7FBF, 0x0001, 0x8001, 0x007F, 0x8000, 0x7F80, 0xFF80]))
odd("bits of NaN in a fused tensor of two types", lambda f: (raw_values(f, K0, [0x7F81, 0xFFC1, 0x8000, 0x0001]), widen(f, K0)))
odd("unknown side files", lambda f: f.sides.update({"notes.md": b"\xff\x00", "a b.txt": b"", "\u00e9\u4e2d.json": b"{",
                                                    "x" * 200: b"x", "chat_template.jinja": b"{{ x }}"}))
odd("hidden files and folders", lambda f: f.action(lambda path: (os.mkdir(path + "/.cache"), os.mkdir(path + "/onnx"), write(
    path + "/.gitattributes", b"*.bin"))), left_out=(".gitattributes",))
odd("other weights beside", lambda f: f.action(lambda path: write(path + "/pytorch_model.bin", b"PK")), left_out=("pytorch_model.bin",))
odd("stray safetensors beside", lambda f: f.action(lambda path: write(path + "/consolidated.safetensors", b"x")),
    left_out=("consolidated.safetensors",))


def hub_cache(path):
    """models--x/snapshots/REVISION/file -> ../../blobs/HASH"""
    root = os.path.dirname(path) + "/models--x"
    os.makedirs(root + "/blobs")
    os.makedirs(root + "/snapshots/0123abc")
    for number, name in enumerate(sorted(os.listdir(path))):
        shutil.copy(f"{path}/{name}", f"{root}/blobs/{number:040x}")
        os.symlink(f"../../blobs/{number:040x}", f"{root}/snapshots/0123abc/{name}")


odd("hub cache", lambda f: f.action(hub_cache), source="models--x/snapshots/0123abc")
odd("links inside of the folder", lambda f: f.action(lambda path: (os.rename(f"{path}/{FIRST}", path + "/weights"), os.symlink(
    "weights", f"{path}/{FIRST}"))))
odd("the folder is a link", lambda f: f.action(lambda path: os.symlink("source", path + "/../link")), source="link")


def fields(name, values, **settings):
    odd("config: " + name, lambda f: change_config(f, values), **settings)


LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}
fields("rope_parameters", {"rope_theta": ..., "rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"}})
fields("llama3 in rope_parameters", {"rope_theta": ..., "rope_parameters": {**LLAMA3, "rope_theta": 500000.0}})
fields("llama3 in rope_scaling", {"rope_scaling": LLAMA3})
fields("type in rope_scaling", {"rope_scaling": {"type": "linear", "factor": 2}})
fields("rope_scaling null", {"rope_scaling": None})
fields("no rope_theta", {"rope_theta": ...})
fields("dtype", {"torch_dtype": ..., "dtype": "bfloat16"})
fields("no dtype", {"torch_dtype": ...})
fields("another dtype than stored", {"torch_dtype": "float32"})
fields("unknown fields", {"my_field": {"a": [1, {"b": None}]}, "": 3, "x.y": 1, "\u4e2d": 1e-300})
fields("eos list", {"eos_token_id": [1, 2, 3], "bos_token_id": None})
fields("head_dim null", {"head_dim": None})
fields("tie_word_embeddings absent", {"tie_word_embeddings": ...})
fields("pretraining_tp, mlp_bias, attention_bias", {"pretraining_tp": 1, "mlp_bias": False, "attention_bias": False})
fields("two architectures", {"architectures": ["LlamaForCausalLM", "Other"]})
odd("config: num_key_value_heads absent", fields={"num_key_value_heads": ...})
odd("config: num_key_value_heads null", lambda f: change_config(f, {"num_key_value_heads": None}), fields={"num_key_value_heads": ...})
odd("config: no line end, tabs", lambda f: f.patch("config.json", lambda raw: json.dumps(json.loads(raw), indent="\t").encode()))
odd("another head_dim", fields={"head_dim": 6})
odd("one kv head", fields={"num_key_value_heads": 1})
odd("one layer", fields={"num_hidden_layers": 1})
odd("one head of size 1, sizes of 1", fields={"hidden_size": 1, "num_attention_heads": 1, "num_key_value_heads": 1,
                                              "intermediate_size": 1, "vocab_size": 1})
odd("vocabulary of 1", fields={"vocab_size": 1})
odd("eleven layers", fields={"num_hidden_layers": 11})
odd("tied, no lm_head", fields={"tie_word_embeddings": True})
odd("tied, lm_head stored too", tied(lambda f: f.copy(EMBED, HEAD)))
odd("f16", dtype="F16")
odd("f32", dtype="F32")
odd("types by layer", lambda f: [f.retype(name, "F32") for t in f.shards.values() for name in t if ".layers.1." in name])
odd("types inside of a fused tensor", lambda f: (f.retype(Q0, "F32"), f.retype(V1, "F32"), f.retype(UP0, "F32")))
odd("f16 and bf16 inside of a fused tensor", lambda f: (f.retype(Q0, "F16"), f.retype(UP0, "F16")))
odd("every tensor of another type", lambda f: [f.retype(name, ("BF16", "F16", "F32")[n % 3]) for t in f.shards.values()
                                               for n, name in enumerate(list(t))])
odd("tp 2, pp 2", options=["--tp", "2", "--pp", "2"])
odd("threads 1 and 64", options=["--threads", "1"], export=["--threads", "64"])
odd("shards of 1 kB", export=["--max-shard-size", "1KB"], left_out=(INDEX,), exact=False)
odd("import as float32", options=["--dtype", "float32"], exact=False)
odd("export as float16", export=["--dtype", "float16"], exact=False)


def moved(name):
    return lambda f: f.action(lambda path: os.rename(path, os.path.join(os.path.dirname(path), name)))


odd("spaces and quotes in the path", moved("a 'b' \"c\" $d"), source="a 'b' \"c\" $d")
odd("unicode in the path", moved("mod\u00e8le \u4e2d\u6587 \U0001f600"), source="mod\u00e8le \u4e2d\u6587 \U0001f600")
odd("bytes in the path", moved("caf\udce9"), source="caf\udce9")
odd("a path that starts with a dash", moved("-source"), source="./-source")
odd("relative path with ..", source="out/../source")
odd("trailing slashes", source="source//", target="out/target/")
odd("a hidden folder", moved(".source"), source=".source")
odd("read-only source", lambda f: f.action(lambda path: ([os.chmod(f"{path}/{n}", 0o444) for n in os.listdir(path)], os.chmod(path, 0o555))))
odd_megatron("pickled by Python", lambda root: dcp.edit(lambda m: None)(root + "/iter_0000000"))
odd_megatron("no common.pt", lambda root: os.remove(root + "/iter_0000000/common.pt"))
odd_megatron("no metadata.json", lambda root: os.remove(root + "/iter_0000000/metadata.json"))
odd_megatron("no trackers", lambda root: (os.remove(root + "/latest_train_state.pt"), os.remove(
    root + "/latest_checkpointed_iteration.txt"), os.remove(root + "/release")))
odd_megatron("only the tracker of Megatron-LM", lambda root: os.remove(root + "/latest_train_state.pt"))
odd_megatron("a stray file", lambda root: write(root + "/iter_0000000/notes.txt", b"x"))
odd_megatron("two fields in metadata.json", lambda root: write(root + "/iter_0000000/metadata.json",
                                                               '{"sharded_backend": "torch_dist", "sharded_backend_version": 1}'))
odd_megatron("unknown members in .metadata", lambda root: dcp.edit(lambda m: (setattr(m, "mcore_data", {}), setattr(
    m, "all_local_plans", [dcp.fake("my.module", "MyPlan")()])))(root + "/iter_0000000"))
odd_megatron("data of keys that are not there", lambda root: dcp.edit(lambda m: stray(m))(root + "/iter_0000000"))
odd_megatron("state of the optimizer and random generators", lambda root: dcp.edit(lambda m: training(m))(root + "/iter_0000000"))
odd_megatron("order of chunks and entries", lambda root: dcp.edit(lambda m: reversed_order(m))(root + "/iter_0000000"))
odd_megatron("members of the record in another order, unknown ones", lambda root: reordered(root + "/iter_0000000/mbc/source.json"))


def stray(m):
    index, info = dcp.slices(m, QKV)[0]
    other = type(index)()
    other.__dict__.update(index.__dict__, fqn="no.such.key")
    m.storage_data[other] = info


def training(m):
    """The same data under names that a training run has besides."""
    for prefix in ("optimizer.state.exp_avg.", "chained_0.optimizer.state.param."):
        m.state_dict_metadata[prefix + QKV] = m.state_dict_metadata[QKV]
        for index, info in dcp.slices(m, QKV):
            other = type(index)()
            other.__dict__.update(index.__dict__, fqn=prefix + QKV)
            m.storage_data[other] = info


def reversed_order(m):
    m.state_dict_metadata = dict(reversed(m.state_dict_metadata.items()))
    m.storage_data = dict(reversed(m.storage_data.items()))
    for entry in m.state_dict_metadata.values():
        if hasattr(entry, "chunks"):
            entry.chunks.reverse()


def reordered(path):
    with open(path) as file:
        record = json.load(file)
    write(path, json.dumps({"later": [1], **dict(reversed(record.items()))}))
