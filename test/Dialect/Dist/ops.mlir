// RUN: mbc-opt %s | mbc-opt | FileCheck %s

// A placement is said once, and by name.
// CHECK: #[[P:.*]] = #dist.placement<tp = P, cp = I, dp = V, pp = R>
// CHECK: dist.mesh @mesh axes ["tp", "cp", "dp", "pp"] of [2, 1, 4, 1] experts ["etp", "ep", "edp", "pp"] of [1, 8, 1, 1]
dist.mesh @mesh axes ["tp", "cp", "dp", "pp"] of [2, 1, 4, 1] experts ["etp", "ep", "edp", "pp"] of [1, 8, 1, 1]
nn.graph @G attributes {values = {}} {
  // CHECK: nn.weights @w : !nn.tensor<[h = 4], weight, #[[P]]>
  nn.weights @w : !nn.tensor<[h = 4], weight, #dist.placement<tp = P, cp = I, dp = V, pp = R>>
}
