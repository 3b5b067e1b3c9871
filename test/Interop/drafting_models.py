"""DeepSeek-V3s whose extra layer for multi-token prediction is right, wrong, or right about some tokens, by construction."""

import json

import torch
from conftest import BASE, V3, change_weights, mtp_layer, write_model

SILENT = ("self_attn.o_proj.weight", "down_proj.weight")  # what a block adds to its layer
RIGHT, WRONG, HALF = "right", "wrong", "half"


def successor(token, vocabulary=BASE["vocab_size"]):
    """The token that these models put behind another one, whatever came before."""
    return (token * 37 + 11) % vocabulary


def is_drafted(kind, token):
    """Whether the extra layer says the same."""
    return kind == RIGHT or (kind == HALF and token % 2 == 0)


def construct(folder, kind, noise=0.0, changes=V3, dtype="float32", own=0.0):
    """A model whose blocks add nothing, or `noise`: the head answers the embedding of a token with its successor. The
    extra layer sees the next token: as it is, or with its sign changed, which is answered with the least of all tokens.
    Even tokens lie in the first half of the hidden state, the others in the second. With `own` it also sees the state
    before that token, and what its attention adds counts for so much."""
    write_model(folder, 6, "DeepseekV3", changes, dtype)
    mtp_layer(folder)
    config = json.loads((folder / "config.json").read_text())
    vocabulary, hidden, half = config["vocab_size"], config["hidden_size"], config["hidden_size"] // 2
    generator = torch.Generator().manual_seed(8)

    new = f"model.layers.{config['num_hidden_layers']}."

    def change(weights):
        for name in weights:
            if name.endswith(SILENT):
                weights[name] = weights[name] * (noise + own * (name == new + SILENT[0]))
            elif name.endswith(("enorm.weight", "hnorm.weight", "shared_head.norm.weight")) or name == "model.norm.weight":
                weights[name] = torch.ones_like(weights[name])
        rows = torch.randn([vocabulary, hidden], generator=generator)
        rows[0::2, half:] = 0
        rows[1::2, :half] = 0
        rows = rows / rows.square().mean(1, keepdim=True).sqrt()
        head = torch.empty_like(rows)
        head[[successor(token, vocabulary) for token in range(vocabulary)]] = rows * 0.1
        sign = torch.ones(hidden)
        if kind != RIGHT:
            sign[half:] = -1
        if kind == WRONG:
            sign[:half] = -1
        state = torch.randn([hidden, hidden], generator=generator) * own / hidden
        for name, value in (("eh_proj", torch.cat([torch.diag(sign), state], 1)),
                            ("embed_tokens", rows), ("shared_head.head", head)):
            weights[f"{new}{name}.weight"] = value.to(getattr(torch, dtype))
        weights["model.embed_tokens.weight"] = weights[new + "embed_tokens.weight"].clone()
        weights["lm_head.weight"] = weights[new + "shared_head.head.weight"].clone()

    change_weights(folder, change)
    return folder
