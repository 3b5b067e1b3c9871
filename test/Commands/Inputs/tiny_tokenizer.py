"""Writes a tokenizer.json: single bytes, "he", "ll" and "hell", and two added tokens. Arguments change members:
pre_tokenizer.type=Nothing."""

import json
import sys

printable = [b for b in range(256) if 0x21 <= b <= 0x7E or 0xA1 <= b <= 0xAC or 0xAE <= b]
letters = {b: chr(b) for b in printable}
for b in range(256):
    letters.setdefault(b, chr(256 + len(letters) - len(printable)))
words = [letters[b] for b in range(256)] + ["he", "ll", "hell"]
added = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
tokenizer = {
    "version": "1.0",
    "added_tokens": [dict(added, id=259, content="<s>"), dict(added, id=260, content="<end>")],
    "normalizer": None,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    "post_processor": {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [259], "tokens": ["<s>"]}},
    },
    "decoder": {"type": "ByteLevel"},
    "model": {
        "type": "BPE",
        "vocab": {word: id for id, word in enumerate(words)},
        "merges": ["h e", ["l", "l"], "he ll"],
    },
}
for change in sys.argv[1:]:
    path, value = change.split("=", 1)
    *parents, last = path.split(".")
    at = tokenizer
    for name in parents:
        at = at[int(name) if isinstance(at, list) else name]
    at[int(last) if isinstance(at, list) else last] = json.loads(value)
json.dump(tokenizer, sys.stdout, ensure_ascii=False)
