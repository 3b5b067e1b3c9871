// RUN: mbc-opt --verify-instantiated --split-input-file --verify-diagnostics %s -o /dev/null

// Each case is of the constraint of dialects/NN/README.md that it names.

// N55
nn.graph @G attributes {values = {}} {
  // expected-error@+1 {{axis 'h' of [h] has no number as its size}}
  nn.weights @w : !nn.tensor<[h = @h], weight>
}

// -----

// N55
nn.graph @G attributes {values = {}} {
  // expected-error@+1 {{axis 'tokens' of [tokens, h] has no number as its size}}
  nn.entry @e ["x"] -> ["y"] (%x: !nn.tensor<[tokens = ?, h = 4], act>) {
    nn.yield %x : !nn.tensor<[tokens = ?, h = 4], act>
  }
}

// -----

// N56
nn.graph @G attributes {values = {}} {
  nn.entry @e ["x"] -> ["y"] (%x: !nn.tensor<[tokens = 2, h = 4], act>) {
    // expected-error@+1 {{is not resolved}}
    %y = nn.if @l -> (!nn.tensor<[tokens = 2, h = 4], act>) {
      nn.yield %x : !nn.tensor<[tokens = 2, h = 4], act>
    } else {
      nn.yield %x : !nn.tensor<[tokens = 2, h = 4], act>
    }
    nn.yield %y : !nn.tensor<[tokens = 2, h = 4], act>
  }
}

// -----

// N57
nn.graph @G attributes {values = {}} {
  nn.entry @e ["x"] -> ["y"] (%x: !nn.tensor<[tokens = 2, h = 4], act>) {
    // expected-error@+1 {{'scalar' = 'l' is not a value}}
    %y = nn.map %x {kind = "mul", scalar = @l} : (!nn.tensor<[tokens = 2, h = 4], act>) -> !nn.tensor<[tokens = 2, h = 4], act>
    nn.yield %y : !nn.tensor<[tokens = 2, h = 4], act>
  }
}

// -----

// N58: a weight of layers, outside of them.
nn.graph @G attributes {values = {}} {
  nn.weights @d.w : !nn.tensor<[h = 4], weight> layers [0, 1]
  nn.entry @e ["x"] -> ["y"] (%x: !nn.tensor<[tokens = 2, h = 4], act>) {
    // expected-error@+1 {{'d.w' is used outside of stack 'd'}}
    %w = nn.weight @d.w : !nn.tensor<[h = 4], weight>
    %y = nn.rms_norm %x, %w {eps = 1.0} : (!nn.tensor<[tokens = 2, h = 4], act>, !nn.tensor<[h = 4], weight>) -> !nn.tensor<[tokens = 2, h = 4], act>
    nn.yield %y : !nn.tensor<[tokens = 2, h = 4], act>
  }
}

// -----

// N58: a layer that does not have it.
nn.graph @G attributes {values = {}} {
  // expected-note@+1 {{no layer that has it}}
  nn.weights @d.w : !nn.tensor<[h = 4], weight> layers [0, 2]
  nn.entry @e ["x"] -> ["y"] (%x: !nn.tensor<[tokens = 2, h = 4], act>) {
    %r = nn.repeat "d"(%x) runs [array<i64: 0, 0, 3>] : (!nn.tensor<[tokens = 2, h = 4], act>) -> !nn.tensor<[tokens = 2, h = 4], act> {
    ^bb0(%a: !nn.tensor<[tokens = 2, h = 4], act>):
      // expected-error@+1 {{'d.w' is used by layer 1}}
      %w = nn.weight @d.w : !nn.tensor<[h = 4], weight>
      %y = nn.rms_norm %a, %w {eps = 1.0} : (!nn.tensor<[tokens = 2, h = 4], act>, !nn.tensor<[h = 4], weight>) -> !nn.tensor<[tokens = 2, h = 4], act>
      nn.yield %y : !nn.tensor<[tokens = 2, h = 4], act>
    }
    nn.yield %r : !nn.tensor<[tokens = 2, h = 4], act>
  }
}

// -----

// N59
nn.graph @G attributes {values = {}} {
  // expected-error@+1 {{'w' is not used}}
  nn.weights @w : !nn.tensor<[h = 4], weight>
}

// -----

// N60: a body of no layer.
nn.graph @G attributes {values = {}} {
  nn.entry @e ["x"] -> ["y"] (%x: !nn.tensor<[tokens = 2, h = 4], act>) {
    // expected-error@+1 {{kind 1 is of no layer}}
    %r = nn.repeat "d"(%x) runs [array<i64: 0, 0, 3>] : (!nn.tensor<[tokens = 2, h = 4], act>) -> !nn.tensor<[tokens = 2, h = 4], act> {
    ^bb0(%a: !nn.tensor<[tokens = 2, h = 4], act>):
      nn.yield %a : !nn.tensor<[tokens = 2, h = 4], act>
    }, {
    ^bb0(%a: !nn.tensor<[tokens = 2, h = 4], act>):
      nn.yield %a : !nn.tensor<[tokens = 2, h = 4], act>
    }
    nn.yield %r : !nn.tensor<[tokens = 2, h = 4], act>
  }
}

// -----

// N60: a stack in a stack.
nn.graph @G attributes {values = {}} {
  nn.entry @e ["x"] -> ["y"] (%x: !nn.tensor<[tokens = 2, h = 4], act>) {
    %r = nn.repeat "d"(%x) runs [array<i64: 0, 0, 3>] : (!nn.tensor<[tokens = 2, h = 4], act>) -> !nn.tensor<[tokens = 2, h = 4], act> {
    ^bb0(%a: !nn.tensor<[tokens = 2, h = 4], act>):
      // expected-error@+1 {{must not be inside of another one}}
      %s = nn.repeat "e"(%a) runs [array<i64: 0, 0, 3>] : (!nn.tensor<[tokens = 2, h = 4], act>) -> !nn.tensor<[tokens = 2, h = 4], act> {
      ^bb0(%b: !nn.tensor<[tokens = 2, h = 4], act>):
        nn.yield %b : !nn.tensor<[tokens = 2, h = 4], act>
      }
      nn.yield %s : !nn.tensor<[tokens = 2, h = 4], act>
    }
    nn.yield %r : !nn.tensor<[tokens = 2, h = 4], act>
  }
}

// -----

// N61: entries that do not agree on the layers.
nn.graph @G attributes {values = {}} {
  nn.entry @e ["x"] -> ["y"] (%x: !nn.tensor<[tokens = 2, h = 4], act>) {
    // expected-note@+1 {{than here}}
    %r = nn.repeat "d"(%x) runs [array<i64: 0, 0, 3>] : (!nn.tensor<[tokens = 2, h = 4], act>) -> !nn.tensor<[tokens = 2, h = 4], act> {
    ^bb0(%a: !nn.tensor<[tokens = 2, h = 4], act>):
      nn.yield %a : !nn.tensor<[tokens = 2, h = 4], act>
    }
    nn.yield %r : !nn.tensor<[tokens = 2, h = 4], act>
  }
  nn.entry @f ["x"] -> ["y"] (%x: !nn.tensor<[tokens = 2, h = 4], act>) {
    // expected-error@+1 {{stack 'd' has other runs}}
    %r = nn.repeat "d"(%x) runs [array<i64: 0, 0, 4>] : (!nn.tensor<[tokens = 2, h = 4], act>) -> !nn.tensor<[tokens = 2, h = 4], act> {
    ^bb0(%a: !nn.tensor<[tokens = 2, h = 4], act>):
      nn.yield %a : !nn.tensor<[tokens = 2, h = 4], act>
    }
    nn.yield %r : !nn.tensor<[tokens = 2, h = 4], act>
  }
}
