"""What a Megatron checkpoint of a Hugging Face model must hold, written from Megatron's own definition of its layout
and sharing nothing with mbc: the oracle of the tests beside it."""

import torch
from safetensors import safe_open


def read_folder(folder):
    """Every tensor of a Hugging Face folder, by name."""
    tensors = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as reader:
            for name in reader.keys():
                assert name not in tensors, f"{name} is stored twice"
                tensors[name] = reader.get_tensor(name)
    return tensors


def same_bits(a, b):
    """Equal dtype, shape and bits: NaN equals the same NaN, 0 differs from -0."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    as_bytes = [tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in (a, b)]
    return torch.equal(*as_bytes)


def assert_same_tensors(actual, expected):
    assert sorted(actual) == sorted(expected)
    different = [name for name in expected if not same_bits(actual[name], expected[name])]
    assert not different


def widen(tensors):
    """The tensors in the smallest type that holds them all exactly."""
    dtype = tensors[0].dtype
    for tensor in tensors[1:]:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return [tensor.to(dtype) for tensor in tensors]


def fuse_qkv(q, k, v, groups, head_dim):
    """Rows group by group: the query heads of the group, its key head, its value head."""
    q, k, v = widen([q, k, v])
    rest = q.shape[1:]
    q = q.reshape(groups, -1, *rest)  # [groups, heads of a group * head_dim, ...]
    k = k.reshape(groups, head_dim, *rest)
    v = v.reshape(groups, head_dim, *rest)
    return torch.cat([q, k, v], dim=1).reshape(-1, *rest)


def fuse_glu(gate, up):
    return torch.cat(widen([gate, up]))


def layer_tensors(tensors, prefix, groups, head_dim):
    """One decoder layer: Megatron's name within the layer -> tensor."""

    def get(name):
        return tensors[prefix + name]

    layer = {
        "self_attention.linear_qkv.layer_norm_weight": get("input_layernorm.weight"),
        "mlp.linear_fc1.layer_norm_weight": get("post_attention_layernorm.weight"),
    }
    for kind in ("weight", "bias"):
        if f"{prefix}self_attn.q_proj.{kind}" in tensors:
            q, k, v = (get(f"self_attn.{part}_proj.{kind}") for part in "qkv")
            layer[f"self_attention.linear_qkv.{kind}"] = fuse_qkv(q, k, v, groups, head_dim)
        if f"{prefix}self_attn.o_proj.{kind}" in tensors:
            layer[f"self_attention.linear_proj.{kind}"] = get(f"self_attn.o_proj.{kind}")
        if f"{prefix}mlp.gate_proj.{kind}" in tensors:
            layer[f"mlp.linear_fc1.{kind}"] = fuse_glu(get(f"mlp.gate_proj.{kind}"), get(f"mlp.up_proj.{kind}"))
            layer[f"mlp.linear_fc2.{kind}"] = get(f"mlp.down_proj.{kind}")
    for part in "qk":
        if f"{prefix}self_attn.{part}_norm.weight" in tensors:
            layer[f"self_attention.{part}_layernorm.weight"] = get(f"self_attn.{part}_norm.weight")
    return layer


class Expected:
    """The tensors, the entries of extra state and the kind of keys of a Megatron checkpoint."""

    def __init__(self, tensors, config):
        heads = config["num_attention_heads"]
        groups = config.get("num_key_value_heads") or heads
        head_dim = config.get("head_dim") or config["hidden_size"] // heads
        count = config["num_hidden_layers"]
        tied = config["tie_word_embeddings"]

        layers = [layer_tensors(tensors, f"model.layers.{i}.", groups, head_dim) for i in range(count)]
        # A stacked key has one dtype: layers that differ are stored under a key each.
        self.indexed = any(layer[name].dtype != layers[0][name].dtype for layer in layers for name in layer)

        self.tensors = {
            "embedding.word_embeddings.weight": tensors["model.embed_tokens.weight"],
            "decoder.final_layernorm.weight": tensors["model.norm.weight"],
        }
        if not tied:
            self.tensors["output_layer.weight"] = tensors["lm_head.weight"]
        for name in layers[0]:
            if self.indexed:
                for i, layer in enumerate(layers):
                    self.tensors[f"decoder.layers.{i}.{name}"] = layer[name]
            else:
                self.tensors[f"decoder.layers.{name}"] = torch.stack([layer[name] for layer in layers])

        modules = ["self_attention.linear_qkv", "self_attention.linear_proj", "mlp.linear_fc1", "mlp.linear_fc2"]
        if "self_attention.q_layernorm.weight" in layers[0]:
            modules += ["self_attention.q_layernorm", "self_attention.k_layernorm"]
        self.extra_state = {"decoder.final_layernorm._extra_state/shard_0_1"}
        for i in range(count):
            for module in modules:
                self.extra_state.add(
                    f"decoder.layers.{i}.{module}._extra_state/shard_0_1"
                    if self.indexed
                    else f"decoder.layers.{module}._extra_state/shard_{i}_{count}"
                )
