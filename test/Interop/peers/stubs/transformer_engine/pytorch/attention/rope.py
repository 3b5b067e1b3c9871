"""Rotary positions, unfused."""

import torch


def _half(x, interleaved):
    if interleaved:
        a, b = x[..., ::2], x[..., 1::2]
        return torch.stack((-b, a), -1).flatten(-2)
    a, b = x.chunk(2, -1)
    return torch.cat((-b, a), -1)


def apply_rotary_pos_emb(
    t,
    freqs,
    tensor_format="sbhd",
    interleaved=False,
    fused=True,
    cu_seqlens=None,
    cp_size=1,
    cp_rank=0,
    start_positions=None,
    **kw,
):
    assert tensor_format == "sbhd" and cp_size == 1
    d = freqs.shape[-1]
    f = freqs[: t.shape[0]].float()
    x, rest = t[..., :d].float(), t[..., d:]
    return torch.cat(((x * f.cos() + _half(x, interleaved) * f.sin()).to(t.dtype), rest), -1)
