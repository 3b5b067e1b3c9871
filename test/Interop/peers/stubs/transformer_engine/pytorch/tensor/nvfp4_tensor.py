import torch


class NVFP4Tensor(torch.Tensor):
    pass
