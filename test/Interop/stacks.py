"""The real Megatron programs as peers of mbc: the environments that tools/interop-peers.sh makes, and the jobs that
tests give them. Jobs of one environment and number of processes run in one start of peers/peer.py, as importing these
programs takes seconds."""

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
import tokenizers
import torch
import torch.distributed.checkpoint as dcp
import transformers
from checkpoints import save_with_pytorch
from conftest import ROOT, make_folder, old_spellings
from layout import Expected, read_folder
from peers import reference
from torch.distributed.checkpoint import FileSystemWriter

PEERS = Path(os.environ.get("MBC_PEERS") or ROOT / "build/peers")
DRIVER = Path(__file__).parent / "peers/peer.py"

# old: Megatron Bridge 0.3.1, Megatron Core 0.16.1, transformers 4
# new: Megatron Bridge 0.6.2, Megatron Core 0.19.2 with Megatron-LM's megatron.training, transformers 5
STACKS = ["old", "new"]



def sizes(tp=1, pp=1, ep=1, etp=1):
    """Tensor-, pipeline-, expert- and expert-tensor-parallel size."""
    return dict(tp=tp, pp=pp, ep=ep, etp=etp)


# name -> (parallel sizes, processes)
LAYOUTS = {
    "tp1": (sizes(), 1),
    "dp2": (sizes(), 2),
    "tp2": (sizes(tp=2, etp=2), 2),
    "pp2": (sizes(pp=2), 2),
    "tp2pp2": (sizes(tp=2, pp=2, etp=2), 4),
    "tp2ep2": (sizes(tp=2, ep=2), 4),
    "tp2ep2etp2": (sizes(tp=2, ep=2, etp=2), 4),
}


@dataclasses.dataclass(frozen=True)
class Job:
    task: str  # a function of peers/peer.py
    case: str  # a model of conftest.CASES
    stack: str
    layout: str
    alone: bool = False  # the peer is one process, whatever the layout of the checkpoint
    options: tuple = ()  # (name, value): further arguments of the task
    damage: str = ""  # of DAMAGE, done to the checkpoint

    @property
    def processes(self):
        return 1 if self.alone else LAYOUTS[self.layout][1]

    def __str__(self):
        words = [self.task, self.case, self.stack, self.layout] + [str(value) for _, value in self.options]
        words += [self.damage] * bool(self.damage)
        return "-".join(words + ["alone"] * (self.alone and self.layout != "tp1"))


def swap_gate_and_up(tensors):
    name = "decoder.layers.mlp.linear_fc1.weight"
    tensors[name] = tensors[name].roll(tensors[name].shape[1] // 2, 1)


def swap_heads(tensors):
    name = "decoder.layers.self_attention.linear_proj.weight"
    tensors[name][-1] = tensors[name][-1].roll(tensors[name].shape[2] // 4, 1)


def change_one_norm(tensors):
    tensors["decoder.final_layernorm.weight"][7] *= 1.0078125


DAMAGE = {damage.__name__: damage for damage in (swap_gate_and_up, swap_heads, change_one_norm)}


def parametrize(jobs, quick):
    """A test for each job; those that are not quick run with tools/test.sh --interop-all only."""
    marks = {job: () if quick(job) else pytest.mark.full for job in jobs}
    return pytest.mark.parametrize("job", [pytest.param(job, id=str(job), marks=marks[job]) for job in jobs])


class Peers:
    """Runs jobs and keeps their results; a job that could not run has an error, and fails its test."""

    def __init__(self, mbc, scratch, jobs):
        self.mbc, self.scratch, self.jobs = mbc, scratch, list(dict.fromkeys(jobs))
        self.results, self.made = {}, {}

    def outcome(self, job):
        """The result of the job, which may be an error."""
        if job not in self.results:
            self.start([other for other in self.jobs if (other.stack, other.processes) == (job.stack, job.processes)])
        return self.results[job]

    def result(self, job):
        result = self.outcome(job)
        if "error" in result:
            pytest.fail(f"{job}: the peer failed\n{result['error']}", pytrace=False)
        assert not result.get("problems"), "entries that Megatron Core asked for in vain, or found too many"
        return result

    def start(self, jobs):
        ready, tasks = [], []
        for job in jobs:
            try:
                tasks.append({"do": job.task, "with": self.arguments(job)})
                ready.append(job)
            except pytest.fail.Exception as failure:
                self.results[job] = {"error": str(failure)}
        stack, processes = jobs[0].stack, jobs[0].processes
        name = f"{stack}-{processes}"
        given, taken, log = (self.scratch / f"{name}.{kind}" for kind in ("tasks", "results", "log"))
        given.write_text(json.dumps(tasks, indent=1))
        python = PEERS / stack / "bin/python"
        if not python.exists():
            pytest.fail(f"{python} is missing; run tools/interop-peers.sh", pytrace=False)
        launcher = []
        if processes > 1:
            launcher = ["-m", "torch.distributed.run", "--nproc-per-node", processes]
            launcher += ["--master-addr", "127.0.0.1", "--master-port", free_port()]
        command = [str(word) for word in (python, *launcher, DRIVER, given, taken)]
        with log.open("w") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
            try:
                process.wait(120 + 15 * len(tasks))
            except subprocess.TimeoutExpired:
                output.write("out of time\n")
            finally:  # with the processes that Megatron Core's saver leaves behind
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        results = json.loads(taken.read_text()) if taken.exists() else []
        crashed = {"error": "\n".join(log.read_text().splitlines()[-40:])}
        self.results |= dict(zip(ready, results + [crashed] * (len(ready) - len(results)), strict=True))

    def arguments(self, job):
        source = self.source(job)
        if job.task == "reload":
            return dict(source=str(source), exported=str(self.exported(job)))
        if job.task == "resave":
            return dict(hf=str(source), out=str(self.output(job)))
        arguments = dict(hf=str(source)) | dict(job.options)
        if job.task != "load_megatron_lm":
            arguments["sizes"] = sizes() if job.alone else LAYOUTS[job.layout][0]
        if job.task.startswith("load"):
            arguments["logits"] = str(self.logits(job.case))
        if job.task.startswith("load") or job.task == "export_hf":
            arguments["checkpoint"] = str(self.imported(job))
        else:
            arguments["out"] = str(self.output(job))
        if job.task == "export_hf":
            arguments["out"] = str(self.output(job))
        if job.task == "save":
            arguments["source"] = str(self.oracle(job.case))
        return arguments

    def output(self, job):
        return self.scratch / "out" / str(job)

    def make(self, name, maker):
        """The folder of that name, made once."""
        folder = self.scratch / name
        if folder not in self.made:
            folder.parent.mkdir(parents=True, exist_ok=True)
            self.made[folder] = True
            maker(folder)
        return folder

    def source(self, job):
        """The Hugging Face folder, with a tokenizer, and a config.json that the stack's transformers reads."""

        def maker(folder):
            make_folder(job.case, folder)
            config = json.loads((folder / "config.json").read_text())
            if job.stack == "old" and "rope_parameters" in (config.get("text_config") or config):
                old_spellings(folder)
            words = {f"word{i}": i for i in range(reference.read_config(folder)["vocab_size"] - 3)}
            tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="word0"))
            fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="word0")
            fast.save_pretrained(folder)
            # The class that every version of transformers has
            path = folder / "tokenizer_config.json"
            path.write_text(
                json.dumps(json.loads(path.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}, indent=2)
            )

        return self.make(f"hf/{job.stack}/{job.case}", maker)

    def imported(self, job):
        """The checkpoint that mbc writes."""
        config = reference.read_config(self.source(job))
        dense = not any(config.get(name) for name in ("num_experts", "num_local_experts", "n_routed_experts"))
        chosen = {
            name: size
            for name, size in LAYOUTS[job.layout][0].items()
            if size > 1 and not (dense and name in ("ep", "etp"))
        }
        options = [word for name, size in chosen.items() for word in (f"--{name}", size)]
        name = f"megatron/{job.stack}/{job.case}-{job.layout}"
        folder = self.make(name, lambda folder: self.mbc("import", self.source(job), "-o", folder, *options))
        if job.damage:
            change = DAMAGE[job.damage]
            folder = self.make(f"{name}-{job.damage}", lambda copy: save_with_pytorch(folder, copy, change))
        return folder

    def exported(self, job):
        """The Hugging Face folder that mbc makes of the checkpoint that it writes."""
        name = f"exported/{job.stack}/{job.case}-{job.layout}"
        return self.make(name, lambda folder: self.mbc("export", self.imported(job), "-o", folder))

    def logits(self, case):
        """Tokens, and what transformers makes of them in fp32."""
        source = self.source(Job("load", case, "new", "tp1"))

        def maker(path):
            tokens = reference.tokens_for(reference.read_config(source))["input_ids"]
            torch.save({"tokens": tokens, "logits": reference.logits(source)}, path)

        return self.make(f"logits/{case}.pt", maker)

    def oracle(self, case):
        """A torch_dist checkpoint of the weights alone, made by PyTorch as layout.py says and not by mbc."""
        source = self.source(Job("save", case, "new", "tp1"))

        def maker(folder):
            config = json.loads((source / "config.json").read_text())
            expected = Expected(read_folder(source), config)
            dcp.save(expected.tensors, storage_writer=FileSystemWriter(folder), no_dist=True)
            torch.save({}, folder / "common.pt")
            (folder / "metadata.json").write_text('{"sharded_backend": "torch_dist", "sharded_backend_version": 1}')

        return self.make(f"oracle/{case}", maker)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
