//===- Kernels.cpp - Rows of floats, and the table of a set ---------------===//
//
// Compiled once for each instruction set (Vec.h). Reductions have a fixed shape
// (four accumulators of vectors, halved), so that results do not depend on
// threads or on where a row starts.
//
//===----------------------------------------------------------------------===//

#include "runtime/host/kernels/Vec.h"

namespace mbc::host::MBC_ISA {

// Products.cpp
void dots(const Dots &dots);
void weigh(const Weigh &weigh);

namespace {

//===----------------------------------------------------------------------===//
// Conversions
//===----------------------------------------------------------------------===//

void toFloat(Elem elem, const void *from, float *to, int64_t count) {
  int64_t i = 0;
  if (elem == Elem::F32) {
    memcpy(to, from, count * 4);
  } else if (elem == Elem::BF16) {
    auto *p = static_cast<const uint16_t *>(from);
    for (; i + lanes <= count; i += lanes)
      store(to + i, loadBF16(p + i));
    for (; i < count; ++i)
      to[i] = bitsToFloat(uint32_t(p[i]) << 16);
  } else {
    auto *p = static_cast<const _Float16 *>(from);
    for (; i + lanes <= count; i += lanes)
      store(to + i, loadF16(p + i));
    for (; i < count; ++i)
      to[i] = static_cast<float>(p[i]);
  }
}

/// Round to nearest even; a NaN stays one.
inline uint16_t roundBF16(float f) {
  uint32_t bits = floatToBits(f);
  if ((bits & 0x7fffffff) > 0x7f800000)
    return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

void fromFloat(Elem elem, const float *from, void *to, int64_t count) {
  if (elem == Elem::F32) {
    memcpy(to, from, count * 4);
  } else if (elem == Elem::BF16) {
    auto *p = static_cast<uint16_t *>(to);
    int64_t i = 0;
    for (; i + lanes <= count; i += lanes) {
      // As roundBF16.
      auto bits = reinterpret_cast<IntVec>(load(from + i));
      IntVec rounded = bits + 0x7fff + ((bits >> 16) & 1);
      IntVec nan = (bits & 0x7fffffff) > 0x7f800000;
      rounded = (nan & (bits | 0x400000)) | (~nan & rounded);
      *reinterpret_cast<HalfVec *>(p + i) =
          __builtin_convertvector(rounded >> 16, HalfVec);
    }
    for (; i < count; ++i)
      p[i] = roundBF16(from[i]);
  } else {
    auto *p = static_cast<_Float16 *>(to);
    int64_t i = 0;
    for (; i + lanes <= count; i += lanes)
      *reinterpret_cast<F16Vec *>(p + i) =
          __builtin_convertvector(load(from + i), F16Vec);
    for (; i < count; ++i)
      p[i] = static_cast<_Float16>(from[i]);
  }
}

//===----------------------------------------------------------------------===//
// Vectors
//===----------------------------------------------------------------------===//

/// exp by 2^n * p(r), |r| <= ln2 / 2; relative error below 2e-7.
inline Vec expVec(Vec x) {
  Vec high = splat(88.72283f), low = splat(-104.0f);
  x = x < high ? x : high;
  x = x > low ? x : low;
  Vec t = x * splat(1.44269504088896341f);
  // Round to nearest by adding and taking away 1.5 * 2^23.
  Vec magic = splat(12582912.0f);
  Vec n = (t + magic) - magic;
  Vec r = x - n * splat(0.693145751953125f);
  r = r - n * splat(1.42860682030941723212e-6f);
  Vec p = splat(1.9875691500e-4f);
  p = p * r + splat(1.3981999507e-3f);
  p = p * r + splat(8.3334519073e-3f);
  p = p * r + splat(4.1665795894e-2f);
  p = p * r + splat(1.6666665459e-1f);
  p = p * r + splat(5.0000001201e-1f);
  p = p * r * r + r + splat(1.0f);
  // In two steps, so that results below the normal range come out.
  IntVec e = __builtin_convertvector(n, IntVec);
  IntVec half = e >> 1, rest = e - half;
  Vec a = reinterpret_cast<Vec>((half + 127) << 23);
  Vec b = reinterpret_cast<Vec>((rest + 127) << 23);
  return p * a * b;
}

inline Vec sigmoidVec(Vec x) {
  return splat(1.0f) / (splat(1.0f) + expVec(-x));
}

/// Error function by its complement's rational form (Abramowitz and Stegun
/// 7.1.26 has 1.5e-7; this is the expansion of degree 6 in 1/(1 + x/2)^16 with
/// 3e-7), enough for float32 activations.
inline Vec erfVec(Vec x) {
  Vec zero = {};
  Vec a = x < zero ? -x : x;
  Vec t = splat(1.0f) / (splat(1.0f) + splat(0.5f) * a);
  Vec p = splat(0.17087277f);
  p = p * t - splat(0.82215223f);
  p = p * t + splat(1.48851587f);
  p = p * t - splat(1.13520398f);
  p = p * t + splat(0.27886807f);
  p = p * t - splat(0.18628806f);
  p = p * t + splat(0.09678418f);
  p = p * t + splat(0.37409196f);
  p = p * t + splat(1.00002368f);
  p = p * t - splat(1.26551223f);
  Vec y = splat(1.0f) - t * expVec(p - a * a);
  return x < zero ? -y : y;
}

/// Applies `op` to whole vectors, and to the rest padded with ones.
template <typename Op>
inline void each(const float *a, float *out, int64_t n, Op op) {
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    store(out + i, op(load(a + i)));
  if (i < n) {
    float rest[lanes];
    for (int j = 0; j < lanes; ++j)
      rest[j] = i + j < n ? a[i + j] : 1.0f;
    store(rest, op(load(rest)));
    for (int j = 0; i + j < n; ++j)
      out[i + j] = rest[j];
  }
}

void add(const float *a, const float *b, float *out, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    out[i] = a[i] + b[i];
}
void sub(const float *a, const float *b, float *out, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    out[i] = a[i] - b[i];
}
void mul(const float *a, const float *b, float *out, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    out[i] = a[i] * b[i];
}
void addScalar(const float *a, float b, float *out, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    out[i] = a[i] + b;
}
void mulScalar(const float *a, float b, float *out, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    out[i] = a[i] * b;
}
void silu(const float *a, float *out, int64_t n) {
  each(a, out, n, [](Vec x) { return x * sigmoidVec(x); });
}
void gelu(const float *a, float *out, int64_t n) {
  each(a, out, n, [](Vec x) {
    return splat(0.5f) * x *
           (splat(1.0f) + erfVec(x * splat(0.70710678118654752f)));
  });
}
void sigmoid(const float *a, float *out, int64_t n) {
  each(a, out, n, [](Vec x) { return sigmoidVec(x); });
}

/// Sum of op(vector) with four accumulators.
template <typename Op> inline float sum(const float *x, int64_t n, Op op) {
  Vec acc[4] = {};
  int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes)
    for (int u = 0; u < 4; ++u)
      acc[u] += op(load(x + i + u * lanes));
  for (; i + lanes <= n; i += lanes)
    acc[0] += op(load(x + i));
  float total = sumOf((acc[0] + acc[1]) + (acc[2] + acc[3]));
  for (; i < n; ++i)
    total += op(splat(x[i]))[0];
  return total;
}

void rmsNorm(const float *x, const float *weight, double eps, float *out,
             int64_t n) {
  float squares = sum(x, n, [](Vec v) { return v * v; });
  float factor = 1.0f / __builtin_sqrtf(squares / static_cast<float>(n) +
                                        static_cast<float>(eps));
  for (int64_t i = 0; i < n; ++i)
    out[i] = x[i] * factor * weight[i];
}

void layerNorm(const float *x, const float *weight, const float *bias,
               double eps, float *out, int64_t n) {
  float mean = sum(x, n, [](Vec v) { return v; }) / static_cast<float>(n);
  float squares = sum(x, n, [=](Vec v) {
    Vec d = v - splat(mean);
    return d * d;
  });
  float factor = 1.0f / __builtin_sqrtf(squares / static_cast<float>(n) +
                                        static_cast<float>(eps));
  for (int64_t i = 0; i < n; ++i)
    out[i] = (x[i] - mean) * factor * weight[i] + bias[i];
}

void rope(const float *x, const float *angles, float *out, int64_t n) {
  int64_t half = n / 2;
  const float *cosines = angles, *sines = angles + half;
  for (int64_t i = 0; i < half; ++i) {
    float a = x[i], b = x[i + half];
    out[i] = a * cosines[i] - b * sines[i];
    out[i + half] = b * cosines[i] + a * sines[i];
  }
}

void ropePairs(const float *x, const float *angles, float *out, int64_t n) {
  int64_t half = n / 2;
  const float *cosines = angles, *sines = angles + half;
  for (int64_t i = 0; i < half; ++i) {
    float a = x[2 * i], b = x[2 * i + 1];
    out[2 * i] = a * cosines[i] - b * sines[i];
    out[2 * i + 1] = b * cosines[i] + a * sines[i];
  }
}

float expSum(float *p, float max, int64_t n) {
  each(p, p, n, [=](Vec v) { return expVec(v - splat(max)); });
  return sum(p, n, [](Vec v) { return v; });
}

float maxOf(const float *p, int64_t n) {
  float best = p[0];
  int64_t i = 0;
  if (n >= lanes) {
    Vec high = load(p);
    for (; i + lanes <= n; i += lanes) {
      Vec v = load(p + i);
      high = v > high ? v : high;
    }
    for (int j = 0; j < lanes; ++j)
      best = high[j] > best ? high[j] : best;
  }
  for (; i < n; ++i)
    best = p[i] > best ? p[i] : best;
  return best;
}

#define MBC_TEXT(x) #x
#define MBC_NAME(x) MBC_TEXT(x)

} // namespace

extern const Kernels table = {
    MBC_NAME(MBC_ISA),
    lanes,
#if defined(__AVX512BF16__)
    true,
#else
    false,
#endif
    toFloat,
    fromFloat,
    dots,
    weigh,
    add,
    sub,
    mul,
    addScalar,
    mulScalar,
    silu,
    gelu,
    sigmoid,
    rmsNorm,
    layerNorm,
    rope,
    ropePairs,
    expSum,
    maxOf,
};

} // namespace mbc::host::MBC_ISA
