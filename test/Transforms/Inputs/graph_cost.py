"""graph_cost.py report COMPILED.json COST.txt: what nn-print-cost says of the first entry is what `mbc compile --json` counted from its commands.
graph_cost.py formula CONFIG.json COST.txt BYTES CONTEXT: what nn-print-cost says of a mixture of experts, with grouped-query or latent attention,
is what formulas of the architecture say, for every entry."""

import json
import re
import sys


def entries(path):
    found = []
    for line in open(path):
        if head := re.fullmatch(r"(\S+): (\d+) rows\n", line):
            found.append((head[1], int(head[2]), {}, []))
        elif part := re.fullmatch(r"  (\S.*): layers (.*)\n", line):
            found[-1][2][part[1]] = {key: int(value) for key, value in (item.split(" ") for item in ("layers " + part[2]).split(", "))}
        else:
            found[-1][3].append(line.strip())
    return found


if sys.argv[1] == "report":
    _, rows, parts, _ = entries(sys.argv[3])[0]
    counted = json.load(open(sys.argv[2]))["parts"]
    assert len(counted) == len(parts)
    for part in counted:
        mine = parts[part["name"]]
        assert mine["layers"] == part["layers"]
        assert mine["weights"] == part["weight_bytes"], part
        for key, name in (("flops", "flops"), ("attention", "attention_flops"), ("moved", "moved_bytes"), ("state", "state_bytes")):
            assert mine[key] == rows * part[name], (part["name"], key, mine[key], rows * part[name])
    print("as computed")
    sys.exit()

config = json.load(open(sys.argv[2]))
size, context = int(sys.argv[4]), int(sys.argv[5])
hidden, heads, layers = config["hidden_size"], config["num_attention_heads"], config["num_hidden_layers"]
latent = config.get("kv_lora_rank")
experts = config.get("n_routed_experts") or config["num_experts"]
topk, inner = config["num_experts_per_tok"], config["moe_intermediate_size"]
shared = inner * (config.get("n_shared_experts") or 0)
dense = config.get("first_k_dense_replace", 0)
corrected = config.get("topk_method") == "noaux_tc"


def attention(rows):
    """Matrices, other weights, products of a call, those for each token attended to and for each of the state, state of a row."""
    if latent is None:
        width, kv = config["head_dim"], config["num_key_value_heads"]
        matrices = [hidden * (heads + 2 * kv) * width, heads * width * hidden]
        return matrices, 2 * width, 0, rows * 4 * heads * width, 0, 2 * kv * width
    nope, turned, value = config["qk_nope_head_dim"], config["qk_rope_head_dim"], config["v_head_dim"]
    rank = config["q_lora_rank"]
    queries = [hidden * rank, rank * heads * (nope + turned)] if rank else [hidden * heads * (nope + turned)]
    matrices = queries + [hidden * (latent + turned), heads * value * hidden]
    up = heads * (nope + value) * latent
    vectors = up + latent + (rank or 0)
    forms = {
        "expanded": (0, rows * 2 * heads * (nope + turned + value), 2 * up),
        "absorbed": (rows * 2 * up, rows * 2 * heads * (2 * latent + turned), 0),
    }
    cost = {name: flops + context * (each + state) for name, (flops, each, state) in forms.items()}
    best = min(cost, key=cost.get)
    lines.append(f"nn.mla_attention with a context of {context}: expanded {cost['expanded']}, absorbed {cost['absorbed']}, best {best}")
    return matrices, vectors, *forms[best], latent + turned


def layer(rows, mixture):
    matrices, vectors, flops, each, state, kept = attention(rows)
    matrices, pinned, pool, read = list(matrices), 0, 0, 0
    if mixture:
        matrices += [hidden * experts] + ([3 * hidden * shared] if shared else [])
        pool = 3 * hidden * inner * experts
        read = 3 * hidden * inner * min(experts, rows * topk)
        flops += 2 * rows * topk * 3 * hidden * inner
        pinned = 4 * experts if corrected else 0
    else:
        matrices.append(3 * hidden * config["intermediate_size"])
    flops += 2 * rows * sum(matrices)
    whole = size * (sum(matrices) + vectors + 2 * hidden) + pinned
    return {"flops": flops, "attention": each, "context": state, "weights": whole + size * pool, "read": whole + size * read, "state": size * rows * kept}


chosen = {}
for name, rows, parts, said in entries(sys.argv[3]):
    lines = []
    kinds = [(dense, False), (layers - dense, True)] if dense else [(layers, True)]
    assert len(parts) == len(kinds) + 1
    for (count, mixture), (_, part) in zip(kinds, parts.items()):
        assert part["layers"] == count
        for key, value in layer(rows, mixture).items():
            assert part[key] == value, (name, mixture, key, part[key], value)
    assert said == lines, (said, lines)
    chosen[name.split("[")[0]] = {line.split()[-1] for line in said}
print("as computed", *(f"{name}: {' '.join(sorted(forms))}" for name, forms in chosen.items() if forms), sep="\n")
