#!/usr/bin/env python3
"""Times `mbc generate --mtp` beside the same without, on models whose drafts are always right, and always wrong.

  test/Bench/drafts.py [REPEATS]      default 3

Makes DeepSeek-V3s of 16 layers in bfloat16, all but the last dense and all but the first with 16 experts (test/Interop/drafting_models.py), and continues a
prompt of 16 tokens by 64, 1 and 4 sequences at a time, on 2 threads. A repeat runs every line once, one after another; the table
has medians of decoded tokens a second.
"""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test" / "Interop"))
import conftest  # noqa: E402
import drafting_models  # noqa: E402

NEW, PROMPT = 64, 16
SHAPE = conftest.V3 | dict(
    hidden_size=1024, intermediate_size=4096, moe_intermediate_size=512, num_hidden_layers=16, num_attention_heads=16,
    num_key_value_heads=16, kv_lora_rank=256, q_lora_rank=512, qk_nope_head_dim=64, qk_rope_head_dim=32, v_head_dim=64,
    n_routed_experts=16, n_shared_experts=1, n_group=1, topk_group=1, num_experts_per_tok=4, vocab_size=8192,
)
SHAPES = {"dense": SHAPE | dict(first_k_dense_replace=15), "mixture": SHAPE | dict(first_k_dense_replace=1)}


def tokens_a_second(folder, sequences, options):
    prompts = [[(7 * i + 13 * s) % 8192 for i in range(PROMPT)] for s in range(sequences)]
    with tempfile.TemporaryDirectory() as scratch:
        lines, out = pathlib.Path(scratch) / "in.jsonl", pathlib.Path(scratch) / "out.jsonl"
        lines.write_text("".join(json.dumps(dict(tokens=prompt)) + "\n" for prompt in prompts))
        done = subprocess.run(
            [conftest.MBC, "generate", folder, "--prompts-file", lines, "-o", out, "--json", "--ignore-eos", "--threads", "2",
             "--max-new-tokens", str(NEW), *options], check=True, capture_output=True, text=True)
        tokens = [json.loads(line)["tokens"] for line in out.read_text().splitlines()]
    said = json.loads(done.stdout)
    return said["decode_tokens_per_second"], said.get("acceptance"), tokens


def main():
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as scratch:
        folders = {
            (shape, kind): drafting_models.construct(
                pathlib.Path(scratch) / f"{shape}-{kind}", kind, 0.0, changes, "bfloat16")
            for shape, changes in SHAPES.items() for kind in (drafting_models.RIGHT, drafting_models.WRONG)
        }
        lines = [(shape, sequences, kind, drafts) for shape in SHAPES for sequences in (1, 4) for kind, drafts in
                 (("right", 0), ("right", 1), ("right", 3), ("wrong", 1), ("wrong", 3))]
        times, rates, texts = {line: [] for line in lines}, {}, {}
        for _ in range(repeats):
            for line in lines:
                shape, sequences, kind, drafts = line
                options = ["--mtp", "--draft-tokens", str(drafts)] if drafts else []
                speed, rates[line], tokens = tokens_a_second(folders[shape, kind], sequences, options)
                assert texts.setdefault((shape, sequences), tokens) == tokens
                times[line].append(speed)
        print("| model | sequences | drafts | accepted | tokens a second | as without |\n|---|---|---|---|---|---|")
        for line in lines:
            shape, sequences, kind, drafts = line
            speed = statistics.median(times[line])
            plain = statistics.median(times[shape, sequences, "right", 0])
            print(f"| {shape} | {sequences} | {drafts or 'none'} | {'' if rates[line] is None else f'{rates[line]:.0%}'} | "
                  f"{speed:.1f} | {speed / plain:.2f} |")


if __name__ == "__main__":
    main()
