//===- Products.cpp - Dots of rows, and weighted sums of rows -------------===//
//
// Compiled once for each instruction set (Vec.h). Both operands of a product
// are rows of k, as checkpoints store weights and attention keeps keys: a
// result is a dot, whose partial sums lie in the lanes of one vector. Its order
// of additions depends on k alone, so a row gives the same bits in any company.
//
//===----------------------------------------------------------------------===//

#include "runtime/host/kernels/Vec.h"

namespace mbc::host::MBC_ISA {

void dots(const Dots &d);
void weigh(const Weigh &w);

namespace {

/// Weight rows that are multiplied at once.
constexpr int tileColumns = 4;
/// Rows of x: with the columns as many sums as a vector has lanes, where the
/// registers are enough for that.
constexpr int tileRows = lanes == 16 ? 4 : 2;
/// Of a block of weight rows that stays in the first cache level.
constexpr int64_t blockBytes = 24 << 10;

#define MBC_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)

/// The sum of each of the vectors, in one; each by halves, as `sumOf`.
inline Vec sumsOf(const Vec *a) {
#if MBC_LANES == 16
  Vec quarters[4];
  for (int r = 0; r < 4; ++r) {
    // [8 of one, 8 of another], then [4, 4, 4, 4].
    auto fold = [](Vec x, Vec y) {
      return MBC_SHUFFLE(x, y, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21,
                         22, 23) +
             MBC_SHUFFLE(x, y, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28,
                         29, 30, 31);
    };
    Vec x = fold(a[r], a[4 + r]), y = fold(a[8 + r], a[12 + r]);
    quarters[r] = MBC_SHUFFLE(x, y, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19,
                              24, 25, 26, 27) +
                  MBC_SHUFFLE(x, y, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23,
                              28, 29, 30, 31);
  }
  auto pairs = [](Vec x, Vec y) {
    return MBC_SHUFFLE(x, y, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13,
                       28, 29) +
           MBC_SHUFFLE(x, y, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15,
                       30, 31);
  };
  Vec x = pairs(quarters[0], quarters[1]), y = pairs(quarters[2], quarters[3]);
  return MBC_SHUFFLE(x, y, 0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14,
                     28, 30) +
         MBC_SHUFFLE(x, y, 1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15,
                     29, 31);
#else
  Vec sums = {};
  for (int i = 0; i < lanes; ++i)
    sums[i] = sumOf(a[i]);
  return sums;
#endif
}

#undef MBC_SHUFFLE

/// M rows of x with four of w: sums[m * 4 + j].
template <Elem E, int M>
inline void addDots(int64_t k, const char *const *x, const char *const *w,
                    Vec *sums) {
  Vec acc[M][tileColumns] = {};
  int64_t i = 0;
  auto step = [&](auto loadX, auto loadW) {
    Vec v[tileColumns];
    for (int j = 0; j < tileColumns; ++j)
      v[j] = loadW(w[j]);
    for (int m = 0; m < M; ++m) {
      Vec xs = loadX(x[m]);
      for (int j = 0; j < tileColumns; ++j)
        acc[m][j] += xs * v[j];
    }
  };
  for (; i + lanes <= k; i += lanes)
    step([&](const char *p) { return loadAs<Elem::F32>(p, i); },
         [&](const char *p) { return loadAs<E>(p, i); });
  if (i < k)
    step([&](const char *p) { return loadPart<Elem::F32>(p, i, k - i); },
         [&](const char *p) { return loadPart<E>(p, i, k - i); });
  for (int m = 0; m < M; ++m)
    for (int j = 0; j < tileColumns; ++j)
      sums[m * tileColumns + j] = acc[m][j];
}

#if defined(__AVX512BF16__)
/// The same of bfloat16 with bfloat16, two products an instruction and lane.
template <int M>
inline void addPairDots(int64_t k, const char *const *x, const char *const *w,
                        Vec *sums) {
  __m512 acc[M][tileColumns];
  for (int m = 0; m < M; ++m)
    for (int j = 0; j < tileColumns; ++j)
      acc[m][j] = _mm512_setzero_ps();
  int64_t i = 0;
  auto step = [&](auto loadRow) {
    __m512bh v[tileColumns];
    for (int j = 0; j < tileColumns; ++j)
      v[j] = loadRow(w[j]);
    for (int m = 0; m < M; ++m) {
      __m512bh xs = loadRow(x[m]);
      for (int j = 0; j < tileColumns; ++j)
        acc[m][j] = _mm512_dpbf16_ps(acc[m][j], xs, v[j]);
    }
  };
  for (; i + 32 <= k; i += 32)
    step(
        [&](const char *p) { return (__m512bh)_mm512_loadu_si512(p + 2 * i); });
  if (i < k) {
    __mmask32 mask = (1u << (k - i)) - 1;
    step([&](const char *p) {
      return (__m512bh)_mm512_maskz_loadu_epi16(mask, p + 2 * i);
    });
  }
  for (int m = 0; m < M; ++m)
    for (int j = 0; j < tileColumns; ++j)
      sums[m * tileColumns + j] = (Vec)acc[m][j];
}
#endif

/// M rows of x with `n` rows of w, as many at a time as fill a vector of sums.
template <Elem E, bool Pairs, int M>
inline void dotRows(const Dots &d, int64_t m0, int64_t n0, int64_t n) {
  constexpr int groups =
      lanes / (M * tileColumns) > 0 ? lanes / (M * tileColumns) : 1;
  // Four columns of M rows are `M * 4` sums: `vectors` of them.
  constexpr int vectors = M * tileColumns * groups / lanes;
  const char *x[M];
  for (int m = 0; m < M; ++m)
    x[m] = static_cast<const char *>(d.x) + (m0 + m) * d.ldx * (Pairs ? 2 : 4);
  Vec sums[vectors * lanes];
  for (int64_t j0 = 0; j0 < n; j0 += groups * tileColumns) {
    for (int g = 0; g < groups; ++g) {
      const char *w[tileColumns];
      for (int j = 0; j < tileColumns; ++j) {
        // Behind the last row it is the last again, and not stored.
        int64_t column = j0 + g * tileColumns + j;
        w[j] = static_cast<const char *>(d.w) +
               (n0 + (column < n ? column : n - 1)) * d.ldw * sizeOf(E);
      }
      Vec *to = sums + g * M * tileColumns;
#if defined(__AVX512BF16__)
      if constexpr (Pairs) {
        addPairDots<M>(d.k, x, w, to);
        continue;
      }
#endif
      addDots<E, M>(d.k, x, w, to);
    }
    float out[vectors * lanes];
    for (int v = 0; v < vectors; ++v)
      store(out + v * lanes, sumsOf(sums + v * lanes));
    for (int g = 0; g < groups; ++g)
      for (int m = 0; m < M; ++m) {
        const float *from = out + (g * M + m) * tileColumns;
        float *to = d.out + (m0 + m) * d.ldo + n0 + j0 + g * tileColumns;
        int64_t left = n - j0 - g * tileColumns;
        if (left >= tileColumns)
          memcpy(to, from, tileColumns * sizeof(float));
        else
          for (int64_t j = 0; j < left; ++j)
            to[j] = from[j];
      }
  }
}

template <Elem E, bool Pairs> void dotsAs(const Dots &d) {
  // A block of w for all rows of x, then the next: w comes from memory once.
  int64_t block = blockBytes / (d.k * sizeOf(E)) / lanes * lanes;
  if (block < lanes || d.m == 1)
    block = d.m == 1 ? d.n : lanes;
  for (int64_t n0 = 0; n0 < d.n; n0 += block) {
    int64_t n = d.n - n0 < block ? d.n - n0 : block, m = 0;
    for (; m + tileRows <= d.m; m += tileRows)
      dotRows<E, Pairs, tileRows>(d, m, n0, n);
    for (; m + 2 <= d.m; m += 2)
      dotRows<E, Pairs, 2>(d, m, n0, n);
    for (; m < d.m; ++m)
      dotRows<E, Pairs, 1>(d, m, n0, n);
  }
}

//===----------------------------------------------------------------------===//
// Weighted sums
//===----------------------------------------------------------------------===//

/// M rows of sums, V vectors of each from column `c` on; `part` > 0: elements
/// of the only vector.
template <Elem E, int M, int V>
inline void weighTile(const Weigh &w, int64_t m0, int64_t c, int64_t part) {
  Vec acc[M][V];
  float *out = w.out + m0 * w.ldo + c;
  const float *p = w.p + m0 * w.ldp;
  for (int m = 0; m < M; ++m)
    for (int v = 0; v < V; ++v)
      acc[m][v] = load(out + m * w.ldo + v * lanes);
  for (int64_t i = 0; i < w.k; ++i) {
    const char *row = static_cast<const char *>(w.v) + i * w.ldv * sizeOf(E);
    Vec values[V];
    for (int v = 0; v < V; ++v)
      values[v] =
          part > 0 ? loadPart<E>(row, c, part) : loadAs<E>(row, c + v * lanes);
    for (int m = 0; m < M; ++m) {
      Vec x = splat(p[m * w.ldp + i]);
      for (int v = 0; v < V; ++v)
        acc[m][v] += x * values[v];
    }
  }
  for (int m = 0; m < M; ++m)
    for (int v = 0; v < V; ++v)
      store(out + m * w.ldo + v * lanes, acc[m][v]);
}

template <Elem E, int V>
inline void weighColumns(const Weigh &w, int64_t c, int64_t part) {
  int64_t m = 0;
  for (; m + 4 <= w.m; m += 4)
    weighTile<E, 4, V>(w, m, c, part);
  for (; m < w.m; ++m)
    weighTile<E, 1, V>(w, m, c, part);
}

template <Elem E> void weighAs(const Weigh &w) {
  constexpr int wide = lanes == 16 ? 4 : 2;
  int64_t c = 0;
  for (; c + wide * lanes <= w.n; c += wide * lanes)
    weighColumns<E, wide>(w, c, 0);
  for (; c + lanes <= w.n; c += lanes)
    weighColumns<E, 1>(w, c, 0);
  if (c < w.n)
    weighColumns<E, 1>(w, c, w.n - c);
}

} // namespace

void dots(const Dots &d) {
  if (d.xElem == Elem::BF16)
    return dotsAs<Elem::BF16, true>(d);
  if (d.wElem == Elem::F32)
    return dotsAs<Elem::F32, false>(d);
  if (d.wElem == Elem::BF16)
    return dotsAs<Elem::BF16, false>(d);
  return dotsAs<Elem::F16, false>(d);
}

void weigh(const Weigh &w) {
  if (w.vElem == Elem::F32)
    return weighAs<Elem::F32>(w);
  if (w.vElem == Elem::BF16)
    return weighAs<Elem::BF16>(w);
  return weighAs<Elem::F16>(w);
}

} // namespace mbc::host::MBC_ISA
