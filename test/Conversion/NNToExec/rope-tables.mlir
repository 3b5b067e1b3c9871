// RUN: mbc-opt --nn-fuse --nn-to-exec --split-input-file %s | FileCheck %s

// Expected numbers were computed with NumPy from the definitions in RopeTables.h, for heads of 8 and theta 10000.

// No scaling; positions are an input that the caller may leave out.
// CHECK-LABEL: exec.program @none
// CHECK: exec.func @e rows 5 ["q", "positions"] -> ["r", "s"] (%arg0: memref<5x2x8xf32>, %[[AT:.*]]: memref<5xi32>,
// CHECK: %[[ANGLES:.*]] = exec.buffer : memref<5x8xf32>
// CHECK: exec.angles @rope0(%[[AT]], %[[ANGLES]])
// CHECK: exec.rows @rows0(%arg0, %[[ANGLES]],
// CHECK: exec.rope @rope0 [1.000000e+00, 1.000000e-01, 0.00999999977, 1.000000e-03] times 1.000000e+00{{$}}
// CHECK: #exec.step<"Rope" of 0, 1 operand 0 vectors 2 width 8
nn.graph @none attributes {values = {}} {
  nn.entry @e ["q"] -> ["r", "s"] (%q: !nn.tensor<[tokens = 5, n = 2, d = 8], act>) {
    %r:2 = nn.rope %q, %q {theta = 10000.0, scaling = unit} : (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>) -> (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>)
    nn.yield %r#0, %r#1 : !nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>
  }
}

// -----

// Neighbours are pairs.
// CHECK-LABEL: exec.program @interleaved
// CHECK: #exec.step<"RopePairs" of 0, 1 operand 0 vectors 2 width 8
nn.graph @interleaved attributes {values = {}} {
  nn.entry @e ["q"] -> ["r", "s"] (%q: !nn.tensor<[tokens = 5, n = 2, d = 8], act>) {
    %r:2 = nn.rope %q, %q {theta = 10000.0, scaling = unit, interleaved = true} : (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>) -> (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>)
    nn.yield %r#0, %r#1 : !nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>
  }
}

// -----

// A record that says nothing.
// CHECK-LABEL: exec.program @default
// CHECK: exec.rope @rope0 [1.000000e+00, 1.000000e-01, 0.00999999977, 1.000000e-03] times 1.000000e+00{{$}}
nn.graph @default attributes {values = {}} {
  nn.entry @e ["q"] -> ["r", "s"] (%q: !nn.tensor<[tokens = 5, n = 2, d = 8], act>) {
    %r:2 = nn.rope %q, %q {theta = 10000.0, scaling = {type = "default"}} : (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>) -> (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>)
    nn.yield %r#0, %r#1 : !nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>
  }
}

// -----

// All frequencies by the factor.
// CHECK-LABEL: exec.program @linear
// CHECK: exec.rope @rope0 [2.500000e-01, 2.500000e-02, 2.500000e-03, 2.500000e-04] times 1.000000e+00{{$}}
nn.graph @linear attributes {values = {}} {
  nn.entry @e ["q"] -> ["r", "s"] (%q: !nn.tensor<[tokens = 5, n = 2, d = 8], act>) {
    %r:2 = nn.rope %q, %q {theta = 10000.0, scaling = {type = "linear", factor = 4}} : (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>) -> (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>)
    nn.yield %r#0, %r#1 : !nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>
  }
}

// -----

// The frequencies of the original length, and what grows them.
// CHECK-LABEL: exec.program @dynamic
// CHECK: exec.rope @rope0 [1.000000e+00, 1.000000e-01, 0.00999999977, 1.000000e-03] times 1.000000e+00 dynamic [1.000000e+04, 2.000000e+00, 6.400000e+01]
nn.graph @dynamic attributes {values = {}} {
  nn.entry @e ["q"] -> ["r", "s"] (%q: !nn.tensor<[tokens = 5, n = 2, d = 8], act>) {
    %r:2 = nn.rope %q, %q {theta = 10000.0, scaling = {type = "dynamic", factor = 2.0, original_max_position_embeddings = 64}} : (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>) -> (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>)
    nn.yield %r#0, %r#1 : !nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>
  }
}

// -----

// Short waves stay, those of the middle are blended, long ones stretched.
// CHECK-LABEL: exec.program @llama3
// CHECK: exec.rope @rope0 [1.000000e+00, 0.0130422{{[0-9]+}}, 1.250000e-03, 1.250000e-04] times 1.000000e+00{{$}}
nn.graph @llama3 attributes {values = {}} {
  nn.entry @e ["q"] -> ["r", "s"] (%q: !nn.tensor<[tokens = 5, n = 2, d = 8], act>) {
    %r:2 = nn.rope %q, %q {theta = 10000.0, scaling = {type = "llama3", factor = 8.0, low_freq_factor = 1.0, high_freq_factor = 4.0, original_max_position_embeddings = 64}} : (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>) -> (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>)
    nn.yield %r#0, %r#1 : !nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>
  }
}

// -----

// The same by rotations; cosines and sines grow with the logarithm of the factor.
// CHECK-LABEL: exec.program @yarn
// CHECK: exec.rope @rope0 [1.000000e+00, 6.250000e-02, 2.500000e-03, 2.500000e-04] times 1.13862943611
nn.graph @yarn attributes {values = {}} {
  nn.entry @e ["q"] -> ["r", "s"] (%q: !nn.tensor<[tokens = 5, n = 2, d = 8], act>) {
    %r:2 = nn.rope %q, %q {theta = 10000.0, scaling = {type = "yarn", factor = 4.0, original_max_position_embeddings = 64}} : (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>) -> (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>)
    nn.yield %r#0, %r#1 : !nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>
  }
}

// -----

// The factor is given.
// CHECK-LABEL: exec.program @yarn_factor
// CHECK: exec.rope @rope0 [1.000000e+00, 6.250000e-02, 2.500000e-03, 2.500000e-04] times 5.000000e-01
nn.graph @yarn_factor attributes {values = {}} {
  nn.entry @e ["q"] -> ["r", "s"] (%q: !nn.tensor<[tokens = 5, n = 2, d = 8], act>) {
    %r:2 = nn.rope %q, %q {theta = 10000.0, scaling = {type = "yarn", factor = 4.0, original_max_position_embeddings = 64, attention_factor = 0.5}} : (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>) -> (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>)
    nn.yield %r#0, %r#1 : !nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>
  }
}

// -----

// The factor is the ratio of two scales: (0.1 ln 4 + 1) / (0.05 ln 4 + 1).
// CHECK-LABEL: exec.program @yarn_scales
// CHECK: times 1.06482
nn.graph @yarn_scales attributes {values = {}} {
  nn.entry @e ["q"] -> ["r", "s"] (%q: !nn.tensor<[tokens = 5, n = 2, d = 8], act>) {
    %r:2 = nn.rope %q, %q {theta = 10000.0, scaling = {type = "yarn", factor = 4.0, original_max_position_embeddings = 64, mscale = 1.0, mscale_all_dim = 0.5}} : (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>) -> (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>)
    nn.yield %r#0, %r#1 : !nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>
  }
}

// -----

// Positions of three numbers, each for some of the pairs.
// CHECK-LABEL: exec.program @mrope
// CHECK: "positions"] -> {{.*}}: memref<5x3xi32>
// CHECK: exec.rope @rope0 [1.000000e+00, 1.000000e-01, 0.00999999977, 1.000000e-03] times 1.000000e+00 axis [0, 1, 1, 2]
nn.graph @mrope attributes {values = {}} {
  nn.entry @e ["q"] -> ["r", "s"] (%q: !nn.tensor<[tokens = 5, n = 2, d = 8], act>) {
    %r:2 = nn.rope %q, %q {theta = 10000.0, scaling = {type = "mrope", mrope_section = [1, 2, 1]}} : (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>) -> (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>)
    nn.yield %r#0, %r#1 : !nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>
  }
}

// -----

// Two numbers, each for a half with the frequencies of a head half as large.
// CHECK-LABEL: exec.program @axial
// CHECK: memref<5x2xi32>
// CHECK: exec.rope @rope0 [1.000000e+00, 0.00999999977, 1.000000e+00, 0.00999999977] times 1.000000e+00 axis [0, 0, 1, 1]
nn.graph @axial attributes {values = {}} {
  nn.entry @e ["q"] -> ["r", "s"] (%q: !nn.tensor<[tokens = 5, n = 2, d = 8], act>) {
    %r:2 = nn.rope %q, %q {theta = 10000.0, scaling = unit, axial = true} : (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>) -> (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>)
    nn.yield %r#0, %r#1 : !nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>
  }
}

// -----

// Positions of the declaration: no kernel loads them, and there is no other input.
// CHECK-LABEL: exec.program @given
// CHECK: exec.func @e rows 5 ["q", "at"] -> ["r", "s"] (%arg0: memref<5x2x8xf32>, %[[AT:.*]]: memref<5xi32>,
// CHECK: exec.angles @rope0(%[[AT]], %[[ANGLES:.*]]) :
// CHECK: exec.rows @rows0(%arg0, %[[ANGLES]], %{{[^,]*}}, %{{[^,]*}}) :
nn.graph @given attributes {values = {}} {
  nn.entry @e ["q", "at"] -> ["r", "s"] (%q: !nn.tensor<[tokens = 5, n = 2, d = 8], act>, %at: !nn.tensor<[tokens = 5], i32>) {
    %r:2 = nn.rope %q, %q, %at {theta = 10000.0, scaling = unit} : (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5], i32>) -> (!nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>)
    nn.yield %r#0, %r#1 : !nn.tensor<[tokens = 5, n = 2, d = 8], act>, !nn.tensor<[tokens = 5, n = 2, d = 8], act>
  }
}
