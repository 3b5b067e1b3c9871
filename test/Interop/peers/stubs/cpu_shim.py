"""Imported before megatron: makes its unconditional torch.cuda calls harmless on a machine without a GPU, and answers
its imports of packages that conversion never uses. Nothing in the installed packages is changed."""

import contextlib
import importlib.abc
import importlib.machinery
import sys
import types
import typing

import torch
import torch.utils._device
import torch.utils._triton

if not hasattr(typing, "override"):  # Python 3.11 with packages that want 3.12
    typing.override = lambda function: function

# The triton stand-in must stay invisible to torch itself
torch.utils._triton.has_triton_package = torch.utils._triton.has_triton = lambda *args, **named: False
# Megatron Core's jit_fuser: eager is enough
torch.compile = lambda function=None, *args, **named: function if callable(function) else (lambda g: g)


class Stream:
    def __init__(self, *args, **named):
        pass

    def wait_stream(self, stream):
        pass

    def synchronize(self):
        pass

    def record_event(self, *args):
        return self

    def wait_event(self, *args):
        pass


def nothing():
    """A function of its own each time: torch keeps a table of its functions."""
    return lambda *args, **named: None


def on_cpu(function):
    """The constructor with device="cuda" taken as the CPU."""

    def construct(*args, **named):
        if str(named.get("device")).startswith("cuda"):
            named["device"] = "cpu"
        return function(*args, **named)

    return construct


def replace_cuda():
    cuda = torch.cuda
    for (
        name
    ) in "set_device synchronize empty_cache ipc_collect set_rng_state manual_seed reset_peak_memory_stats".split():
        setattr(cuda, name, nothing())
    cuda.nvtx.range_push, cuda.nvtx.range_pop = nothing(), nothing()
    cuda.current_device = lambda: torch.device("cpu")
    cuda.get_rng_state = lambda *args, **named: torch.get_rng_state()
    cuda.Stream = Stream
    cuda.current_stream = lambda *args, **named: Stream()
    cuda.stream = lambda *args, **named: contextlib.nullcontext()
    torch.Tensor.cuda = lambda self, *args, **named: self
    torch.nn.Module.cuda = lambda self, *args, **named: self
    # Cached with the real constructors, so that `with torch.device("meta")` goes on working
    torch.utils._device._device_constructors()
    for name in "tensor zeros ones empty full arange rand randn eye linspace".split():
        setattr(torch, name, on_cpu(getattr(torch, name)))


UNUSED = """av causal_conv1d comet_ml datasets decord diffusers fast_hadamard_transform fla flashinfer imageio librosa
    mamba_ssm mistral_common mlflow modelopt nemo_run nvidia_resiliency_ext open_clip peft qwen_vl_utils soundfile
    tensorboard timm torchvision wandb""".split()


class Unused(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The last finder: packages that Megatron imports but conversion never uses are modules of empty classes."""

    def find_spec(self, name, path=None, target=None):
        # Only for Megatron's own imports: transformers probes packages, and must find none
        frame = sys._getframe(1)
        while frame and frame.f_globals.get("__name__", "").startswith(("importlib", "cpu_shim", "_frozen")):
            frame = frame.f_back
        importer = frame.f_globals.get("__name__", "") if frame else ""
        top = name.split(".")[0]
        if top == "nvidia_resiliency_ext" and importer.startswith("megatron.core"):
            return None  # Megatron Core does without it, and would check its version
        known = top in UNUSED or name.startswith("megatron.energon")
        if known and (importer.startswith("megatron") or importer.split(".")[0] in UNUSED):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        module = types.ModuleType(spec.name)
        module.__path__, module.__version__ = [], "0.0.0"

        def make_class(name):
            if name.startswith("__"):
                raise AttributeError(name)
            made = type(name, (), {"__init__": nothing(), "__call__": nothing()})
            setattr(module, name, made)
            return made

        module.__getattr__ = make_class
        return module

    def exec_module(self, module):
        pass


def replace_tensorboard():
    package = types.ModuleType("torch.utils.tensorboard")
    package.__path__ = []
    package.writer = types.ModuleType("torch.utils.tensorboard.writer")
    package.SummaryWriter = package.writer.SummaryWriter = type("SummaryWriter", (), {})
    sys.modules["torch.utils.tensorboard"] = package
    sys.modules["torch.utils.tensorboard.writer"] = package.writer


if not torch.cuda.is_available():
    replace_cuda()
sys.meta_path.append(Unused())
replace_tensorboard()
