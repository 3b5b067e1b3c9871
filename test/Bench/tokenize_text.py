"""The speed of mbc's tokenizers beside that of the library `tokenizers`, one thread each, in one run:

    ninja -C build/release tokenize_bench && .venv/bin/python test/Bench/tokenize_text.py [DIR]
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


def corpora(folder):
    code = b"".join(path.read_bytes() for path in sorted(ROOT.glob("runtime/**/*.cpp")))
    prose = b"".join(path.read_bytes() for path in sorted(ROOT.glob("**/README.md")) if "build" not in path.parts)
    numbers = random.Random(1)
    common = [chr(numbers.randrange(0x4E00, 0x6000)) for _ in range(600)] + list("的一是不了人我在有他这")
    cjk = "".join(numbers.choice(common) if numbers.random() < 0.93 else numbers.choice("，。：、\n 12a") for _ in range(300000))
    spaces = "".join(numbers.choice([" ", "  ", "\n", "\t", "x", "1", ";"]) for _ in range(400000))
    for name, text in [("code", code), ("prose", prose), ("cjk", cjk.encode()), ("spaces", spaces.encode())]:
        path = Path(folder) / name
        path.write_bytes(text)
        yield path


def main():
    model = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/models/SmolLM2-135M-Instruct")
    library = Tokenizer.from_file(str(model / "tokenizer.json"))
    with tempfile.TemporaryDirectory() as folder:
        paths = list(corpora(folder))
        done = subprocess.run([ROOT / "build/release/bin/tokenize_bench", model, *paths], capture_output=True, text=True, check=True)
        print(f"{'text':8}{'MB':>8}{'tokens':>10}{'mbc MB/s':>10}{'tokenizers':>12}{'times':>7}")
        for path, line in zip(paths, done.stdout.splitlines()):
            _, size, tokens, seconds = line.rsplit(" ", 3)
            text = path.read_text(encoding="utf-8")
            best = 1e9
            for _ in range(5):
                start = time.perf_counter()
                ids = library.encode(text, add_special_tokens=False).ids
                best = min(best, time.perf_counter() - start)
            assert len(ids) == int(tokens)
            size = int(size) / 1e6
            print(f"{path.name:8}{size:8.2f}{tokens:>10}{size / float(seconds):10.1f}{size / best:12.2f}{best / float(seconds):7.1f}")


if __name__ == "__main__":
    main()
