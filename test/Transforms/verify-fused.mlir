// RUN: mbc-opt --verify-fused --split-input-file --verify-diagnostics %s -o /dev/null

// Each case is of the constraint of dialects/NN/README.md that it names.

// N62
nn.graph @G attributes {values = {}} {
  nn.entry @e ["x"] -> ["y"] (%x: !nn.tensor<[tokens = 2, h = 4], act>) {
    // expected-error@+1 {{is a row operation outside of a cluster}}
    %y = nn.map %x {kind = "silu"} : (!nn.tensor<[tokens = 2, h = 4], act>) -> !nn.tensor<[tokens = 2, h = 4], act>
    nn.yield %y : !nn.tensor<[tokens = 2, h = 4], act>
  }
}

// -----

// N63
nn.graph @G attributes {values = {}} {
  nn.entry @e ["x"] -> ["y"] (%x: !nn.tensor<[tokens = 2, h = 4], act>) {
    // expected-error@+1 {{has no result}}
    nn.cluster(%x) : (!nn.tensor<[tokens = 2, h = 4], act>) -> () {
    ^bb0(%a: !nn.tensor<[tokens = 2, h = 4], act>):
      nn.yield
    }
    nn.yield %x : !nn.tensor<[tokens = 2, h = 4], act>
  }
}

// -----

// N64: as many rows are not the same rows.
nn.graph @G attributes {values = {}} {
  nn.entry @e ["x", "y"] -> ["a", "b"] (%x: !nn.tensor<[tokens = 2, h = 4], act>, %y: !nn.tensor<[n = 2, h = 4], act>) {
    // expected-error@+1 {{result '!nn.tensor<[n = 2, h = 4], act>' has other rows than 'tokens' = 2}}
    %r:2 = nn.cluster(%x, %y) : (!nn.tensor<[tokens = 2, h = 4], act>, !nn.tensor<[n = 2, h = 4], act>) -> (!nn.tensor<[tokens = 2, h = 4], act>, !nn.tensor<[n = 2, h = 4], act>) {
    ^bb0(%a: !nn.tensor<[tokens = 2, h = 4], act>, %b: !nn.tensor<[n = 2, h = 4], act>):
      %s = nn.map %a {kind = "silu"} : (!nn.tensor<[tokens = 2, h = 4], act>) -> !nn.tensor<[tokens = 2, h = 4], act>
      %t = nn.map %b {kind = "silu"} : (!nn.tensor<[n = 2, h = 4], act>) -> !nn.tensor<[n = 2, h = 4], act>
      nn.yield %s, %t : !nn.tensor<[tokens = 2, h = 4], act>, !nn.tensor<[n = 2, h = 4], act>
    }
    nn.yield %r#0, %r#1 : !nn.tensor<[tokens = 2, h = 4], act>, !nn.tensor<[n = 2, h = 4], act>
  }
}
