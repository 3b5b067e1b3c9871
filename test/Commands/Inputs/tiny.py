"""tiny.py FAMILY [FIELD=JSON ...]: prints a small config.json of the family, with fields set, or taken out (FIELD=)."""

import json
import sys

BASE = {
    "hidden_act": "silu", "hidden_size": 24, "initializer_range": 0.02, "intermediate_size": 20,
    "max_position_embeddings": 64, "num_attention_heads": 6, "num_hidden_layers": 3, "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06, "rope_theta": 10000.0, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
    "vocab_size": 53,
}
FAMILIES = {
    "llama": {"architectures": ["LlamaForCausalLM"], "model_type": "llama"},
    "qwen2": {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "use_sliding_window": False},
    "qwen3": {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "head_dim": 10, "attention_bias": False,
              "use_sliding_window": False, "sliding_window": None},
}

config = {**FAMILIES[sys.argv[1]], **BASE}
for setting in sys.argv[2:]:
    field, _, value = setting.partition("=")
    if value:
        config[field] = json.loads(value)
    else:
        config.pop(field, None)
print(json.dumps(config, indent=2))
