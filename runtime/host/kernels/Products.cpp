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

/// Rows of w of one register tile, and rows of x: their sums, w and one vector
/// of x fill the registers.
constexpr int tileColumns = 4;
constexpr int tileRows = lanes == 16 ? 4 : 2;
/// A strip of w, so wide and so deep, stays in the first cache level while rows
/// of x pass by, so many and of so many bytes that they stay in the second.
constexpr int stripColumns = 8;
constexpr int64_t depthBytes = 3072;
constexpr int mostPassing = 60;
constexpr int64_t passingBytes = 512 << 10;
/// Rows of x that do not pay for more than one way through w.
constexpr int fewRows = 8;
/// Columns of M rows whose sums fill at least a vector.
template <int M>
constexpr int columnsOf = M * tileColumns >= lanes ? tileColumns : lanes / M;

/// The sum of each of the vectors, in one; each by halves, as `sumOf`.
inline Vec sumsOf(const Vec *a) {
#if MBC_LANES == 16
  Vec quarters[4];
  for (int r = 0; r < 4; ++r) {
    // [8 of one, 8 of another], then [4, 4, 4, 4].
    auto fold = [](Vec x, Vec y) {
      return __builtin_shufflevector(x, y, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18,
                                     19, 20, 21, 22, 23) +
             __builtin_shufflevector(x, y, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25,
                                     26, 27, 28, 29, 30, 31);
    };
    Vec x = fold(a[r], a[4 + r]), y = fold(a[8 + r], a[12 + r]);
    quarters[r] = __builtin_shufflevector(x, y, 0, 1, 2, 3, 8, 9, 10, 11, 16,
                                          17, 18, 19, 24, 25, 26, 27) +
                  __builtin_shufflevector(x, y, 4, 5, 6, 7, 12, 13, 14, 15, 20,
                                          21, 22, 23, 28, 29, 30, 31);
  }
  auto pairs = [](Vec x, Vec y) {
    return __builtin_shufflevector(x, y, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24,
                                   25, 12, 13, 28, 29) +
           __builtin_shufflevector(x, y, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26,
                                   27, 14, 15, 30, 31);
  };
  Vec x = pairs(quarters[0], quarters[1]), y = pairs(quarters[2], quarters[3]);
  return __builtin_shufflevector(x, y, 0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24,
                                 26, 12, 14, 28, 30) +
         __builtin_shufflevector(x, y, 1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25,
                                 27, 13, 15, 29, 31);
#else
  Vec sums = {};
  for (int i = 0; i < lanes; ++i)
    sums[i] = sumOf(a[i]);
  return sums;
#endif
}

//===----------------------------------------------------------------------===//
// FP8
//===----------------------------------------------------------------------===//

#if defined(__AVX512BF16__)
/// The numbers of E4M3 without a sign, as bfloat16, which holds them all.
struct Fp8Table {
  uint16_t values[128];
  constexpr Fp8Table() : values() {
    for (int bits = 0; bits < 128; ++bits) {
      int exponent = bits >> 3, digits = bits & 7;
      if (exponent == 0 && digits != 0) {
        // A subnormal one: digits * 2^-9.
        for (exponent = 1; digits < 8; --exponent)
          digits <<= 1;
        digits &= 7;
      } else if (exponent == 0) {
        exponent = -120;
      }
      values[bits] = uint16_t((exponent + 120) << 7 | digits << 4);
    }
    values[127] = 0x7fc0;
  }
};
alignas(64) constexpr Fp8Table fp8Table;

inline __m512bh bf16OfFp8(__m256i bytes) {
  __m512i bits = _mm512_cvtepu8_epi16(bytes);
  const auto *table = reinterpret_cast<const __m512i *>(fp8Table.values);
  __m512i low = _mm512_permutex2var_epi16(table[0], bits, table[1]);
  __m512i high = _mm512_permutex2var_epi16(table[2], bits, table[3]);
  __m512i size = _mm512_mask_blend_epi16(
      _mm512_test_epi16_mask(bits, _mm512_set1_epi16(0x40)), low, high);
  // size | (bits << 8 & sign)
  return (__m512bh)_mm512_ternarylogic_epi64(size, _mm512_slli_epi16(bits, 8),
                                             _mm512_set1_epi16(int16_t(0x8000)),
                                             0xf8);
}
#endif

/// What FP8 is multiplied as.
template <Elem E, bool Pairs>
constexpr Elem factorOf = E != Elem::F8 ? E
                          : Pairs       ? Elem::BF16
                                        : Elem::F32;

/// A row of FP8 as factors.
template <bool Pairs>
inline void widenF8(const char *from, char *to, int64_t count) {
  int64_t i = 0;
  if constexpr (Pairs) {
#if defined(__AVX512BF16__)
    for (; i + 32 <= count; i += 32)
      _mm512_storeu_si512(to + 2 * i,
                          (__m512i)bf16OfFp8(_mm256_loadu_si256(
                              reinterpret_cast<const __m256i *>(from + i))));
    if (i < count) {
      __mmask32 mask = (1u << (count - i)) - 1;
      _mm512_mask_storeu_epi16(
          to + 2 * i, mask,
          (__m512i)bf16OfFp8(_mm256_maskz_loadu_epi8(mask, from + i)));
    }
#endif
  } else {
    auto *floats = reinterpret_cast<float *>(to);
    for (; i + lanes <= count; i += lanes)
      store(floats + i, loadAs<Elem::F8>(from, i));
    if (i < count) {
      float rest[lanes];
      store(rest, loadPart<Elem::F8>(from, i, count - i));
      memcpy(floats + i, rest, (count - i) * sizeof(float));
    }
  }
}

/// Elements of one row and of another that one multiplication takes.
template <bool Pairs> constexpr int64_t stepSize = Pairs ? 2 * lanes : lanes;

/// sums[m][j] += products of M rows of x and four of w, elements [k0, k1).
/// `ahead` > 0: the distance of what is to be fetched from memory meanwhile.
template <Elem E, bool Pairs, int M>
inline void addTile(const char *const *x, const char *const *w, int64_t k0,
                    int64_t k1, int64_t ahead, Vec (&sums)[M][tileColumns]) {
  auto step = [&](auto loadX, auto loadW, auto multiply, int64_t i) {
    decltype(loadW(w[0])) v[tileColumns];
    if (ahead)
      for (int j = 0; j < tileColumns; ++j)
        __builtin_prefetch(w[j] + ahead + i * sizeOf(E), 0, 2);
    for (int j = 0; j < tileColumns; ++j)
      v[j] = loadW(w[j]);
    for (int m = 0; m < M; ++m) {
      auto xs = loadX(x[m]);
      for (int j = 0; j < tileColumns; ++j)
        multiply(sums[m][j], xs, v[j]);
    }
  };
  int64_t i = k0;
  constexpr int64_t size = stepSize<Pairs>;
  if constexpr (Pairs) {
#if defined(__AVX512BF16__)
    auto multiply = [](Vec &sum, __m512bh a, __m512bh b) {
      sum = (Vec)_mm512_dpbf16_ps((__m512)sum, a, b);
    };
    for (; i + size <= k1; i += size) {
      auto load = [&](const char *p) {
        return (__m512bh)_mm512_loadu_si512(p + 2 * i);
      };
      if constexpr (E == Elem::F8)
        step(
            load,
            [&](const char *p) {
              return bf16OfFp8(
                  _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p + i)));
            },
            multiply, i);
      else
        step(load, load, multiply, i);
    }
    if (i < k1) {
      __mmask32 mask = (1u << (k1 - i)) - 1;
      auto load = [&](const char *p) {
        return (__m512bh)_mm512_maskz_loadu_epi16(mask, p + 2 * i);
      };
      if constexpr (E == Elem::F8)
        step(
            load,
            [&](const char *p) {
              return bf16OfFp8(_mm256_maskz_loadu_epi8(mask, p + i));
            },
            multiply, i);
      else
        step(load, load, multiply, i);
    }
#endif
  } else {
    auto multiply = [](Vec &sum, Vec a, Vec b) { sum += a * b; };
    for (; i + size <= k1; i += size)
      step([&](const char *p) { return loadAs<Elem::F32>(p, i); },
           [&](const char *p) { return loadAs<E>(p, i); }, multiply, i);
    if (i < k1)
      step([&](const char *p) { return loadPart<Elem::F32>(p, i, k1 - i); },
           [&](const char *p) { return loadPart<E>(p, i, k1 - i); }, multiply,
           i);
  }
}

template <Elem E, bool Pairs> class DotsOf {
public:
  explicit DotsOf(const Dots &d) : d(d) {
    // Equal depths, so that the last is not a short one. For few rows memory
    // sets the pace, and is read row by row.
    int64_t passes =
        d.m <= fewRows
            ? 1
            : (d.k * int64_t(sizeOf(factor)) + depthBytes / 2) / depthBytes;
    depth = passes > 1 ? ((d.k + passes - 1) / passes + step - 1) / step * step
                       : d.k;
    // No depth ends inside of a block, whose sum has one scale.
    if (E == Elem::F8 && depth < d.k)
      depth = (depth + d.blockCols - 1) / d.blockCols * d.blockCols;
    int64_t fit = passingBytes / (d.k * (Pairs ? 2 : 4)) / tileRows * tileRows;
    passing =
        fit < tileRows ? tileRows : (fit < mostPassing ? fit : mostPassing);
  }

  void run() {
    int64_t whole = d.m - d.m % 2;
    for (int64_t m = 0; m < whole; m += passing) {
      int64_t rows = whole - m < passing ? whole - m : passing;
      for (int64_t n = 0; n < d.n; n += stripColumns)
        strip(m, rows, n);
    }
    // A single row reads w once, whatever its depth.
    for (int64_t n = 0; whole < d.m && n < d.n; n += columnsOf<1>)
      tiles<1>(whole, n, 0, d.k, nullptr);
  }

private:
  static constexpr int64_t step = stepSize<Pairs>;
  static constexpr Elem factor = factorOf<E, Pairs>;

  /// Of a strip of FP8, as factors: rows that lie `depth` elements apart.
  struct alignas(lanes * 4) Widened {
    static constexpr int64_t most = 4 * depthBytes / sizeOf(factor);
    char bytes[E == Elem::F8 ? stripColumns * most * sizeOf(factor) : 1];
  };

  /// Some rows of x with one strip of w.
  void strip(int64_t m0, int64_t rows, int64_t n0) {
    // What a depth leaves for the next.
    Vec kept[mostPassing * stripColumns];
    for (int64_t k0 = 0; k0 < d.k; k0 += depth) {
      int64_t k1 = d.k - k0 < depth ? d.k : k0 + depth, m = 0;
      if constexpr (E == Elem::F8) {
        // Many rows pass: every element is widened once for all.
        widened = rows > tileRows && depth <= Widened::most;
        for (int c = 0; widened && c < stripColumns && n0 + c < d.n; ++c)
          widenF8<Pairs>(static_cast<const char *>(d.w) + (n0 + c) * d.ldw + k0,
                         wide.bytes + c * depth * sizeOf(factor), k1 - k0);
      }
      for (; m + tileRows <= rows; m += tileRows)
        across<tileRows>(m0 + m, n0, k0, k1, kept + m * stripColumns);
      for (; m < rows; m += 2)
        across<2>(m0 + m, n0, k0, k1, kept + m * stripColumns);
      widened = false;
    }
  }

  /// Block by block: the sum of each of M x four times its scale.
  template <int M>
  void addBlocks(const char *const *x, const char *const *w,
                 const float *const *scales, int64_t k0, int64_t k1,
                 int64_t ahead, Vec (&sums)[M][tileColumns]) {
    for (int64_t k = k0; k < k1;) {
      int64_t block = k / d.blockCols, end = (block + 1) * d.blockCols;
      end = end < k1 ? end : k1;
      alignas(lanes * 4) Vec part[M][tileColumns] = {};
      if (widened)
        addTile<factor, Pairs, M>(x, w, k, end, ahead, part);
      else
        addTile<E, Pairs, M>(x, w, k, end, ahead, part);
      for (int j = 0; j < tileColumns; ++j) {
        Vec scale = splat(scales[j][block]);
        for (int m = 0; m < M; ++m)
          sums[m][j] += part[m][j] * scale;
      }
      k = end;
    }
  }

  template <int M>
  void across(int64_t m0, int64_t n0, int64_t k0, int64_t k1, Vec *kept) {
    for (int c = 0; c < stripColumns && n0 + c < d.n; c += columnsOf<M>)
      tiles<M>(m0, n0 + c, k0, k1, kept + c * M);
  }

  /// M rows with as many columns as fill vectors of sums, which are results
  /// after the last depth, else `kept`.
  template <int M>
  void tiles(int64_t m0, int64_t n0, int64_t k0, int64_t k1, Vec *kept) {
    // The first to pass a strip finds the next one's place in memory.
    int64_t ahead = M > 1 && m0 == 0 && n0 + 2 * stripColumns <= d.n
                        ? stripColumns * d.ldw * int64_t(sizeOf(E))
                        : 0;
    constexpr int columns = columnsOf<M>, groups = columns / tileColumns;
    constexpr int vectors = (M * columns + lanes - 1) / lanes;
    const char *x[M];
    for (int m = 0; m < M; ++m)
      x[m] =
          static_cast<const char *>(d.x) + (m0 + m) * d.ldx * (Pairs ? 2 : 4);
    int64_t left = d.n - n0 < columns ? d.n - n0 : columns;
    // Rounded up to whole vectors of sums. Aligned as vectors are in the types
    // of templates, which forget what `Vec` says.
    alignas(lanes * 4) Vec sums[vectors * lanes] = {};
    for (int g = 0; g < groups; ++g) {
      const char *w[tileColumns];
      const float *scales[tileColumns];
      for (int j = 0; j < tileColumns; ++j) {
        // Behind the last row it is the last again, and not stored.
        int64_t column = g * tileColumns + j;
        column = column < left ? column : left - 1;
        w[j] =
            static_cast<const char *>(d.w) + (n0 + column) * d.ldw * sizeOf(E);
        if constexpr (E == Elem::F8) {
          scales[j] = d.scales + (d.row + n0 + column) / d.blockRows *
                                     ((d.k + d.blockCols - 1) / d.blockCols);
          // As if all of the row were widened.
          if (widened)
            w[j] = wide.bytes + ((n0 + column) % stripColumns * depth - k0) *
                                    int64_t(sizeOf(factor));
        }
      }
      auto &tile =
          *reinterpret_cast<Vec(*)[M][tileColumns]>(sums + g * M * tileColumns);
      if (k0 > 0)
        memcpy(tile, kept + g * M * tileColumns, sizeof(tile));
      if constexpr (E == Elem::F8)
        addBlocks<M>(x, w, scales, k0, k1, widened ? 0 : ahead, tile);
      else
        addTile<E, Pairs, M>(x, w, k0, k1, ahead, tile);
      if (k1 < d.k)
        memcpy(kept + g * M * tileColumns, tile, sizeof(tile));
    }
    if (k1 < d.k)
      return;
    float results[vectors * lanes];
    for (int v = 0; v < vectors; ++v)
      store(results + v * lanes, sumsOf(sums + v * lanes));
    for (int g = 0; g < groups; ++g)
      for (int m = 0; m < M; ++m) {
        const float *from = results + (g * M + m) * tileColumns;
        float *to = d.out + (m0 + m) * d.ldo + n0 + g * tileColumns;
        int64_t rest = left - g * tileColumns;
        if (rest >= tileColumns)
          memcpy(to, from, tileColumns * sizeof(float));
        else
          for (int64_t j = 0; j < rest; ++j)
            to[j] = from[j];
      }
  }

  const Dots &d;
  int64_t depth, passing;
  bool widened = false;
  Widened wide;
};

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
  if (d.wElem == Elem::F8 && d.xElem == Elem::BF16)
    return DotsOf<Elem::F8, true>(d).run();
  if (d.wElem == Elem::F8)
    return DotsOf<Elem::F8, false>(d).run();
  if (d.xElem == Elem::BF16)
    return DotsOf<Elem::BF16, true>(d).run();
  if (d.wElem == Elem::F32)
    return DotsOf<Elem::F32, false>(d).run();
  if (d.wElem == Elem::BF16)
    return DotsOf<Elem::BF16, false>(d).run();
  return DotsOf<Elem::F16, false>(d).run();
}

void weigh(const Weigh &w) {
  if (w.vElem == Elem::F32)
    return weighAs<Elem::F32>(w);
  if (w.vElem == Elem::BF16)
    return weighAs<Elem::BF16>(w);
  return weighAs<Elem::F16>(w);
}

} // namespace mbc::host::MBC_ISA
