"""tiny.py FAMILY [FIELD=JSON ...]: prints a small config.json of the family, with fields set, or taken out (FIELD=)."""

import json
import sys

BASE = {
    "hidden_act": "silu", "hidden_size": 24, "initializer_range": 0.02, "intermediate_size": 20,
    "max_position_embeddings": 64, "num_attention_heads": 6, "num_hidden_layers": 3, "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06, "rope_theta": 10000.0, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
    "vocab_size": 53,
}
MLA = {
    "num_key_value_heads": 6, "kv_lora_rank": 10, "qk_nope_head_dim": 6, "qk_rope_head_dim": 4, "v_head_dim": 5,
    "first_k_dense_replace": 1, "moe_layer_freq": 1, "n_routed_experts": 4, "n_shared_experts": 2, "n_group": 1,
    "topk_group": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 12, "routed_scaling_factor": 1.5,
    "aux_loss_alpha": 0.001,
}
FAMILIES = {
    "llama": {"architectures": ["LlamaForCausalLM"], "model_type": "llama"},
    "qwen2": {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "use_sliding_window": False},
    "qwen3": {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "head_dim": 10, "attention_bias": False,
              "use_sliding_window": False, "sliding_window": None},
    "qwen3_moe": {"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "head_dim": 8,
                  "attention_bias": False, "use_sliding_window": False, "num_experts": 4, "num_experts_per_tok": 2,
                  "moe_intermediate_size": 12, "norm_topk_prob": True, "decoder_sparse_step": 1,
                  "mlp_only_layers": [], "router_aux_loss_coef": 0.001},
    "deepseek_v2": {"architectures": ["DeepseekV2ForCausalLM"], "model_type": "deepseek_v2", **MLA,
                    "q_lora_rank": None, "topk_method": "greedy", "scoring_func": "softmax",
                    "norm_topk_prob": False},
    "deepseek_v3": {"architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", **MLA,
                    "q_lora_rank": 14, "topk_method": "noaux_tc", "scoring_func": "sigmoid",
                    "norm_topk_prob": True, "num_nextn_predict_layers": 0},
    "qwen2_5_vl": {"architectures": ["Qwen2_5_VLForConditionalGeneration"], "model_type": "qwen2_5_vl",
                   "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 0]},
                   "image_token_id": 50, "video_token_id": 51, "use_sliding_window": False,
                   "vision_config": {"depth": 2, "hidden_size": 16, "num_heads": 2, "intermediate_size": 18,
                                     "out_hidden_size": 24, "patch_size": 2, "spatial_merge_size": 2,
                                     "temporal_patch_size": 2, "in_channels": 3, "fullatt_block_indexes": [1],
                                     "window_size": 8, "hidden_act": "silu", "model_type": "qwen2_5_vl"}},
}

config = {**BASE, **FAMILIES[sys.argv[1]]}
for setting in sys.argv[2:]:
    field, _, value = setting.partition("=")
    if value:
        config[field] = json.loads(value)
    else:
        config.pop(field, None)
print(json.dumps(config, indent=2))
