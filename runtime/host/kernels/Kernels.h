//===- Kernels.h - Inner loops, once for each instruction set ---*- C++ -*-===//
//
// Kernels.cpp is compiled for the baseline, x86-64-v3 and x86-64-v4; the best
// that the machine runs is chosen once. These files use no templates of the
// standard library: an inline function compiled for a newer machine must not
// be the one that the linker keeps for all.
//
//===----------------------------------------------------------------------===//
#pragma once

#include <stdint.h>

namespace mbc::host {

/// Element types that kernels read and write.
enum class Elem : uint8_t { F32, BF16, F16 };

inline unsigned sizeOf(Elem elem) { return elem == Elem::F32 ? 4 : 2; }

/// C[m x n] (+)= A[m x k] * B[k x n], all float32, rows `ld*` floats apart.
/// n is a multiple of `Kernels::lanes`.
struct Block {
  int m, n, k;
  const float *a;
  int64_t lda;
  const float *b;
  int64_t ldb;
  float *c;
  int64_t ldc;
  bool accumulate;
};

struct Kernels {
  const char *isa;
  int lanes; ///< floats of a vector
  /// Products of bfloat16 pairs have an instruction.
  bool bf16Dot;

  void (*toFloat)(Elem elem, const void *from, float *to, int64_t count);
  void (*fromFloat)(Elem elem, const float *from, void *to, int64_t count);

  void (*block)(const Block &block);
  /// to[k][n] = from[n][k]: `n` rows `ld` elements apart become columns of a
  /// panel of `width` floats; columns from n on are zero.
  void (*pack)(Elem elem, const void *from, int64_t ld, int n, int k, int width,
               float *to);
  /// The same of pairs of bfloat16: to[k / 2][n] are 32 bits. k is even.
  void (*packPairs)(const uint16_t *from, int64_t ld, int n, int k, int width,
                    uint32_t *to);
  /// C[m x n] (+)= A * B with A of bfloat16 rows `lda` elements apart and B
  /// from `packPairs`; only with `bf16Dot`.
  void (*blockPairs)(int m, int n, int k, const uint16_t *a, int64_t lda,
                     const uint32_t *b, float *c, int64_t ldc, bool accumulate);
  /// out[i * ldo + j] = dot(x row i, w row j), i < m <= 4, j < n; x float32 (or
  /// bfloat16 where both are and `bf16Dot`).
  void (*dots)(Elem elem, int m, int n, int64_t k, const void *x, int64_t ldx,
               Elem xElem, const void *w, int64_t ldw, float *out, int64_t ldo);

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
