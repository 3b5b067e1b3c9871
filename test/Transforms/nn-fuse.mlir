// RUN: mbc-opt --nn-fuse --split-input-file %s | FileCheck %s

// What stands in each case is the graph before; what is checked the one after.

// residual and norm: the sum is a result as well, what comes later reads it
// CHECK-LABEL: nn.graph @residual_and_norm
nn.graph @residual_and_norm attributes {values = {}} {
  nn.entry @e ["x", "y", "w"] -> ["r0", "r1"] (%x: !nn.tensor<[tokens = 5, hidden = 8], act>, %y: !nn.tensor<[tokens = 5, hidden = 8], act>, %w: !nn.tensor<[hidden = 8], weight>) {
    // CHECK: %[[C:.*]]:2 = nn.cluster(%[[X:.*]], %[[Y:.*]], %[[W:.*]]) :
    // CHECK-NEXT: ^bb0(%[[A:.*]]: {{.*}}, %[[B:.*]]: {{.*}}, %[[V:.*]]: {{.*}}):
    // CHECK-NEXT: %[[SUM:.*]] = nn.map %[[A]], %[[B]] {kind = "add"}
    // CHECK-NEXT: %[[NORM:.*]] = nn.rms_norm %[[SUM]], %[[V]] {eps = 1.0{{.*}}}
    // CHECK-NEXT: nn.yield %[[SUM]], %[[NORM]]
    // CHECK-NEXT: }
    // CHECK-NEXT: nn.yield %[[C]]#1, %[[C]]#0
    %s = nn.map %x, %y {kind = "add"} : (!nn.tensor<[tokens = 5, hidden = 8], act>, !nn.tensor<[tokens = 5, hidden = 8], act>) -> !nn.tensor<[tokens = 5, hidden = 8], act>
    %n = nn.rms_norm %s, %w {eps = 1.0} : (!nn.tensor<[tokens = 5, hidden = 8], act>, !nn.tensor<[hidden = 8], weight>) -> !nn.tensor<[tokens = 5, hidden = 8], act>
    nn.yield %n, %s : !nn.tensor<[tokens = 5, hidden = 8], act>, !nn.tensor<[tokens = 5, hidden = 8], act>
  }
}

// -----

// norms of heads and rope: queries and keys are one kernel, whatever stands between
// CHECK-LABEL: nn.graph @norms_of_heads_and_rope
nn.graph @norms_of_heads_and_rope attributes {values = {}} {
  nn.entry @e ["q", "k", "w", "v"] -> ["r0", "r1"] (%q: !nn.tensor<[tokens = 5, kv = 2, group = 2, d = 4], act>, %k: !nn.tensor<[tokens = 5, kv = 2, d = 4], act>, %w: !nn.tensor<[d = 4], weight>, %v: !nn.tensor<[d = 4], weight>) {
    // CHECK-NOT: nn.rms_norm
    // CHECK: %[[C:.*]]:2 = nn.cluster(
    // CHECK: %[[A:.*]] = nn.rms_norm
    // CHECK-NEXT: %[[B:.*]] = nn.rms_norm
    // CHECK-NEXT: %[[R:.*]]:2 = nn.rope %[[A]], %[[B]]
    // CHECK-NEXT: nn.yield %[[R]]#0, %[[R]]#1
    // CHECK-NEXT: }
    // CHECK-NEXT: nn.yield %[[C]]#0, %[[C]]#1
    %a = nn.rms_norm %q, %w {eps = 1.0} : (!nn.tensor<[tokens = 5, kv = 2, group = 2, d = 4], act>, !nn.tensor<[d = 4], weight>) -> !nn.tensor<[tokens = 5, kv = 2, group = 2, d = 4], act>
    %b = nn.rms_norm %k, %v {eps = 1.0} : (!nn.tensor<[tokens = 5, kv = 2, d = 4], act>, !nn.tensor<[d = 4], weight>) -> !nn.tensor<[tokens = 5, kv = 2, d = 4], act>
    %r:2 = nn.rope %a, %b {theta = 1.0e4, scaling = unit} : (!nn.tensor<[tokens = 5, kv = 2, group = 2, d = 4], act>, !nn.tensor<[tokens = 5, kv = 2, d = 4], act>) -> (!nn.tensor<[tokens = 5, kv = 2, group = 2, d = 4], act>, !nn.tensor<[tokens = 5, kv = 2, d = 4], act>)
    nn.yield %r#0, %r#1 : !nn.tensor<[tokens = 5, kv = 2, group = 2, d = 4], act>, !nn.tensor<[tokens = 5, kv = 2, d = 4], act>
  }
}

// -----

// glu: the activated gate has no memory of its own
// CHECK-LABEL: nn.graph @glu
nn.graph @glu attributes {values = {}} {
  nn.entry @e ["g", "u"] -> ["r0"] (%g: !nn.tensor<[tokens = 5, width = 6], act>, %u: !nn.tensor<[tokens = 5, width = 6], act>) {
    // CHECK: %[[C:.*]] = nn.cluster(%[[G:.*]], %[[U:.*]]) : ({{.*}}) -> !nn.tensor<[tokens = 5, width = 6], act> {
    // CHECK-NEXT: ^bb0(%[[A:.*]]: {{.*}}, %[[B:.*]]: {{.*}}):
    // CHECK-NEXT: %[[S:.*]] = nn.map %[[A]] {kind = "silu"}
    // CHECK-NEXT: %[[P:.*]] = nn.map %[[S]], %[[B]] {kind = "mul"}
    // CHECK-NEXT: nn.yield %[[P]] :
    // CHECK-NEXT: }
    // CHECK-NEXT: nn.yield %[[C]] :
    %s = nn.map %g {kind = "silu"} : (!nn.tensor<[tokens = 5, width = 6], act>) -> !nn.tensor<[tokens = 5, width = 6], act>
    %p = nn.map %s, %u {kind = "mul"} : (!nn.tensor<[tokens = 5, width = 6], act>, !nn.tensor<[tokens = 5, width = 6], act>) -> !nn.tensor<[tokens = 5, width = 6], act>
    nn.yield %p : !nn.tensor<[tokens = 5, width = 6], act>
  }
}

// -----

// pointwise: a chain is one kernel
// CHECK-LABEL: nn.graph @pointwise
nn.graph @pointwise attributes {values = {}} {
  nn.entry @e ["x"] -> ["r0"] (%x: !nn.tensor<[tokens = 5, hidden = 8], act>) {
    // CHECK: nn.cluster
    // CHECK: nn.map {{.*}} {kind = "mul", scalar = 2.0{{.*}}}
    // CHECK-NEXT: nn.map {{.*}} {kind = "sigmoid"}
    // CHECK-NEXT: nn.map {{.*}} {kind = "add", scalar = 1.0{{.*}}}
    // CHECK-NOT: nn.cluster
    %a = nn.map %x {kind = "mul", scalar = 2.0} : (!nn.tensor<[tokens = 5, hidden = 8], act>) -> !nn.tensor<[tokens = 5, hidden = 8], act>
    %b = nn.map %a {kind = "sigmoid"} : (!nn.tensor<[tokens = 5, hidden = 8], act>) -> !nn.tensor<[tokens = 5, hidden = 8], act>
    %c = nn.map %b {kind = "add", scalar = 1.0} : (!nn.tensor<[tokens = 5, hidden = 8], act>) -> !nn.tensor<[tokens = 5, hidden = 8], act>
    nn.yield %c : !nn.tensor<[tokens = 5, hidden = 8], act>
  }
}

// -----

// product between: a product is in no cluster, and parts one from the other
// CHECK-LABEL: nn.graph @product_between
nn.graph @product_between attributes {values = {}} {
  nn.entry @e ["x", "w", "m"] -> ["r0"] (%x: !nn.tensor<[tokens = 5, hidden = 8], act>, %w: !nn.tensor<[hidden = 8], weight>, %m: !nn.tensor<[out = 8 | hidden = 8], weight>) {
    // CHECK: %[[C:.*]] = nn.cluster
    // CHECK-NEXT: ^bb0
    // CHECK-NEXT: nn.rms_norm
    // CHECK-NEXT: nn.yield
    // CHECK-NEXT: }
    // CHECK-NEXT: %[[L:.*]] = nn.linear %[[C]],
    // CHECK-NEXT: nn.cluster(%[[L]])
    // CHECK-NEXT: ^bb0
    // CHECK-NEXT: nn.map
    // CHECK-NEXT: nn.yield
    // CHECK-NEXT: }
    %n = nn.rms_norm %x, %w {eps = 1.0} : (!nn.tensor<[tokens = 5, hidden = 8], act>, !nn.tensor<[hidden = 8], weight>) -> !nn.tensor<[tokens = 5, hidden = 8], act>
    %l = nn.linear %n, %m : (!nn.tensor<[tokens = 5, hidden = 8], act>, !nn.tensor<[out = 8 | hidden = 8], weight>) -> !nn.tensor<[tokens = 5, out = 8], act>
    %t = nn.map %l {kind = "silu"} : (!nn.tensor<[tokens = 5, out = 8], act>) -> !nn.tensor<[tokens = 5, out = 8], act>
    nn.yield %t : !nn.tensor<[tokens = 5, out = 8], act>
  }
}

// -----

// a reader in between: the norm cannot move down past the product that reads it
// CHECK-LABEL: nn.graph @a_reader_in_between
nn.graph @a_reader_in_between attributes {values = {}} {
  nn.entry @e ["x", "w", "m", "h"] -> ["r0"] (%x: !nn.tensor<[tokens = 5, hidden = 8], act>, %w: !nn.tensor<[hidden = 8], weight>, %m: !nn.tensor<[out = 8 | hidden = 8], weight>, %h: !nn.tensor<[hidden = 8 | out = 8], weight>) {
    // CHECK: %[[C:.*]] = nn.cluster
    // CHECK-NEXT: ^bb0
    // CHECK-NEXT: nn.rms_norm
    // CHECK-NEXT: nn.yield
    // CHECK-NEXT: }
    // CHECK-NEXT: nn.linear %[[C]],
    // CHECK-NEXT: %[[L:.*]] = nn.linear
    // CHECK-NEXT: nn.cluster(%[[C]], %[[L]])
    %n = nn.rms_norm %x, %w {eps = 1.0} : (!nn.tensor<[tokens = 5, hidden = 8], act>, !nn.tensor<[hidden = 8], weight>) -> !nn.tensor<[tokens = 5, hidden = 8], act>
    %l = nn.linear %n, %m : (!nn.tensor<[tokens = 5, hidden = 8], act>, !nn.tensor<[out = 8 | hidden = 8], weight>) -> !nn.tensor<[tokens = 5, out = 8], act>
    %k = nn.linear %l, %h : (!nn.tensor<[tokens = 5, out = 8], act>, !nn.tensor<[hidden = 8 | out = 8], weight>) -> !nn.tensor<[tokens = 5, hidden = 8], act>
    %t = nn.map %n, %k {kind = "add"} : (!nn.tensor<[tokens = 5, hidden = 8], act>, !nn.tensor<[tokens = 5, hidden = 8], act>) -> !nn.tensor<[tokens = 5, hidden = 8], act>
    nn.yield %t : !nn.tensor<[tokens = 5, hidden = 8], act>
  }
}

// -----

// other rows: as many rows are not the same rows
// CHECK-LABEL: nn.graph @other_rows
nn.graph @other_rows attributes {values = {}} {
  nn.entry @e ["x", "w", "i"] -> ["r0"] (%x: !nn.tensor<[tokens = 5, hidden = 8], act>, %w: !nn.tensor<[hidden = 8], weight>, %i: !nn.tensor<[n = 5], i32>) {
    // CHECK: nn.cluster
    // CHECK-NEXT: ^bb0
    // CHECK-NEXT: nn.rms_norm
    // CHECK-NEXT: nn.yield
    // CHECK-NEXT: }
    // CHECK-NEXT: nn.take
    // CHECK-NEXT: nn.cluster
    // CHECK-NEXT: ^bb0
    // CHECK-NEXT: nn.map
    // CHECK-NEXT: nn.yield
    %n = nn.rms_norm %x, %w {eps = 1.0} : (!nn.tensor<[tokens = 5, hidden = 8], act>, !nn.tensor<[hidden = 8], weight>) -> !nn.tensor<[tokens = 5, hidden = 8], act>
    %k = nn.take %n, %i : (!nn.tensor<[tokens = 5, hidden = 8], act>, !nn.tensor<[n = 5], i32>) -> !nn.tensor<[n = 5, hidden = 8], act>
    %t = nn.map %k {kind = "silu"} : (!nn.tensor<[n = 5, hidden = 8], act>) -> !nn.tensor<[n = 5, hidden = 8], act>
    nn.yield %t : !nn.tensor<[n = 5, hidden = 8], act>
  }
}

// -----

// In every kind of layer, too: nothing is carried over the layer's end.
// CHECK-LABEL: nn.graph @layers
nn.graph @layers attributes {values = {}} {
  nn.entry @e ["x"] -> ["y"] (%x: !nn.tensor<[tokens = 5, hidden = 8], act>) {
    // CHECK: nn.repeat
    // CHECK: nn.cluster
    // CHECK-NEXT: ^bb0
    // CHECK-NEXT: nn.map {{.*}} {kind = "silu"}
    // CHECK-NEXT: nn.yield
    // CHECK: }, {
    // CHECK: nn.cluster
    // CHECK-NEXT: ^bb0
    // CHECK-NEXT: nn.map {{.*}} {kind = "gelu"}
    // CHECK-NEXT: nn.yield
    // CHECK: nn.cluster
    // CHECK-NEXT: ^bb0
    // CHECK-NEXT: nn.map {{.*}} {kind = "sigmoid"}
    %r = nn.repeat "d"(%x) runs [array<i64: 0, 0, 1>, array<i64: 1, 1, 1>] : (!nn.tensor<[tokens = 5, hidden = 8], act>) -> !nn.tensor<[tokens = 5, hidden = 8], act> {
    ^bb0(%a: !nn.tensor<[tokens = 5, hidden = 8], act>):
      %s = nn.map %a {kind = "silu"} : (!nn.tensor<[tokens = 5, hidden = 8], act>) -> !nn.tensor<[tokens = 5, hidden = 8], act>
      nn.yield %s : !nn.tensor<[tokens = 5, hidden = 8], act>
    }, {
    ^bb0(%a: !nn.tensor<[tokens = 5, hidden = 8], act>):
      %s = nn.map %a {kind = "gelu"} : (!nn.tensor<[tokens = 5, hidden = 8], act>) -> !nn.tensor<[tokens = 5, hidden = 8], act>
      nn.yield %s : !nn.tensor<[tokens = 5, hidden = 8], act>
    }
    %y = nn.map %r {kind = "sigmoid"} : (!nn.tensor<[tokens = 5, hidden = 8], act>) -> !nn.tensor<[tokens = 5, hidden = 8], act>
    nn.yield %y : !nn.tensor<[tokens = 5, hidden = 8], act>
  }
}
