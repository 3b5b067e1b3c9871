#!/usr/bin/env python3
"""Writes what transformers computes of some tokens, module by module, for `mbc compare A --reference FILE`.

    tools/reference_states.py HF_DIR --tokens 1,2,3 -o states.safetensors
    tools/reference_states.py HF_DIR --prompt "The capital of France is" -o states.safetensors

The file holds `tokens` [tokens], `logits` [tokens, vocabulary], and of every module with a tensor result what it gives,
[tokens, ...], under its path ("model.layers.3.self_attn.q_proj"); of modules with weights of their own also what they
read, under the path and ".input". Attention is eager, the type float32 unless --dtype says otherwise.
"""

import argparse
import sys

import torch
import transformers
from safetensors.torch import save_file


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="HF_DIR")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--prompt", metavar="TEXT")
    what.add_argument("--tokens", metavar="IDS|FILE", help="1,2,3, or a .npy file of integers [tokens]")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("-o", "--output", metavar="FILE", required=True)
    return parser.parse_args(arguments)


def read_tokens(options):
    if options.prompt is not None:
        tokenizer = transformers.AutoTokenizer.from_pretrained(options.folder)
        return tokenizer(options.prompt).input_ids
    if options.tokens.endswith(".npy"):
        import numpy

        return numpy.load(options.tokens).reshape(-1).tolist()
    return [int(token) for token in options.tokens.split(",")]


def first_tensor(value):
    if isinstance(value, (tuple, list)):
        value = value[0] if value else None
    return value if isinstance(value, torch.Tensor) else None


def main(arguments=None):
    options = parse(arguments)
    tokens = read_tokens(options)
    if len(tokens) < 2:
        sys.exit("error: expected at least 2 tokens")
    model = transformers.AutoModelForCausalLM.from_pretrained(
        options.folder, dtype=getattr(torch, options.dtype), attn_implementation="eager"
    ).eval()
    states = {}

    def keep(name, value):
        value = first_tensor(value)
        # Values of tokens alone: masks, positions and experts' rows are none.
        if value is None or not value.is_floating_point() or value.dim() < 2:
            return
        if value.shape[0] == 1 and value.dim() > 2:
            value = value[0]
        # A module that runs several times is not one value.
        if value.shape[0] == len(tokens):
            states[name] = None if name in states else value.detach().clone().contiguous()

    for name, module in model.named_modules():
        if not name or name == model.base_model_prefix or isinstance(module, torch.nn.ModuleList):
            continue
        module.register_forward_hook(lambda module, inputs, out, name=name: keep(name, out))
        if next(module.parameters(recurse=False), None) is not None:
            module.register_forward_pre_hook(lambda module, inputs, name=name: keep(f"{name}.input", inputs))
    with torch.no_grad():
        logits = model(torch.tensor([tokens]), use_cache=False).logits
    states = {name: value for name, value in states.items() if value is not None}
    states["tokens"] = torch.tensor(tokens, dtype=torch.int64)
    states["logits"] = logits[0].contiguous()
    about = {"transformers": transformers.__version__, "model": type(model).__name__, "dtype": options.dtype}
    save_file(states, options.output, metadata=about)
    print(f"{type(model).__name__}: {len(states) - 1} states of {len(tokens)} tokens in {options.output}")


if __name__ == "__main__":
    main()
