"""Small models of every family with odd sizes, in several types, layouts and shardings, for mutations.py and reproduce.py."""

import os

from weight_files import Safetensors

COMMON = {"hidden_act": "silu", "hidden_size": 24, "initializer_range": 0.02, "intermediate_size": 20,
          "max_position_embeddings": 64, "num_attention_heads": 6, "num_hidden_layers": 4, "num_key_value_heads": 2,
          "rms_norm_eps": 1e-06, "rope_theta": 10000.0, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
          "vocab_size": 53}
LLAMA = {**COMMON, "architectures": ["LlamaForCausalLM"], "model_type": "llama"}
QWEN2 = {**COMMON, "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "use_sliding_window": False}
QWEN3 = {**COMMON, "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "head_dim": 10, "attention_bias": False,
         "use_sliding_window": False, "sliding_window": None}
QWEN3_MOE = {**COMMON, "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "head_dim": 6,
             "attention_bias": False, "decoder_sparse_step": 1, "mlp_only_layers": [], "moe_intermediate_size": 10,
             "norm_topk_prob": True, "num_experts": 6, "num_experts_per_tok": 2, "output_router_logits": False,
             "router_aux_loss_coef": 0.001, "use_sliding_window": False, "sliding_window": None}
MLA = {**COMMON, "num_key_value_heads": 6, "aux_loss_alpha": 0.001, "first_k_dense_replace": 1, "kv_lora_rank": 10,
       "moe_intermediate_size": 6, "moe_layer_freq": 1, "n_group": 1, "n_routed_experts": 6, "n_shared_experts": 2,
       "norm_topk_prob": False, "num_experts_per_tok": 2, "q_lora_rank": None, "qk_nope_head_dim": 6,
       "qk_rope_head_dim": 4, "routed_scaling_factor": 1.0, "scoring_func": "softmax", "seq_aux": True, "topk_group": 1,
       "topk_method": "greedy", "v_head_dim": 8, "attention_bias": False}
DEEPSEEK_V2 = {**MLA, "architectures": ["DeepseekV2ForCausalLM"], "model_type": "deepseek_v2"}
DEEPSEEK_V3 = {**MLA, "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "n_group": 2, "topk_group": 1,
               "n_shared_experts": 1, "norm_topk_prob": True, "num_nextn_predict_layers": 1, "q_lora_rank": 14,
               "routed_scaling_factor": 2.5, "scoring_func": "sigmoid", "topk_method": "noaux_tc"}
QWEN2_5_VL = {**COMMON, "architectures": ["Qwen2_5_VLForConditionalGeneration"], "model_type": "qwen2_5_vl",
              "image_token_id": 50, "video_token_id": 51, "vision_start_token_id": 48, "vision_end_token_id": 49,
              "vision_token_id": 47, "sliding_window": 32, "use_sliding_window": False, "max_window_layers": 4,
              "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 0]},
              "vision_config": {"depth": 3, "hidden_act": "silu", "hidden_size": 16, "intermediate_size": 12, "num_heads": 4,
                                "in_chans": 3, "out_hidden_size": 24, "patch_size": 2, "spatial_merge_size": 2,
                                "spatial_patch_size": 2, "window_size": 8, "fullatt_block_indexes": [1],
                                "tokens_per_second": 2, "temporal_patch_size": 2}}

# name: configuration, options of toy, options of import
MODELS = {
    "llama": (LLAMA, [], ["--tp", "2", "--pp", "2"]),
    "llama-mha-f32": ({**LLAMA, "num_key_value_heads": 6, "tie_word_embeddings": True, "torch_dtype": "float32"},
                      ["--max-shard-size", "30KB"], []),
    "llama-biased-f16": ({**LLAMA, "attention_bias": True, "mlp_bias": True, "torch_dtype": "float16"}, [],
                         ["--pp", "4"]),
    "llama-tied": ({**LLAMA, "tie_word_embeddings": True, "head_dim": 7, "num_key_value_heads": 1}, [], ["--tp", "2"]),
    "qwen2": (QWEN2, ["--max-shard-size", "8KB"], ["--tp", "2"]),
    "qwen3": (QWEN3, [], ["--tp", "2", "--pp", "2", "--vpp", "2"]),
    "qwen3-f32": ({**QWEN3, "torch_dtype": "float32", "vocab_size": 31}, ["--max-shard-size", "20KB"], []),
    "qwen3-moe": (QWEN3_MOE, [], ["--ep", "2"]),
    "qwen3-moe-mixed": ({**QWEN3_MOE, "decoder_sparse_step": 2}, ["--max-shard-size", "20KB"], ["--tp", "2", "--pp", "2"]),
    "deepseek-v2": (DEEPSEEK_V2, [], ["--tp", "2"]),
    "deepseek-v2-lora": ({**DEEPSEEK_V2, "q_lora_rank": 14, "num_hidden_layers": 3}, ["--max-shard-size", "20KB"],
                         ["--ep", "3"]),
    "deepseek-v3": (DEEPSEEK_V3, [], ["--tp", "2", "--ep", "2"]),
    "qwen2.5-vl": (QWEN2_5_VL, [], ["--tp", "2"]),
    "qwen2.5-vl-tied": ({**QWEN2_5_VL, "tie_word_embeddings": True}, ["--max-shard-size", "20KB"], []),
}

def finish(folder):
    """Makes a toy a folder as one finds them: other files, and MTP layers that store the embedding and the head again."""
    for side, text in SIDE_FILES.items():
        with open(os.path.join(folder, side), "w") as file:
            file.write(text)
    weights = Safetensors(folder)
    for ending, original in (("embed_tokens.weight", "model.embed_tokens.weight"), ("shared_head.head.weight", "lm_head.weight")):
        for name in weights.tensors:
            if name != original and name.endswith(ending):
                weights.set(name, weights.get(original))


SIDE_FILES = {
    "tokenizer.json": '{"version": "1.0", "model": {"type": "BPE", "vocab": {}, "merges": []}}\n',
    "tokenizer_config.json": '{"tokenizer_class": "PreTrainedTokenizerFast"}\n',
    "generation_config.json": '{"eos_token_id": 2, "temperature": 0.6}\n',
}
