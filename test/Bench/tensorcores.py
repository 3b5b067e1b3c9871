#!/usr/bin/env python3
"""Times PyTorch's products of groups and attention, with the sizes of tensorcores.cpp, on the GPU that is there.

  build/release/bin/tensorcores_bench && test/Bench/tensorcores.py
"""

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

EXPERTS, TOPK, BF16 = 128, 8, dict(device="cuda", dtype=torch.bfloat16)


def microseconds(function, repeats=30):
    function()
    torch.cuda.synchronize()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for i in range(repeats):
        function(i)
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / repeats * 1e3


def products(n, k):
    weights = [torch.randn(EXPERTS, n, k, **BF16).transpose(1, 2) for _ in range(3)]
    for tokens in (4096, 512, 256, 128, 64, 32, 8, 1):
        chosen = torch.rand(tokens, EXPERTS, device="cuda").topk(TOPK).indices
        ends = torch.bincount(chosen.flatten(), minlength=EXPERTS).cumsum(0, dtype=torch.int32)
        x = torch.randn(tokens * TOPK, k, **BF16)
        time = microseconds(lambda i=0: torch._grouped_mm(x, weights[i % 3], ends))
        print(f"torch._grouped_mm of {tokens:4} tokens x {TOPK}, {n:4} x {k:4}: {time:8.1f} us {2 * x.numel() * n / time / 1e6:6.1f} TFLOP/s")


def attention(rows, kv, group, width):
    q, k, v = (torch.randn(1, heads, rows, width, **BF16) for heads in (kv * group, kv, kv))
    for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION):
        with sdpa_kernel(backend):
            time = microseconds(lambda i=0: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True))
        flop = 2 * rows * rows * kv * group * width
        print(f"{backend.name} of {rows} rows, {kv * group} heads of {width}, {kv} of keys: {time:8.1f} us {flop / time / 1e6:6.1f} TFLOP/s")


products(1536, 2048)
products(2048, 768)
attention(4096, 8, 4, 128)
attention(1024, 8, 4, 128)
attention(4096, 8, 4, 64)
attention(4096, 8, 2, 256)
