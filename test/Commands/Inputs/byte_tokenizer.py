"""byte_tokenizer.py FOLDER: a tokenizer of bytes for a model of at least 260 tokens, with a chat template.

Tokens 0 to 255 are the bytes, 256 is <bos>, 257 <eos>, 258 <user>, 259 <assistant>."""

import json
import pathlib
import sys

folder = pathlib.Path(sys.argv[1])
shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
letters = {byte: chr(byte) for byte in shown}
letters |= {byte: chr(256 + i) for i, byte in enumerate(byte for byte in range(256) if byte not in letters)}
special = ["<bos>", "<eos>", "<user>", "<assistant>"]
tokenizer = {
    "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "post_processor": None,
    "added_tokens": [
        {"id": 256 + i, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": True}
        for i, text in enumerate(special)
    ],
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
              "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
              "vocab": {letters[byte]: byte for byte in range(256)}, "merges": []},
}
(folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False))
template = "{% for m in messages %}{% if m.role not in ['user', 'assistant', 'system'] %}{{ raise_exception('no role ' + m.role) }}{% endif %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<assistant>{{ mood }}{% endif %}"
config = {"bos_token": "<bos>", "eos_token": "<eos>", "chat_template": template, "tokenizer_class": "PreTrainedTokenizerFast"}
(folder / "tokenizer_config.json").write_text(json.dumps(config))
(folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [257], "temperature": 0.7, "num_beams": 3}))
