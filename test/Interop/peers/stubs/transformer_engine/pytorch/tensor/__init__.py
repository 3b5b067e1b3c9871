"""Quantised tensors: never made, so that isinstance() answers False."""

import torch


class QuantizedTensor(torch.Tensor):
    """never instantiated: lets isinstance() answer False"""


class Quantizer:
    pass


from . import float8_tensor, mxfp8_tensor, float8_blockwise_tensor, nvfp4_tensor, utils  # noqa
