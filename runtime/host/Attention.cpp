//===- Attention.cpp ------------------------------------------------------===//

#include "runtime/host/Attention.h"

#include "runtime/host/RunningSoftmax.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

namespace mbc::host {

/// Keys of a block, and rows of a tile (queries x heads of a group).
constexpr int64_t blockKeys = 64;
constexpr int64_t tileRows = 48;

namespace {

struct Scratch {
  std::vector<std::byte> q;
  std::vector<float> scores;
  RunningSoftmax softmax;
};

const std::byte *at(const BoundView &view, int64_t a, int64_t b,
                    int64_t c = 0) {
  int64_t offset = a * view.strides[0] + b * view.strides[1];
  if (view.dims.size() == 4)
    offset += c * view.strides[2];
  return view.data + offset * sizeOf(view.elem);
}

/// One tile: rows of a sequence with all heads of one group.
void attendTile(const AttentionCall &call, const Sequence &sequence,
                int64_t head, int64_t first, int64_t rows, Scratch &s,
                const Kernels &kernel) {
  int64_t group = call.q->dims[2], d = call.q->dims[3], dv = call.v->dims[2];
  int64_t m = rows * group;
  // Queries and keys of bfloat16 are multiplied as they are.
  bool pairs = kernel.bf16Dot && call.q->elem == Elem::BF16 &&
               call.keys.elem == Elem::BF16;
  Elem elem = pairs ? Elem::BF16 : Elem::F32;
  s.q.resize(m * d * sizeOf(elem));
  s.scores.resize(m * blockKeys);
  s.softmax.reset(m, dv, kernel);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t g = 0; g < group; ++g) {
      const std::byte *from = at(*call.q, sequence.begin + first + r, head, g);
      std::byte *to = s.q.data() + (r * group + g) * d * sizeOf(elem);
      if (pairs)
        std::memcpy(to, from, d * sizeOf(elem));
      else
        kernel.toFloat(call.q->elem, from, reinterpret_cast<float *>(to), d);
    }
  int64_t total = sequence.cached + sequence.count;
  // Keys that the last row sees, and the first one's window.
  int64_t last = call.causal ? sequence.cached + first + rows : total;
  int64_t start = 0;
  if (call.window > 0)
    start = std::max<int64_t>(0, sequence.cached + first + 1 - call.window);
  start = start / blockKeys * blockKeys;
  for (int64_t k0 = start; k0 < last; k0 += blockKeys) {
    int64_t count = std::min(blockKeys, last - k0);
    auto state = [&](const StateRows &rows, int64_t size) {
      int64_t apart = rows.headStride ? rows.headStride : size;
      return rows.data + ((sequence.slot + k0) * rows.width + head * apart) *
                             sizeOf(rows.elem);
    };
    kernel.dots({m, count, d, s.q.data(), d, elem, state(call.keys, d),
                 call.keys.width, call.keys.elem, s.scores.data(), blockKeys});
    for (int64_t i = 0; i < m; ++i) {
      float *scores = s.scores.data() + i * blockKeys;
      int64_t position = sequence.cached + first + i / group;
      // What this row sees of the block.
      int64_t end = call.causal ? std::min(count, position + 1 - k0) : count;
      int64_t begin =
          call.window > 0
              ? std::clamp<int64_t>(position + 1 - call.window - k0, 0, count)
              : 0;
      s.softmax.take(i, scores, begin, end, count,
                     static_cast<float>(call.scale));
    }
    kernel.weigh({m, dv, count, s.scores.data(), blockKeys,
                  state(call.values, dv), call.values.width, call.values.elem,
                  s.softmax.sums(0), s.softmax.stride()});
  }
  for (int64_t i = 0; i < m; ++i) {
    std::byte *to = const_cast<std::byte *>(
        at(*call.out, sequence.begin + first + i / group, head, i % group));
    kernel.fromFloat(call.out->elem, s.softmax.finish(i), to, dv);
  }
}

} // namespace

void append(const BoundView &view, const StateRows &state,
            std::span<const Sequence> sequences, ThreadPool &pool) {
  const Kernels &kernel = kernels();
  // [rows, heads, size], or of one head.
  int64_t heads = view.dims.size() > 2 ? view.dims[1] : 1,
          size = view.dims.back();
  for (const Sequence &sequence : sequences)
    pool.run(sequence.count, [&](size_t i, unsigned) {
      int64_t row = sequence.begin + static_cast<int64_t>(i);
      int64_t slot = sequence.slot + sequence.cached + static_cast<int64_t>(i);
      for (int64_t head = 0; head < heads; ++head) {
        const std::byte *from =
            view.data +
            (row * view.strides[0] + (heads > 1 ? head * view.strides[1] : 0)) *
                int64_t(sizeOf(view.elem));
        std::byte *to = state.data +
                        (slot * state.width + head * size) * sizeOf(state.elem);
        if (view.elem == state.elem) {
          std::memcpy(to, from, size * sizeOf(state.elem));
          continue;
        }
        float values[1024];
        for (int64_t j = 0; j < size; j += 1024) {
          int64_t count = std::min<int64_t>(1024, size - j);
          kernel.toFloat(view.elem, from + j * sizeOf(view.elem), values,
                         count);
          kernel.fromFloat(state.elem, values, to + j * sizeOf(state.elem),
                           count);
        }
      }
    });
}

/// Attends over keys and values that are where the call says.
static void attendTiles(const AttentionCall &call,
                        std::span<const Sequence> sequences, ThreadPool &pool) {
  const Kernels &kernel = kernels();
  struct Tile {
    const Sequence *sequence;
    int64_t head, first, rows;
  };
  int64_t heads = call.q->dims[1], group = call.q->dims[2];
  int64_t atOnce = std::max<int64_t>(1, tileRows / group);
  std::vector<Tile> tiles;
  for (const Sequence &sequence : sequences)
    for (int64_t first = 0; first < sequence.count; first += atOnce)
      for (int64_t head = 0; head < heads; ++head)
        tiles.push_back(
            {&sequence, head, first, std::min(atOnce, sequence.count - first)});
  // The longest rows first.
  std::stable_sort(
      tiles.begin(), tiles.end(), [](const Tile &a, const Tile &b) {
        return a.sequence->cached + a.first > b.sequence->cached + b.first;
      });
  std::vector<Scratch> scratch(pool.size());
  pool.run(tiles.size(), [&](size_t index, unsigned worker) {
    const Tile &tile = tiles[index];
    attendTile(call, *tile.sequence, tile.head, tile.first, tile.rows,
               scratch[worker], kernel);
  });
}

void attend(const AttentionCall &call, std::span<const Sequence> sequences,
            ThreadPool &pool) {
  append(*call.k, call.keys, sequences, pool);
  append(*call.v, call.values, sequences, pool);
  attendTiles(call, sequences, pool);
}

Status attendParts(AttentionCall call, const BoundView *ends, int64_t rows,
                   ThreadPool &pool) {
  auto rowsIn = [](const BoundView &view) {
    return StateRows{view.data, view.strides[0], view.elem, view.strides[1]};
  };
  // Rows of the call are the state that nothing is remembered in.
  call.keys = rowsIn(*call.k);
  call.values = rowsIn(*call.v);
  std::vector<Sequence> parts;
  auto *end = ends ? reinterpret_cast<const int32_t *>(ends->data) : nullptr;
  if (end)
    MBC_TRY(checkParts({end, static_cast<size_t>(rows)}));
  for (int64_t begin = 0; begin < rows;) {
    int64_t behind = end ? end[begin] : rows;
    parts.push_back({begin, behind - begin, begin, 0});
    begin = behind;
  }
  attendTiles(call, parts, pool);
  return {};
}

} // namespace mbc::host
