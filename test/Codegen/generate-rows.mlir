// RUN: mbc-opt %s --split-input-file --exec-generate-rows=targets=x86-64-v4 | FileCheck %s
// RUN: mbc-opt %s --split-input-file --exec-generate-rows=targets=x86-64-v3 | FileCheck %s --check-prefix=V3

// The sum before a norm, over what it is the sum of: two loops, and the sum is made in both. The second reads an element before it writes it.

exec.program @AddNorm f32 attributes {values = {}} {
  exec.weight @w memref<1024xf32>
  exec.kernel @rows0 operands 4 [#exec.step<"Load" operand 0 vectors 1 width 1024 scalar 0.0 : f64>, #exec.step<"Load" operand 1 vectors 1 width 1024 scalar 0.0 : f64>, #exec.step<"Load" operand 2 vectors 1 width 1024 scalar 0.0 : f64>, #exec.step<"Add" of 0, 1 operand 0 vectors 1 width 1024 scalar 0.0 : f64>, #exec.step<"RMSNorm" of 3, 2 operand 0 vectors 1 width 1024 scalar 1.0e-5 : f64>, #exec.step<"Store" of 3 operand 0 vectors 1 width 1024 scalar 0.0 : f64>, #exec.step<"Store" of 4 operand 3 vectors 1 width 1024 scalar 0.0 : f64>]
  // CHECK-LABEL: exec.program @AddNorm
  // CHECK: exec.entry @code0 scratch 0
  // CHECK: module @"x86-64-v4" {
  // CHECK-NEXT: func.func @code0(%[[OPERANDS:.*]]: !llvm.ptr, %[[BEGIN:.*]]: i64, %[[END:.*]]: i64, %{{.*}}: !llvm.ptr) {
  // CHECK: scf.for %[[ROW:.*]] = %[[BEGIN]] to %[[END]]
  // Sums in four accumulators.
  // CHECK: %[[SUMS:.*]]:4 = scf.for %{{.*}} = %c0_i64 to %c1024_i64 step %c64_i64 iter_args({{.*}}) -> (vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>)
  // CHECK-COUNT-4: math.fma
  // CHECK: scf.yield
  // CHECK: math.sqrt %{{.*}} : f32
  // CHECK: %[[FACTOR:.*]] = arith.divf
  // CHECK: scf.for %{{.*}} = %c0_i64 to %c1024_i64 step %c16_i64
  // CHECK: %[[A:.*]] = llvm.load
  // CHECK: %[[B:.*]] = llvm.load
  // CHECK: %[[SUM:.*]] = arith.addf %[[A]], %[[B]]
  // CHECK: %[[W:.*]] = llvm.load
  // CHECK: %[[F:.*]] = vector.broadcast %[[FACTOR]]
  // CHECK: %[[SCALED:.*]] = arith.mulf %[[SUM]], %[[F]]
  // CHECK: %[[NORM:.*]] = arith.mulf %[[SCALED]], %[[W]]
  // CHECK: llvm.store %[[SUM]]
  // CHECK: llvm.store %[[NORM]]
  // CHECK: return
  // V3-LABEL: exec.program @AddNorm
  // V3: module @"x86-64-v3" {
  // V3: -> (vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>)
  exec.func @f rows 5 [] -> [] arena 65536 () {
    %a = exec.buffer at 0 : memref<5x1024xf32>
    %b = exec.buffer at 20480 : memref<5x1024xf32>
    %w = exec.use @w : memref<1024xf32>
    %c = exec.buffer at 40960 : memref<5x1024xf32>
    // CHECK: exec.rows @rows0({{.*}}) code @code0
    exec.rows @rows0(%a, %b, %w, %c) : memref<5x1024xf32>, memref<5x1024xf32>, memref<1024xf32>, memref<5x1024xf32>
  }
  // A layout that differs in the number of rows alone has the same code.
  exec.func @g rows 1 [] -> [] arena 65536 () {
    %a = exec.buffer at 0 : memref<1x1024xf32>
    %b = exec.buffer at 20480 : memref<1x1024xf32>
    %w = exec.use @w : memref<1024xf32>
    %c = exec.buffer at 40960 : memref<1x1024xf32>
    // CHECK: exec.rows @rows0({{.*}}) code @code0
    exec.rows @rows0(%a, %b, %w, %c) : memref<1x1024xf32>, memref<1x1024xf32>, memref<1024xf32>, memref<1x1024xf32>
  }
}

// -----

// A norm of what fits registers, and its rotation: no loop over a head, and what the sum of squares read is there for the rest.

exec.program @Rope f32 attributes {values = {}} {
  exec.weight @w memref<32xf32>
  exec.kernel @rows0 operands 4 [#exec.step<"Load" operand 0 vectors 1 width 96 scalar 0.0 : f64>, #exec.step<"Load" operand 1 vectors 1 width 32 scalar 0.0 : f64>, #exec.step<"Load" operand 2 vectors 1 width 32 scalar 0.0 : f64>, #exec.step<"RMSNorm" of 0, 1 operand 0 vectors 3 width 32 scalar 1.0e-5 : f64>, #exec.step<"Rope" of 3, 2 operand 0 vectors 3 width 32 scalar 0.0 : f64>, #exec.step<"Store" of 4 operand 3 vectors 1 width 96 scalar 0.0 : f64>]
  // CHECK-LABEL: exec.program @Rope
  // CHECK: scf.for
  // CHECK: scf.for %[[HEAD:.*]] = %c0_i64 to %c96_i64 step %c32_i64 : i64 {
  // CHECK-NOT: scf.for
  // CHECK: %[[LOW:.*]] = llvm.load {{.*}} -> vector<16xf32>
  // CHECK: %[[HIGH:.*]] = llvm.load {{.*}} -> vector<16xf32>
  // CHECK: math.fma %[[LOW]], %[[LOW]]
  // CHECK: math.fma %[[HIGH]], %[[HIGH]]
  // CHECK: arith.mulf %[[LOW]]
  // CHECK: arith.mulf %[[HIGH]]
  // CHECK-COUNT-2: llvm.store {{.*}} vector<16xf32>
  exec.func @f rows 5 [] -> [] arena 65536 () {
    %q = exec.buffer at 0 : memref<5x3x32xf32>
    %w = exec.use @w : memref<32xf32>
    %angles = exec.buffer at 4096 : memref<5x32xf32>
    %out = exec.buffer at 8192 : memref<5x3x32xf32>
    exec.rows @rows0(%q, %w, %angles, %out) : memref<5x3x32xf32>, memref<32xf32>, memref<5x32xf32>, memref<5x3x32xf32>
  }
}

// -----

// A store over a part of what is loaded, moved by an element: the row is read to scratch first.

exec.program @Moved bf16 attributes {values = {}} {
  exec.kernel @rows0 operands 2 [#exec.step<"Load" operand 0 vectors 1 width 7 scalar 0.0 : f64>, #exec.step<"Silu" of 0 operand 0 vectors 1 width 7 scalar 0.0 : f64>, #exec.step<"Store" of 1 operand 1 vectors 1 width 7 scalar 0.0 : f64>]
  // CHECK-LABEL: exec.program @Moved
  // CHECK: exec.entry @code0 scratch 64
  // Seven elements are pieces of four, two and one.
  // CHECK: llvm.load {{.*}} -> vector<4xi16>
  // CHECK: arith.extui
  // CHECK: llvm.store {{.*}} vector<4xf32>
  // CHECK: llvm.load {{.*}} -> vector<2xi16>
  // CHECK: llvm.load {{.*}} -> vector<1xi16>
  // CHECK: llvm.load {{.*}} -> vector<4xf32>
  // Rounded to nearest even; a NaN stays one.
  // CHECK: %[[HIGH:.*]] = arith.shrui
  // CHECK: arith.cmpf uno
  // CHECK: arith.select
  // CHECK: llvm.store {{.*}} vector<4xi16>
  exec.func @f rows 5 [] -> [] arena 65536 () {
    %x = exec.buffer at 0 : memref<5x8xbf16>
    %from = exec.subview %x from 0 : memref<5x8xbf16> -> memref<5x7xbf16, strided<[8, 1]>>
    %to = exec.subview %x from 1 : memref<5x8xbf16> -> memref<5x7xbf16, strided<[8, 1]>>
    exec.rows @rows0(%from, %to) : memref<5x7xbf16, strided<[8, 1]>>, memref<5x7xbf16, strided<[8, 1]>>
  }
}
