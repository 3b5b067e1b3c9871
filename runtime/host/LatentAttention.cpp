//===- LatentAttention.cpp ------------------------------------------------===//

#include "runtime/host/LatentAttention.h"

#include "runtime/host/RunningSoftmax.h"

#include <algorithm>

namespace mbc::host {

namespace {

/// Keys of a block, and queries (rows x heads) that meet it at once.
constexpr int64_t blockKeys = 64;
constexpr int64_t tileQueries = 48;

const std::byte *at(const BoundView &view, int64_t a, int64_t b) {
  return view.data + (a * view.strides[0] + b * view.strides[1]) *
                         int64_t(sizeOf(view.elem));
}

/// What one worker needs.
struct Scratch {
  std::vector<float> nope, rope, absorbed, scores, turned, latents, keys;
  RunningSoftmax softmax;
};

/// Some rows of a sequence and some heads.
struct Tile {
  const Sequence *sequence;
  int64_t head, heads, first, rows;
};

class Attend {
public:
  Attend(const LatentCall &call, const Kernels &kernel)
      : call(call), kernel(kernel), nope(call.qNope->dims[2]),
        rope(call.qRope->dims[2]), c(call.latent->dims[1]),
        v(call.out->dims[2]) {}

  void absorbed(const Tile &tile, Scratch &s) const;
  void expanded(const Tile &tile, Scratch &s) const;

private:
  /// Rows of the state from a sequence's key `k0` on.
  static const std::byte *keysOf(const StateRows &state, const Sequence &of,
                                 int64_t k0) {
    return state.data +
           (of.slot + k0) * state.width * int64_t(sizeOf(state.elem));
  }
  /// Of `up`: a head's row.
  const std::byte *upRow(int64_t head, int64_t row) const {
    return at(*call.up, head, row);
  }
  /// The tile's queries as floats, head by head.
  void loadQueries(const Tile &tile, Scratch &s) const;
  /// s.scores [queries x blockKeys] += what the rope keys of the block add.
  void addRope(const Sequence &of, int64_t k0, int64_t count, int64_t first,
               int64_t queries, Scratch &s) const;

  const LatentCall &call;
  const Kernels &kernel;
  int64_t nope, rope, c, v;
};

void Attend::loadQueries(const Tile &tile, Scratch &s) const {
  int64_t m = tile.heads * tile.rows;
  s.nope.resize(m * nope);
  s.rope.resize(m * rope);
  s.scores.resize(m * blockKeys);
  s.turned.resize(m * blockKeys);
  for (int64_t h = 0; h < tile.heads; ++h)
    for (int64_t r = 0; r < tile.rows; ++r) {
      int64_t row = tile.sequence->begin + tile.first + r, head = tile.head + h;
      int64_t query = h * tile.rows + r;
      kernel.toFloat(call.qNope->elem, at(*call.qNope, row, head),
                     s.nope.data() + query * nope, nope);
      kernel.toFloat(call.qRope->elem, at(*call.qRope, row, head),
                     s.rope.data() + query * rope, rope);
    }
}

void Attend::addRope(const Sequence &of, int64_t k0, int64_t count,
                     int64_t first, int64_t queries, Scratch &s) const {
  kernel.dots({queries, count, rope, s.rope.data() + first * rope, rope,
               Elem::F32, keysOf(call.ropes, of, k0), rope, call.ropes.elem,
               s.turned.data(), blockKeys});
  for (int64_t i = 0; i < queries; ++i) {
    float *scores = s.scores.data() + i * blockKeys;
    kernel.add(scores, s.turned.data() + i * blockKeys, scores, count);
  }
}

void Attend::absorbed(const Tile &tile, Scratch &s) const {
  int64_t m = tile.heads * tile.rows;
  loadQueries(tile, s);
  // q' = q times the head's rows of `up` that make keys.
  int64_t wide = (c + kernel.lanes - 1) / kernel.lanes * kernel.lanes;
  s.absorbed.assign(m * wide, 0.0f);
  for (int64_t h = 0; h < tile.heads; ++h)
    kernel.weigh({tile.rows, c, nope, s.nope.data() + h * tile.rows * nope,
                  nope, upRow(tile.head + h, 0), call.up->strides[1],
                  call.up->elem, s.absorbed.data() + h * tile.rows * wide,
                  wide});
  s.softmax.reset(m, c, kernel);
  const Sequence &of = *tile.sequence;
  int64_t last = of.cached + tile.first + tile.rows;
  for (int64_t k0 = 0; k0 < last; k0 += blockKeys) {
    int64_t count = std::min(blockKeys, last - k0);
    const std::byte *latents = keysOf(call.latents, of, k0);
    kernel.dots({m, count, c, s.absorbed.data(), wide, Elem::F32, latents, c,
                 call.latents.elem, s.scores.data(), blockKeys});
    addRope(of, k0, count, 0, m, s);
    for (int64_t i = 0; i < m; ++i) {
      int64_t seen = of.cached + tile.first + i % tile.rows + 1 - k0;
      s.softmax.take(i, s.scores.data() + i * blockKeys, 0,
                     std::min(count, seen), count,
                     static_cast<float>(call.scale));
    }
    kernel.weigh({m, c, count, s.scores.data(), blockKeys, latents, c,
                  call.latents.elem, s.softmax.sums(0), s.softmax.stride()});
  }
  s.keys.resize(v);
  for (int64_t i = 0; i < m; ++i) {
    int64_t head = tile.head + i / tile.rows;
    kernel.dots({1, v, c, s.softmax.finish(i), c, Elem::F32, upRow(head, nope),
                 call.up->strides[1], call.up->elem, s.keys.data(), v});
    kernel.fromFloat(
        call.out->elem, s.keys.data(),
        const_cast<std::byte *>(
            at(*call.out, of.begin + tile.first + i % tile.rows, head)),
        v);
  }
}

/// One head and all rows: a block's keys and values are made once.
void Attend::expanded(const Tile &tile, Scratch &s) const {
  loadQueries(tile, s);
  s.softmax.reset(tile.rows, v, kernel);
  const Sequence &of = *tile.sequence;
  int64_t last = of.cached + tile.first + tile.rows, both = nope + v;
  bool pairs = kernel.bf16Dot && call.latents.elem == Elem::BF16 &&
               call.up->elem == Elem::BF16;
  s.keys.resize(blockKeys * both);
  for (int64_t k0 = 0; k0 < last; k0 += blockKeys) {
    int64_t count = std::min(blockKeys, last - k0);
    const void *latents = keysOf(call.latents, of, k0);
    if (!pairs && call.latents.elem != Elem::F32) {
      s.latents.resize(blockKeys * c);
      kernel.toFloat(call.latents.elem, latents, s.latents.data(), count * c);
      latents = s.latents.data();
    }
    kernel.dots({count, both, c, latents, c, pairs ? Elem::BF16 : Elem::F32,
                 upRow(tile.head, 0), call.up->strides[1], call.up->elem,
                 s.keys.data(), both});
    // Rows before this block see none of it.
    int64_t begin = std::max<int64_t>(0, k0 - of.cached - tile.first);
    for (int64_t first = begin; first < tile.rows; first += tileQueries) {
      int64_t queries = std::min(tileQueries, tile.rows - first);
      kernel.dots({queries, count, nope, s.nope.data() + first * nope, nope,
                   Elem::F32, s.keys.data(), both, Elem::F32, s.scores.data(),
                   blockKeys});
      addRope(of, k0, count, first, queries, s);
      for (int64_t i = 0; i < queries; ++i) {
        int64_t seen = of.cached + tile.first + first + i + 1 - k0;
        s.softmax.take(first + i, s.scores.data() + i * blockKeys, 0,
                       std::min(count, seen), count,
                       static_cast<float>(call.scale));
      }
      kernel.weigh({queries, v, count, s.scores.data(), blockKeys,
                    s.keys.data() + nope, both, Elem::F32,
                    s.softmax.sums(first), s.softmax.stride()});
    }
  }
  for (int64_t row = 0; row < tile.rows; ++row)
    kernel.fromFloat(call.out->elem, s.softmax.finish(row),
                     const_cast<std::byte *>(
                         at(*call.out, of.begin + tile.first + row, tile.head)),
                     v);
}

} // namespace

void attend(const LatentCall &call, std::span<const Sequence> sequences,
            ThreadPool &pool) {
  const Kernels &kernel = kernels();
  append(*call.latent, call.latents, sequences, pool);
  append(*call.kRope, call.ropes, sequences, pool);
  int64_t heads = call.qNope->dims[1];
  // Heads share the keys of an absorbed tile; a result does not depend on who
  // is in its tile.
  int64_t together =
      call.absorbed ? std::clamp<int64_t>(heads / pool.size(), 1, 16) : 1;
  std::vector<Tile> tiles;
  for (const Sequence &sequence : sequences) {
    int64_t rows = call.absorbed ? std::max<int64_t>(1, tileQueries / together)
                                 : sequence.count;
    for (int64_t first = 0; first < sequence.count; first += rows)
      for (int64_t head = 0; head < heads; head += together)
        tiles.push_back({&sequence, head, std::min(together, heads - head),
                         first, std::min(rows, sequence.count - first)});
  }
  // The longest rows first.
  std::sort(tiles.begin(), tiles.end(), [](const Tile &a, const Tile &b) {
    return a.sequence->cached + a.first > b.sequence->cached + b.first;
  });
  std::vector<Scratch> scratch(pool.size());
  Attend attend(call, kernel);
  pool.run(tiles.size(), [&](size_t index, unsigned worker) {
    if (call.absorbed)
      attend.absorbed(tiles[index], scratch[worker]);
    else
      attend.expanded(tiles[index], scratch[worker]);
  });
}

} // namespace mbc::host
