// RUN: mbc-opt --verify-planned --split-input-file --verify-diagnostics %s -o /dev/null

// X20
exec.program @P f32 attributes {values = {}} {
  // expected-error@+1 {{has no arena}}
  exec.func @f rows 4 ["x"] -> [] (%x: memref<4x4xf32>) {
    %a = exec.buffer at 0 : memref<4x4xf32>
  }
}

// -----

// X20
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 4 ["x"] -> [] arena 64 (%x: memref<4x4xf32>) {
    // expected-error@+1 {{has no place in the arena}}
    %a = exec.buffer : memref<4x4xf32>
  }
}

// -----

// X20
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 4 ["x"] -> [] arena 127 (%x: memref<4x4xf32>) {
    exec.repeat "d" runs [array<i64: 0, 0, 1>] {
      // expected-error@+1 {{ends at 128, behind the arena of 127 bytes}}
      %a = exec.buffer at 64 : memref<4x4xf32>
    }
  }
}

// -----

// X20
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 4 ["x"] -> [] arena 64 (%x: memref<4x4xf32>) {
    // expected-error@+1 {{begins at -64}}
    %a = exec.buffer at -64 : memref<4x4xf32>
  }
}

// -----

// X20: buffers in use at one time share no memory.
exec.program @P f32 attributes {values = {}} {
  exec.func @f rows 4 ["x"] -> ["y"] arena 188 (%x: memref<4x4xf32>, %y: memref<4x4xf32>) {
    // expected-note@+1 {{this one}}
    %a = exec.buffer at 0 : memref<4x4xf32>
    exec.copy %x, %a : memref<4x4xf32>, memref<4x4xf32>
    // expected-error@+1 {{lies on another buffer that is in use at the same time}}
    %b = exec.buffer at 60 : memref<4x4xf32>
    exec.copy %a, %b : memref<4x4xf32>, memref<4x4xf32>
    %c = exec.buffer at 124 : memref<4x4xf32>
    exec.copy %b, %y : memref<4x4xf32>, memref<4x4xf32>
  }
}
