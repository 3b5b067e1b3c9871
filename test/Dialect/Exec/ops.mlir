// RUN: mbc-opt %s | mbc-opt | FileCheck %s
// RUN: mbc-opt %s --emit-bytecode | mbc-opt | FileCheck %s

// CHECK: exec.program @P bf16 attributes {values = {vocab = 9 : i64}} {
exec.program @P bf16 attributes {values = {vocab = 9}} {
  // CHECK: exec.weight @table memref<9x4xbf16>
  exec.weight @table memref<9x4xbf16>
  // CHECK: exec.weight @decoder.w memref<6x4xbf16> layers [0, 2]
  exec.weight @decoder.w memref<6x4xbf16> layers [0, 2]
  exec.weight @decoder.b memref<6xf32> layers [0, 2]
  // CHECK: exec.state @decoder.attention bf16 widths [2, 2] layers [0, 1, 2]
  exec.state @decoder.attention bf16 widths [2, 2] layers [0, 1, 2]
  // CHECK: exec.rope @plain [1.000000e+00] times 1.000000e+00
  exec.rope @plain [1.0] times 1.0
  // CHECK: exec.rope @grown [1.000000e+00, 1.000000e-01] times 5.000000e-01 dynamic [1.000000e+04, 2.000000e+00, 8.000000e+00] axis [0, 1]
  exec.rope @grown [1.0, 0.1] times 0.5 dynamic [10000.0, 2.0, 8.0] axis [0, 1]
  // CHECK: exec.kernel @silu operands 2 [#exec.step<"Load" operand 0 vectors 1 width 4 scalar 0.000000e+00 : f64>, #exec.step<"Silu" of 0 operand 0 vectors 1 width 4 scalar 0.000000e+00 : f64>, #exec.step<"Store" of 1 operand 1 vectors 1 width 4 scalar 0.000000e+00 : f64>]
  exec.kernel @silu operands 2 [#exec.step<"Load" operand 0 vectors 1 width 4 scalar 0.0 : f64>, #exec.step<"Silu" of 0 operand 0 vectors 1 width 4 scalar 0.0 : f64>, #exec.step<"Store" of 1 operand 1 vectors 1 width 4 scalar 0.0 : f64>]
  // CHECK: exec.entry @code0 scratch 64
  exec.entry @code0 scratch 64
  // CHECK: exec.image "x86-64-v3" [1, -2]
  exec.image "x86-64-v3" [1, -2]
  // CHECK: exec.gpu_entry @mbc_rows_0 threads 256 shared 0 rows [1, 4] parts [2, 1]
  exec.gpu_entry @mbc_rows_0 threads 256 shared 0 rows [1, 4] parts [2, 1]
  // CHECK: exec.gpu_image "sm_90" ".target sm_90" cubin [127]
  exec.gpu_image "sm_90" ".target sm_90" cubin [127]
  // CHECK: exec.func @prefill rows 3 ["tokens", "positions", "ends", "outputs"] -> ["logits"] arena 512 (%{{.*}}: memref<3xi32>, %{{.*}}: memref<3x2xi32>, %{{.*}}: memref<3xi32>, %{{.*}}: memref<2xi32>, %{{.*}}: memref<2x9xf32>) {
  exec.func @prefill rows 3 ["tokens", "positions", "ends", "outputs"] -> ["logits"] arena 512 (%tokens: memref<3xi32>, %positions: memref<3x2xi32>, %ends: memref<3xi32>, %outputs: memref<2xi32>, %logits: memref<2x9xf32>) {
    // CHECK: %[[ANGLES:.*]] = exec.buffer at 64 : memref<3x4xf32>
    %angles = exec.buffer at 64 : memref<3x4xf32>
    // CHECK: exec.angles @grown(%{{.*}}, %[[ANGLES]]) : memref<3x2xi32>, memref<3x4xf32>
    exec.angles @grown(%positions, %angles) : memref<3x2xi32>, memref<3x4xf32>
    // CHECK: %[[X:.*]] = exec.buffer : memref<3x4xbf16>
    %x = exec.buffer : memref<3x4xbf16>
    // CHECK: exec.use @table : memref<9x4xbf16>
    %table = exec.use @table : memref<9x4xbf16>
    // CHECK: exec.embed %{{.*}}, %{{.*}}, %[[X]] : memref<3xi32>, memref<9x4xbf16>, memref<3x4xbf16>
    exec.embed %tokens, %table, %x : memref<3xi32>, memref<9x4xbf16>, memref<3x4xbf16>
    // CHECK: exec.repeat "decoder" runs [array<i64: 0, 0, 1>, array<i64: 1, 1, 1>, array<i64: 0, 2, 1>] {
    exec.repeat "decoder" runs [array<i64: 0, 0, 1>, array<i64: 1, 1, 1>, array<i64: 0, 2, 1>] {
      %w = exec.use @decoder.w : memref<6x4xbf16>
      %b = exec.use @decoder.b : memref<6xf32>
      // CHECK: %[[P:.*]] = exec.buffer : memref<3x6xbf16>
      %p = exec.buffer : memref<3x6xbf16>
      // CHECK: exec.gemm %[[X]], %{{.*}}, %{{.*}}, %[[P]] : memref<3x4xbf16>, memref<6x4xbf16>, memref<6xf32>, memref<3x6xbf16>
      exec.gemm %x, %w, %b, %p : memref<3x4xbf16>, memref<6x4xbf16>, memref<6xf32>, memref<3x6xbf16>
      // CHECK: exec.gemm %[[X]], %{{.*}}, %[[P]] : memref<3x4xbf16>, memref<6x4xbf16>, memref<3x6xbf16>
      exec.gemm %x, %w, %p : memref<3x4xbf16>, memref<6x4xbf16>, memref<3x6xbf16>
      // CHECK: exec.subview %[[P]] from 2 : memref<3x6xbf16> -> memref<3x1x2xbf16, strided<[6, 2, 1]>>
      %q = exec.subview %p from 0 : memref<3x6xbf16> -> memref<3x1x1x2xbf16, strided<[6, 2, 2, 1]>>
      %k = exec.subview %p from 2 : memref<3x6xbf16> -> memref<3x1x2xbf16, strided<[6, 2, 1]>>
      %v = exec.subview %p from 4 : memref<3x6xbf16> -> memref<3x1x2xbf16, strided<[6, 2, 1]>>
      %o = exec.buffer : memref<3x1x1x2xbf16>
      // CHECK: exec.attention(%{{.*}}, %{{.*}}, %{{.*}}) -> %{{.*}} state @decoder.attention scale 5.000000e-01 causal true window 7 : memref<3x1x1x2xbf16, strided<[6, 2, 2, 1]>>, memref<3x1x2xbf16, strided<[6, 2, 1]>>, memref<3x1x2xbf16, strided<[6, 2, 1]>> -> memref<3x1x1x2xbf16>
      exec.attention(%q, %k, %v) -> %o state @decoder.attention scale 0.5 causal true window 7 : memref<3x1x1x2xbf16, strided<[6, 2, 2, 1]>>, memref<3x1x2xbf16, strided<[6, 2, 1]>>, memref<3x1x2xbf16, strided<[6, 2, 1]>> -> memref<3x1x1x2xbf16>
      // CHECK: exec.attention(%{{.*}}, %{{.*}}, %{{.*}}) ends %{{.*}} -> %{{.*}} scale 5.000000e-01 causal false window 0 : {{.*}}, memref<3xi32> -> memref<3x1x1x2xbf16>
      exec.attention(%q, %k, %v) ends %ends -> %o scale 0.5 causal false window 0 : memref<3x1x1x2xbf16, strided<[6, 2, 2, 1]>>, memref<3x1x2xbf16, strided<[6, 2, 1]>>, memref<3x1x2xbf16, strided<[6, 2, 1]>>, memref<3xi32> -> memref<3x1x1x2xbf16>
    // CHECK: }, {
    }, {
      // CHECK: exec.rows @silu(%[[X]], %[[X]]) : memref<3x4xbf16>, memref<3x4xbf16>
      exec.rows @silu(%x, %x) : memref<3x4xbf16>, memref<3x4xbf16>
      // CHECK: exec.rows @silu(%[[X]], %[[X]]) code @code0 gpu @mbc_rows_0 : memref<3x4xbf16>, memref<3x4xbf16>
      exec.rows @silu(%x, %x) code @code0 gpu @mbc_rows_0 : memref<3x4xbf16>, memref<3x4xbf16>
      // CHECK: exec.rows @silu(%[[X]], %[[X]]) code @code0 : memref<3x4xbf16>, memref<3x4xbf16>
      exec.rows @silu(%x, %x) code @code0 : memref<3x4xbf16>, memref<3x4xbf16>
    }
    %y = exec.buffer : memref<3x4xf32>
    // CHECK: exec.copy %[[X]], %{{.*}} : memref<3x4xbf16>, memref<3x4xf32>
    exec.copy %x, %y : memref<3x4xbf16>, memref<3x4xf32>
    %last = exec.buffer : memref<2x4xf32>
    // CHECK: exec.take %{{.*}}, %{{.*}}, %{{.*}} : memref<3x4xf32>, memref<2xi32>, memref<2x4xf32>
    exec.take %y, %outputs, %last : memref<3x4xf32>, memref<2xi32>, memref<2x4xf32>
    // CHECK: exec.place %{{.*}}, %{{.*}}, %{{.*}} : memref<3x4xf32>, memref<3xi32>, memref<3x4xf32>
    exec.place %y, %tokens, %y : memref<3x4xf32>, memref<3xi32>, memref<3x4xf32>
    exec.gemm %last, %table, %logits : memref<2x4xf32>, memref<9x4xbf16>, memref<2x9xf32>
  }
}
