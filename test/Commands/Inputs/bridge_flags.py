"""bridge_flags.py HF_DIR MEGATRON_DIR WORK: gives mbc every flag of Megatron Bridge's conversion scripts and checks that it
works, that it is said to have no effect, or that it is refused with a reason; and that the help has it."""

import json
import os
import shutil
import subprocess
import sys

# The flags of Bridge's argument parsers: what they do to a conversion here, with a value to try.
COMMON = {
    "--trust-remote-code": ("note",), "--device": ("note", "cpu"), "--executor": ("works", "local"),
    "--nodes": ("note", "1"), "--gpus-per-node": ("note", "8"), "--gpus_per_node": ("note", "8"),
    "--cpus-per-task": ("note", "4"), "--mem": ("note", "0"), "--account": ("note", "a"), "--partition": ("note", "p"),
    "--time": ("note", "04:00:00"), "--gres": ("note", "gpu:8"), "--exclusive": ("note",),
    "--no-gpu-resource-request": ("note",), "--container-image": ("note", "image"), "--mount": ("note", "/a:/b"),
    "--env": ("note", "HF_TOKEN"), "--srun-arg": ("note", "--mpi=pmix"), "--experiment-name": ("note", "name"),
    "--submission-dry-run": ("refused",), "--dry-run": ("refused",), "--detach": ("refused",),
    "--distributed-timeout-minutes": ("note", "30"),
}
SIZES = ("-tp", "--tp", "--tensor-parallel-size", "-pp", "--pp", "--pipeline-parallel-size", "-ep", "--ep",
         "--expert-parallel-size", "-etp", "--etp", "--expert-tensor-parallel-size")
MODEL = {"--hf-revision": ("elsewhere",), "--torch-dtype": ("works", "bfloat16"), "--overwrite": ("works",)}
FLAGS = {
    # convert_checkpoints.py, convert_checkpoints_multi_gpu.py, convert_checkpoints_fsdp.py, convert.sh
    "import": COMMON | MODEL | {flag: ("works", "1") for flag in (*SIZES, "--cp")} | {
        "--hf-model": ("used",), "--megatron-path": ("used",), "--device-map": ("note", "auto"),
        "--low-memory-save": ("note",), "--no-low-memory-save": ("note",), "--ckpt-format": ("works", "torch"),
    },
    "export": COMMON | MODEL | {flag: ("note", "1") for flag in (*SIZES, "--cp")} | {
        "--hf-model": ("used",), "--megatron-path": ("used",), "--hf-path": ("used",), "--no-progress": ("works",),
        "--not-strict": ("refused",), "--distributed-save": ("note",), "--no-distributed-save": ("note",),
        "--save-every-n-ranks": ("note", "1"), "--export-weight-dtype": ("works", "bfloat16"),
        "--ckpt-format": ("note", "torch_dist"),
    },
    # hf_megatron_roundtrip.py, hf_megatron_roundtrip_multi_gpu.py, convert.sh
    "roundtrip": COMMON | {flag: ("works", "1") for flag in SIZES} | {
        "--hf-model": ("used",), "--hf-model-id": ("used",), "--hf-revision": ("elsewhere",),
        "--megatron-path": ("refused", "x"), "--megatron-load-path": ("refused", "x"),
        "--megatron-save-path": ("refused", "x"), "--output-dir": ("refused", "x"), "--skip-save": ("note",),
        "--not-strict": ("refused",),
    },
}


def mbc(*arguments):
    done = subprocess.run(["mbc", *arguments], capture_output=True, text=True)
    assert done.returncode in (0, 2), (arguments, done.stderr)
    return done


def main(hf, megatron, work):
    failures = []

    def check(what, good, *more):
        if not good:
            failures.append(f"{what}: {more}")

    given = {
        "import": ["--hf-model", hf, "--megatron-path", work + "/megatron"],
        "export": ["--hf-model", hf, "--megatron-path", megatron, "--hf-path", work + "/hf"],
        "roundtrip": ["--hf-model", hf],
    }
    count = 0
    for command, flags in FLAGS.items():
        help_text = mbc(command, "--help").stdout

        def attempt(words, what):
            shutil.rmtree(work, ignore_errors=True)
            os.mkdir(work)
            done = mbc(command, *given[command], *words, "--json")
            return done, json.loads(done.stdout).get("flag_notes", [])

        # As one word: a value may begin with a dash.
        noted = {flag: [f"{flag}={value[0]}"] if value else [flag]
                 for flag, (verdict, *value) in flags.items() if verdict == "note"}
        done, notes = attempt(sum(noted.values(), []), command)
        check(f"mbc {command}", done.returncode == 0, done.stderr)
        for flag, (verdict, *value) in flags.items():
            count += 1
            what = f"mbc {command} {flag}"
            spelling = flag if flag.startswith("--") else "-" + flag
            check(what, spelling in help_text, "not in the help")
            if verdict == "note":
                check(what, any(f"'{spelling}' has no effect: " in note for note in notes), notes)
            elif verdict == "works":
                done, others = attempt([flag, *value], what)
                check(what, done.returncode == 0 and not others, done.stderr, others)
            elif verdict == "refused":
                done, _ = attempt([flag, *value], what)
                check(what, done.returncode == 2 and f"'{flag}'" in done.stderr, done.stderr)
                check(what, not os.listdir(work), "something was written")
    for failure in failures:
        print("FAILED", failure)
    print(f"{count} flags, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
