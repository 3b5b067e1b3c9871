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


def attention_tensors(get, has, groups, head_dim):
    """Grouped-query attention, without the norm in front of it."""
    layer = {}
    for kind in ("weight", "bias"):
        if has(f"self_attn.q_proj.{kind}"):
            q, k, v = (get(f"self_attn.{part}_proj.{kind}") for part in "qkv")
            layer[f"self_attention.linear_qkv.{kind}"] = fuse_qkv(q, k, v, groups, head_dim)
        if has(f"self_attn.o_proj.{kind}"):
            layer[f"self_attention.linear_proj.{kind}"] = get(f"self_attn.o_proj.{kind}")
    for part in "qk":
        if has(f"self_attn.{part}_norm.weight"):
            layer[f"self_attention.{part}_layernorm.weight"] = get(f"self_attn.{part}_norm.weight")
    return layer


# Latent attention: Megatron Core's name -> transformers' name. No tensor is cut or reordered.
LATENT = {
    "linear_q_proj.weight": "q_proj.weight",
    "linear_q_down_proj.weight": "q_a_proj.weight",
    "linear_q_up_proj.layer_norm_weight": "q_a_layernorm.weight",
    "linear_q_up_proj.weight": "q_b_proj.weight",
    "linear_kv_down_proj.weight": "kv_a_proj_with_mqa.weight",
    "linear_kv_up_proj.layer_norm_weight": "kv_a_layernorm.weight",
    "linear_kv_up_proj.weight": "kv_b_proj.weight",
    "linear_proj.weight": "o_proj.weight",
}


def mlp_tensors(get, has, source, target):
    """A gated MLP: of a dense layer, or the shared experts of a mixture."""
    layer = {}
    for kind in ("weight", "bias"):
        if has(f"{source}.gate_proj.{kind}"):
            gate, up = (get(f"{source}.{part}_proj.{kind}") for part in ("gate", "up"))
            layer[f"{target}.linear_fc1.{kind}"] = fuse_glu(gate, up)
            layer[f"{target}.linear_fc2.{kind}"] = get(f"{source}.down_proj.{kind}")
    return layer


def expert_tensors(get, has):
    """The routed experts of a layer, stacked, of either spelling of the hub."""
    if has("mlp.experts.gate_up_proj"):
        fc1, fc2 = get("mlp.experts.gate_up_proj"), get("mlp.experts.down_proj")
    else:
        experts = []
        while has(f"mlp.experts.{len(experts)}.down_proj.weight"):
            experts.append(f"mlp.experts.{len(experts)}")
        fc1 = torch.stack([fuse_glu(get(f"{e}.gate_proj.weight"), get(f"{e}.up_proj.weight")) for e in experts])
        fc2 = torch.stack([get(f"{e}.down_proj.weight") for e in experts])
    return {"mlp.experts.experts.linear_fc1.weight": fc1, "mlp.experts.experts.linear_fc2.weight": fc2}


def layer_tensors(tensors, prefix, groups, head_dim):
    """One decoder layer: Megatron's name within the layer -> tensor."""

    def get(name):
        return tensors[prefix + name]

    def has(name):
        return prefix + name in tensors

    # A norm is stored with the linear layer behind it, where there is one.
    latent, sparse = has("self_attn.kv_b_proj.weight"), has("mlp.gate.weight")
    input_norm = "input_layernorm.weight" if latent else "self_attention.linear_qkv.layer_norm_weight"
    mlp_norm = "pre_mlp_layernorm.weight" if sparse else "mlp.linear_fc1.layer_norm_weight"
    layer = {input_norm: get("input_layernorm.weight"), mlp_norm: get("post_attention_layernorm.weight")}
    if latent:
        found = {name: source for name, source in LATENT.items() if has(f"self_attn.{source}")}
        layer |= {f"self_attention.{name}": get(f"self_attn.{source}") for name, source in found.items()}
    else:
        layer |= attention_tensors(get, has, groups, head_dim)
    if not sparse:
        return layer | mlp_tensors(get, has, "mlp", "mlp")
    layer["mlp.router.weight"] = get("mlp.gate.weight")
    if has("mlp.gate.e_score_correction_bias"):
        layer["mlp.router.expert_bias"] = get("mlp.gate.e_score_correction_bias").float()
    return layer | expert_tensors(get, has) | mlp_tensors(get, has, "mlp.shared_experts", "mlp.shared_experts")


def extra_states(prefix, layers, indexed):
    """The entries of Transformer Engine's modules: one for each layer, and for each expert of it."""
    entries = set()
    for i, layer in enumerate(layers):
        for name, tensor in layer.items():
            module = name.rpartition(".")[0]
            if module == "mlp.router":
                continue
            places, sizes = ([], []) if indexed else ([i], [len(layers)])
            stem = f"{prefix}{i}.{module}" if indexed else f"{prefix}{module}"
            if ".experts.experts." in name:
                shards = [(places + [e], sizes + [len(tensor)]) for e in range(len(tensor))]
            else:
                shards = [(places or [0], sizes or [1])]
            for at, of in shards:
                at, of = (".".join(map(str, numbers)) for numbers in (at, of))
                entries.add(f"{stem}._extra_state/shard_{at}_{of}")
    return entries


class Expected:
    """The tensors, the entries of extra state and the kind of keys of a Megatron checkpoint."""

    def __init__(self, tensors, config):
        text = config.get("text_config") or config
        sees = "vision_config" in config
        heads = text["num_attention_heads"]
        groups = text.get("num_key_value_heads") or heads
        head_dim = text.get("head_dim") or text["hidden_size"] // heads
        count = text["num_hidden_layers"]
        root = "language_model." if sees else ""
        model = "model.language_model." if "model.language_model.norm.weight" in tensors else "model."

        layers = [layer_tensors(tensors, f"{model}layers.{i}.", groups, head_dim) for i in range(count)]
        # A stacked key has one shape and one dtype: layers that differ are stored under a key each, and so they are
        # wherever Megatron was told by a list which layers are sparse, as Megatron Bridge tells it for DeepSeek.
        kinds = [{name: (tensor.shape, tensor.dtype) for name, tensor in layer.items()} for layer in layers]
        self.indexed = "first_k_dense_replace" in config or any(kind != kinds[0] for kind in kinds)

        self.tensors = {
            f"{root}embedding.word_embeddings.weight": tensors[f"{model}embed_tokens.weight"],
            f"{root}decoder.final_layernorm.weight": tensors[f"{model}norm.weight"],
        }
        if not config.get("tie_word_embeddings"):
            self.tensors[f"{root}output_layer.weight"] = tensors["lm_head.weight"]
        prefix = f"{root}decoder.layers."
        if self.indexed:
            for i, layer in enumerate(layers):
                self.tensors |= {f"{prefix}{i}.{name}": tensor for name, tensor in layer.items()}
        else:
            for name in layers[0]:
                self.tensors[prefix + name] = torch.stack([layer[name] for layer in layers])
        self.extra_state = {f"{root}decoder.final_layernorm._extra_state/shard_0_1"}
        self.extra_state |= extra_states(prefix, layers, self.indexed)

        # The layer that predicts the token after the next, which Hugging Face numbers on from the decoder's
        if config.get("num_nextn_predict_layers"):
            source, target = f"model.layers.{count}.", "mtp.layers.0."
            layer = layer_tensors(tensors, source, groups, head_dim)
            self.tensors |= {f"{target}transformer_layer.{name}": tensor for name, tensor in layer.items()}
            names = {"enorm": "enorm", "hnorm": "hnorm", "eh_proj": "eh_proj", "final_layernorm": "shared_head.norm"}
            for name, stored in names.items():
                self.tensors[f"{target}{name}.weight"] = tensors[f"{source}{stored}.weight"]
                self.extra_state.add(f"{target}{name}._extra_state/shard_0_1")
            inner = extra_states("", [layer], indexed=True)
            self.extra_state |= {f"{target}transformer_layer.{entry.removeprefix('0.')}" for entry in inner}

        for name, tensor in tensors.items():  # Bridge keeps Hugging Face's own vision tower
            if "visual." in name:
                self.tensors[name.removeprefix("model.")] = tensor
