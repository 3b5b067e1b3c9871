"""GPU kernels: importable, not callable."""

__all__ = ["fused_compute_score_for_moe_aux_loss", "fused_moe_aux_loss", "fused_topk_with_score_function"]


def _no(*a, **k):
    raise NotImplementedError("fused router is a GPU kernel")


fused_compute_score_for_moe_aux_loss = fused_moe_aux_loss = fused_topk_with_score_function = _no
