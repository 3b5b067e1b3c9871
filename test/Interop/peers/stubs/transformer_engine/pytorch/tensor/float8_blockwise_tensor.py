import torch


class Float8BlockwiseQTensor(torch.Tensor):
    pass
