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
  nn.entry @e ["x", "y"] -> ["z"] (%x: !nn.tensor<[n = 5], i32>, %y: !nn.tensor<[tokens = 5, h = 4], act>) {
    // expected-error@+1 {{'nn.reorder' has no command yet}}
    %z = nn.reorder %y, %x : (!nn.tensor<[tokens = 5, h = 4], act>, !nn.tensor<[n = 5], i32>) -> !nn.tensor<[tokens = 5, h = 4], act>
    nn.yield %z : !nn.tensor<[tokens = 5, h = 4], act>
  }
}
