// RUN: mbc-opt --verify-elaborated --verify-diagnostics --split-input-file %s

// A model that was not elaborated is not looked at.
nn.model @Declared for ["A"] {
  nn.config @h = #nn.expr<"field"("hidden_size")>
}

// -----

// E20: sizes.
nn.model @M for ["A"] attributes {values = {h = 3}} {
  // expected-error@+1 {{size 'h' of axis 'h' is not static}}
  nn.param @w : !nn.tensor<[h = @h], weight>
  // expected-error@+1 {{size 'h' of axis 'h' is not static}}
  nn.func @forward (%x: !nn.tensor<[tokens = ?, h = @h], act>) {
    nn.yield %x : !nn.tensor<[tokens = ?, h = @h], act>
  }
}

// -----

// E21: conditions of parameters.
nn.model @M for ["A"] attributes {values = {}} {
  // expected-error@+1 {{has a condition that is not decided}}
  nn.param @a : !nn.tensor<[h = 3], weight> when @biased
  // expected-error@+1 {{has a condition that is not decided}}
  nn.param @b : !nn.tensor<[h = 3], weight> tie "a" tie_when @tied
}

// -----

// E22: values of names.
nn.model @M for ["A"] attributes {values = {}} {
  // expected-error@+1 {{has no value}}
  nn.config @h = 3
  // expected-error@+1 {{has no value}}
  nn.dim @d = @h
  // expected-error@+1 {{has no value}}
  nn.variant @v from [] tag ["type"] cases []
  nn.config @good = 3 value 3
}

// -----

// E23: layers.
nn.model @M for ["A"] attributes {values = {}} {
  // expected-error@+1 {{count 'layers' is not static}}
  nn.layers @a of @layers (%x: !nn.tensor<[tokens = ?, h = 3], act>) {
    nn.yield %x : !nn.tensor<[tokens = ?, h = 3], act>
  }
  // expected-error@+1 {{kinds must cover its 4 layers in order}}
  nn.layers @b of 4 kinds [array<i64: 0, 0, 2>, array<i64: 1, 3, 1>] (%x: !nn.tensor<[tokens = ?, h = 3], act>) {
    nn.yield %x : !nn.tensor<[tokens = ?, h = 3], act>
  }
}

// -----

// E24: expressions. E25: conditions.
nn.model @M for ["A"] attributes {values = {}} {
  nn.layers @d of 2 index "l" kinds [array<i64: 0, 0, 2>] (%x: !nn.tensor<[tokens = ?, h = 3], act>) {
    %w = nn.get @w : !nn.tensor<[h = 3], weight>
    // expected-error@+1 {{'eps' = 'l + eps' is not static: 'eps'}}
    %0 = nn.rms_norm %x, %w {eps = #nn.expr<"+"(@l, @eps)>} : (!nn.tensor<[tokens = ?, h = 3], act>, !nn.tensor<[h = 3], weight>) -> !nn.tensor<[tokens = ?, h = 3], act>
    %1 = nn.rms_norm %x, %w {eps = @l} : (!nn.tensor<[tokens = ?, h = 3], act>, !nn.tensor<[h = 3], weight>) -> !nn.tensor<[tokens = ?, h = 3], act>
    // expected-error@+1 {{has a condition that is not decided}}
    %2 = nn.if #nn.expr<"<"(@l, 1)> -> (!nn.tensor<[tokens = ?, h = 3], act>) {
      nn.yield %0 : !nn.tensor<[tokens = ?, h = 3], act>
    } else {
      nn.yield %1 : !nn.tensor<[tokens = ?, h = 3], act>
    }
    nn.yield %2 : !nn.tensor<[tokens = ?, h = 3], act>
  }
  nn.param @w : !nn.tensor<[h = 3], weight>
}
