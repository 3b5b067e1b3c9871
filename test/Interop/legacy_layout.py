"""What every rank of a legacy torch checkpoint must hold, cut out of a Hugging Face folder's tensors with PyTorch. Written
from Megatron's own definition of its modules, and sharing nothing with mbc: the oracle of test_legacy_torch.py."""

import dataclasses

import torch


@dataclasses.dataclass(frozen=True)
class Layout:
    tp: int = 1
    pp: int = 1
    vpp: int = 1
    ep: int = 1
    etp: int = 1
    chunks: tuple = ()  # layers of each chunk, virtual chunk by virtual chunk; empty: equally many
    local: bool = False  # layers of Megatron's own linears instead of Transformer Engine's
    experts: str = "grouped"
    multiple: int = 128  # of the rows of a rank's vocabulary

    def options(self):
        sizes = [f"--{name}={getattr(self, name)}" for name in ("tp", "pp", "vpp", "ep") if getattr(self, name) > 1]
        if self.ep > 1 or self.etp > 1:
            sizes.append(f"--etp={self.etp}")
        if self.chunks and self.vpp == 1:
            sizes.append(f"--decoder-first-pipeline-num-layers={self.chunks[0]}")
            if self.pp > 2:
                sizes.append(f"--decoder-last-pipeline-num-layers={self.chunks[-1]}")
        sizes += ["--layer-spec=local"] * self.local + [f"--experts={self.experts}"]
        return ["--format=torch", *sizes, f"--make-vocab-size-divisible-by={self.multiple}"]

    def layers(self, count):
        """The layers of chunk (virtual, stage)."""
        sizes = self.chunks or [count // (self.pp * self.vpp)] * (self.pp * self.vpp)
        ends = torch.tensor(sizes).cumsum(0).tolist()
        runs = [range(end - size, end) for size, end in zip(sizes, ends, strict=True)]
        return {(k // self.pp, k % self.pp): run for k, run in enumerate(runs)}

    def folders(self):
        """name -> (tensor, stage, expert, expert tensor) rank."""
        found = {}
        for stage in range(self.pp):
            for rank in range(self.tp * self.etp * self.ep):
                t, e = rank % self.tp, rank // self.etp % self.ep
                name = f"mp_rank_{t:02d}" + f"_{stage:03d}" * (self.pp > 1) + f"_{e:03d}" * (self.ep > 1)
                found[name] = (t, stage, e, rank % self.etp)
        return found


def rows(tensor, ranks, rank):
    return tensor.chunk(ranks)[rank] if ranks > 1 else tensor


def columns(tensor, ranks, rank):
    return tensor.chunk(ranks, 1)[rank] if ranks > 1 else tensor


def glu(gate, up, ranks, rank):
    """The rank's part of gate and of up, one behind the other."""
    return torch.cat([rows(gate, ranks, rank), rows(up, ranks, rank)])


class Rank:
    """The state dict of one chunk of one rank."""

    def __init__(self, hf, config, layout, numbers):
        self.hf, self.config, self.layout = hf, config, layout
        self.t, self.stage, self.e, self.et = numbers
        self.state = {}

    def attention(self, source, target):
        config, layout = self.config, self.layout
        groups, heads = config["num_key_value_heads"], config["num_attention_heads"]
        size = config.get("head_dim") or config["hidden_size"] // heads
        for kind in ("weight", "bias"):
            if f"{source}q_proj.{kind}" not in self.hf:
                continue
            q, k, v = (self.hf[f"{source}{part}_proj.{kind}"] for part in "qkv")
            per = heads // groups * size
            fused = [
                part
                for g in range(groups)
                for part in (q[g * per : (g + 1) * per], k[g * size : (g + 1) * size], v[g * size : (g + 1) * size])
            ]
            self.state[f"{target}linear_qkv.{kind}"] = rows(torch.cat(fused), layout.tp, self.t)
        self.state[f"{target}linear_proj.weight"] = columns(self.hf[f"{source}o_proj.weight"], layout.tp, self.t)
        if f"{source}o_proj.bias" in self.hf:
            self.state[f"{target}linear_proj.bias"] = self.hf[f"{source}o_proj.bias"]
        for part in "qk":
            if f"{source}{part}_norm.weight" in self.hf:
                self.state[f"{target}{part}_layernorm.weight"] = self.hf[f"{source}{part}_norm.weight"]

    def mlp(self, source, target):
        for kind in ("weight", "bias"):
            if f"{source}gate_proj.{kind}" in self.hf:
                gate, up = self.hf[f"{source}gate_proj.{kind}"], self.hf[f"{source}up_proj.{kind}"]
                self.state[f"{target}linear_fc1.{kind}"] = glu(gate, up, self.layout.tp, self.t)
        self.state[f"{target}linear_fc2.weight"] = columns(self.hf[f"{source}down_proj.weight"], self.layout.tp, self.t)
        if f"{source}down_proj.bias" in self.hf:
            self.state[f"{target}linear_fc2.bias"] = self.hf[f"{source}down_proj.bias"]

    def experts(self, source, target):
        self.state[f"{target}router.weight"] = self.hf[f"{source}gate.weight"]
        here = (self.config.get("num_experts") or self.config["num_local_experts"]) // self.layout.ep
        pairs = []
        for e in range(self.e * here, (self.e + 1) * here):
            gate, up, down = (self.hf[f"{source}experts.{e}.{part}_proj.weight"] for part in ("gate", "up", "down"))
            pairs.append((glu(gate, up, self.layout.etp, self.et), columns(down, self.layout.etp, self.et)))
        if self.layout.experts == "fused":
            first, second = (torch.stack([pair[i].T for pair in pairs]) for i in range(2))
            self.state[f"{target}experts.weight1"] = first.reshape(self.config["hidden_size"], -1)
            self.state[f"{target}experts.weight2"] = second.reshape(-1, self.config["hidden_size"])
            return
        for i, pair in enumerate(pairs):
            for name, tensor in zip(("linear_fc1", "linear_fc2"), pair, strict=True):
                key = f"{name}.weight{i}" if self.layout.experts == "grouped" else f"local_experts.{i}.{name}.weight"
                self.state[f"{target}experts.{key}"] = tensor

    def layer(self, layer, index):
        source, target = f"model.layers.{layer}.", f"decoder.layers.{index}."
        sparse = f"{source}mlp.gate.weight" in self.hf
        norms = {"input_layernorm.weight": "self_attention.linear_qkv.layer_norm_weight"}
        norms["post_attention_layernorm.weight"] = (
            "pre_mlp_layernorm.weight" if sparse else "mlp.linear_fc1.layer_norm_weight"
        )
        if self.layout.local:
            norms = {"input_layernorm.weight": "input_layernorm.weight"}
            norms["post_attention_layernorm.weight"] = "pre_mlp_layernorm.weight"
        for theirs, ours in norms.items():
            self.state[target + ours] = self.hf[source + theirs]
        self.attention(f"{source}self_attn.", f"{target}self_attention.")
        (self.experts if sparse else self.mlp)(f"{source}mlp.", f"{target}mlp.")

    def vocabulary(self, tensor):
        multiple = self.layout.multiple * self.layout.tp
        padding = -tensor.shape[0] % multiple
        whole = torch.cat([tensor, torch.zeros(padding, tensor.shape[1], dtype=tensor.dtype)])
        return rows(whole, self.layout.tp, self.t)

    def chunk(self, virtual):
        layout, self.state = self.layout, {}
        first = virtual == 0 and self.stage == 0
        last = virtual == layout.vpp - 1 and self.stage == layout.pp - 1
        embedding = self.vocabulary(self.hf["model.embed_tokens.weight"])
        if first:
            self.state["embedding.word_embeddings.weight"] = embedding
        for index, layer in enumerate(layout.layers(self.config["num_hidden_layers"])[virtual, self.stage]):
            self.layer(layer, index)
        if last:
            self.state["decoder.final_layernorm.weight"] = self.hf["model.norm.weight"]
            if not self.config["tie_word_embeddings"]:
                self.state["output_layer.weight"] = self.vocabulary(self.hf["lm_head.weight"])
            elif not first:
                self.state["output_layer.weight"] = embedding
        return self.state


def expected(hf, config, layout):
    """folder -> chunk key -> state dict."""
    keys = [f"model{v}" for v in range(layout.vpp)] if layout.vpp > 1 else ["model"]
    return {
        folder: {key: Rank(hf, config, layout, numbers).chunk(v) for v, key in enumerate(keys)}
        for folder, numbers in layout.folders().items()
    }
