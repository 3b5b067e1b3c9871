"""What transformers, of version 4 or 5, computes from a Hugging Face folder: in fp32, by the plain implementations."""

import json
import os
import re

import torch
import transformers

# Stored frequencies, which transformers computes
UNUSED = re.compile(r"\.rotary_emb\.inv_freq$")


def read_config(folder):
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    return config | config.get("text_config", {})


def tokens_for(config):
    """Two rows of tokens; of a model that sees, each with an image of 2 x 2 merged patches."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(config.get("image_token_id") or config["vocab_size"], (2, 64), generator=generator)
    inputs = {"input_ids": tokens}
    if "vision_config" in config:
        vision = config["vision_config"]
        tokens[:, 10:14] = config["image_token_id"]
        tokens[:, 9] = config["vision_start_token_id"]
        size = 3 * vision.get("temporal_patch_size", 2) * vision["patch_size"] ** 2
        inputs["pixel_values"] = torch.randn(2 * 16, size, generator=generator)
        inputs["image_grid_thw"] = torch.tensor([[1, 4, 4]] * 2)
        if transformers.__version__ >= "5":
            inputs["mm_token_type_ids"] = (tokens == config["image_token_id"]).int()
    return inputs


def load(folder, dtype):
    """The model of a folder. Nothing in the folder may be missing, or be too much."""
    config = read_config(folder)
    sees = "vision_config" in config
    kind = transformers.AutoModelForImageTextToText if sees else transformers.AutoModelForCausalLM
    plain = {"attn_implementation": "eager"}
    if transformers.__version__ >= "5":
        plain["experts_implementation"] = "eager"
    model, info = kind.from_pretrained(folder, dtype=dtype, output_loading_info=True, **plain)
    predicting = f"model.layers.{config['num_hidden_layers']}." if config.get("num_nextn_predict_layers") else None
    problems = {}
    for key, names in info.items():
        names = [str(name) for name in names if not UNUSED.search(str(name))]
        names = [name for name in names if not (predicting and name.startswith(predicting))]
        if names:
            problems[key] = names
    assert not problems, problems
    return model.eval(), config


def logits(folder):
    """Logits [2, 64, vocabulary]."""
    model, config = load(folder, torch.float32)
    with torch.no_grad():
        result = model(**tokens_for(config)).logits
    assert result.isfinite().all()
    return result
