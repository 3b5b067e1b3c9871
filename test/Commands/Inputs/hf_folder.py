"""A tiny good Hugging Face folder in memory, to be changed and written. Knows nothing but the formats."""

import json
import os
import random
import struct

FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"
SIZES = {"F32": 4, "BF16": 2, "F16": 2, "F64": 8, "I64": 8, "BOOL": 1, "F8_E4M3": 1}
NORM = "model.norm.weight"

CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "bfloat16", "hidden_act": "silu",
    "hidden_size": 16, "intermediate_size": 20, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
    "vocab_size": 37, "tie_word_embeddings": False, "initializer_range": 0.02,
}


def layer(l, name):
    return f"model.layers.{l}.{name}.weight"


Q0, K0, V1, UP0, DOWN1 = (layer(0, "self_attn.q_proj"), layer(0, "self_attn.k_proj"), layer(1, "self_attn.v_proj"),
                          layer(0, "mlp.up_proj"), layer(1, "mlp.down_proj"))
EMBED, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def elements(shape):
    count = 1
    for size in shape:
        count *= size
    return count


def values(name, dtype, shape):
    """Reproducible finite values, and no two tensors alike."""
    source = random.Random(name)
    high = [0x3C, 0x3D, 0xBC, 0xBD]
    out = bytearray(source.randbytes(elements(shape) * SIZES[dtype]))
    for at in range(SIZES[dtype] - 1, len(out), SIZES[dtype]):
        out[at] = high[out[at] & 3]
    return bytes(out)


def tensor(name, dtype, shape):
    return [dtype, list(shape), values(name, dtype, shape)]


def shapes(config):
    """Names and shapes that a configuration of this architecture implies."""
    hidden, heads, ffn = config["hidden_size"], config["num_attention_heads"], config["intermediate_size"]
    groups = config.get("num_key_value_heads", heads)
    dim = config.get("head_dim") or hidden // heads
    out = {EMBED: [config["vocab_size"], hidden]}
    for l in range(config["num_hidden_layers"]):
        for name, shape in {
            "self_attn.q_proj": [heads * dim, hidden], "self_attn.k_proj": [groups * dim, hidden],
            "self_attn.v_proj": [groups * dim, hidden], "self_attn.o_proj": [hidden, heads * dim],
            "mlp.gate_proj": [ffn, hidden], "mlp.up_proj": [ffn, hidden], "mlp.down_proj": [hidden, ffn],
            "input_layernorm": [hidden], "post_attention_layernorm": [hidden],
        }.items():
            out[layer(l, name)] = shape
    out[NORM] = [hidden]
    if not config.get("tie_word_embeddings", False):
        out[HEAD] = [config["vocab_size"], hidden]
    return out


class Folder:
    """`shards`: {file: {tensor: [dtype, shape, bytes]}}; `index`: whether there is one. `patches` change files as
    bytes, `actions` the folder, once it is written."""

    def __init__(self, dtype="BF16", **fields):
        self.config = {key: value for key, value in {**CONFIG, **fields}.items() if value is not ...}
        self.metadata, self.index, self.total_size, self.padding = {"format": "pt"}, True, True, 8
        self.shards = {FIRST: {}, SECOND: {}}
        for name, shape in shapes(self.config).items():
            kind = "F32" if name == NORM else dtype
            late = name == NORM or name == HEAD or ".layers.1." in name
            self.shards[SECOND if late else FIRST][name] = tensor(name, kind, shape)
        self.sides = {
            "tokenizer.json": b'{"version": "1.0", "model": {"type": "BPE", "vocab": {}, "merges": []}}\n',
            "tokenizer_config.json": b'{"tokenizer_class": "PreTrainedTokenizerFast"}\n',
            "generation_config.json": b'{"eos_token_id": 2}\n',
        }
        self.patches, self.actions, self.map_changes = [], [], []

    # Of the model.
    def shard_of(self, name):
        return next(tensors for tensors in self.shards.values() if name in tensors)

    def drop(self, name):
        del self.shard_of(name)[name]

    def put(self, name, dtype, shape, file=SECOND):
        self.shards[file][name] = tensor(name, dtype, shape)

    def copy(self, source, name, file=SECOND):
        self.shards[file][name] = list(self.shard_of(source)[source])

    def retype(self, name, dtype):
        self.shard_of(name)[name] = tensor(name, dtype, self.shard_of(name)[name][1])

    def reshape(self, name, shape):
        self.shard_of(name)[name] = tensor(name, self.shard_of(name)[name][0], shape)

    def single(self):
        self.shards = {"model.safetensors": {n: t for tensors in self.shards.values() for n, t in tensors.items()}}
        self.index = False

    # Of the files.
    def patch(self, file, change):
        self.patches.append((file, change))

    def action(self, change):
        self.actions.append(change)

    def entry(self, file, name, **changes):
        """Changes members of a tensor's entry in the header, and nothing else."""
        def change(raw):
            header, data = split(raw)
            header[name].update(changes)
            return join(header, data)
        self.patch(file, change)

    def header(self, file, change):
        """Changes the header as text; its length follows."""
        def edit(raw):
            length = struct.unpack("<Q", raw[:8])[0]
            text = change(raw[8:8 + length])
            return struct.pack("<Q", len(text)) + text + raw[8 + length:]
        self.patch(file, edit)

    def map(self, change):
        """Changes `weight_map`."""
        self.map_changes.append(change)

    def text(self, file, old, new):
        def change(raw):
            assert old.encode() in raw, (file, old)
            return raw.replace(old.encode(), new.encode(), 1)
        self.patch(file, change)

    def write(self, path):
        files = {"config.json": json.dumps(self.config, indent=2).encode() + b"\n", **self.sides}
        for file, tensors in self.shards.items():
            files[file] = encode(tensors, self.metadata, self.padding)
        if self.index:
            names = {name: file for file, tensors in self.shards.items() for name in tensors}
            for change in self.map_changes:
                change(names)
            size = sum(len(t[2]) for tensors in self.shards.values() for t in tensors.values())
            index = {"metadata": {"total_size": size}} if self.total_size else {}
            files[INDEX] = json.dumps({**index, "weight_map": names}, indent=2).encode() + b"\n"
        for file, change in self.patches:
            files[file] = change(files[file])
        os.makedirs(path)
        for file, raw in files.items():
            if raw is not None:
                with open(os.path.join(path, file), "wb") as out:
                    out.write(raw)
        for change in self.actions:
            change(path)


def encode(tensors, metadata, padding):
    header, at = {"__metadata__": metadata} if metadata is not None else {}, 0
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(raw)]}
        at += len(raw)
    return join(header, b"".join(t[2] for t in tensors.values()), padding)


def join(header, data, padding=8):
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % padding)
    return struct.pack("<Q", len(text)) + text + data


def split(raw):
    length = struct.unpack("<Q", raw[:8])[0]
    return json.loads(raw[8:8 + length]), raw[8 + length:]
