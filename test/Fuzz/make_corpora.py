#!/usr/bin/env python3
"""make_corpora.py BIN: writes the seeds of every fuzz target below test/Fuzz/corpus, with mbc, mbc-opt and mbc-translate of the
folder BIN (build/release/bin). Seeds that fuzzing has found have names of forty hexadecimal digits and stay."""

import argparse
import collections
import io
import json
import os
import pickle
import re
import struct
import subprocess
import sys
import tempfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "test", "Commands", "Inputs"))
sys.dont_write_bytecode = True


def put(target, name, data):
    path = os.path.join(HERE, "corpus", target, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def clear():
    for folder, _, names in os.walk(os.path.join(HERE, "corpus")):
        for name in names:
            if not re.fullmatch(r"[0-9a-f]{40}", name):
                os.remove(os.path.join(folder, name))


def safetensors():
    entry = {"a": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}, "b": {"dtype": "F32", "shape": [], "data_offsets": [12, 16]},
             "empty": {"dtype": "I64", "shape": [0, 7], "data_offsets": [16, 16]}}
    headers = {"metadata": {"__metadata__": {"format": "pt", "é": "\u2028"}, **entry}, "tensors": entry, "none": {},
               "small-types": {"f4": {"dtype": "F4", "shape": [4], "data_offsets": [0, 2]}, "f8": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [2, 4]}},
               "large": {"a": {"dtype": "U8", "shape": [1 << 40], "data_offsets": [0, 1 << 40]}}}
    for name, header in headers.items():
        text = json.dumps(header, separators=(",", ":"))
        put("Safetensors", name, text)
        if name != "large":
            data = bytes(max([value["data_offsets"][1] for key, value in header.items() if key != "__metadata__"], default=0))
            put("Safetensors", name + "-file", struct.pack("<Q", len(text.encode())) + text.encode() + data)
    put("Safetensors", "lfs", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n")


def index():
    put("SafetensorsIndex", "two", json.dumps({"metadata": {"total_size": 16}, "weight_map": {"a": "x-1.safetensors", "b": "x-2.safetensors", "c": "x-1.safetensors"}}))
    put("SafetensorsIndex", "escapes", '{"weight_map":{"\\u00e9\\ud83d\\ude00":"m\\u002esafetensors"},"other":[1,{"a":null}]}')
    put("SafetensorsIndex", "outside", '{"weight_map": {"a": "../x.safetensors"}}')


def texts():
    put("ChatTemplate", "loop", "{% for m in messages if m.content %}{{ loop.index }}{{ m['role'] | upper }}{% else %}-{% endfor %}")
    put("ChatTemplate", "macro", "{% macro m(a, b=2) %}[{{ a }}{{ caller(b) if caller }}]{% endmacro %}{% call(x) m(1) %}{{ x }}{% endcall %}")
    put("ChatTemplate", "values", "{{ [1, -2.5, none, 'a\\u00e9'] | tojson(indent=2) }}{{ s[::-1].split(' ', 1) }}{{ n // 2 ** 3 % 5 }}{{ {'a': (1,)} }}")
    put("ChatTemplate", "space", "{% set ns = namespace(a=[]) %}{% for i in range(3) recursive %}{%- set ns.a = ns.a + [i] -%}{% endfor %}{# c #}{% raw %}{{{% endraw %}{{ ns }}")
    put("ChatTemplate", "filters", "{{ messages | selectattr('role', 'eq', 'user') | map(attribute='content') | join }}{{ '%5s|{:>3}' % s }}{{ '{!r}'.format(s) | indent }}{{ messages | groupby('role') }}")
    put("Json", "values", '{"a": [1, -0, 0.5, 1e5, -2.5E-3, 12345678901234567890123], "b": {"c": null, "d": true}, "e": false, "": "\\u0000\\n\\ud83d\\ude00é"}')
    put("Json", "deep", "[" * 130 + "]" * 130)
    put("Json", "many", json.dumps({str(i): i for i in range(40)}))
    put("Json", "duplicate", '{"a": 1, "a": 2}')
    put("Json", "numbers", "[1e400, 1e-400, 0e0, 9223372036854775808, -9223372036854775808]")
    put("Yaml", "anchors", "a: &x [1, 2.5e3, ~, true]\nb: *x\nc: {<<: {d: 0x10}, e: !!python/name:torch.bfloat16 ''}\n? - k\n: |+\n  text\n\n...\n---\nd\n")
    put("Yaml", "flow", '{"a": [&b {c: d}, *b, "\\u00e9\\n", \'it\'\'s\'], ? e : f}')
    put("Declaration", "uses", 'model A for "A" { use "llama.mbc"; config { hidden = hidden_size; } param w : [hidden]; }\n')
    put("Declaration", "expressions", 'model A for "A" {\n  config { a = x ?? 1; b = -a * (2 + 3) / 4 % 5; c = a < b && !(a == 1) || a in [1, 2]; d = c ? a : b; }\n'
        "  dim e = max(a, 2) - ceil_div(b, 3);\n  param w : [e, f = g: 1 + h: 2 ; a]  shard f: tp  when c;\n}\n")
    put("Declaration", "comments", '// nothing\nlibrary L { config { inert "a"; } }\n')


def configs():
    import hf_folder
    base = {key: value for key, value in hf_folder.CONFIG.items() if key != "rope_theta"}
    put("Config", "parameters", json.dumps({**base, "rope_parameters": {"rope_theta": 1e4, "rope_type": "linear", "factor": 2}, "attention_bias": True}))
    put("Config", "scaling", json.dumps({**base, "rope_theta": 5e5, "head_dim": 4, "tie_word_embeddings": True, "rope_scaling": {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}}))
    put("Config", "overflow", json.dumps({**base, "vocab_size": 10**18}))


def pickles():
    tree = {"none": None, "flags": [True, False], "ints": (0, 255, 65536, -1, 1 << 40, -(1 << 70)), "real": 0.5, "text": "é" * 3, "bytes": b"\x00\xff",
            "set": {1}, "frozen": frozenset([2]), "ordered": collections.OrderedDict(a=1), "namespace": argparse.Namespace(tp=2, layers=[1, 2])}
    shared = ["x" * 20]
    tree["shared"] = [shared, shared, tree["text"]]
    for protocol in range(2, 6):
        put("Pickle", f"tree-{protocol}", pickle.dumps(tree, protocol))
    loop = []
    loop.append(loop)
    put("Pickle", "loop", pickle.dumps(loop))
    put("Pickle", "bytearray", pickle.dumps([bytearray(b"abc"), 1.0 + 2j], 5))


def archives(records):
    def archive(method, entries, **options):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as file:
            for name, data in entries.items():
                file.writestr(zipfile.ZipInfo(name), data, method)  # without the time of day
            file.comment = options.get("comment", b"")
        return out.getvalue()
    entries = {"archive/data.pkl": pickle.dumps({"iteration": 1, "args": argparse.Namespace(tp=1)}, 2), "archive/byteorder": b"little", "archive/version": b"3\n"}
    put("TorchRecord", "object", archive(zipfile.ZIP_STORED, entries))
    put("TorchRecord", "comment", archive(zipfile.ZIP_STORED, entries, comment=b"comment"))
    put("TorchRecord", "deflated", archive(zipfile.ZIP_DEFLATED, entries))
    put("TorchRecord", "end-only", b"PK\x05\x06" + bytes(18))
    for name, data in records.items():
        put("TorchRecord", name, data)
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            put("Pickle", name, file.read(next(n for n in file.namelist() if n.endswith("data.pkl"))))


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def checkpoint(binaries, work):
    """Imports the smallest model that has everything, and takes the files apart."""
    import hf_folder
    config = os.path.join(work, "config.json")
    with open(config, "w", encoding="utf-8") as file:
        json.dump({**hf_folder.CONFIG, "hidden_size": 4, "intermediate_size": 4, "num_attention_heads": 2, "num_key_value_heads": 1, "num_hidden_layers": 2, "vocab_size": 5}, file)
    source, target = os.path.join(work, "hf"), os.path.join(work, "megatron")
    run(os.path.join(binaries, "mbc"), "toy", config, "-o", source, "--quiet")
    run(os.path.join(binaries, "mbc"), "import", source, "-o", target, "--tp", "2", "--quiet")
    iteration = os.path.join(target, next(name for name in os.listdir(target) if name.startswith("iter_")))
    put("DcpMetadata", "import", read(iteration, ".metadata"))
    put("Pickle", "metadata", read(iteration, ".metadata"))
    put("Yaml", "import", read(iteration, "run_config.yaml").replace(work.encode(), b"/models"))
    put("Record", "manifest", read(iteration, "mbc", "manifest.json"))
    put("Record", "source", read(iteration, "mbc", "source.json"))
    put("Record", "written", json.dumps({"version": 1, "cast": "F32", "shards": ["a.safetensors", "b.safetensors"], "index": "index.json", "files": ["config.json"], "extras": False}))
    distcp = read(iteration, next(name for name in sorted(os.listdir(iteration)) if name.endswith(".distcp")))
    records = {}
    # One tensor, and one object; each record ends where the next begins.
    starts = [match.start() for match in re.finditer(rb"PK\x03\x04.{22}\x10\x00..archive/data.pkl", distcp, re.S)] + [len(distcp)]
    for first, last in zip(starts, starts[1:]):
        records.setdefault("tensor" if b"_rebuild_tensor" in distcp[first:last] else "bytes", distcp[first:last])
    for folder, name in ((iteration, "common.pt"), (iteration, "train_state.pt")):
        if os.path.exists(os.path.join(folder, name)):
            records[name] = read(folder, name)
    return records


def metadata():
    """As PyTorch writes it: shared objects, planner data, a chunk without elements."""
    import torch_dist as dcp
    put("DcpMetadata", "bare", pickle.dumps(made("Metadata", state_dict_metadata={
        "w": made("TensorStorageMetadata", properties=made("TensorProperties", dtype=dcp.fake("torch", "float32")), size=(2, 2), chunks=[
            made("ChunkStorageMetadata", offsets=(0, 0), sizes=(2, 1)), made("ChunkStorageMetadata", offsets=(0, 1), sizes=(2, 1))]),
        "b": made("BytesStorageMetadata")}, planner_data={"w": ("w",)}, storage_data={
            made("MetadataIndex", fqn="w", offset=(0, 0), index=0): info(0), made("MetadataIndex", fqn="w", offset=(0, 1), index=1): info(64),
            made("MetadataIndex", fqn="b", offset=None, index=None): info(128)}), 4))


def made(name, **fields):
    import torch_dist as dcp
    module = "torch.distributed.checkpoint." + ("filesystem" if name == "_StorageInfo" else "metadata")
    thing = dcp.fake(module, name)()
    thing.__dict__.update(fields)
    return thing


def info(offset):
    return made("_StorageInfo", relative_path="__0_0.distcp", offset=offset, length=64)


def completions():
    shared = {"model": "m", "n": 2, "temperature": 0.5, "top_p": 0.9, "top_k": -1, "min_p": 0.1, "repetition_penalty": 1.1, "seed": -1,
              "stop": ["a", "b"], "stop_token_ids": [2], "ignore_eos": True, "stream": True, "stream_options": {"include_usage": True},
              "user": "u", "frequency_penalty": 0, "logit_bias": {}}
    put("Completion", "text", json.dumps({"prompt": "a", "max_tokens": 3, "logprobs": 2, "best_of": 2, "suffix": "", **shared}))
    put("Completion", "texts", json.dumps({"prompt": ["a", "\u00e9"], "echo": True, "stop": "a"}))
    put("Completion", "tokens", json.dumps({"prompt": [1, 2], "temperature": 1e-300}))
    put("Completion", "lists", json.dumps({"prompt": [[1], [2, 3]]}))
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "auto"}}
    put("Completion", "picture", json.dumps({"messages": [{"role": "user", "content": [image, {"type": "text", "text": "a"}]}]}))
    put("Completion", "chat", json.dumps({"messages": [
        {"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, {"role": "user", "content": "a", "name": "n"},
        {"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c", "content": "1"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}], "tool_choice": "auto", "logprobs": True, "top_logprobs": 2,
        "max_completion_tokens": 3, "response_format": {"type": "text"}, "chat_template_kwargs": {"enable_thinking": False}, **shared}))


def tokenizers():
    """Small ones with the components of each family, and a text."""

    def added(number, content, **flags):
        return {"id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True, **flags}

    def split(pattern, behavior="Isolated", **more):
        return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": False, **more}

    text = b"\0ab 12 It's\r\n caf\xc3\xa9 <a>b\xff"
    known = [*"abcIts'12f\u00c3\u00a9\u0120\u010a", "ab", "\u0120ab", "abc", "<unk>", "\u2581", "<0xC3>", "<0xA9>"]
    tokens = {token: number for number, token in enumerate(known)}
    model = {"type": "BPE", "vocab": tokens, "merges": ["a b", ["\u0120", "ab"], "ab c"]}
    words = {"Regex": "(?i:'s|'t)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}
    bytes_ = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    template = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<a>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [], "special_tokens": {"<a>": {"id": "<a>", "ids": [21], "tokens": ["<a>"]}}}
    families = {
        "llama": {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [split(words), bytes_]}, "decoder": bytes_,
                  "post_processor": {"type": "Sequence", "processors": [bytes_, template]}, "added_tokens": [added(21, "<a>"), added(22, " b", special=False, lstrip=True)]},
        "qwen": {"normalizer": {"type": "NFC"}, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split(words), {**bytes_, "add_prefix_space": True}]}, "decoder": bytes_},
        "deepseek": {"normalizer": {"type": "Sequence", "normalizers": []}, "decoder": bytes_, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            split({"Regex": "[\r\n]"}), split({"Regex": "[\u4e00-\u9fa5]+"}), {"type": "Digits", "individual_digits": True}, bytes_]}},
        "gpt2": {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True}, "decoder": {"type": "ByteLevel"}, "post_processor": {"type": "ByteLevel", "trim_offsets": False}},
        "sentencepiece": {"normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
                          "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
                                                                       {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}},
        "behaviours": {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [split({"String": "'"}, "Removed"), split({"Regex": "\\s"}, "MergedWithNext"), split({"String": "b"}, "MergedWithPrevious", invert=True),
                                                                              {"type": "Punctuation", "behavior": "Contiguous"}, {"type": "Whitespace"}]}},
    }
    for name, parts in families.items():
        here = {**model, "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True} if name == "sentencepiece" else model
        put("Tokenizer", name, json.dumps({"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": None,
                                           "post_processor": None, "decoder": None, "model": here, **parts}, ensure_ascii=False).encode() + text)
    config = {"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": False}, "pad_token": None, "add_bos_token": True, "add_eos_token": False, "additional_special_tokens": ["<a>"],
              "added_tokens_decoder": {"3": added(3, "<a>"), "4": added(4, "<b>", special=False)}, "tokenizer_class": "TikTokenTokenizer",
              "chat_template": [{"name": "default", "template": "{{ messages }}"}, {"name": "tool_use", "template": ""}], "model_max_length": 1e30}
    parts = [json.dumps(config), json.dumps({"unk_token": "<unk>", "bos_token": "<x>"}), json.dumps({"eos_token_id": [3, 4], "do_sample": True}), "YQ== 0\nYg== 1\nYWI= 2\n"]
    for count in (1, 2, 4):
        put("TokenizerConfig", f"of-{count}", "\0".join(parts[:count]))
    put("TokenizerConfig", "generation", "\0".join(["", "", '{"eos_token_id": 2}']))


def pictures():
    sys.path.insert(0, os.path.join(ROOT, "test", "Interop"))
    import numpy as np
    from PIL import Image
    from picture_files import photo, png
    random = np.random.default_rng(0)
    for colour, depth in [(0, 1), (0, 16), (2, 8), (3, 2), (4, 8), (6, 16)]:
        for interlaced in (False, True):
            put("Picture", f"{colour}-{depth}-{interlaced}.png", png(9, 5, depth, colour, random, interlaced, [(b"tEXt", b"Raw profile type exif\0\nexif\n 4\n4d4d")]))
    # A text that claims 1.6 GB.
    whole = png(9, 5, 16, 0, random, False, [(b"tEXt", b"Raw profile type exif\0\nexif\n 4\n4d4d")])
    at = whole.index(b"tEXt") - 4
    put("Picture", "long-text.png", whole[:at] + (0x61ff0023).to_bytes(4, "big") + whole[at + 4:])
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, mode, options in [("plain", "RGB", {}), ("progressive", "RGB", dict(progressive=True)), ("grey", "L", {}), ("inks", "CMYK", {}),
                                ("turned", "RGB", dict(exif=exif)), ("restarts", "RGB", dict(restart_marker_blocks=1, subsampling=2))]:
        file = io.BytesIO()
        Image.fromarray(photo(random, 20, 17)).convert(mode).save(file, "jpeg", **options)
        put("Picture", name + ".jpg", file.getvalue())
    put("Picture", "gif", "GIF89a")


def plan(binaries, work):
    inputs = os.path.join(ROOT, "test", "Mapping", "Inputs")
    mlir, proved, planned, out = (os.path.join(work, name) for name in ("a.mlir", "b.mlir", "c.mlir", "plan.mbcw"))
    run(os.path.join(binaries, "mbc-translate"), "--mbc-to-mlir", os.path.join(inputs, "tiny.mbc"), "-o", mlir)
    run(os.path.join(binaries, "mbc-opt"), f"--nn-elaborate=config={inputs}/tiny.json", "--wmap-prove", mlir, "-o", proved)
    run(os.path.join(binaries, "mbc-opt"), "--wmap-bind=implied=BF16", "--wmap-resolve-placement=tp=2", "--wmap-plan", proved, "-o", planned)
    run(os.path.join(binaries, "mbc-translate"), "--mlir-to-plan", planned, "-o", out)
    put("CopyPlan", "tiny", read(out))
    put("Declaration", "tiny", read(inputs, "tiny.mbc"))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    binaries = os.path.abspath(sys.argv[1])
    clear()
    safetensors()
    index()
    texts()
    configs()
    completions()
    tokenizers()
    pictures()
    pickles()
    with tempfile.TemporaryDirectory() as work:
        archives(checkpoint(binaries, work))
        plan(binaries, work)
    metadata()


if __name__ == "__main__":
    main()
