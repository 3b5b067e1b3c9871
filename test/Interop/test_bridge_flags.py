"""The conversion command line of Megatron Bridge is a set of scripts beside its package, over methods of AutoBridge. What
those methods of the installed Bridges take is read from their source: each parameter that a user can set has its
flag in mbc, or a reason why it has none. The scripts' own flags: test/Commands/bridge-flags.test."""

import ast
import subprocess

import pytest
from conftest import MBC
from stacks import PEERS

# method -> the command of mbc that stands for it
METHODS = {
    "from_hf_pretrained": "import",
    "import_ckpt": "import",
    "save_megatron_model": "import",
    "from_auto_config": "export",
    "export_ckpt": "export",
    "save_hf_pretrained": "export",
    "save_hf_weights": "export",
}
# parameter -> the flag that is given for it, or None where the command line has no use for it
PARAMETERS = {
    "path": "--hf-path",  # of save_hf_*; of the others, see below
    "hf_model_id": "--hf-model",
    "megatron_path": "--megatron-path",
    "hf_path": "--hf-path",
    "show_progress": "--no-progress",
    "strict": "--not-strict",
    "trust_remote_code": "--trust-remote-code",
    "low_memory_save": "--low-memory-save",
    "distributed_save": "--distributed-save",
    "save_every_n_ranks": "--save-every-n-ranks",
    "weight_dtype": "--export-weight-dtype",
    "source_path": "--hf-model",  # where config.json and the tokenizer come from
    "hf_tokenizer_path": "--hf-model",
    "hf_tokenizer_kwargs": None,  # of a Python object that mbc does not have
    "merge_adapter_weights": None,  # adapters are not converted
    "model": None,  # the model in memory
    "cls": None,
    "self": None,
}
OF_METHOD = {("from_hf_pretrained", "path"): "--hf-model", ("save_megatron_model", "path"): "--megatron-path"}
# What their **kwargs take, as the scripts give it.
KEYWORDS = {"torch_dtype": "--torch-dtype", "device_map": "--device-map", "revision": "--hf-revision"}


def methods(stack):
    found = list(PEERS.glob(f"{stack}/lib/python3*/site-packages/megatron/bridge/models/conversion/auto_bridge.py"))
    assert len(found) == 1, found
    for node in ast.walk(ast.parse(found[0].read_text())):
        if isinstance(node, ast.ClassDef) and node.name == "AutoBridge":
            return {each.name: each.args for each in node.body if isinstance(each, ast.FunctionDef)}
    raise AssertionError("no AutoBridge")


@pytest.mark.parametrize("stack", ["old", "new"])
def test_every_parameter_has_its_flag(stack):
    known = {}
    for command in ("import", "export"):
        done = subprocess.run([MBC, command, "--help"], capture_output=True, text=True, check=True)
        known[command] = done.stdout.replace(",", " ").split()
    found = methods(stack)
    assert {"import_ckpt", "export_ckpt", "from_hf_pretrained"} <= found.keys()
    missing = []
    checked = 0
    for method in METHODS.keys() & found.keys():
        arguments = found[method]
        names = [each.arg for each in arguments.posonlyargs + arguments.args + arguments.kwonlyargs]
        names += KEYWORDS if arguments.kwarg and METHODS[method] == "import" else []
        for name in names:
            flag = OF_METHOD.get((method, name)) or (KEYWORDS | PARAMETERS).get(name, f"unknown parameter {name}")
            checked += 1
            if flag is not None and flag not in known[METHODS[method]]:
                missing.append((method, name, flag))
    assert not missing and checked > 20
