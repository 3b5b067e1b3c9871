"""GPU kernels: importable, not callable."""


def _no(*a, **k):
    raise NotImplementedError("fused permute is a GPU kernel; set moe_permute_fusion=False to run forward")


moe_permute = moe_permute_with_probs = moe_sort_chunks_by_index = moe_sort_chunks_by_index_with_probs = (
    moe_unpermute
) = _no
moe_permute_and_pad_with_probs = _no
