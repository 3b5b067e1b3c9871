"""Characters that two sides put into different classes or normal forms, because their tables are of different versions
of Unicode. By hand, for every class and each library:

    .venv/bin/python test/Interop/unicode_differences.py
"""

import json
import subprocess
import tempfile
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

CLASSES = [r"\p{L}", r"\p{N}", r"\p{P}", r"\p{S}", r"\p{M}", r"\p{Lu}", r"\p{Ll}", r"\p{Lt}", r"\p{Lm}", r"\p{Lo}", r"\p{Han}", r"\s", r"\w"]
CHARACTERS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
FORMS = ["NFC", "NFD", "NFKC", "NFKD", "Lowercase"]


def alphabet(normalizer=None, pre_tokenizer=None):
    """A tokenizer whose tokens are single bytes."""
    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, []))
    steps = [pre_tokenizer] if pre_tokenizer else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [*steps, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def through_mbc(tokenizer, text, mbc):
    """What is left of a text."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(folder + "/tokenizer.json")
        (Path(folder) / "text").write_text(json.dumps(text, ensure_ascii=False) + "\n", encoding="utf-8")
        for options in ([], ["--decode"]):
            command = [mbc, "tokenize", folder, "--lines", folder + "/text", *options]
            done = subprocess.run(command, capture_output=True, check=True)
            (Path(folder) / "text").write_bytes(done.stdout)
        return json.loads(done.stdout)


def class_members(name, side, mbc=None):
    """The characters of a class: by "mbc", "tokenizers" or "tiktoken"."""
    text = "".join(CHARACTERS)
    if side == "tiktoken":
        import tiktoken

        ranks = {bytes([b]): b for b in range(256)}
        encoding = tiktoken.Encoding("class", pat_str=name, mergeable_ranks=ranks, special_tokens={})
        parts = (text[i : i + 50000] for i in range(0, len(text), 50000))
        return {c for each in parts for c in encoding.decode(encoding.encode(each, disallowed_special=()))}
    cut = pre_tokenizers.Split(Regex(name), "removed", invert=True)
    if side == "tokenizers":
        return {c for word, _ in cut.pre_tokenize_str(text) for c in word}
    return set(through_mbc(alphabet(pre_tokenizer=cut), text, mbc))


def punctuation_differences(mbc):
    """Of the component Punctuation, whose table in the library is older than that of patterns."""
    text = "".join(CHARACTERS)
    cut = pre_tokenizers.Punctuation("removed")
    rest = {c for word, _ in cut.pre_tokenize_str(text) for c in word}
    return rest ^ set(through_mbc(alphabet(pre_tokenizer=cut), text, mbc))


def form_differences(form, mbc):
    normalizer = getattr(normalizers, form)()
    # A letter before, that marks find something to join; other marks, that they change places with.
    lines = [f"a{c}a\u0301{c}a{c}\u0301" for c in CHARACTERS if c != "\n"]
    ours = through_mbc(alphabet(normalizer=normalizer), "\n".join(lines), mbc).split("\n")
    return {line[1] for line, found in zip(lines, ours) if found != normalizer.normalize_str(line)}


_known = {}


def differing(folder, judge, mbc):
    """The characters that the tokenizer of a folder and its judge may take for something else."""
    side = "tiktoken" if type(judge).__name__ == "Tiktoken" else "tokenizers"
    path = folder / "tokenizer.json"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    parts = json.loads(text) if text else {}
    # Classes that a component stands for without naming them.
    named = json.dumps([parts.get("pre_tokenizer"), parts.get("normalizer")]).replace("\\\\", "\\")
    result = set()
    for name in CLASSES:
        always = (r"\p{L}", r"\p{N}", r"\p{P}", r"\s") if side == "tokenizers" else CLASSES[:-1]
        if name not in always and name not in named:
            continue
        key = (side, name)
        if key not in _known:
            _known[key] = class_members(name, "mbc", mbc) ^ class_members(name, side)
        result |= _known[key]
    if '"Punctuation"' in text:
        if "Punctuation" not in _known:
            _known["Punctuation"] = punctuation_differences(mbc)
        result |= _known["Punctuation"]
    for form in FORMS:
        if f'"{form}"' in text:
            if form not in _known:
                _known[form] = form_differences(form, mbc)
            result |= _known[form]
    return result


def main():
    mbc = Path(__file__).resolve().parents[2] / "build/release/bin/mbc"
    for name in CLASSES:
        ours = class_members(name, "mbc", mbc)
        for side in ("tokenizers", "tiktoken"):
            listed(f"{name} of {side}", ours ^ class_members(name, side))
    listed("Punctuation", punctuation_differences(mbc))
    for form in FORMS:
        listed(form, form_differences(form, mbc))


def listed(what, characters):
    print(f"{what}: {len(characters)}", *(f"U+{ord(c):04X}" for c in sorted(characters)))


if __name__ == "__main__":
    main()
