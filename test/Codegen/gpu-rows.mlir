// RUN: mbc-opt %s --split-input-file --exec-generate-rows=targets=sm_90 | FileCheck %s
// RUN: mbc-opt %s --split-input-file --exec-generate-rows=targets=sm_80 | FileCheck %s --check-prefix=SM80

// The sum before a norm, over what it is the sum of: a block has a row, a thread 16 bytes of each operand. The weight is read before the grid in front is waited for, everything else behind that; all loads come
// before the first of the sum, and nothing is read twice.

exec.program @AddNorm bf16 attributes {values = {}} {
  exec.weight @w memref<4096xbf16>
  exec.kernel @rows0 operands 4 [#exec.step<"Load" operand 0 vectors 1 width 4096 scalar 0.0 : f64>, #exec.step<"Load" operand 1 vectors 1 width 4096 scalar 0.0 : f64>, #exec.step<"Load" operand 2 vectors 1 width 4096 scalar 0.0 : f64>, #exec.step<"Add" of 0, 1 operand 0 vectors 1 width 4096 scalar 0.0 : f64>, #exec.step<"RMSNorm" of 3, 2 operand 0 vectors 1 width 4096 scalar 1.0e-5 : f64>, #exec.step<"Store" of 3 operand 0 vectors 1 width 4096 scalar 0.0 : f64>, #exec.step<"Store" of 4 operand 3 vectors 1 width 4096 scalar 0.0 : f64>]
  // CHECK-LABEL: exec.program @AddNorm
  // CHECK: exec.gpu_entry @mbc_rows_0 threads 512 shared 0 rows [1] parts [1]
  // CHECK: module @sm_90 {
  // CHECK: func.func @mbc_rows_0(%[[COUNTS:.*]]: !llvm.ptr<1>, %{{.*}}: i32, %{{.*}}: i32, %{{.*}}: i32, %{{.*}}: i32, %{{.*}}: !llvm.ptr<1>, %{{.*}}: !llvm.ptr<1>, %[[WEIGHT:.*]]: !llvm.ptr<1>, %{{.*}}: !llvm.ptr<1>) {
  // CHECK: griddepcontrol.launch.dependents
  // CHECK: %[[AT:.*]] = llvm.getelementptr %[[WEIGHT]]
  // CHECK: llvm.load %[[AT]] {alignment = 16 : i64} : !llvm.ptr<1> -> vector<8xi16>
  // CHECK-NOT: llvm.load
  // CHECK: griddepcontrol.wait
  // CHECK: scf.while
  // CHECK-COUNT-2: llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<1> -> vector<8xi16>
  // CHECK-COUNT-5: shfl.sync.bfly
  // CHECK: barrier
  // CHECK: math.sqrt
  // CHECK-NOT: !llvm.ptr<1> -> vector
  // CHECK: scf.if
  // CHECK-COUNT-2: llvm.store %{{.*}} {alignment = 16 : i64} : vector<8xi16>, !llvm.ptr<1>
  // Grids of older GPUs follow each other.
  // SM80-LABEL: exec.program @AddNorm
  // SM80: module @sm_80 {
  // SM80-NOT: griddepcontrol
  exec.func @f rows 5 [] -> [] arena 65536000 () {
    %a = exec.buffer at 0 : memref<5x4096xbf16>
    %b = exec.buffer at 40960 : memref<5x4096xbf16>
    %w = exec.use @w : memref<4096xbf16>
    %c = exec.buffer at 81920 : memref<5x4096xbf16>
    // CHECK: exec.rows @rows0({{.*}}) gpu @mbc_rows_0
    exec.rows @rows0(%a, %b, %w, %c) : memref<5x4096xbf16>, memref<5x4096xbf16>, memref<4096xbf16>, memref<5x4096xbf16>
  }
  // Rows that begin at other addresses are read in smaller pieces: that is another function.
  exec.func @g rows 1 [] -> [] arena 65536000 () {
    %a = exec.buffer at 4 : memref<1x4096xbf16>
    %b = exec.buffer at 40960 : memref<1x4096xbf16>
    %w = exec.use @w : memref<4096xbf16>
    %c = exec.buffer at 81920 : memref<1x4096xbf16>
    // CHECK: exec.rows @rows0({{.*}}) gpu @mbc_rows_1
    exec.rows @rows0(%a, %b, %w, %c) : memref<1x4096xbf16>, memref<1x4096xbf16>, memref<4096xbf16>, memref<1x4096xbf16>
  }
}

// -----

// Queries and keys know nothing of each other: blocks of two rows' queries, and of eight rows' keys. Sixteen threads have two heads, whose weights and angles they read once, and their sums by shuffles.

exec.program @Rope bf16 attributes {values = {}} {
  exec.weight @w memref<128xbf16>
  exec.kernel @rows0 operands 6 [#exec.step<"Load" operand 0 vectors 1 width 2048 scalar 0.0 : f64>, #exec.step<"Load" operand 1 vectors 1 width 512 scalar 0.0 : f64>, #exec.step<"Load" operand 2 vectors 1 width 128 scalar 0.0 : f64>, #exec.step<"Load" operand 3 vectors 1 width 128 scalar 0.0 : f64>, #exec.step<"RMSNorm" of 0, 2 operand 0 vectors 16 width 128 scalar 1.0e-5 : f64>, #exec.step<"Rope" of 4, 3 operand 0 vectors 16 width 128 scalar 0.0 : f64>, #exec.step<"Rope" of 1, 3 operand 0 vectors 4 width 128 scalar 0.0 : f64>, #exec.step<"Store" of 5 operand 4 vectors 1 width 2048 scalar 0.0 : f64>, #exec.step<"Store" of 6 operand 5 vectors 1 width 512 scalar 0.0 : f64>]
  // CHECK-LABEL: exec.program @Rope
  // CHECK: exec.gpu_entry @mbc_rows_0 threads 256 shared 0 rows [2, 8] parts [1, 1]
  // CHECK: griddepcontrol.wait
  // CHECK: vector<4xi16>
  // CHECK-COUNT-8: shfl.sync.bfly
  // CHECK-NOT: shfl
  // CHECK-NOT: barrier
  // CHECK: exec.func
  exec.func @f rows 7 [] -> [] arena 65536000 () {
    %q = exec.buffer at 0 : memref<7x16x128xbf16, strided<[2560, 128, 1]>>
    %k = exec.buffer at 71680 : memref<7x4x128xbf16, strided<[2560, 128, 1]>>
    %w = exec.use @w : memref<128xbf16>
    %angles = exec.buffer at 143360 : memref<7x128xf32>
    %r = exec.buffer at 215040 : memref<7x16x128xbf16>
    %s = exec.buffer at 286720 : memref<7x4x128xbf16>
    exec.rows @rows0(%q, %k, %w, %angles, %r, %s) : memref<7x16x128xbf16, strided<[2560, 128, 1]>>, memref<7x4x128xbf16, strided<[2560, 128, 1]>>, memref<128xbf16>, memref<7x128xf32>, memref<7x16x128xbf16>, memref<7x4x128xbf16>
  }
}

// -----

// What is read after it was written over is kept in the memory of the block; what no block has the memory for is interpreted.

exec.program @Kept f32 attributes {values = {}} {
  exec.kernel @rows0 operands 2 [#exec.step<"Load" operand 0 vectors 1 width 64 scalar 0.0 : f64>, #exec.step<"Silu" of 0 operand 0 vectors 1 width 64 scalar 0.0 : f64>, #exec.step<"Store" of 1 operand 1 vectors 1 width 64 scalar 0.0 : f64>]
  exec.kernel @rows1 operands 2 [#exec.step<"Load" operand 0 vectors 1 width 65536 scalar 0.0 : f64>, #exec.step<"Silu" of 0 operand 0 vectors 1 width 65536 scalar 0.0 : f64>, #exec.step<"Store" of 1 operand 1 vectors 1 width 65536 scalar 0.0 : f64>]
  // CHECK-LABEL: exec.program @Kept
  // CHECK: exec.gpu_entry @mbc_rows_0 threads 32 shared 256 rows [1] parts [1]
  // CHECK-NOT: gpu_entry
  // CHECK: llvm.mlir.global external @scratch() {addr_space = 3 : i32, alignment = 16 : i64}
  // CHECK: llvm.store %{{.*}} : vector<4xf32>, !llvm.ptr<3>
  // CHECK: barrier
  // CHECK: llvm.load %{{.*}} : !llvm.ptr<3> -> vector<4xf32>
  exec.func @f rows 2 [] -> [] arena 6553600 () {
    %m = exec.buffer at 0 : memref<2x131076xf32>
    %a = exec.subview %m from 0 : memref<2x131076xf32> -> memref<2x64xf32, strided<[131076, 1]>>
    %b = exec.subview %m from 4 : memref<2x131076xf32> -> memref<2x64xf32, strided<[131076, 1]>>
    %c = exec.subview %m from 0 : memref<2x131076xf32> -> memref<2x65536xf32, strided<[131076, 1]>>
    %d = exec.subview %m from 4 : memref<2x131076xf32> -> memref<2x65536xf32, strided<[131076, 1]>>
    // CHECK: exec.rows @rows0({{.*}}) gpu @mbc_rows_0
    exec.rows @rows0(%a, %b) : memref<2x64xf32, strided<[131076, 1]>>, memref<2x64xf32, strided<[131076, 1]>>
    // CHECK: exec.rows @rows1(%{{.*}}, %{{.*}}) : memref
    exec.rows @rows1(%c, %d) : memref<2x65536xf32, strided<[131076, 1]>>, memref<2x65536xf32, strided<[131076, 1]>>
  }
}
