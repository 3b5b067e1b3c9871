"""program_cost.py CONFIG.json DTYPE_BYTES CHUNK SEQUENCES: compares what `mbc compile --json` on stdin counted from a program's
commands with formulas of the architecture, a dense decoder with one kind of layer."""

import json
import sys

config = json.load(open(sys.argv[1]))
element, chunk, sequences = map(int, sys.argv[2:])
found = json.load(sys.stdin)

hidden, inner, vocab, layers = (config[key] for key in ("hidden_size", "intermediate_size", "vocab_size", "num_hidden_layers"))
heads, kv = config["num_attention_heads"], config["num_key_value_heads"]
width = config.get("head_dim", hidden // heads)
qkv, out = (heads + 2 * kv) * width, heads * width
family = config["model_type"]
tied = config["tie_word_embeddings"]
slots = sequences * config["max_position_embeddings"]


def aligned(number):
    return -(-number // 64) * 64


# Matrices of a layer, then its vectors.
matrices = [hidden * qkv, out * hidden, hidden * 2 * inner, inner * hidden]
vectors = [hidden, hidden] + ([qkv] if family == "qwen2" else []) + ([width, width] if family == "qwen3" else [])
ends = [vocab * hidden] * (1 if tied else 2) + [hidden]

expected = [
    {"name": "decoder", "layers": layers, "flops": 2 * sum(matrices), "attention_flops": 2 * 2 * heads * width,
     "weight_bytes": element * sum(matrices + vectors), "state_bytes": element * 2 * kv * width},
    # Embedding, last norm and output; ids, positions and the angles, which are float32.
    {"name": "outside of layers", "layers": 1, "flops": 2 * hidden * vocab, "attention_flops": 0,
     "weight_bytes": element * sum(ends), "state_bytes": 0,
     "moved_bytes": element * 4 * hidden + 4 * vocab + 4 + 4 + 4 * width},
]
for part, wanted in zip(found["parts"], expected, strict=True):
    for key, value in wanted.items():
        assert part[key] == value, (part["name"], key, part[key], value)
assert found["parts"][0]["moved_bytes"] >= element * (4 * hidden + qkv + 2 * out + 3 * inner)

memory = found["memory"]
assert memory["state_tokens"] == slots
assert memory["weight_bytes"] == layers * sum(aligned(element * n) for n in matrices + vectors) + sum(aligned(element * n) for n in ends)
assert memory["state_bytes"] == 2 * layers * aligned(element * kv * width * slots)
# Logits of one call have at most 64 MiB.
scored = chunk if chunk * 4 * vocab <= 64 << 20 else 1 << (((64 << 20) // (4 * vocab)).bit_length() - 1)
names = [function["name"] for function in found["functions"]]
assert names == [f"score[{scored}]", f"prefill[{chunk}]", "decode[1]", f"decode[{sequences}]"], names
ports = {"score": scored * (8 + 4 * vocab), "prefill": chunk * 8 + sequences * (4 + 4 * vocab)}
for function in found["functions"]:
    kind = function["name"].split("[")[0]
    rows = function["tokens"]
    assert function["port_bytes"] == ports.get(kind, rows * (8 + 4 * vocab)), function
    largest = function["largest_buffers"][0]
    # The widest row that commands fill between them, and where the declaration asks for it.
    assert largest["bytes"] == element * rows * max(qkv, 2 * inner, hidden), largest
    assert largest["origin"].startswith("/mbc/models/") and largest["shape"][0] == rows, largest
    assert largest["bytes"] < function["arena_bytes"] <= element * rows * (6 * hidden + 3 * qkv + 6 * inner) + 1024, function
assert memory["arena_bytes"] == max(function["arena_bytes"] for function in found["functions"])
assert memory["port_bytes"] == max(function["port_bytes"] for function in found["functions"])
assert memory["peak_bytes"] == sum(memory[key] for key in ("weight_bytes", "state_bytes", "arena_bytes", "port_bytes"))
print("as computed")
