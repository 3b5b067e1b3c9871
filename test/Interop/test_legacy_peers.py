"""Legacy torch checkpoints and the real Megatron Core and Megatron-LM: both load what mbc writes, and mbc exports what they
save (see README.md)."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess

import legacy_layout
import pytest
import torch
from layout import assert_same_tensors, read_folder
from legacy_layout import Layout
from stacks import DRIVER, PEERS, STACKS, free_port
from test_legacy_torch import make, save, sizes

DENSE = [
    ("llama", Layout()),
    ("llama-tied", Layout(tp=2, pp=2)),
    ("llama-tied", Layout(tp=2, pp=2, local=True)),
    ("llama-biases", Layout(tp=2)),
    ("llama-odd", Layout(pp=2, chunks=(2, 3))),
    ("qwen3", Layout(tp=2, local=True)),
    ("llama", Layout(tp=4)),  # two KV heads on four ranks
]
MOE = [
    ("qwen3-moe", Layout(tp=2, ep=2, etp=1)),
    ("qwen3-moe", Layout(tp=2, ep=2, etp=2)),
    ("qwen3-moe", Layout(tp=2, ep=2, etp=2, experts="sequential")),
    ("qwen3-moe", Layout(pp=2, ep=2, experts="sequential", local=True)),
]


def processes(layout):
    ranks = {(t, p, e, et) for t, p, e, et in layout.folders().values()}
    return max(len(ranks), layout.pp * max(layout.tp, layout.ep * layout.etp))


def run_peers(stack, count, tasks, scratch):
    """Runs tasks of peers/peer.py; everything that they started has ended afterwards."""
    given, taken, log = (scratch / f"{stack}-{count}.{kind}" for kind in ("tasks", "results", "log"))
    given.write_text(json.dumps(tasks, indent=1))
    python = PEERS / stack / "bin/python"
    if not python.exists():
        pytest.fail(f"{python} is missing; run tools/interop-peers.sh", pytrace=False)
    launcher = []
    if count > 1:
        launcher = ["-m", "torch.distributed.run", "--nproc-per-node", count]
        launcher += ["--master-addr", "127.0.0.1", "--master-port", free_port()]
    with log.open("w") as output:
        command = [str(word) for word in (python, *launcher, DRIVER, given, taken)]
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        try:
            process.wait(300 + 30 * len(tasks))
        except subprocess.TimeoutExpired:
            output.write("out of time\n")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    results = json.loads(taken.read_text()) if taken.exists() else []
    assert len(results) == len(tasks), "\n".join(log.read_text().splitlines()[-40:])
    return results


class Case:
    """A model, what mbc writes of it, and what the oracle does."""

    def __init__(self, number, case, layout, mbc, scratch):
        self.layout, self.place = layout, scratch / str(number)
        self.hf = make(case, self.place / "hf")
        self.sizes = dataclasses.asdict(layout)
        if (case, layout) in DENSE:  # what Megatron takes without experts; it decides which ranks save
            self.sizes["etp"] = layout.tp
        self.mbc, self.oracle, self.saved = (self.place / name for name in ("mbc", "oracle", "saved"))
        config = json.loads((self.hf / "config.json").read_text())
        mbc("import", self.hf, "-o", self.mbc, *layout.options())
        states = legacy_layout.expected(read_folder(self.hf), config, layout)
        save(self.oracle, states, sizes(layout, config), iteration=0, padding=0.0)

    def tasks(self):
        common = dict(hf=str(self.hf), oracle=str(self.oracle), layout=self.sizes)
        return [
            {"do": "load_ranks", "with": common | dict(checkpoint=str(self.mbc))},
            {"do": "save_ranks", "with": common | dict(out=str(self.saved))},
        ]


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("count", [pytest.param(1, marks=pytest.mark.full), 2, pytest.param(4, marks=pytest.mark.full)])
def test_megatron_core(stack, count, mbc, tmp_path):
    """Ranks loaded: every parameter has the oracle's bits. Ranks saved: the export has the source's."""
    chosen = [pair for pair in DENSE + MOE if processes(pair[1]) == count]
    cases = [Case(number, case, layout, mbc, tmp_path) for number, (case, layout) in enumerate(chosen)]
    assert cases
    results = run_peers(stack, count, [task for case in cases for task in case.tasks()], tmp_path)
    for case, loaded, saved in zip(cases, results[::2], results[1::2], strict=True):
        for result in (loaded, saved):
            assert result == {"problems": []}, f"{case.layout}: {result}"
        mbc("export", case.saved / "iter_0000010", "-o", case.place / "back", "--hf-model", case.hf)
        assert_same_tensors(read_folder(case.place / "back"), read_folder(case.hf))


@pytest.mark.parametrize(
    "case", ["llama-tied", pytest.param("llama", marks=pytest.mark.full), pytest.param("qwen3", marks=pytest.mark.full)]
)
def test_megatron_lm_loads_it(case, mbc, tmp_path):
    """Megatron-LM's load_checkpoint, and the logits of transformers."""
    import transformers

    source = make(case, tmp_path / "hf")
    model = transformers.AutoModelForCausalLM.from_pretrained(
        source, dtype=torch.float32, attn_implementation="eager"
    )
    tokens = torch.randint(model.config.vocab_size, (2, 64), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.save({"tokens": tokens, "logits": model(tokens).logits}, tmp_path / "logits.pt")
    mbc("import", source, "-o", tmp_path / "megatron", "--format", "torch")
    arguments = dict(checkpoint=str(tmp_path / "megatron"), hf=str(source), logits=str(tmp_path / "logits.pt"))
    arguments["flags"] = ["--ckpt-format", "torch"]
    [result] = run_peers("new", 1, [{"do": "load_megatron_lm", "with": arguments}], tmp_path)
    assert "error" not in result, result["error"]
    assert result["problems"] == [] and result["iteration"] == 0
    assert result["difference"] <= 1e-5 * result["largest"]
