// RUN: mbc-opt --verify-partitioned --split-input-file --verify-diagnostics %s -o /dev/null

// Each case is of the constraint of dialects/Dist/README.md that it names.

// D05
// expected-error@+1 {{needs one mesh}}
module {
}

// -----

// D06: a value without a placement.
dist.mesh @mesh axes ["tp", "dp"] of [1, 1] experts ["ep", "edp"] of [1, 1]
nn.graph @G attributes {values = {}} {
  // expected-error@+1 {{value of type '!nn.tensor<[tokens = 2, h = 4], act>' has no placement}}
  nn.entry @e ["x"] -> ["y"] (%x: !nn.tensor<[tokens = 2, h = 4], act>) {
    nn.yield %x : !nn.tensor<[tokens = 2, h = 4], act>
  }
}

// -----

// D06: other axes.
dist.mesh @mesh axes ["tp", "dp"] of [1, 1] experts ["ep", "edp"] of [1, 1]
nn.graph @G attributes {values = {}} {
  // expected-error@+1 {{is no factorisation of the mesh}}
  nn.weights @w : !nn.tensor<[h = 4], weight, #dist.placement<tp = I, ep = I>>
}

// -----

// D06: one rank has all there is.
dist.mesh @mesh axes ["tp", "dp"] of [1, 1] experts ["ep", "edp"] of [1, 1]
nn.graph @G attributes {values = {}} {
  // expected-error@+1 {{placement over tp = 1 is V, expected I}}
  nn.weights @w : !nn.tensor<[h = 4], weight, #dist.placement<tp = V, dp = I>>
}

// -----

// D07: what an operator gives.
#v = #dist.placement<tp = I, dp = V>
#i = #dist.placement<tp = I, dp = I>
dist.mesh @mesh axes ["tp", "dp"] of [1, 2] experts ["ep", "edp"] of [1, 2]
nn.graph @G attributes {values = {}} {
  nn.entry @e ["x"] -> ["y"] (%x: !nn.tensor<[tokens = 2, h = 4], act, #v>) {
    // expected-error@+1 {{placement is #dist.placement<tp = I, dp = I>, expected #dist.placement<tp = I, dp = V>}}
    %y = nn.map %x {kind = "silu"} : (!nn.tensor<[tokens = 2, h = 4], act, #v>) -> !nn.tensor<[tokens = 2, h = 4], act, #i>
    nn.yield %y : !nn.tensor<[tokens = 2, h = 4], act, #i>
  }
}

// -----

// D07: an operator without a rule.
#i = #dist.placement<tp = I, dp = I>
dist.mesh @mesh axes ["tp", "dp"] of [1, 1] experts ["ep", "edp"] of [1, 1]
nn.graph @G attributes {values = {}} {
  nn.entry @e ["x", "i"] -> ["y"] (%x: !nn.tensor<[tokens = 2, h = 4], act, #i>, %l: !nn.tensor<[tokens = 2], i32, #i>) {
    // expected-error@+1 {{'nn.cross_entropy' has no rule of partition yet}}
    %y = nn.cross_entropy %x, %l : (!nn.tensor<[tokens = 2, h = 4], act, #i>, !nn.tensor<[tokens = 2], i32, #i>) -> !nn.tensor<[], f32, #i>
    nn.yield %y : !nn.tensor<[], f32, #i>
  }
}

// -----

// D08
#v = #dist.placement<tp = I, dp = V>
dist.mesh @mesh axes ["tp", "dp"] of [1, 2] experts ["ep", "edp"] of [1, 2]
nn.graph @G attributes {values = {}} {
  // expected-error@+1 {{placement is #dist.placement<tp = I, dp = V>, expected #dist.placement<tp = I, dp = R>}}
  nn.weights @w : !nn.tensor<[h = 4], weight, #v>
}

// -----

// D09
#i = #dist.placement<tp = I, dp = I>
dist.mesh @mesh axes ["tp", "dp"] of [1, 2] experts ["ep", "edp"] of [1, 2]
nn.graph @G attributes {values = {}} {
  // expected-error@+1 {{placement is #dist.placement<tp = I, dp = I>, expected #dist.placement<tp = I, dp = V>}}
  nn.entry @e ["x"] -> ["y"] (%x: !nn.tensor<[tokens = 2, h = 4], act, #i>) {
    nn.yield %x : !nn.tensor<[tokens = 2, h = 4], act, #i>
  }
}

// -----

// D10
#r = #dist.placement<tp = I, dp = I>
dist.mesh @mesh axes ["dp", "tp"] of [1, 4] experts ["ep"] of [4]
nn.graph @G attributes {values = {}} {
  // expected-error@+2 {{cannot shard h = 6 of 'w' over tp = 4}}
  // expected-note@+1 {{admissible tp: 1, 2, 3, 6}}
  nn.weights @w : !nn.tensor<[h = 6], weight, #dist.placement<dp = I, tp = I>> shard [#nn.shard<"h" over "tp">]
}
