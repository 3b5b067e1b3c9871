"""Imported before megatron: the stand-ins on the path, and process groups over gloo."""

import datetime
import os
import sys
import warnings

warnings.filterwarnings("ignore")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "stubs"))
os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import cpu_shim  # noqa: E402, F401
import torch.distributed as dist  # noqa: E402

RANK = int(os.environ.get("RANK", "0"))
WORLD = int(os.environ.get("WORLD_SIZE", "1"))
meeting = None


def begin(path):
    """Before each task: a path where its processes meet, which names no file yet."""
    global meeting
    meeting = path
    if WORLD > 1:
        init_processes()


def init_processes():
    """This process alone (Bridge may ask for that by itself), or those that torchrun started."""
    if not dist.is_initialized():
        timeout = datetime.timedelta(seconds=120)
        dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=RANK, world_size=WORLD, timeout=timeout)


def init_model_parallel(tp, pp, ep, etp):
    from megatron.core import parallel_state
    from megatron.core.tensor_parallel.random import model_parallel_cuda_manual_seed

    init_processes()
    parallel_state.initialize_model_parallel(
        tensor_model_parallel_size=tp,
        pipeline_model_parallel_size=pp,
        expert_model_parallel_size=ep,
        expert_tensor_parallel_size=etp,
    )
    model_parallel_cuda_manual_seed(0)


def end():
    """After each task, of any layout."""
    from megatron.core import parallel_state

    parallel_state.destroy_model_parallel()
    if dist.is_initialized():
        dist.destroy_process_group()
