"""Linear, LayerNormLinear, GroupedLinear, norms and attention of TE's API, on plain torch."""

import math
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.nn.parameter import Parameter
from .base import ExtraStateMixin, TransformerEngineBaseModule


def _empty(shape, dtype, device):
    if isinstance(device, torch.device):
        device = device.type
    if device is None or str(device).startswith("cuda") or isinstance(device, int):
        device = "cpu"
    return torch.empty(shape, dtype=dtype or torch.get_default_dtype(), device=device)


class _ReduceFwd(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, g):
        x = x.contiguous().clone()
        dist.all_reduce(x, group=g)
        return x

    @staticmethod
    def backward(ctx, gy):
        return gy, None


class _ReduceBwd(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, g):
        ctx.g = g
        return x

    @staticmethod
    def backward(ctx, gy):
        gy = gy.contiguous().clone()
        dist.all_reduce(gy, group=ctx.g)
        return gy, None


def _norm(x, w, b, eps, kind, zero_centered):
    w = w + 1 if zero_centered else w
    if kind == "RMSNorm":
        h = x.float()
        h = h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + eps)
        return (h * w.float()).to(x.dtype)
    return F.layer_norm(x.float(), (x.shape[-1],), w.float(), b.float(), eps).to(x.dtype)


class _LinearBase(TransformerEngineBaseModule):
    def _setup(
        self,
        in_features,
        out_features,
        tp_group,
        tp_size,
        init_method,
        bias,
        return_bias,
        parallel_mode,
        params_dtype,
        device,
        sequence_parallel,
        fuse_wgrad_accumulation=False,
    ):
        tp_size = tp_size if parallel_mode in ("column", "row") else 1
        self.tp_group, self.tp_size, self.parallel_mode = tp_group, tp_size, parallel_mode
        self.in_features, self.out_features = in_features, out_features
        if parallel_mode == "column":
            out_features //= tp_size
        if parallel_mode == "row":
            in_features //= tp_size
        self.out_features_local, self.in_features_local = out_features, in_features
        self.use_bias, self.return_bias = bias, return_bias
        self.apply_bias = bias and not return_bias
        self.sequence_parallel = sequence_parallel and tp_size > 1
        self.fuse_wgrad_accumulation = fuse_wgrad_accumulation
        assert not self.sequence_parallel, "stub has no sequence parallelism"
        self.weight = Parameter(_empty((out_features, in_features), params_dtype, device))
        if init_method is not None and self.weight.device.type != "meta":
            with torch.no_grad():
                init_method(self.weight)
        self.weight.tensor_model_parallel = tp_size > 1
        if parallel_mode in ("column", "row"):
            self.weight.tensor_model_parallel = True
            self.weight.partition_dim = 0 if parallel_mode == "column" else 1
            self.weight.partition_stride = 1
        if bias:
            self.bias = Parameter(_empty((out_features,), params_dtype, device))
            if self.bias.device.type != "meta":
                with torch.no_grad():
                    self.bias.zero_()
            if parallel_mode == "column":
                self.bias.tensor_model_parallel = True
                self.bias.partition_dim = 0
                self.bias.partition_stride = 1
        else:
            self.bias = torch.Tensor()

    def _apply_linear(self, x):
        col = self.parallel_mode == "column" and self.tp_size > 1
        row = self.parallel_mode == "row" and self.tp_size > 1
        if col:
            x = _ReduceBwd.apply(x, self.tp_group)
        y = F.linear(x, self.weight, self.bias if (self.apply_bias and not row) else None)
        if row:
            y = _ReduceFwd.apply(y, self.tp_group)
            if self.apply_bias:
                y = y + self.bias
        return (y, self.bias) if self.return_bias else y


class Linear(_LinearBase):
    def __init__(
        self,
        in_features,
        out_features,
        sequence_parallel=False,
        fuse_wgrad_accumulation=False,
        tp_group=None,
        tp_size=1,
        get_rng_state_tracker=None,
        init_method=None,
        bias=True,
        return_bias=False,
        params_dtype=None,
        parallel_mode=None,
        device="cpu",
        **kw,
    ):
        super().__init__()
        self._setup(
            in_features,
            out_features,
            tp_group,
            tp_size,
            init_method,
            bias,
            return_bias,
            parallel_mode,
            params_dtype,
            device,
            sequence_parallel,
            fuse_wgrad_accumulation,
        )

    def forward(self, x, is_first_microbatch=None, **kw):
        return self._apply_linear(x)


class LayerNormLinear(_LinearBase):
    def __init__(
        self,
        in_features,
        out_features,
        eps=1e-5,
        sequence_parallel=False,
        fuse_wgrad_accumulation=False,
        tp_group=None,
        tp_size=1,
        get_rng_state_tracker=None,
        init_method=None,
        bias=True,
        normalization="LayerNorm",
        return_bias=False,
        params_dtype=None,
        parallel_mode=None,
        return_layernorm_output=False,
        zero_centered_gamma=False,
        device="cpu",
        **kw,
    ):
        super().__init__()
        self.eps, self.normalization, self.zero_centered_gamma = eps, normalization, zero_centered_gamma
        self.layer_norm_weight = Parameter(_empty((in_features,), params_dtype, device))
        if normalization != "RMSNorm":
            self.layer_norm_bias = Parameter(_empty((in_features,), params_dtype, device))
        else:
            self.layer_norm_bias = None
        if self.layer_norm_weight.device.type != "meta":
            with torch.no_grad():
                self.layer_norm_weight.fill_(0 if zero_centered_gamma else 1)
                if self.layer_norm_bias is not None:
                    self.layer_norm_bias.zero_()
        for p in (self.layer_norm_weight, self.layer_norm_bias):
            if p is not None:
                p.sequence_parallel = sequence_parallel
        self._setup(
            in_features,
            out_features,
            tp_group,
            tp_size,
            init_method,
            bias,
            return_bias,
            parallel_mode,
            params_dtype,
            device,
            sequence_parallel,
            fuse_wgrad_accumulation,
        )

    def forward(self, x, is_first_microbatch=None, **kw):
        return self._apply_linear(
            _norm(
                x, self.layer_norm_weight, self.layer_norm_bias, self.eps, self.normalization, self.zero_centered_gamma
            )
        )


LayerNormMLP = LayerNormLinear  # only named


class GroupedLinear(TransformerEngineBaseModule):
    def __init__(
        self,
        num_gemms,
        in_features,
        out_features,
        sequence_parallel=False,
        fuse_wgrad_accumulation=False,
        tp_group=None,
        tp_size=1,
        get_rng_state_tracker=None,
        init_method=None,
        bias=True,
        return_bias=False,
        params_dtype=None,
        parallel_mode=None,
        device="cpu",
        **kw,
    ):
        super().__init__()
        if parallel_mode == "column":
            out_features //= tp_size
        if parallel_mode == "row":
            in_features //= tp_size
        self.num_gemms, self.in_features, self.out_features = num_gemms, in_features, out_features
        self.use_bias, self.return_bias, self.apply_bias = bias, return_bias, bias and not return_bias
        self.tp_group, self.tp_size, self.parallel_mode = tp_group, tp_size, parallel_mode
        for i in range(num_gemms):
            w = Parameter(_empty((out_features, in_features), params_dtype, device))
            if init_method is not None and w.device.type != "meta":
                with torch.no_grad():
                    init_method(w)
            if parallel_mode in ("column", "row"):
                w.tensor_model_parallel = True
                w.partition_dim = 0 if parallel_mode == "column" else 1
                w.partition_stride = 1
            self.register_parameter(f"weight{i}", w)
        for i in range(num_gemms):
            if bias:
                b = Parameter(_empty((out_features,), params_dtype, device))
                with torch.no_grad():
                    b.zero_()
                self.register_parameter(f"bias{i}", b)
            else:
                setattr(self, f"bias{i}", torch.Tensor())

    def forward(self, x, m_splits, is_first_microbatch=None, **kw):
        ys = [
            F.linear(xi, getattr(self, f"weight{i}"), getattr(self, f"bias{i}") if self.apply_bias else None)
            for i, xi in enumerate(torch.split(x, [int(m) for m in m_splits]))
        ]
        y = torch.cat(ys)
        return (y, [getattr(self, f"bias{i}") for i in range(self.num_gemms)]) if self.return_bias else y


class _NormBase(ExtraStateMixin, torch.nn.Module):
    """Real TE norms (>= 1.13) are fusible ops, which carry `_extra_state` too."""

    kind = None

    def __init__(
        self,
        hidden_size=None,
        eps=1e-5,
        sequence_parallel=False,
        zero_centered_gamma=False,
        params_dtype=None,
        dtype=None,
        device="cpu",
        normalized_shape=None,
        **kw,
    ):
        super().__init__()
        shape = hidden_size if hidden_size is not None else normalized_shape
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.eps, self.zero_centered_gamma = eps, zero_centered_gamma
        self.weight = Parameter(_empty(shape, params_dtype or dtype, device))
        self.weight.sequence_parallel = sequence_parallel
        if self.kind == "LayerNorm":
            self.bias = Parameter(_empty(shape, params_dtype or dtype, device))
            self.bias.sequence_parallel = sequence_parallel
        else:
            self.bias = None
        if self.weight.device.type != "meta":
            with torch.no_grad():
                self.weight.fill_(0 if zero_centered_gamma else 1)
                if self.bias is not None:
                    self.bias.zero_()

    def forward(self, x):
        return _norm(x, self.weight, self.bias, self.eps, self.kind, self.zero_centered_gamma)


class RMSNorm(_NormBase):
    kind = "RMSNorm"


class LayerNorm(_NormBase):
    kind = "LayerNorm"


class DotProductAttention(TransformerEngineBaseModule):
    def __init__(
        self,
        num_attention_heads,
        kv_channels,
        num_gqa_groups=None,
        attention_dropout=0.0,
        qkv_format="sbhd",
        attn_mask_type="causal",
        softmax_scale=None,
        softmax_type="vanilla",
        tp_size=1,
        tp_group=None,
        layer_number=None,
        window_size=None,
        **kw,
    ):
        super().__init__()
        k = kv_channels[0] if isinstance(kv_channels, (tuple, list)) else kv_channels
        self.softmax_scale = softmax_scale if softmax_scale is not None else 1.0 / math.sqrt(k)
        self.attn_mask_type, self.softmax_type = attn_mask_type, softmax_type
        if softmax_type == "learnable":
            self.softmax_offset = Parameter(torch.zeros(num_attention_heads // tp_size))

    def set_context_parallel_group(self, *a):
        pass

    def forward(self, q, k, v, attention_mask=None, attn_mask_type=None, **kw):
        q, k, v = (t.permute(1, 2, 0, 3) for t in (q, k, v))  # sbhd -> bhsd
        r = q.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(r, 1), v.repeat_interleave(r, 1)
        s = (q.float() @ k.float().transpose(-1, -2)) * self.softmax_scale
        t = attn_mask_type or self.attn_mask_type
        if "causal" in t:
            n, m = s.shape[-2:]
            s = s.masked_fill(torch.ones(n, m, dtype=torch.bool).triu(m - n + 1), float("-inf"))
        elif attention_mask is not None:
            s = s.masked_fill(attention_mask, float("-inf"))
        o = (torch.softmax(s, -1).to(v.dtype) @ v).permute(2, 0, 1, 3)
        return o.reshape(*o.shape[:2], -1)
