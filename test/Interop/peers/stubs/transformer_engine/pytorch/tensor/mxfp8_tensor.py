import torch


class MXFP8Tensor(torch.Tensor):
    pass
