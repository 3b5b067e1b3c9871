//===- MegatronArguments.cpp ----------------------------------------------===//
#include "compiler/Bridge/MegatronArguments.h"

namespace mbc {

std::span<const MegatronArgument> renamedArguments() {
  static const MegatronArgument list[] = {
      {"layernorm_epsilon", "norm_epsilon"},
      {"num_moe_experts", "num_experts"},
      // seq_length of the arguments is that of the training data.
      {"seq_length", "max_position_embeddings"},
      {"gated_linear_unit", "swiglu"},
      {"vocab_size", "padded_vocab_size"},
      {"share_embeddings_and_output_weights",
       "untie_embeddings_and_output_weights", true},
      {"rope_scaling", "use_rope_scaling"},
      {"seq_len_interpolation_factor", "rotary_seq_len_interpolation_factor"},
      {"layernorm_zero_centered_gamma", "apply_layernorm_1p"},
  };
  return list;
}

std::span<const char *const> sharedArguments() {
  static const char *const list[] = {"num_layers",
                                     "hidden_size",
                                     "ffn_hidden_size",
                                     "num_attention_heads",
                                     "num_query_groups",
                                     "kv_channels",
                                     "position_embedding_type",
                                     "rotary_base",
                                     "rotary_percent",
                                     "rope_scaling_factor",
                                     "rope_type",
                                     "rotary_scaling_factor",
                                     "original_max_position_embeddings",
                                     "beta_fast",
                                     "beta_slow",
                                     "mscale",
                                     "mscale_all_dim",
                                     "yarn_rotary_scaling_factor",
                                     "yarn_original_max_position_embeddings",
                                     "yarn_beta_fast",
                                     "yarn_beta_slow",
                                     "yarn_mscale",
                                     "yarn_mscale_all_dim",
                                     "yarn_correction_range_round_to_int",
                                     "init_method_std",
                                     "add_bias_linear",
                                     "add_qkv_bias",
                                     "normalization",
                                     "attention_dropout",
                                     "hidden_dropout",
                                     "mtp_num_layers",
                                     "moe_layer_freq",
                                     "moe_ffn_hidden_size",
                                     "moe_router_topk",
                                     "moe_router_num_groups",
                                     "moe_router_group_topk",
                                     "moe_router_pre_softmax",
                                     "moe_aux_loss_coeff",
                                     "moe_grouped_gemm",
                                     "moe_shared_expert_intermediate_size",
                                     "moe_router_score_function",
                                     "moe_router_enable_expert_bias",
                                     "moe_router_topk_scaling_factor",
                                     "make_vocab_size_divisible_by",
                                     "qk_layernorm",
                                     "multi_latent_attention",
                                     "q_lora_rank",
                                     "kv_lora_rank",
                                     "qk_head_dim",
                                     "qk_pos_emb_head_dim",
                                     "v_head_dim"};
  return list;
}

} // namespace mbc
