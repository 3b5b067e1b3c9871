"""mbc tokenize against the library `tokenizers`, and against tiktoken: the same ids for generated texts, the same text
for random ids. MBC_TOKENIZER_TEXTS is the number of texts for each tokenizer (100000 in a full run)."""

import json
import os
import random
import subprocess

import pytest
import tokenizer_folders as folders
from conftest import MBC
from generated_texts import texts
from tokenizers import Tokenizer
from unicode_differences import differing

COUNT = int(os.environ.get("MBC_TOKENIZER_TEXTS", 1500))


def mbc_lines(folder, values, *options):
    path = folder / "lines.jsonl"
    path.write_text("".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values), encoding="utf-8")
    command = [MBC, "tokenize", folder, "--lines", path, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.split("\n")[:-1]]


class Library:
    def __init__(self, folder):
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_truncation()
        self.special = [token.content for token in self.tokenizer.get_added_tokens_decoder().values()] or ["<s>"]
        self.size = self.tokenizer.get_vocab_size()

    def encode(self, values, special):
        return [each.ids for each in self.tokenizer.encode_batch(values, add_special_tokens=special)]

    def decode(self, ids, skip):
        return self.tokenizer.decode(ids, skip_special_tokens=skip)


class Tiktoken:
    def __init__(self, encoding):
        self.encoding = encoding
        self.special = [*sorted(encoding.special_tokens_set)]
        self.special_ids = {encoding.encode_single_token(token) for token in self.special}
        self.size = encoding.n_vocab

    def encode(self, values, special):
        return [self.encoding.encode(value, allowed_special="all") for value in values]

    def decode(self, ids, skip):
        return self.encoding.decode([id for id in ids if not (skip and id in self.special_ids)], errors="replace")


@pytest.fixture(scope="session", params=["smollm2", "llama3", "qwen", "moonlight", "deepseek2", "deepseek3", "odd", "sentencepiece"])
def sides(request, tmp_path_factory):
    """A folder for mbc, and what judges it."""
    name = request.param
    folder = tmp_path_factory.mktemp("tokenizers") / name
    if name in ("llama3", "qwen", "moonlight") and not (folders.LLAMA3.exists() and folders.QWEN.exists()):
        pytest.skip("no package data: tools/get-tokenizers.sh gets it")
    if name == "moonlight":
        pytest.importorskip("tiktoken")
        return name, folder, Tiktoken(folders.moonlight(folder))
    corpus = texts(7, 3000, ["<s>"])
    if name == "smollm2":
        folders.write(Tokenizer.from_file(str(folders.SMOLLM2 / "tokenizer.json")), folder)
    elif name.startswith("deepseek"):
        folders.write(folders.deepseek(int(name[-1]), corpus), folder)
    elif name in ("odd", "sentencepiece"):
        folders.write(getattr(folders, name)(corpus), folder)
    else:
        folders.write(getattr(folders, name)(), folder)
    return name, folder, Library(folder)


def test_encode(sides, record_property):
    name, folder, judge = sides
    values = texts(1, COUNT, judge.special)
    known = differing(folder, judge, MBC)
    apart = sum(any(c in known for c in value) for value in values)
    for special in (True, False):
        expected = judge.encode(values, special)
        found = mbc_lines(folder, values, *([] if special else ["--no-special"]))
        assert len(found) == len(expected)
        wrong = [(v, f, e) for v, f, e in zip(values, found, expected) if f != e]
        ours = [each for each in wrong if not any(c in known for c in each[0])]
        print(f"{name}: {len(values) - len(wrong)} of {len(values)} texts equal; {apart} hold one of {len(known)} characters "
              f"whose class differs between Unicode versions, of them {len(wrong) - len(ours)} unequal")  # fmt: skip
        record_property("equal", len(values) - len(wrong))
        assert not ours, f"{len(ours)} texts, the first: {ours[0]!r}"


def test_decode(sides):
    name, folder, judge = sides
    numbers = random.Random(3)
    rows = [[numbers.randrange(judge.size) for _ in range(numbers.randrange(0, 12))] for _ in range(COUNT)]
    # and bytes of characters that are cut
    rows += [row[: numbers.randrange(len(row) + 1)] for row in judge.encode(texts(4, COUNT, judge.special), False)]
    if name == "moonlight":
        rows = [[id for id in row if id < judge.size] for row in rows]
    for skip in (True, False):
        options = ["--decode", *(["--no-special"] if skip else [])]
        expected = [judge.decode(row, skip) for row in rows]
        found = mbc_lines(folder, rows, *options)
        wrong = [(r, f, e) for r, f, e in zip(rows, found, expected) if f != e]
        assert not wrong, f"{len(wrong)} of {len(rows)}, the first: {wrong[0]!r}"
        pieces = mbc_lines(folder, rows, *options, "--pieces")
        assert ["".join(each) for each in pieces] == found


def test_malformed_file(sides, tmp_path):
    name, folder, judge = sides
    numbers = random.Random(5)
    for _ in range(10):
        raw = bytes(numbers.choice([0x41, 0x20, 0xC3, 0xA9, 0xE4, 0xBD, 0xA0, 0xF0, 0x9F, 0x98, 0x80, 0xED, 0xFF]) for _ in range(40))
        (tmp_path / "raw").write_bytes(raw)
        done = subprocess.run([MBC, "tokenize", folder, "--file", tmp_path / "raw", "--json"], capture_output=True)
        assert json.loads(done.stdout)["tokens"] == judge.encode([raw.decode("utf-8", "replace")], True)[0]
