// RUN: mbc-opt --nn-fuse --nn-to-exec --split-input-file --verify-diagnostics %s -o /dev/null

// A type that the front end lets through, and that no table is for.
nn.graph @longrope attributes {values = {}} {
  nn.entry @e ["q"] -> ["r", "s"] (%q: !nn.tensor<[tokens = 5, n = 2, d = 8], act>) {
    // expected-error@+1 {{rope type 'longrope' has no program}}
    %r:2 = nn.rope %q, %q {theta = 10000.0, scaling = {type = "longrope"}} : (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>) -> (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>)
    nn.yield %r#0, %r#1 : !nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>
  }
}

// -----

// Sections for fewer pairs.
nn.graph @sections attributes {values = {}} {
  nn.entry @e ["q"] -> ["r", "s"] (%q: !nn.tensor<[tokens = 5, n = 2, d = 8], act>) {
    // expected-error@+1 {{mrope_section is for 3 pairs, expected 4}}
    %r:2 = nn.rope %q, %q {theta = 10000.0, scaling = {type = "mrope", mrope_section = [1, 2]}} : (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>) -> (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>)
    nn.yield %r#0, %r#1 : !nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>
  }
}

// -----

// An operator without a command.
nn.graph @none attributes {values = {}} {
  nn.entry @e ["x", "y"] -> ["z"] (%x: !nn.tensor<[tokens = 5], i32>, %y: !nn.tensor<[tokens = 5, h = 4], act>) {
    // expected-error@+1 {{'nn.cross_entropy' has no command yet}}
    %z = nn.cross_entropy %y, %x : (!nn.tensor<[tokens = 5, h = 4], act>, !nn.tensor<[tokens = 5], i32>) -> !nn.tensor<[], f32>
    nn.yield %y : !nn.tensor<[tokens = 5, h = 4], act>
  }
}

// -----

// Rows and columns have two numbers, and half of the pairs each.
nn.graph @axial attributes {values = {}} {
  nn.entry @e ["q", "at"] -> ["r", "s"] (%q: !nn.tensor<[tokens = 5, n = 2, d = 6], act>, %at: !nn.tensor<[tokens = 5], i32>) {
    // expected-error@+1 {{axial rope turns by rows and columns, half of 6 elements each; expected a multiple of 4}}
    %r:2 = nn.rope %q, %q, %at {theta = 10000.0, scaling, axial = true} : (!nn.tensor<[tokens = 5, n = 2, d = 6], act>, !nn.tensor<[tokens = 5, n = 2, d = 6], act>, !nn.tensor<[tokens = 5], i32>) -> (!nn.tensor<[tokens = 5, n = 2, d = 6], act>, !nn.tensor<[tokens = 5, n = 2, d = 6], act>)
    nn.yield %r#0, %r#1 : !nn.tensor<[tokens = 5, n = 2, d = 6], act>, !nn.tensor<[tokens = 5, n = 2, d = 6], act>
  }
}

// -----

// Sections that are no numbers of pairs.
nn.graph @negative attributes {values = {}} {
  nn.entry @e ["q"] -> ["r", "s"] (%q: !nn.tensor<[tokens = 5, n = 2, d = 8], act>) {
    // expected-error@+1 {{mrope_section must list how many of the 4 pairs turn by time, row and column}}
    %r:2 = nn.rope %q, %q {theta = 10000.0, scaling = {type = "mrope", mrope_section = [5, -1]}} : (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>) -> (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>)
    nn.yield %r#0, %r#1 : !nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>
  }
}

// -----

// Rows of experts without a choice of them.
nn.graph @unrouted attributes {values = {}} {
  nn.entry @e ["x", "ids"] -> ["y"] (%x: !nn.tensor<[tokens = 5, h = 4], act>, %ids: !nn.tensor<[tokens = 5, topk = 2], i32>) {
    // expected-error@+1 {{takes indices that no 'route' of this body gives}}
    %d = nn.dispatch %x, %ids : (!nn.tensor<[tokens = 5, h = 4], act>, !nn.tensor<[tokens = 5, topk = 2], i32>) -> !nn.tensor<[routed = 10, h = 4], act>
    nn.yield %d : !nn.tensor<[routed = 10, h = 4], act>
  }
}

// -----

// A way to choose that the front end lets through, and that no command knows.
nn.graph @choices attributes {values = {}} {
  nn.entry @e ["l"] -> ["w", "i"] (%l: !nn.tensor<[tokens = 5, e = 4], act>) {
    // expected-error@+1 {{no method of routing is called '"random"'; expected greedy, group_limited_greedy or noaux_tc}}
    %r:2 = nn.route %l {score = "softmax", topk = 2, renorm = true, groups = 1, group_topk = 1, scale = 1.0, method = "random"} : (!nn.tensor<[tokens = 5, e = 4], act>) -> (!nn.tensor<[tokens = 5, topk = 2], f32>, !nn.tensor<[tokens = 5, topk = 2], i32>)
    nn.yield %r#0, %r#1 : !nn.tensor<[tokens = 5, topk = 2], f32>, !nn.tensor<[tokens = 5, topk = 2], i32>
  }
}

// -----

nn.graph @scores attributes {values = {}} {
  nn.entry @e ["l"] -> ["w", "i"] (%l: !nn.tensor<[tokens = 5, e = 4], act>) {
    // expected-error@+1 {{no scores are called '"tanh"'; expected softmax or sigmoid}}
    %r:2 = nn.route %l {score = "tanh", topk = 2, renorm = true, groups = 1, group_topk = 1, scale = 1.0} : (!nn.tensor<[tokens = 5, e = 4], act>) -> (!nn.tensor<[tokens = 5, topk = 2], f32>, !nn.tensor<[tokens = 5, topk = 2], i32>)
    nn.yield %r#0, %r#1 : !nn.tensor<[tokens = 5, topk = 2], f32>, !nn.tensor<[tokens = 5, topk = 2], i32>
  }
}
