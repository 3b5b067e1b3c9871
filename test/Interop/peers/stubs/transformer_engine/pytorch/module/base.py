"""What every module has: `_extra_state`, in the form of TE_STUB_VERSION, as when FP8 is off."""

import io
import pickle
import torch
from ... import __version__

_V = tuple(int(x) for x in __version__.split(".")[:2])


def get_workspace():
    return None


def get_dummy_wgrad(shape, dtype, zero=False):
    return torch.empty(shape, dtype=dtype)


def initialize_ub(*a, **k):
    raise NotImplementedError


class ExtraStateMixin:
    """`_extra_state` as real TE has it when FP8 is off (see module docstring)."""

    fp8 = False
    fp8_calibration = False
    fp8_initialized = False

    def get_extra_state(self):
        if _V >= (2, 5):
            return torch.empty(0, dtype=torch.uint8)
        if _V >= (2, 0):
            return torch.frombuffer(bytearray(pickle.dumps(None)), dtype=torch.uint8)
        b = io.BytesIO()
        torch.save(None, b)
        return b

    def set_extra_state(self, state):
        if state is None:
            return
        if isinstance(state, torch.Tensor):
            if state.numel() == 0:
                return
            state = pickle.loads(state.detach().cpu().numpy().tobytes())
        elif isinstance(state, io.BytesIO):
            state.seek(0)
            state = torch.load(state, map_location="cpu")
        else:
            raise RuntimeError("Unsupported checkpoint format.")


class TransformerEngineBaseModule(ExtraStateMixin, torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fp8_meta = {"fp8_checkpoint": False, "fp8_group": None, "recipe": None, "num_gemms": 1}

    def init_fp8_metadata(self, num_gemms=1):
        pass

    def set_tensor_parallel_group(self, g):
        self.tp_group = g
