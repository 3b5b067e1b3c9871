//===- Kernels.h - Inner loops, once for each instruction set ---*- C++ -*-===//
//
// Kernels.cpp and Products.cpp are compiled for the baseline, x86-64-v3 and
// x86-64-v4; the best that the machine runs is chosen once. These files use no
// templates of the standard library: an inline function compiled for a newer
// machine must not be the one that the linker keeps for all.
//
//===----------------------------------------------------------------------===//
#pragma once

#include <stdint.h>

namespace mbc::host {

/// Element types that kernels read and write.
enum class Elem : uint8_t { F32, BF16, F16, F8 };

/// Bytes of an element. F8 is E4M3 with block scales, of weights alone.
inline constexpr unsigned sizeOf(Elem elem) {
  return elem == Elem::F32 ? 4 : elem == Elem::F8 ? 1 : 2;
}

/// out[i, j] = dot(row i of x, row j of w) over k, for m x n of them; rows
/// `ld*` elements apart. x is float32; or, where both are bfloat16 and
/// `Kernels::bf16Dot`, as it is. Each result has the same bits whatever m and
/// n.
struct Dots {
  int64_t m, n, k;
  const void *x;
  int64_t ldx;
  Elem xElem;
  const void *w;
  int64_t ldw;
  Elem wElem;
  float *out;
  int64_t ldo;
  /// Of F8: row r of the matrix that w is in, from `row` on, has the scales of
  /// row r / blockRows of the grid, one for each `blockCols` of k. They
  /// multiply the sum of a block.
  const float *scales = nullptr;
  int64_t row = 0, blockRows = 0, blockCols = 0;
};

/// out[i, c] += sum over k of p[i, k] * v[k, c], for m x n of them, in the
/// order of k. Rows of out have room for whole vectors.
struct Weigh {
  int64_t m, n, k;
  const float *p;
  int64_t ldp;
  const void *v;
  int64_t ldv;
  Elem vElem;
  float *out;
  int64_t ldo;
};

struct Kernels {
  const char *isa;
  int lanes; ///< floats of a vector
  /// Products of bfloat16 pairs have an instruction.
  bool bf16Dot;

  void (*toFloat)(Elem elem, const void *from, float *to, int64_t count);
  void (*fromFloat)(Elem elem, const float *from, void *to, int64_t count);

  void (*dots)(const Dots &dots);
  void (*weigh)(const Weigh &weigh);

  // Vectors of floats.
  void (*add)(const float *a, const float *b, float *out, int64_t n);
  void (*sub)(const float *a, const float *b, float *out, int64_t n);
  void (*mul)(const float *a, const float *b, float *out, int64_t n);
  void (*addScalar)(const float *a, float b, float *out, int64_t n);
  void (*mulScalar)(const float *a, float b, float *out, int64_t n);
  void (*silu)(const float *a, float *out, int64_t n);
  void (*gelu)(const float *a, float *out, int64_t n);
  void (*sigmoid)(const float *a, float *out, int64_t n);
  void (*rmsNorm)(const float *x, const float *weight, double eps, float *out,
                  int64_t n);
  void (*layerNorm)(const float *x, const float *weight, const float *bias,
                    double eps, float *out, int64_t n);
  /// Pairs (i, i + n/2); angles: n/2 cosines, then n/2 sines.
  void (*rope)(const float *x, const float *angles, float *out, int64_t n);
  void (*ropePairs)(const float *x, const float *angles, float *out, int64_t n);
  /// p = exp(p - max), returns the sum; max of n floats.
  float (*expSum)(float *p, float max, int64_t n);
  float (*maxOf)(const float *p, int64_t n);
};

/// The best of this machine, or what was selected.
const Kernels &kernels();
/// From now on those of "baseline", "v3" or "v4"; false, and no change, where
/// the machine does not run them. Not while anything computes.
bool selectKernels(const char *isa);
/// Whether the machine runs code for "x86-64-v3" or "x86-64-v4", and what was
/// selected or asked for allows it.
bool runsCode(const char *target);

namespace baseline {
extern const Kernels table;
}
namespace v3 {
extern const Kernels table;
}
namespace v4 {
extern const Kernels table;
}

} // namespace mbc::host
