"""Writes a folder of zeros for the model of tiny.mbc, with one thing wrong.

    folder.py CONFIG OUT [+NAME=SHAPE:DTYPE | -NAME | NAME=SHAPE | NAME:DTYPE] ...
"""

import json
import os
import struct
import sys

BYTES = {"BF16": 2, "F32": 4, "F16": 2, "I64": 8, "F8_E4M3": 1}


def tensors(c):
    hidden, heads, kv, dim, ffn = (c[k] for k in ("hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim", "intermediate_size"))
    yield "embed.weight", [c["vocab_size"], hidden]
    if not c["tie_word_embeddings"]:
        yield "head.weight", [c["vocab_size"], hidden]
    for l in range(c["num_hidden_layers"]):
        p = f"layers.{l}."
        yield p + "norm.weight", [hidden]
        yield p + "mlp_norm.weight", [hidden]
        yield p + "q.weight", [heads * dim, hidden]
        yield p + "k.weight", [kv * dim, hidden]
        yield p + "v.weight", [kv * dim, hidden]
        yield p + "o.weight", [hidden, heads * dim]
        if l < c["first_k_dense_replace"]:
            yield p + "gate.weight", [ffn, hidden]
            yield p + "up.weight", [ffn, hidden]
            yield p + "down.weight", [hidden, ffn]
        else:
            yield p + "router.weight", [c["num_experts"], hidden]
            for e in range(c["num_experts"]):
                yield p + f"experts.{e}.gate.weight", [ffn, hidden]
                yield p + f"experts.{e}.up.weight", [ffn, hidden]
                yield p + f"experts.{e}.down.weight", [hidden, ffn]


def main():
    config, out, changes = sys.argv[1], sys.argv[2], sys.argv[3:]
    with open(config) as file:
        config = json.load(file)
    table = {name: (shape, "BF16") for name, shape in tensors(config)}
    for change in changes:
        if change.startswith("-"):
            table = {k: v for k, v in table.items() if not k.startswith(change[1:])}
            continue
        name, _, dtype = change.lstrip("+").partition(":")
        name, _, shape = name.partition("=")
        old = table.get(name, ([1], "BF16"))
        table[name] = (json.loads(shape) if shape else old[0], dtype or old[1])
    header, at = {}, 0
    for name, (shape, dtype) in table.items():
        size = BYTES[dtype]
        for n in shape:
            size *= n
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + bytes(at))
    with open(os.path.join(out, "config.json"), "w") as file:
        json.dump(config, file)


main()
