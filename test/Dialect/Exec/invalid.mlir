// RUN: mbc-opt %s --verify-diagnostics --split-input-file -o /dev/null

// Each case is of the constraint of dialects/Exec/README.md that it names.

// X01
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["i", "t", "o"] -> [] (%i: memref<3xi32>, %t: memref<9xf32>, %o: memref<3x4xf32>) {
    // expected-error@+1 {{table must have 2 dimensions, found 'memref<9xf32>'}}
    exec.embed %i, %t, %o : memref<3xi32>, memref<9xf32>, memref<3x4xf32>
  }
}

// -----

// X01
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["x", "w", "b", "o"] -> [] (%x: memref<3x4xf32>, %w: memref<2x4xf32>, %b: memref<1x2xf32>, %o: memref<3x2xf32>) {
    // expected-error@+1 {{bias must have 1 dimensions}}
    exec.gemm %x, %w, %b, %o : memref<3x4xf32>, memref<2x4xf32>, memref<1x2xf32>, memref<3x2xf32>
  }
}

// -----

// X01
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["x", "w", "o"] -> [] (%x: memref<3x4x1xf32>, %w: memref<2x4xf32>, %o: memref<3x2xf32>) {
    // expected-error@+1 {{x must have 2 dimensions}}
    exec.gemm %x, %w, %o : memref<3x4x1xf32>, memref<2x4xf32>, memref<3x2xf32>
  }
}

// -----

// X01
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["x", "r", "o"] -> [] (%x: memref<3x4xf32>, %r: memref<2x1xi32>, %o: memref<2x4xf32>) {
    // expected-error@+1 {{rows must have 1 dimensions}}
    exec.take %x, %r, %o : memref<3x4xf32>, memref<2x1xi32>, memref<2x4xf32>
  }
}

// -----

// X01
exec.program @P f32 attributes {values = {}} {
  exec.rope @r [1.0, 0.5] times 1.0
  exec.func @f rows 3 ["p", "o"] -> [] (%p: memref<3xi32>, %o: memref<12xf32>) {
    // expected-error@+1 {{out must have 2 dimensions}}
    exec.angles @r(%p, %o) : memref<3xi32>, memref<12xf32>
  }
}

// -----

// X01
exec.program @P f32 attributes {values = {}} {
  exec.rope @r [1.0, 0.5] times 1.0 axis [0, 1]
  exec.func @f rows 3 ["p", "o"] -> [] (%p: memref<3xi32>, %o: memref<3x4xf32>) {
    // expected-error@+1 {{positions must have 2 dimensions}}
    exec.angles @r(%p, %o) : memref<3xi32>, memref<3x4xf32>
  }
}

// -----

// X01
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["q", "k", "v", "o"] -> [] (%q: memref<3x4x4xf32>, %k: memref<3x2x4xf32>, %v: memref<3x2x4xf32>, %o: memref<3x2x2x4xf32>) {
    // expected-error@+1 {{q must have 4 dimensions}}
    exec.attention(%q, %k, %v) -> %o scale 1.0 causal true window 0 : memref<3x4x4xf32>, memref<3x2x4xf32>, memref<3x2x4xf32> -> memref<3x2x2x4xf32>
  }
}

// -----

// X01
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["q", "k", "v", "o"] -> [] (%q: memref<3x2x2x4xf32>, %k: memref<3x2x1x4xf32>, %v: memref<3x2x4xf32>, %o: memref<3x2x2x4xf32>) {
    // expected-error@+1 {{k must have 3 dimensions}}
    exec.attention(%q, %k, %v) -> %o scale 1.0 causal true window 0 : memref<3x2x2x4xf32>, memref<3x2x1x4xf32>, memref<3x2x4xf32> -> memref<3x2x2x4xf32>
  }
}

// -----

// X02
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["i", "t", "o"] -> [] (%i: memref<3xi32>, %t: memref<9x4xf32>, %o: memref<2x4xf32>) {
    // expected-error@+1 {{rows of out is 2, expected 3}}
    exec.embed %i, %t, %o : memref<3xi32>, memref<9x4xf32>, memref<2x4xf32>
  }
}

// -----

// X02
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["i", "t", "o"] -> [] (%i: memref<3xi32>, %t: memref<9x4xf32>, %o: memref<3x5xf32>) {
    // expected-error@+1 {{columns of out is 5, expected 4}}
    exec.embed %i, %t, %o : memref<3xi32>, memref<9x4xf32>, memref<3x5xf32>
  }
}

// -----

// X02
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["x", "w", "o"] -> [] (%x: memref<3x4xf32>, %w: memref<2x5xf32>, %o: memref<3x2xf32>) {
    // expected-error@+1 {{columns of weight is 5, expected 4}}
    exec.gemm %x, %w, %o : memref<3x4xf32>, memref<2x5xf32>, memref<3x2xf32>
  }
}

// -----

// X02
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["x", "w", "o"] -> [] (%x: memref<3x4xf32>, %w: memref<2x4xf32>, %o: memref<2x2xf32>) {
    // expected-error@+1 {{rows of out is 2, expected 3}}
    exec.gemm %x, %w, %o : memref<3x4xf32>, memref<2x4xf32>, memref<2x2xf32>
  }
}

// -----

// X02
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["x", "w", "o"] -> [] (%x: memref<3x4xf32>, %w: memref<2x4xf32>, %o: memref<3x3xf32>) {
    // expected-error@+1 {{columns of out is 3, expected 2}}
    exec.gemm %x, %w, %o : memref<3x4xf32>, memref<2x4xf32>, memref<3x3xf32>
  }
}

// -----

// X02
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["x", "w", "b", "o"] -> [] (%x: memref<3x4xf32>, %w: memref<2x4xf32>, %b: memref<3xf32>, %o: memref<3x2xf32>) {
    // expected-error@+1 {{size of bias is 3, expected 2}}
    exec.gemm %x, %w, %b, %o : memref<3x4xf32>, memref<2x4xf32>, memref<3xf32>, memref<3x2xf32>
  }
}

// -----

// X02
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["x", "r", "o"] -> [] (%x: memref<3x4xf32>, %r: memref<2xi32>, %o: memref<3x4xf32>) {
    // expected-error@+1 {{rows of out is 3, expected 2}}
    exec.take %x, %r, %o : memref<3x4xf32>, memref<2xi32>, memref<3x4xf32>
  }
}

// -----

// X02
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["x", "r", "o"] -> [] (%x: memref<3x4xf32>, %r: memref<2xi32>, %o: memref<2x5xf32>) {
    // expected-error@+1 {{columns of out is 5, expected 4}}
    exec.take %x, %r, %o : memref<3x4xf32>, memref<2xi32>, memref<2x5xf32>
  }
}

// -----

// X02
exec.program @P f32 attributes {values = {}} {
  exec.rope @r [1.0, 0.5] times 1.0
  exec.func @f rows 3 ["p", "o"] -> [] (%p: memref<3xi32>, %o: memref<3x2xf32>) {
    // expected-error@+1 {{columns of out is 2, expected 4}}
    exec.angles @r(%p, %o) : memref<3xi32>, memref<3x2xf32>
  }
}

// -----

// X02
exec.program @P f32 attributes {values = {}} {
  exec.rope @r [1.0, 0.5] times 1.0
  exec.func @f rows 3 ["p", "o"] -> [] (%p: memref<3xi32>, %o: memref<2x4xf32>) {
    // expected-error@+1 {{rows of out is 2, expected 3}}
    exec.angles @r(%p, %o) : memref<3xi32>, memref<2x4xf32>
  }
}

// -----

// X02
exec.program @P f32 attributes {values = {}} {
  exec.rope @r [1.0, 0.5] times 1.0 axis [0, 2]
  exec.func @f rows 3 ["p", "o"] -> [] (%p: memref<3x2xi32>, %o: memref<3x4xf32>) {
    // expected-error@+1 {{positions have 2 numbers, the rope turns by 3}}
    exec.angles @r(%p, %o) : memref<3x2xi32>, memref<3x4xf32>
  }
}

// -----

// X02
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["q", "k", "v", "o"] -> [] (%q: memref<3x2x2x4xf32>, %k: memref<2x2x4xf32>, %v: memref<3x2x4xf32>, %o: memref<3x2x2x4xf32>) {
    // expected-error@+1 {{rows of k is 2, expected 3}}
    exec.attention(%q, %k, %v) -> %o scale 1.0 causal true window 0 : memref<3x2x2x4xf32>, memref<2x2x4xf32>, memref<3x2x4xf32> -> memref<3x2x2x4xf32>
  }
}

// -----

// X02
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["q", "k", "v", "o"] -> [] (%q: memref<3x2x2x4xf32>, %k: memref<3x2x4xf32>, %v: memref<2x2x4xf32>, %o: memref<3x2x2x4xf32>) {
    // expected-error@+1 {{rows of v is 2, expected 3}}
    exec.attention(%q, %k, %v) -> %o scale 1.0 causal true window 0 : memref<3x2x2x4xf32>, memref<3x2x4xf32>, memref<2x2x4xf32> -> memref<3x2x2x4xf32>
  }
}

// -----

// X02
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["q", "k", "v", "o"] -> [] (%q: memref<3x2x2x4xf32>, %k: memref<3x2x4xf32>, %v: memref<3x2x4xf32>, %o: memref<2x2x2x4xf32>) {
    // expected-error@+1 {{rows of out is 2, expected 3}}
    exec.attention(%q, %k, %v) -> %o scale 1.0 causal true window 0 : memref<3x2x2x4xf32>, memref<3x2x4xf32>, memref<3x2x4xf32> -> memref<2x2x2x4xf32>
  }
}

// -----

// X02
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["q", "k", "v", "o"] -> [] (%q: memref<3x2x2x4xf32>, %k: memref<3x1x4xf32>, %v: memref<3x2x4xf32>, %o: memref<3x2x2x4xf32>) {
    // expected-error@+1 {{number of key heads is 1, expected 2}}
    exec.attention(%q, %k, %v) -> %o scale 1.0 causal true window 0 : memref<3x2x2x4xf32>, memref<3x1x4xf32>, memref<3x2x4xf32> -> memref<3x2x2x4xf32>
  }
}

// -----

// X02
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["q", "k", "v", "o"] -> [] (%q: memref<3x2x2x4xf32>, %k: memref<3x2x4xf32>, %v: memref<3x1x4xf32>, %o: memref<3x2x2x4xf32>) {
    // expected-error@+1 {{number of value heads is 1, expected 2}}
    exec.attention(%q, %k, %v) -> %o scale 1.0 causal true window 0 : memref<3x2x2x4xf32>, memref<3x2x4xf32>, memref<3x1x4xf32> -> memref<3x2x2x4xf32>
  }
}

// -----

// X02
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["q", "k", "v", "o"] -> [] (%q: memref<3x2x2x4xf32>, %k: memref<3x2x5xf32>, %v: memref<3x2x4xf32>, %o: memref<3x2x2x4xf32>) {
    // expected-error@+1 {{size of keys is 5, expected 4}}
    exec.attention(%q, %k, %v) -> %o scale 1.0 causal true window 0 : memref<3x2x2x4xf32>, memref<3x2x5xf32>, memref<3x2x4xf32> -> memref<3x2x2x4xf32>
  }
}

// -----

// X02
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["q", "k", "v", "o"] -> [] (%q: memref<3x2x2x4xf32>, %k: memref<3x2x4xf32>, %v: memref<3x2x4xf32>, %o: memref<3x2x2x5xf32>) {
    // expected-error@+1 {{size of out is 5, expected 4}}
    exec.attention(%q, %k, %v) -> %o scale 1.0 causal true window 0 : memref<3x2x2x4xf32>, memref<3x2x4xf32>, memref<3x2x4xf32> -> memref<3x2x2x5xf32>
  }
}

// -----

// X02
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["q", "k", "v", "o"] -> [] (%q: memref<3x2x2x4xf32>, %k: memref<3x2x4xf32>, %v: memref<3x2x4xf32>, %o: memref<3x1x2x4xf32>) {
    // expected-error@+1 {{number of heads of out is 1, expected 2}}
    exec.attention(%q, %k, %v) -> %o scale 1.0 causal true window 0 : memref<3x2x2x4xf32>, memref<3x2x4xf32>, memref<3x2x4xf32> -> memref<3x1x2x4xf32>
  }
}

// -----

// X02
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["q", "k", "v", "o"] -> [] (%q: memref<3x2x2x4xf32>, %k: memref<3x2x4xf32>, %v: memref<3x2x4xf32>, %o: memref<3x2x1x4xf32>) {
    // expected-error@+1 {{group of out is 1, expected 2}}
    exec.attention(%q, %k, %v) -> %o scale 1.0 causal true window 0 : memref<3x2x2x4xf32>, memref<3x2x4xf32>, memref<3x2x4xf32> -> memref<3x2x1x4xf32>
  }
}

// -----

// X03
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["i", "t", "o"] -> [] (%i: memref<3xf32>, %t: memref<9x4xf32>, %o: memref<3x4xf32>) {
    // expected-error@+1 {{ids must be i32, found 'memref<3xf32>'}}
    exec.embed %i, %t, %o : memref<3xf32>, memref<9x4xf32>, memref<3x4xf32>
  }
}

// -----

// X03
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["x", "r", "o"] -> [] (%x: memref<3x4xf32>, %r: memref<2xf32>, %o: memref<2x4xf32>) {
    // expected-error@+1 {{rows must be i32}}
    exec.take %x, %r, %o : memref<3x4xf32>, memref<2xf32>, memref<2x4xf32>
  }
}

// -----

// X03
exec.program @P f32 attributes {values = {}} {
  exec.rope @r [1.0, 0.5] times 1.0
  exec.func @f rows 3 ["p", "o"] -> [] (%p: memref<3xf32>, %o: memref<3x4xf32>) {
    // expected-error@+1 {{positions must be i32}}
    exec.angles @r(%p, %o) : memref<3xf32>, memref<3x4xf32>
  }
}

// -----

// X04
exec.program @P f32 attributes {values = {}} {
  // expected-error@+1 {{dynamic must be [theta, factor, original length]}}
  exec.rope @r [1.0] times 1.0 dynamic [1.0, 2.0]
}

// -----

// X04
exec.program @P f32 attributes {values = {}} {
  // expected-error@+1 {{axis is for 1 pairs, inv_freq for 2}}
  exec.rope @r [1.0, 0.5] times 1.0 axis [0]
}

// -----

// X05
exec.program @P f32 attributes {values = {}} {
  // expected-error@+1 {{step 0 is of unknown kind 'Tanh'}}
  exec.kernel @k operands 1 [#exec.step<"Tanh" of 0 operand 0 vectors 1 width 4 scalar 0.0 : f64>]
}

// -----

// X05
exec.program @P f32 attributes {values = {}} {
  // expected-error@+1 {{step 1 'Add' has 1 inputs, expected 2}}
  exec.kernel @k operands 1 [#exec.step<"Load" operand 0 vectors 1 width 4 scalar 0.0 : f64>, #exec.step<"Add" of 0 operand 0 vectors 1 width 4 scalar 0.0 : f64>]
}

// -----

// X05
exec.program @P f32 attributes {values = {}} {
  // expected-error@+1 {{step 1 uses step 1, which is not before it}}
  exec.kernel @k operands 1 [#exec.step<"Load" operand 0 vectors 1 width 4 scalar 0.0 : f64>, #exec.step<"Store" of 1 operand 0 vectors 1 width 4 scalar 0.0 : f64>]
}

// -----

// X05
exec.program @P f32 attributes {values = {}} {
  // expected-error@+1 {{step 1 uses step -1, which is not before it}}
  exec.kernel @k operands 1 [#exec.step<"Load" operand 0 vectors 1 width 4 scalar 0.0 : f64>, #exec.step<"Store" of -1 operand 0 vectors 1 width 4 scalar 0.0 : f64>]
}

// -----

// X05
exec.program @P f32 attributes {values = {}} {
  // expected-error@+1 {{step 0 is about operand 2 of 2}}
  exec.kernel @k operands 2 [#exec.step<"Load" operand 2 vectors 1 width 4 scalar 0.0 : f64>]
}

// -----

// X05
exec.program @P f32 attributes {values = {}} {
  // expected-error@+1 {{step 0 has no elements}}
  exec.kernel @k operands 1 [#exec.step<"Load" operand 0 vectors 1 width 0 scalar 0.0 : f64>]
}

// -----

// X06
exec.program @P f32 attributes {values = {}} {
  // expected-error@+1 {{has 1 arguments, and names for 2}}
  exec.func @f rows 3 ["a"] -> ["b"] (%a: memref<3xi32>) {
  }
}

// -----

// X07
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 [] -> [] () {
    // expected-error@+1 {{unknown weight 'none'}}
    %w = exec.use @none : memref<4xf32>
  }
}

// -----

// X07
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["x"] -> [] (%x: memref<3x4xf32>) {
    // expected-error@+1 {{unknown kernel 'none'}}
    exec.rows @none(%x) : memref<3x4xf32>
  }
}

// -----

// X07
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["p", "o"] -> [] (%p: memref<3xi32>, %o: memref<3x4xf32>) {
    // expected-error@+1 {{unknown rope 'none'}}
    exec.angles @none(%p, %o) : memref<3xi32>, memref<3x4xf32>
  }
}

// -----

// X07
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["q", "k", "v", "o"] -> [] (%q: memref<3x2x2x4xf32>, %k: memref<3x2x4xf32>, %v: memref<3x2x4xf32>, %o: memref<3x2x2x4xf32>) {
    // expected-error@+1 {{unknown state 'none'}}
    exec.attention(%q, %k, %v) -> %o state @none scale 1.0 causal true window 0 : memref<3x2x2x4xf32>, memref<3x2x4xf32>, memref<3x2x4xf32> -> memref<3x2x2x4xf32>
  }
}

// -----

// X07: a symbol of another kind.
exec.program @P f32 attributes {values = {}} {
  exec.rope @r [1.0, 0.5] times 1.0
  exec.func @f rows 3 [] -> [] () {
    // expected-error@+1 {{unknown weight 'r'}}
    %w = exec.use @r : memref<4xf32>
  }
}

// -----

// X08
exec.program @P f32 attributes {values = {}} {
  exec.weight @w memref<4xf32>
  exec.func @f rows 3 [] -> [] () {
    // expected-error@+1 {{is 'memref<5xf32>', the weight 'memref<4xf32>'}}
    %w = exec.use @w : memref<5xf32>
  }
}

// -----

// X09
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["x"] -> [] (%x: memref<3x4xf32>) {
    // expected-error@+1 {{reaches element 13 of 12}}
    %v = exec.subview %x from 9 : memref<3x4xf32> -> memref<4xf32>
  }
}

// -----

// X09: strides count.
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["x"] -> [] (%x: memref<3x4xf32>) {
    // expected-error@+1 {{reaches element 13 of 12}}
    %v = exec.subview %x from 2 : memref<3x4xf32> -> memref<3x3xf32, strided<[4, 1]>>
  }
}

// -----

// X09
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["x"] -> [] (%x: memref<3x4xf32>) {
    // expected-error@+1 {{reaches element 3 of 12}}
    %v = exec.subview %x from -1 : memref<3x4xf32> -> memref<4xf32>
  }
}

// -----

// X09
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["x"] -> [] (%x: memref<3x4xf32>) {
    // expected-error@+1 {{must keep the element type}}
    %v = exec.subview %x from 0 : memref<3x4xf32> -> memref<4xbf16>
  }
}

// -----

// X09
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["x"] -> [] (%x: memref<3x4xf32>) {
    %v = exec.subview %x from 4 : memref<3x4xf32> -> memref<2x4xf32>
    // expected-error@+1 {{must be of a whole, found a subview}}
    %u = exec.subview %v from 0 : memref<2x4xf32> -> memref<4xf32>
  }
}

// -----

// X10
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["x", "w", "o"] -> [] (%x: memref<3x4xf32, strided<[8, 2]>>, %w: memref<2x4xf32>, %o: memref<3x2xf32>) {
    // expected-error@+1 {{x must have dense rows}}
    exec.gemm %x, %w, %o : memref<3x4xf32, strided<[8, 2]>>, memref<2x4xf32>, memref<3x2xf32>
  }
}

// -----

// X10
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["x", "w", "b", "o"] -> [] (%x: memref<3x4xf32>, %w: memref<2x4xf32>, %b: memref<2xf32, strided<[3]>>, %o: memref<3x2xf32>) {
    // expected-error@+1 {{bias must have dense rows}}
    exec.gemm %x, %w, %b, %o : memref<3x4xf32>, memref<2x4xf32>, memref<2xf32, strided<[3]>>, memref<3x2xf32>
  }
}

// -----

// X10
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["i", "t", "o"] -> [] (%i: memref<3xi32>, %t: memref<9x4xf32>, %o: memref<3x4xf32, strided<[8, 2]>>) {
    // expected-error@+1 {{out must have dense rows}}
    exec.embed %i, %t, %o : memref<3xi32>, memref<9x4xf32>, memref<3x4xf32, strided<[8, 2]>>
  }
}

// -----

// X10
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["x", "r", "o"] -> [] (%x: memref<3x4xf32, strided<[8, 2]>>, %r: memref<2xi32>, %o: memref<2x4xf32>) {
    // expected-error@+1 {{x must have dense rows}}
    exec.take %x, %r, %o : memref<3x4xf32, strided<[8, 2]>>, memref<2xi32>, memref<2x4xf32>
  }
}

// -----

// X10
exec.program @P f32 attributes {values = {}} {
  exec.rope @r [1.0, 0.5] times 1.0
  exec.func @f rows 3 ["p", "o"] -> [] (%p: memref<3xi32>, %o: memref<3x4xf32, strided<[8, 2]>>) {
    // expected-error@+1 {{out must have dense rows}}
    exec.angles @r(%p, %o) : memref<3xi32>, memref<3x4xf32, strided<[8, 2]>>
  }
}

// -----

// X10
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["q", "k", "v", "o"] -> [] (%q: memref<3x2x2x4xf32>, %k: memref<3x2x4xf32, strided<[16, 8, 2]>>, %v: memref<3x2x4xf32>, %o: memref<3x2x2x4xf32>) {
    // expected-error@+1 {{k must have dense rows}}
    exec.attention(%q, %k, %v) -> %o scale 1.0 causal true window 0 : memref<3x2x2x4xf32>, memref<3x2x4xf32, strided<[16, 8, 2]>>, memref<3x2x4xf32> -> memref<3x2x2x4xf32>
  }
}

// -----

// X11
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["a", "b"] -> [] (%a: memref<3x4xf32>, %b: memref<4x3xf32>) {
    // expected-error@+1 {{from 'memref<3x4xf32>' to 'memref<4x3xf32>'}}
    exec.copy %a, %b : memref<3x4xf32>, memref<4x3xf32>
  }
}

// -----

// X12
exec.program @P f32 attributes {values = {}} {
  exec.kernel @k operands 2 [#exec.step<"Load" operand 0 vectors 1 width 4 scalar 0.0 : f64>, #exec.step<"Store" of 0 operand 1 vectors 1 width 4 scalar 0.0 : f64>]
  exec.func @f rows 3 ["a"] -> [] (%a: memref<3x4xf32>) {
    // expected-error@+1 {{has 1 views, the kernel 2 operands}}
    exec.rows @k(%a) : memref<3x4xf32>
  }
}

// -----

// X12
exec.program @P f32 attributes {values = {}} {
  exec.kernel @k operands 2 [#exec.step<"Load" operand 0 vectors 1 width 4 scalar 0.0 : f64>, #exec.step<"Store" of 0 operand 1 vectors 1 width 4 scalar 0.0 : f64>]
  exec.func @f rows 3 ["a", "b"] -> [] (%a: memref<3x5xf32>, %b: memref<3x4xf32>) {
    // expected-error@+1 {{operand 0 has 5 elements a row, the kernel takes 4}}
    exec.rows @k(%a, %b) : memref<3x5xf32>, memref<3x4xf32>
  }
}

// -----

// X12: a weight has no rows.
exec.program @P f32 attributes {values = {}} {
  exec.kernel @k operands 2 [#exec.step<"Load" operand 0 vectors 1 width 4 scalar 0.0 : f64>, #exec.step<"Store" of 0 operand 1 vectors 1 width 4 scalar 0.0 : f64>]
  exec.weight @w memref<3x4xf32>
  exec.func @f rows 3 ["b"] -> [] (%b: memref<3x4xf32>) {
    %w = exec.use @w : memref<3x4xf32>
    // expected-error@+1 {{operand 0 has 12 elements a row, the kernel takes 4}}
    exec.rows @k(%w, %b) : memref<3x4xf32>, memref<3x4xf32>
  }
}

// -----

// X12
exec.program @P f32 attributes {values = {}} {
  exec.kernel @k operands 2 [#exec.step<"Load" operand 0 vectors 1 width 4 scalar 0.0 : f64>, #exec.step<"Store" of 0 operand 1 vectors 1 width 4 scalar 0.0 : f64>]
  exec.func @f rows 3 ["a", "b"] -> [] (%a: memref<3x4xf32>, %b: memref<2x4xf32>) {
    // expected-error@+1 {{has views of 3 and of 2 rows}}
    exec.rows @k(%a, %b) : memref<3x4xf32>, memref<2x4xf32>
  }
}

// -----

// X12
exec.program @P f32 attributes {values = {}} {
  exec.kernel @k operands 2 [#exec.step<"Load" operand 0 vectors 1 width 4 scalar 0.0 : f64>, #exec.step<"Store" of 0 operand 1 vectors 1 width 4 scalar 0.0 : f64>]
  exec.func @f rows 3 ["a", "b"] -> [] (%a: memref<3x4xi32>, %b: memref<3x4xf32>) {
    // expected-error@+1 {{operand 0 must be of floats, found 'memref<3x4xi32>'}}
    exec.rows @k(%a, %b) : memref<3x4xi32>, memref<3x4xf32>
  }
}

// -----

// X13
exec.program @P f32 attributes {values = {}} {
  exec.state @s f32 widths [8, 4] layers []
  exec.func @f rows 3 ["q", "k", "v", "o"] -> [] (%q: memref<3x2x2x4xf32>, %k: memref<3x2x4xf32>, %v: memref<3x2x4xf32>, %o: memref<3x2x2x4xf32>) {
    // expected-error@+1 {{keeps 8 and 8 elements, the state's rows are array<i64: 8, 4>}}
    exec.attention(%q, %k, %v) -> %o state @s scale 1.0 causal true window 0 : memref<3x2x2x4xf32>, memref<3x2x4xf32>, memref<3x2x4xf32> -> memref<3x2x2x4xf32>
  }
}

// -----

// X14
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 [] -> [] () {
    // expected-error@+1 {{run must be [body, first, count]}}
    exec.repeat "d" runs [array<i64: 0, 0>] {
      %x = exec.buffer : memref<4xf32>
    }
  }
}

// -----

// X14
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 [] -> [] () {
    // expected-error@+1 {{run must be [body, first, count]}}
    exec.repeat "d" runs [array<i64: 1, 0, 1>] {
      %x = exec.buffer : memref<4xf32>
    }
  }
}

// -----

// X14
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 [] -> [] () {
    // expected-error@+1 {{run must be [body, first, count]}}
    exec.repeat "d" runs [array<i64: 0, 0, 0>] {
      %x = exec.buffer : memref<4xf32>
    }
  }
}

// -----

// X14
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 [] -> [] () {
    // expected-error@+1 {{run starts at layer 3, expected 2}}
    exec.repeat "d" runs [array<i64: 0, 0, 2>, array<i64: 0, 3, 1>] {
      %x = exec.buffer : memref<4xf32>
    }
  }
}

// -----

// X14
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 [] -> [] () {
    exec.repeat "d" runs [array<i64: 0, 0, 1>] {
    // expected-error@+1 {{must not be inside of another one}}
    exec.repeat "e" runs [array<i64: 0, 0, 1>] {
        %x = exec.buffer : memref<4xf32>
      }
    }
  }
}

// -----

// X15
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 [] -> [] () {
    // expected-error@+1 {{must be memref of f32, bf16, f16 or i32 with static sizes and strides}}
    %b = exec.buffer : memref<?x4xf32>
  }
}

// -----

// X15
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 [] -> [] () {
    // expected-error@+1 {{must be memref of f32, bf16, f16 or i32 with static sizes and strides}}
    %b = exec.buffer : memref<3x4xf32, strided<[?, 1]>>
  }
}

// -----

// X15
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 [] -> [] () {
    // expected-error@+1 {{must be memref of f32, bf16, f16 or i32 with static sizes and strides}}
    %b = exec.buffer : memref<3x4xf32, strided<[4, 1], offset: 2>>
  }
}

// -----

// X15
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 [] -> [] () {
    // expected-error@+1 {{must be memref of f32, bf16, f16 or i32 with static sizes and strides}}
    %b = exec.buffer : memref<3x4xf32, strided<[-4, 1]>>
  }
}

// -----

// X15
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 [] -> [] () {
    // expected-error@+1 {{must be memref of f32, bf16, f16 or i32 with static sizes and strides}}
    %b = exec.buffer : memref<f32>
  }
}

// -----

// X15
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 [] -> [] () {
    // expected-error@+1 {{must be memref of f32, bf16, f16 or i32 with static sizes and strides}}
    %b = exec.buffer : memref<0x4xf32>
  }
}

// -----

// X15
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 [] -> [] () {
    // expected-error@+1 {{must be memref of f32, bf16, f16 or i32 with static sizes and strides}}
    %b = exec.buffer : memref<3x4xf64>
  }
}

// -----

// X15
exec.program @P f32 attributes {values = {}} {
  // expected-error@+1 {{argument 0 is 'memref<?xi32>', expected a memref of static sizes}}
  exec.func @f rows 3 ["a"] -> [] (%a: memref<?xi32>) {
  }
}

// -----

// X16
exec.program @P f32 attributes {values = {}} {
  // expected-error@+1 {{needs a target and bytes}}
  exec.image "x86-64-v3" []
}

// -----

// X16
exec.program @P f32 attributes {values = {}} {
  // expected-error@+1 {{needs a target and bytes}}
  exec.image "" [1]
}

// -----

// X16
exec.program @P f32 attributes {values = {}} {
  exec.kernel @k operands 1 []
  exec.func @f rows 3 [] -> [] () {
    %b = exec.buffer : memref<3x4xf32>
    // expected-error@+1 {{unknown entry 'k'}}
    exec.rows @k(%b) code @k : memref<3x4xf32>
  }
}

// -----

// X17
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 [] -> ["seen"] (%seen: memref<3x2x4xf32>) {
    %b = exec.buffer : memref<3x4xf32>
    // expected-error@+1 {{fills 'memref<3x2x4xf32>', expected an output of 'memref<3x1x4xf32>'}}
    exec.tap %b, %seen : memref<3x4xf32>, memref<3x2x4xf32>
  }
}

// -----

// X17
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 [] -> ["seen"] (%seen: memref<3x2x4xf32>) {
    %b = exec.buffer : memref<3x4xf32>
    exec.repeat "decoder" runs [array<i64: 0, 0, 3>] {
      // expected-error@+1 {{expected an output of 'memref<3x3x4xf32>'}}
      exec.tap %b, %seen : memref<3x4xf32>, memref<3x2x4xf32>
    }
  }
}

// -----

// X17
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 [] -> [] () {
    %b = exec.buffer : memref<3x4xf32>
    %seen = exec.buffer : memref<3x1x4xf32>
    // expected-error@+1 {{expected an output}}
    exec.tap %b, %seen : memref<3x4xf32>, memref<3x1x4xf32>
  }
}

// -----

// X17
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 [] -> ["seen"] (%seen: memref<3x1x4xi32>) {
    %b = exec.buffer : memref<3x4xi32>
    // expected-error@+1 {{expected an output of 'memref<3x1x4xf32>'}}
    exec.tap %b, %seen : memref<3x4xi32>, memref<3x1x4xi32>
  }
}

// -----

// X02
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 [] -> [] () {
    %x = exec.buffer : memref<6x4xf32>
    %w = exec.buffer : memref<5x7x4xf32>
    %o = exec.buffer : memref<5xi32>
    %y = exec.buffer : memref<6x7xf32>
    // expected-error@+1 {{size of offsets is 5, expected 6}}
    exec.grouped_gemm %x, %w, %o, %y : memref<6x4xf32>, memref<5x7x4xf32>, memref<5xi32>, memref<6x7xf32>
  }
}

// -----

// X02
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 [] -> [] () {
    %x = exec.buffer : memref<3x4xf32>
    %p = exec.buffer : memref<3x2xi32>
    %y = exec.buffer : memref<3x4xf32>
    // expected-error@+1 {{rows of out is 3, expected 6}}
    exec.scatter %x, %p, %y : memref<3x4xf32>, memref<3x2xi32>, memref<3x4xf32>
  }
}

// -----

// X03
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 [] -> [] () {
    %l = exec.buffer : memref<3x8xbf16>
    %w = exec.buffer : memref<3x2xf32>
    %i = exec.buffer : memref<3x2xi32>
    // expected-error@+1 {{logits must be f32, found 'memref<3x8xbf16>'}}
    exec.route %l, %w, %i {score = "Softmax", method = "Greedy", renorm = true, groups = 1 : i64, group_topk = 1 : i64, scale = 1.0 : f64} : memref<3x8xbf16>, memref<3x2xf32>, memref<3x2xi32>
  }
}

// -----

// X11
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 [] -> [] () {
    %y = exec.buffer : memref<6x4xf32>
    %w = exec.buffer : memref<3x1xf32>
    %p = exec.buffer : memref<3x2xi32>
    %o = exec.buffer : memref<3x4xf32>
    // expected-error@+1 {{has weights 'memref<3x1xf32>' for places 'memref<3x2xi32>'}}
    exec.combine %y, %w, %p, %o : memref<6x4xf32>, memref<3x1xf32>, memref<3x2xi32>, memref<3x4xf32>
  }
}

// -----

// X11
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 [] -> [] () {
    %i = exec.buffer : memref<3x2xi32>
    %p = exec.buffer : memref<3x3xi32>
    %o = exec.buffer : memref<9xi32>
    // expected-error@+1 {{from 'memref<3x2xi32>' to 'memref<3x3xi32>'}}
    exec.group %i, %p, %o : memref<3x2xi32>, memref<3x3xi32>, memref<9xi32>
  }
}

// -----

// X13
exec.program @P f32 attributes {values = {}} {
  exec.state @s f32 widths [6, 3] layers []
  exec.func @f rows 3 [] -> [] () {
    %qn = exec.buffer : memref<3x2x5xf32>
    %qr = exec.buffer : memref<3x2x4xf32>
    %c = exec.buffer : memref<3x6xf32>
    %kr = exec.buffer : memref<3x4xf32>
    %up = exec.buffer : memref<2x8x6xf32>
    %out = exec.buffer : memref<3x2x3xf32>
    // expected-error@+1 {{keeps 6 and 4 elements, the state's rows are array<i64: 6, 3>}}
    exec.latent_attention(%qn, %qr, %c, %kr, %up) -> %out state @s scale 0.5 absorbed true : memref<3x2x5xf32>, memref<3x2x4xf32>, memref<3x6xf32>, memref<3x4xf32>, memref<2x8x6xf32> -> memref<3x2x3xf32>
  }
}

// -----

// X27
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 [] -> [] () {
    %l = exec.buffer : memref<3x8xf32>
    %w = exec.buffer : memref<3x5xf32>
    %i = exec.buffer : memref<3x5xi32>
    // expected-error@+1 {{cannot choose 5 of 8 experts from 2 of 4 groups}}
    exec.route %l, %w, %i {score = "Softmax", method = "NoauxTc", renorm = true, groups = 4 : i64, group_topk = 2 : i64, scale = 1.0 : f64} : memref<3x8xf32>, memref<3x5xf32>, memref<3x5xi32>
  }
}

// -----

// X27
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 [] -> [] () {
    %l = exec.buffer : memref<3x8xf32>
    %w = exec.buffer : memref<3x2xf32>
    %i = exec.buffer : memref<3x2xi32>
    // expected-error@+1 {{has no scores 'Tanh' or no method 'Greedy'}}
    exec.route %l, %w, %i {score = "Tanh", method = "Greedy", renorm = true, groups = 1 : i64, group_topk = 1 : i64, scale = 1.0 : f64} : memref<3x8xf32>, memref<3x2xf32>, memref<3x2xi32>
  }
}

// -----

// X28
exec.program @P f32 attributes {values = {}} {
  exec.state @s f32 widths [2, 2] layers []
  exec.func @f rows 3 ["ends"] -> [] (%ends: memref<3xi32>) {
    %q = exec.buffer : memref<3x1x1x2xf32>
    %k = exec.buffer : memref<3x1x2xf32>
    // expected-error@+1 {{has a state, and parts that only rows of one call can have}}
    exec.attention(%q, %k, %k) ends %ends -> %q state @s scale 1.0 causal false window 0 : memref<3x1x1x2xf32>, memref<3x1x2xf32>, memref<3x1x2xf32>, memref<3xi32> -> memref<3x1x1x2xf32>
  }
}

// -----

// X02
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["ends"] -> [] (%ends: memref<2xi32>) {
    %q = exec.buffer : memref<3x1x1x2xf32>
    %k = exec.buffer : memref<3x1x2xf32>
    // expected-error@+1 {{rows of ends is 2, expected 3}}
    exec.attention(%q, %k, %k) ends %ends -> %q scale 1.0 causal false window 0 : memref<3x1x1x2xf32>, memref<3x1x2xf32>, memref<3x1x2xf32>, memref<2xi32> -> memref<3x1x1x2xf32>
  }
}

// -----

// X03
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["places"] -> [] (%places: memref<3xf32>) {
    %x = exec.buffer : memref<3x4xf32>
    // expected-error@+1 {{places must be i32}}
    exec.place %x, %places, %x : memref<3x4xf32>, memref<3xf32>, memref<3x4xf32>
  }
}

// -----

// X02
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["places"] -> [] (%places: memref<3xi32>) {
    %x = exec.buffer : memref<3x4xf32>
    %y = exec.buffer : memref<2x5xf32>
    // expected-error@+1 {{columns of features is 5, expected 4}}
    exec.place %y, %places, %x : memref<2x5xf32>, memref<3xi32>, memref<3x4xf32>
  }
}

// -----

// X29
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 3 ["places"] -> [] (%places: memref<3xi32>) {
    %x = exec.buffer : memref<3x4xf32>
    %y = exec.buffer : memref<2x4xi32>
    // expected-error@+1 {{features must be of floats, found 'memref<2x4xi32>'}}
    exec.place %y, %places, %x : memref<2x4xi32>, memref<3xi32>, memref<3x4xf32>
  }
}

// -----

// X16
exec.program @P f32 attributes {values = {}} {
  // expected-error@+1 {{needs a target and text}}
  exec.gpu_image "sm_90" "" cubin []
}

// -----

// X31
exec.program @P f32 attributes {values = {}} {
  // expected-error@+1 {{has 2 tasks with rows and 1 with parts, expected as many, and one at least}}
  exec.gpu_entry @mbc_rows_0 threads 256 shared 0 rows [1, 4] parts [1]
}
