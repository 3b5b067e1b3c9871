// RUN: mbc-opt --exec-plan-memory --verify-planned --split-input-file %s | FileCheck %s

// Offsets are whole cache lines: 64 bytes are 16 floats.

// A chain: what is dead is reused, so that the arena holds the two buffers that are alive at one time.
// CHECK-LABEL: exec.func @chain
// CHECK-SAME: arena 128
// CHECK: exec.buffer at 0 :
// CHECK: exec.buffer at 64 :
// CHECK: exec.buffer at 0 :
// CHECK: exec.buffer at 64 :
exec.program @P f32 attributes {values = {}} {
  exec.func @chain rows 4 ["x"] -> ["y"] (%x: memref<4x4xf32>, %y: memref<4x4xf32>) {
    %a = exec.buffer : memref<4x4xf32>
    exec.copy %x, %a : memref<4x4xf32>, memref<4x4xf32>
    %b = exec.buffer : memref<4x4xf32>
    exec.copy %a, %b : memref<4x4xf32>, memref<4x4xf32>
    %c = exec.buffer : memref<4x4xf32>
    exec.copy %b, %c : memref<4x4xf32>, memref<4x4xf32>
    %d = exec.buffer : memref<4x4xf32>
    exec.copy %c, %d : memref<4x4xf32>, memref<4x4xf32>
    exec.copy %d, %y : memref<4x4xf32>, memref<4x4xf32>
  }
}

// -----

// What is read once more at the end is alive all the way; a window of it counts as it.
// CHECK-LABEL: exec.func @held
// CHECK-SAME: arena 192
// CHECK: %[[A:.*]] = exec.buffer at 0 :
// CHECK: exec.buffer at 64 :
// CHECK: exec.buffer at 128 :
// CHECK: exec.buffer at 64 :
exec.program @P f32 attributes {values = {}} {
  exec.func @held rows 4 ["x"] -> ["y"] (%x: memref<4x4xf32>, %y: memref<4x4xf32>) {
    %a = exec.buffer : memref<4x4xf32>
    exec.copy %x, %a : memref<4x4xf32>, memref<4x4xf32>
    %w = exec.subview %a from 0 : memref<4x4xf32> -> memref<4x4xf32>
    %b = exec.buffer : memref<4x4xf32>
    exec.copy %a, %b : memref<4x4xf32>, memref<4x4xf32>
    %c = exec.buffer : memref<4x4xf32>
    exec.copy %b, %c : memref<4x4xf32>, memref<4x4xf32>
    %d = exec.buffer : memref<4x4xf32>
    exec.copy %c, %d : memref<4x4xf32>, memref<4x4xf32>
    exec.copy %w, %y : memref<4x4xf32>, memref<4x4xf32>
  }
}

// -----

// Before the layers, read in the first command of a layer alone: all layers need it, so nothing inside may lie on it.
// Bodies never run at one time: they share.
// CHECK-LABEL: exec.func @layers
// CHECK-SAME: arena 128
// CHECK: exec.buffer at 0 :
// CHECK: exec.repeat
// CHECK: exec.buffer at 64 :
// CHECK: }, {
// CHECK: exec.buffer at 64 :
// CHECK: exec.buffer at 0 :
exec.program @P f32 attributes {values = {}} {
  exec.func @layers rows 4 ["x"] -> ["y"] (%x: memref<4x4xf32>, %y: memref<4x4xf32>) {
    %a = exec.buffer : memref<4x4xf32>
    exec.copy %x, %a : memref<4x4xf32>, memref<4x4xf32>
    exec.repeat "d" runs [array<i64: 0, 0, 2>, array<i64: 1, 2, 1>] {
      exec.copy %a, %y : memref<4x4xf32>, memref<4x4xf32>
      %b = exec.buffer : memref<4x4xf32>
      exec.copy %y, %b : memref<4x4xf32>, memref<4x4xf32>
    }, {
      %b = exec.buffer : memref<4x4xf32>
      exec.copy %y, %b : memref<4x4xf32>, memref<4x4xf32>
    }
    %c = exec.buffer : memref<4x4xf32>
    exec.copy %x, %c : memref<4x4xf32>, memref<4x4xf32>
  }
}

// -----

// Sizes that are not whole lines; 16-bit elements take half.
// CHECK-LABEL: exec.func @sizes
// CHECK-SAME: arena 192
// CHECK: exec.buffer at 0 : memref<5x4xf32>
// CHECK: exec.buffer at 128 : memref<5x4xbf16>
exec.program @P f32 attributes {values = {}} {
  exec.func @sizes rows 5 ["x"] -> [] (%x: memref<5x4xf32>) {
    %a = exec.buffer : memref<5x4xf32>
    exec.copy %x, %a : memref<5x4xf32>, memref<5x4xf32>
    %b = exec.buffer : memref<5x4xbf16>
    exec.copy %a, %b : memref<5x4xf32>, memref<5x4xbf16>
  }
}
