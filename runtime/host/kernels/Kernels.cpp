//===- Kernels.cpp - Compiled once for each instruction set ---------------===//
//
// MBC_ISA names the set, MBC_LANES its vector of floats. Reductions have a
// fixed shape (four accumulators of vectors, halved), so that results do not
// depend on threads or on where a row starts.
//
//===----------------------------------------------------------------------===//

#include "runtime/host/kernels/Kernels.h"

#include <string.h>

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

namespace mbc::host::MBC_ISA {

namespace {

constexpr int lanes = MBC_LANES;
typedef float Vec __attribute__((vector_size(lanes * 4), aligned(4)));
typedef int32_t IntVec __attribute__((vector_size(lanes * 4), aligned(4)));
typedef uint16_t HalfVec __attribute__((vector_size(lanes * 2), aligned(2)));
typedef _Float16 F16Vec __attribute__((vector_size(lanes * 2), aligned(2)));

inline Vec load(const float *p) { return *reinterpret_cast<const Vec *>(p); }
inline void store(float *p, Vec v) { *reinterpret_cast<Vec *>(p) = v; }
inline Vec splat(float x) { return Vec{} + x; }

inline float bitsToFloat(uint32_t bits) {
  float f;
  memcpy(&f, &bits, 4);
  return f;
}
inline uint32_t floatToBits(float f) {
  uint32_t bits;
  memcpy(&bits, &f, 4);
  return bits;
}

//===----------------------------------------------------------------------===//
// Conversions
//===----------------------------------------------------------------------===//

inline Vec loadBF16(const uint16_t *p) {
  HalfVec h = *reinterpret_cast<const HalfVec *>(p);
  return reinterpret_cast<Vec>(__builtin_convertvector(h, IntVec) << 16);
}
inline Vec loadF16(const void *p) {
  return __builtin_convertvector(*static_cast<const F16Vec *>(p), Vec);
}

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
    for (int64_t i = 0; i < count; ++i)
      p[i] = roundBF16(from[i]);
  } else {
    auto *p = static_cast<_Float16 *>(to);
    for (int64_t i = 0; i < count; ++i)
      p[i] = static_cast<_Float16>(from[i]);
  }
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

// Rows of one register tile: two vectors each, beside one for A and two for B.
constexpr int tileRows = lanes == 16 ? 12 : (lanes == 8 ? 6 : 4);

template <int M, int V> inline void tile(const Block &b, int m0, int n0) {
  Vec acc[M][V];
  for (int i = 0; i < M; ++i)
    for (int v = 0; v < V; ++v)
      acc[i][v] =
          b.accumulate ? load(b.c + (m0 + i) * b.ldc + n0 + v * lanes) : Vec{};
  const float *a = b.a + m0 * b.lda;
  const float *p = b.b + n0;
  for (int k = 0; k < b.k; ++k, p += b.ldb) {
    Vec w[V];
    for (int v = 0; v < V; ++v)
      w[v] = load(p + v * lanes);
    for (int i = 0; i < M; ++i) {
      Vec x = splat(a[i * b.lda + k]);
      for (int v = 0; v < V; ++v)
        acc[i][v] += x * w[v];
    }
  }
  for (int i = 0; i < M; ++i)
    for (int v = 0; v < V; ++v)
      store(b.c + (m0 + i) * b.ldc + n0 + v * lanes, acc[i][v]);
}

template <int V> inline void columns(const Block &b, int n0) {
  int m = 0;
  for (; m + tileRows <= b.m; m += tileRows)
    tile<tileRows, V>(b, m, n0);
  for (; m + 4 <= b.m; m += 4)
    tile<4, V>(b, m, n0);
  for (; m < b.m; ++m)
    tile<1, V>(b, m, n0);
}

void block(const Block &b) {
  int n = 0;
  for (; n + 2 * lanes <= b.n; n += 2 * lanes)
    columns<2>(b, n);
  for (; n + lanes <= b.n; n += lanes)
    columns<1>(b, n);
}

void pack(Elem elem, const void *from, int64_t ld, int n, int k, int width,
          float *to) {
  float row[256];
  for (int j = 0; j < n; ++j) {
    for (int k0 = 0; k0 < k; k0 += 256) {
      int count = k - k0 < 256 ? k - k0 : 256;
      toFloat(elem,
              static_cast<const char *>(from) + (j * ld + k0) * sizeOf(elem),
              row, count);
      float *out = to + int64_t(k0) * width + j;
      for (int i = 0; i < count; ++i)
        out[int64_t(i) * width] = row[i];
    }
  }
  for (int j = n; j < width; ++j)
    for (int i = 0; i < k; ++i)
      to[int64_t(i) * width + j] = 0;
}

void packPairs(const uint16_t *from, int64_t ld, int n, int k, int width,
               uint32_t *to) {
  for (int j = 0; j < n; ++j)
    for (int i = 0; i < k / 2; ++i)
      memcpy(to + int64_t(i) * width + j, from + j * ld + 2 * i, 4);
  for (int j = n; j < width; ++j)
    for (int i = 0; i < k / 2; ++i)
      to[int64_t(i) * width + j] = 0;
}

#if defined(__AVX512BF16__)
template <int M, int V>
inline void tilePairs(int k, const uint16_t *a, int64_t lda, const uint32_t *b,
                      int ldb, float *c, int64_t ldc, bool accumulate) {
  __m512 acc[M][V];
  for (int i = 0; i < M; ++i)
    for (int v = 0; v < V; ++v)
      acc[i][v] = accumulate ? _mm512_loadu_ps(c + i * ldc + v * 16)
                             : _mm512_setzero_ps();
  for (int p = 0; p < k / 2; ++p, b += ldb) {
    __m512bh w[V];
    for (int v = 0; v < V; ++v)
      w[v] = (__m512bh)_mm512_loadu_si512(b + v * 16);
    for (int i = 0; i < M; ++i) {
      int pair;
      memcpy(&pair, a + i * lda + 2 * p, 4);
      __m512bh x = (__m512bh)_mm512_set1_epi32(pair);
      for (int v = 0; v < V; ++v)
        acc[i][v] = _mm512_dpbf16_ps(acc[i][v], x, w[v]);
    }
  }
  for (int i = 0; i < M; ++i)
    for (int v = 0; v < V; ++v)
      _mm512_storeu_ps(c + i * ldc + v * 16, acc[i][v]);
}

void blockPairs(int m, int n, int k, const uint16_t *a, int64_t lda,
                const uint32_t *b, float *c, int64_t ldc, bool accumulate) {
  for (int n0 = 0; n0 < n; n0 += 32) {
    int m0 = 0;
    for (; m0 + 12 <= m; m0 += 12)
      tilePairs<12, 2>(k, a + m0 * lda, lda, b + n0, n, c + m0 * ldc + n0, ldc,
                       accumulate);
    for (; m0 + 4 <= m; m0 += 4)
      tilePairs<4, 2>(k, a + m0 * lda, lda, b + n0, n, c + m0 * ldc + n0, ldc,
                      accumulate);
    for (; m0 < m; ++m0)
      tilePairs<1, 2>(k, a + m0 * lda, lda, b + n0, n, c + m0 * ldc + n0, ldc,
                      accumulate);
  }
}
#else
void blockPairs(int, int, int, const uint16_t *, int64_t, const uint32_t *,
                float *, int64_t, bool) {}
#endif

inline float sumOf(Vec v) {
  float parts[lanes];
  store(parts, v);
  for (int half = lanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i)
      parts[i] += parts[i + half];
  return parts[0];
}

template <Elem E> inline Vec loadAs(const void *p, int64_t i) {
  if constexpr (E == Elem::F32)
    return load(static_cast<const float *>(p) + i);
  else if constexpr (E == Elem::BF16)
    return loadBF16(static_cast<const uint16_t *>(p) + i);
  else
    return loadF16(static_cast<const _Float16 *>(p) + i);
}
template <Elem E> inline float one(const void *p, int64_t i) {
  float f;
  toFloat(E, static_cast<const char *>(p) + i * sizeOf(E), &f, 1);
  return f;
}

/// M rows of x with two rows of w at a time.
template <Elem E, int M, int N>
inline void dotTile(int64_t k, const float *x, int64_t ldx, const void *w,
                    int64_t ldw, float *out, int64_t ldo) {
  Vec acc[M][N][2] = {};
  const void *rows[N];
  for (int j = 0; j < N; ++j)
    rows[j] = static_cast<const char *>(w) + j * ldw * sizeOf(E);
  int64_t i = 0;
  for (; i + 2 * lanes <= k; i += 2 * lanes)
    for (int u = 0; u < 2; ++u)
      for (int j = 0; j < N; ++j) {
        Vec v = loadAs<E>(rows[j], i + u * lanes);
        for (int m = 0; m < M; ++m)
          acc[m][j][u] += load(x + m * ldx + i + u * lanes) * v;
      }
  for (int m = 0; m < M; ++m)
    for (int j = 0; j < N; ++j) {
      float sum = sumOf(acc[m][j][0] + acc[m][j][1]);
      for (int64_t t = i; t < k; ++t)
        sum += x[m * ldx + t] * one<E>(rows[j], t);
      out[m * ldo + j] = sum;
    }
}

template <Elem E, int M>
inline void dotRows(int n, int64_t k, const float *x, int64_t ldx,
                    const void *w, int64_t ldw, float *out, int64_t ldo) {
  int j = 0;
  auto row = [&](int r) {
    return static_cast<const char *>(w) + r * ldw * sizeOf(E);
  };
  for (; j + 4 <= n; j += 4)
    dotTile<E, M, 4>(k, x, ldx, row(j), ldw, out + j, ldo);
  for (; j < n; ++j)
    dotTile<E, M, 1>(k, x, ldx, row(j), ldw, out + j, ldo);
}

template <Elem E>
inline void dotsAs(int m, int n, int64_t k, const float *x, int64_t ldx,
                   const void *w, int64_t ldw, float *out, int64_t ldo) {
  if (m >= 4)
    dotRows<E, 4>(n, k, x, ldx, w, ldw, out, ldo);
  else if (m == 3)
    dotRows<E, 3>(n, k, x, ldx, w, ldw, out, ldo);
  else if (m == 2)
    dotRows<E, 2>(n, k, x, ldx, w, ldw, out, ldo);
  else
    dotRows<E, 1>(n, k, x, ldx, w, ldw, out, ldo);
}

#if defined(__AVX512BF16__)
template <int M, int N>
inline void dotPairs(int64_t k, const uint16_t *x, int64_t ldx,
                     const uint16_t *w, int64_t ldw, float *out, int64_t ldo) {
  __m512 acc[M][N];
  for (int m = 0; m < M; ++m)
    for (int j = 0; j < N; ++j)
      acc[m][j] = _mm512_setzero_ps();
  for (int64_t i = 0; i < k; i += 32) {
    __mmask32 mask = k - i >= 32 ? ~0u : (1u << (k - i)) - 1;
    __m512bh v[N];
    for (int j = 0; j < N; ++j)
      v[j] = (__m512bh)_mm512_maskz_loadu_epi16(mask, w + j * ldw + i);
    for (int m = 0; m < M; ++m) {
      __m512bh xs = (__m512bh)_mm512_maskz_loadu_epi16(mask, x + m * ldx + i);
      for (int j = 0; j < N; ++j)
        acc[m][j] = _mm512_dpbf16_ps(acc[m][j], xs, v[j]);
    }
  }
  for (int m = 0; m < M; ++m)
    for (int j = 0; j < N; ++j)
      out[m * ldo + j] = sumOf((Vec)acc[m][j]);
}

template <int M>
inline void dotPairRows(int n, int64_t k, const uint16_t *x, int64_t ldx,
                        const uint16_t *w, int64_t ldw, float *out,
                        int64_t ldo) {
  int j = 0;
  for (; j + 4 <= n; j += 4)
    dotPairs<M, 4>(k, x, ldx, w + j * ldw, ldw, out + j, ldo);
  for (; j < n; ++j)
    dotPairs<M, 1>(k, x, ldx, w + j * ldw, ldw, out + j, ldo);
}
#endif

void dots(Elem elem, int m, int n, int64_t k, const void *x, int64_t ldx,
          Elem xElem, const void *w, int64_t ldw, float *out, int64_t ldo) {
#if defined(__AVX512BF16__)
  if (elem == Elem::BF16 && xElem == Elem::BF16) {
    auto *xs = static_cast<const uint16_t *>(x);
    auto *ws = static_cast<const uint16_t *>(w);
    if (m >= 4)
      dotPairRows<4>(n, k, xs, ldx, ws, ldw, out, ldo);
    else if (m == 3)
      dotPairRows<3>(n, k, xs, ldx, ws, ldw, out, ldo);
    else if (m == 2)
      dotPairRows<2>(n, k, xs, ldx, ws, ldw, out, ldo);
    else
      dotPairRows<1>(n, k, xs, ldx, ws, ldw, out, ldo);
    return;
  }
#endif
  auto *xs = static_cast<const float *>(x);
  if (elem == Elem::F32)
    dotsAs<Elem::F32>(m, n, k, xs, ldx, w, ldw, out, ldo);
  else if (elem == Elem::BF16)
    dotsAs<Elem::BF16>(m, n, k, xs, ldx, w, ldw, out, ldo);
  else
    dotsAs<Elem::F16>(m, n, k, xs, ldx, w, ldw, out, ldo);
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
  for (int64_t i = 1; i < n; ++i)
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
    block,
    pack,
    packPairs,
    blockPairs,
    dots,
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
