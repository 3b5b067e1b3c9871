// RUN: mbc-opt --verify-selected --split-input-file --verify-diagnostics %s -o /dev/null

// Each case is of the constraint of dialects/Exec/README.md that it names.

// X21
// expected-error@+1 {{has become no command}}
nn.graph @G attributes {values = {}} {
}

// -----

// X22
exec.program @P f32 attributes {values = {}} {
  // expected-error@+1 {{'s' is used by no command}}
  exec.state @s f32 widths [4, 4] layers [0]
}

// -----

// X23
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 4 ["x"] -> [] (%x: memref<4x4xf32>) {
    // expected-error@+1 {{has a place before places are given}}
    %a = exec.buffer at 0 : memref<4x4xf32>
  }
}

// -----

// X23
exec.program @P f32 attributes {values = {}} {
  // expected-error@+1 {{has an arena before places are given}}
  exec.func @f rows 4 ["x"] -> [] arena 64 (%x: memref<4x4xf32>) {
  }
}

// -----

// X24: a weight of layers, outside of them.
exec.program @P f32 attributes {values = {}} {
  exec.weight @d.w memref<4xf32> layers [0, 1]
  exec.func @f rows 4 ["x"] -> [] (%x: memref<4x4xf32>) {
    // expected-error@+1 {{'d.w' is used outside of stack 'd'}}
    %w = exec.use @d.w : memref<4xf32>
  }
}

// -----

// X24: a layer that does not have it.
exec.program @P f32 attributes {values = {}} {
  exec.weight @d.w memref<4xf32> layers [0, 1]
  exec.func @f rows 4 ["x"] -> [] (%x: memref<4x4xf32>) {
    exec.repeat "d" runs [array<i64: 0, 0, 3>] {
      // expected-error@+1 {{'d.w' is used by layer 2, which has none}}
      %w = exec.use @d.w : memref<4xf32>
    }
  }
}

// -----

// X24: a state, likewise.
exec.program @P f32 attributes {values = {}} {
  exec.state @d.s f32 widths [4, 4] layers [0]
  exec.func @f rows 4 ["q", "k"] -> ["o"] (%q: memref<4x1x2x4xf32>, %k: memref<4x1x4xf32>, %o: memref<4x1x2x4xf32>) {
    exec.repeat "d" runs [array<i64: 0, 0, 2>] {
      // expected-error@+1 {{'d.s' is used by layer 1, which has none}}
      exec.attention(%q, %k, %k) -> %o state @d.s scale 1.0 causal true window 0 : memref<4x1x2x4xf32>, memref<4x1x4xf32>, memref<4x1x4xf32> -> memref<4x1x2x4xf32>
    }
  }
}

// -----

// X25
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 4 ["x", "y"] -> [] (%x: memref<4x4xf32>, %y: memref<4x4xf32>) {
    // expected-error@+1 {{writes input "y"}}
    exec.copy %x, %y : memref<4x4xf32>, memref<4x4xf32>
  }
}

// -----

// X25: through a window and a kernel.
exec.program @P f32 attributes {values = {}} {
  exec.weight @w memref<4x4xf32>
  exec.kernel @k operands 2 [#exec.step<"Load" operand 0 vectors 1 width 4 scalar 0.0>, #exec.step<"Store" of 0 operand 1 vectors 1 width 4 scalar 0.0>]
  exec.func @f rows 4 ["x"] -> [] (%x: memref<4x4xf32>) {
    %w = exec.use @w : memref<4x4xf32>
    %v = exec.subview %w from 0 : memref<4x4xf32> -> memref<4x2x2xf32>
    // expected-error@+1 {{writes a weight}}
    exec.rows @k(%x, %v) : memref<4x4xf32>, memref<4x2x2xf32>
  }
}

// -----

// X25
exec.program @P f32 attributes {values = {}} {
  // expected-error@+1 {{does not write output "y"}}
  exec.func @f rows 4 ["x"] -> ["y"] (%x: memref<4x4xf32>, %y: memref<4x4xf32>) {
  }
}

// -----

// X26
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 4 ["x"] -> ["y"] (%x: memref<4x4xf32>, %y: memref<4x4xf32>) {
    %a = exec.buffer : memref<4x4xf32>
    // expected-error@+1 {{reads a buffer that nothing has written}}
    exec.copy %a, %y : memref<4x4xf32>, memref<4x4xf32>
    exec.copy %x, %a : memref<4x4xf32>, memref<4x4xf32>
  }
}
