"""Random states and recomputation: nothing to track on a CPU."""

from contextlib import contextmanager


class CudaRNGStatesTracker:
    def __init__(self):
        self.states_ = {}

    def reset(self):
        self.states_ = {}

    def get_states(self):
        return dict(self.states_)

    def set_states(self, s):
        self.states_ = s

    def add(self, name, seed):
        self.states_[name] = seed

    @contextmanager
    def fork(self, name="model-parallel-rng"):
        yield


def checkpoint(fn, *args, **kw):
    for k in ("distribute_saved_activations", "get_rng_state_tracker", "tp_group"):
        kw.pop(k, None)
    return fn(*args, **kw)


@contextmanager
def activation_recompute_forward(**kw):
    yield


def get_all_rng_states():
    return {}


def is_fp8_activation_recompute_enabled():
    return False
