// RUN: mbc-opt %s | mbc-opt | FileCheck %s

// CHECK-LABEL: wmap.mapping of "M"
wmap.mapping of "M" {
  // CHECK: wmap.config "num_layers" = @layers both_ways "layers"
  wmap.config "num_layers" = @layers both_ways "layers"
  // CHECK: wmap.scale "_scale_inv" blocks [128, 128] when @fp8
  wmap.scale "_scale_inv" blocks [128, 128] when @fp8
  // CHECK: wmap.entry "decoder.attn.qkv" loops [#wmap.loop<"l" in "decoder", stack = true>]
  // CHECK-SAME: part = "slot.q", scaled = true
  wmap.entry "decoder.attn.qkv" loops [#wmap.loop<"l" in "decoder", stack = true>]
    hf [#wmap.alternative<<<"layers.", @l, ".q">, part = "slot.q", scaled = true>, <<"layers.", @l, ".k">, part = "slot.k", scaled = true>>]
    mcore #wmap.key<["decoder.layers", @l, "self_attention.linear_qkv.weight"]>
  // CHECK: wmap.entry "moe.fc1"
  // CHECK-SAME: loops(<"e" in "experts", stack = false>)
  // CHECK-SAME: view =
  wmap.entry "moe.fc1" loops []
    hf [#wmap.alternative<loops(<"e" in "experts", stack = false>), <<"experts.", @e>, part = "", scaled = false, view = [["ffn"], ["hidden"]]>>]
    mcore #wmap.key<["mlp.experts", @e, "linear_fc1.weight"], loops(<"e" in "experts", stack = false>)>
  // CHECK: wmap.extra <"inv_freq"> loops [] drop "recomputed"
  wmap.extra <"inv_freq"> loops [] drop "recomputed"
}

// CHECK-LABEL: wmap.plan @P layers 2 indexed tp 1 pp 1
wmap.plan @P layers 2 indexed tp 1 pp 1 {
  // CHECK: wmap.copy "norm" loops {{\[\[}}"l", "decoder", 0, 2, 1]] box ["hidden"] [4]
  wmap.copy "norm" loops [["l", "decoder", 0, 2, 1]] box ["hidden"] [4]
    hf <"layers.", @l, ".norm"> [4] "BF16" at 0 strides [1] [0]
    mcore <"decoder.layers.norm"> [2, 4] "BF16" padded at 0 strides [1] [4]
  // CHECK: wmap.tie "head" of "embed" "BF16" [3, 4]
  wmap.tie "head" of "embed" "BF16" [3, 4]
  // CHECK: wmap.extra_tensor "inv_freq" "F32" [32]
  wmap.extra_tensor "inv_freq" "F32" [32]
  // CHECK: wmap.object <"norm._extra_state/shard_", @l, "_2"> loops
  wmap.object <"norm._extra_state/shard_", @l, "_2"> loops [["l", "decoder", 0, 2, 1]]
}
