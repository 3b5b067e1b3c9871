//===- Draw.cu - Drawing tokens -------------------------------*- CUDA -*-===//
//
// Reference: drawToken in runtime/generate/Sampler.cpp, to the bit: what is
// summed are whole numbers (runtime/program/Drawing.h), so that nothing depends
// on an order, and tokens may be counted and listed as they come.
//
// Nothing is sorted. Tokens are counted by their distance from the best logit,
// in steps; that tells the few steps in which the last token that stays is.
// What is in these is listed, and halving finds the token among it. Then all
// that stays is weighed, part by part, and the part and the token found in
// which the random number falls. Each kernel has a block for each part of a
// row; the last one to be done of a row decides what follows for it. Blocks of
// rows that are not drawn, or of which nothing is removed, end at once.
//
// blockIdx: (part of a row, row).
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/kernels/Elements.cuh"

using namespace mbc;
using namespace mbc::cuda;

namespace {

constexpr int threads = 256, warps = threads / 32;
constexpr int each = DrawArguments::part / threads;
constexpr int noId = 0x7fffffff;

/// Bits that are ordered as the numbers are.
__device__ uint32_t ordered(float value) {
  uint32_t bits = __float_as_uint(value);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

/// A row that is drawn.
struct Row {
  const float *logits;
  int64_t vocab;
  Drawing how;
  /// Likeliest of all, and the logarithm of its probability.
  ChosenToken likeliest;
  float best; ///< divided by the temperature

  __device__ explicit Row(const DrawArguments &given)
      : logits(given.logits + blockIdx.y * given.vocab), vocab(given.vocab),
        how(given.drawings[blockIdx.y]), likeliest(given.chosen[blockIdx.y]) {
    best = isDrawn() ? scaled(logits[likeliest.id]) : 0;
  }

  /// Logits that are no numbers have no likeliest.
  __device__ bool isDrawn() const { return how.draws && likeliest.id >= 0; }
  /// Whether tokens are removed for what others there are.
  __device__ bool isCut() const {
    return isDrawn() && (how.topK != 0 || how.mostRemoved != 0);
  }
  /// Of the two zeros, which are equal, one.
  __device__ float scaled(float logit) const {
    float value = __fdiv_rn(logit, how.temperature);
    return value == 0 ? 0.0f : value;
  }
  /// -1: a token of no weight.
  __device__ int bucketOf(float value) const {
    float below = best - value;
    return below < negligibleBelow ? int(below * DrawRow::bucketsOfOne) : -1;
  }
  /// Floats between a logit and the best.
  __device__ uint32_t distanceOf(float value) const {
    return ordered(best) - ordered(value);
  }
  __device__ Mass weightAt(uint32_t distance) const {
    uint32_t bits = ordered(best) - distance;
    float value =
        __uint_as_float(bits & 0x80000000u ? bits & 0x7fffffffu : ~bits);
    return weightOf(shareOfBest(best - value));
  }

  /// Calls `take` with the number, the id and the logit of `each` tokens, of
  /// which none is waited for before all are asked for.
  template <typename Take>
  __device__ void forTokens(int64_t first, int step, const Take &take) const {
    float values[each];
#pragma unroll
    for (int i = 0; i < each; ++i)
      values[i] = first + i * step < vocab ? logits[first + i * step]
                                           : -__builtin_inff();
#pragma unroll
    for (int i = 0; i < each; ++i)
      take(i, int(first) + i * step, scaled(values[i]));
  }
  /// The same with what this thread has of the block's part.
  template <typename Take> __device__ void forPart(const Take &take) const {
    forTokens(int64_t(blockIdx.x) * DrawArguments::part + threadIdx.x, threads,
              take);
  }
};

/// The sum over the block, in every thread.
__device__ Mass sumOfBlock(Mass value) {
  __shared__ Mass sums[warps];
  // A warp adds words at once: thirds that leave room for 32 of them.
  constexpr int third = 22;
  constexpr uint32_t digits = (1u << third) - 1;
  Mass low = __reduce_add_sync(0xffffffff, uint32_t(value) & digits),
       middle =
           __reduce_add_sync(0xffffffff, uint32_t(value >> third) & digits),
       high = __reduce_add_sync(0xffffffff, uint32_t(value >> 2 * third));
  __syncthreads();
  if (threadIdx.x % 32 == 0)
    sums[threadIdx.x / 32] = low + (middle << third) + (high << 2 * third);
  __syncthreads();
  Mass sum = 0;
  for (int i = 0; i < warps; ++i)
    sum += sums[i];
  return sum;
}

/// The sum over this thread and those before it; `all`: over the block.
__device__ Mass sumUpTo(Mass value, Mass &all) {
  __shared__ Mass sums[threads];
  int thread = threadIdx.x;
  __syncthreads();
  sums[thread] = value;
  __syncthreads();
  for (int by = 1; by < threads; by *= 2) {
    Mass before = thread >= by ? sums[thread - by] : 0;
    __syncthreads();
    sums[thread] += before;
    __syncthreads();
  }
  all = sums[threads - 1];
  return sums[thread];
}

/// Whether all other blocks of the row are done, so that this one, in every
/// thread, sees what they wrote.
__device__ bool isLast(int32_t *arrived) {
  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    last = atomicAdd(arrived, 1) == int(gridDim.x) - 1;
    if (last)
      *arrived = 0;
  }
  __syncthreads();
  if (last)
    __threadfence();
  return last;
}

/// Finds the buckets of the candidates.
__device__ void findBuckets(const Drawing &how, DrawRow &row) {
  constexpr int mine = DrawRow::buckets / threads;
  int first = threadIdx.x * mine;
  Mass counts[mine], weights[mine], count = 0, weight = 0;
  for (int i = 0; i < mine; ++i) {
    count += counts[i] = __ldcg(row.counts + first + i);
    weight += weights[i] = __ldcg(row.weights + first + i);
    row.counts[first + i] = 0;
    row.weights[first + i] = 0;
  }
  Mass allCounted, allWeight;
  Mass counted = sumUpTo(count, allCounted) - count;
  Mass weighed = sumUpTo(weight, allWeight) - weight;

  // Where top-k ends, and what weighs at least as much as what it leaves.
  __shared__ int lastByCount, lastByWeight;
  __shared__ Mass atLeast;
  if (threadIdx.x == 0) {
    lastByCount = lastByWeight = DrawRow::buckets;
    atLeast = allWeight;
  }
  __syncthreads();
  Mass n = counted, w = weighed;
  for (int i = 0; i < mine; n += counts[i], w += weights[i], ++i)
    if (how.topK != 0 && n < how.topK && n + counts[i] >= how.topK) {
      lastByCount = first + i;
      atLeast = w;
    }
  __syncthreads();
  // Of less weight less stays: the bucket is this one or a later one.
  if (how.mostRemoved != 0) {
    Mass stays = weightThatStays(atLeast, how.mostRemoved);
    w = weighed;
    for (int i = 0; i < mine; w += weights[i], ++i)
      if (w < stays && w + weights[i] >= stays)
        lastByWeight = first + i;
  }
  __syncthreads();
  int from = min(lastByCount, lastByWeight);
  int to = lastByCount < DrawRow::buckets ? lastByCount : lastByWeight;
  n = counted, w = weighed;
  for (int i = 0; i < mine; n += counts[i], w += weights[i], ++i)
    if (first + i == from) {
      row.countBefore = uint32_t(n);
      row.weightBefore = w;
    }
  if (threadIdx.x == 0) {
    bool some = to < DrawRow::buckets;
    row.first = some ? from : 1;
    row.last = some ? to : 0;
    row.cutsByCount = lastByCount < DrawRow::buckets;
    row.weight = allWeight;
  }
}

/// What may be the last token to stay: a list, or where it has no room for all,
/// the whole row.
struct Candidates {
  const Row &row;
  const uint32_t *distances;
  const int32_t *ids;
  const Mass *weights;
  int count;         ///< < 0: the whole row
  int first, last;   ///< buckets
  uint32_t farthest; ///< no candidate is farther from the best

  /// The sum of `measure(distance, id, weight)`.
  template <typename Measure>
  __device__ Mass sum(const Measure &measure) const {
    Mass sum = 0;
    if (count >= 0) {
      for (int i = threadIdx.x; i < count; i += threads)
        sum += measure(distances[i], ids[i], weights[i]);
    } else {
      for (int64_t id = threadIdx.x; id < row.vocab; id += threads) {
        float value = row.scaled(row.logits[id]);
        int bucket = row.bucketOf(value);
        if (bucket < first || bucket > last)
          continue;
        uint32_t distance = row.distanceOf(value);
        sum += measure(distance, int32_t(id), row.weightAt(distance));
      }
    }
    return sumOfBlock(sum);
  }

  /// The least number up to which `measure` is `wanted`, with `before` of what
  /// are no candidates; at most `high`.
  template <typename Measure>
  __device__ uint32_t leastWith(Mass wanted, Mass before, uint32_t high,
                                const Measure &measure) const {
    uint32_t low = 0;
    while (low < high) {
      uint32_t middle = low + (high - low) / 2;
      Mass found =
          before + sum([&](uint32_t distance, int32_t id, Mass weight) {
            return measure(middle, distance, id, weight);
          });
      if (found >= wanted)
        high = middle;
      else
        low = middle + 1;
    }
    return low;
  }
};

/// Finds the last token that stays.
__device__ void findLast(const Candidates &of, DrawRow &row) {
  const Drawing &how = of.row.how;
  uint32_t distance = 0xffffffffu;
  int32_t id = noId;
  Mass weight = row.weight;
  auto weightUpTo = [](uint32_t end, uint32_t distance, int32_t, Mass weight) {
    return distance <= end ? weight : 0;
  };
  // What equals the last of top-k stays. There may be fewer than these.
  if (row.cutsByCount) {
    distance = of.leastWith(how.topK, row.countBefore, of.farthest,
                            [](uint32_t end, uint32_t distance, int32_t, Mass) {
                              return Mass(distance <= end);
                            });
    weight =
        row.weightBefore + of.sum([&](uint32_t from, int32_t, Mass weight) {
          return weightUpTo(distance, from, 0, weight);
        });
  }
  if (how.mostRemoved != 0) {
    Mass stays = weightThatStays(weight, how.mostRemoved);
    distance = of.leastWith(stays, row.weightBefore, of.farthest, weightUpTo);
    Mass before =
        row.weightBefore + of.sum([&](uint32_t from, int32_t, Mass weight) {
          return from < distance ? weight : 0;
        });
    Mass equals = of.sum(
        [&](uint32_t from, int32_t, Mass) { return Mass(from == distance); });
    // Those stay that have less than `stays` before them.
    Mass one = of.row.weightAt(distance),
         left = (stays - before + one - 1) / one;
    if (left < equals)
      id = int32_t(
          of.leastWith(left, 0, uint32_t(of.row.vocab - 1),
                       [&](uint32_t end, uint32_t from, int32_t of, Mass) {
                         return Mass(from == distance && uint32_t(of) <= end);
                       }));
  }
  if (threadIdx.x == 0) {
    row.lastDistance = distance;
    row.lastId = id;
  }
}

} // namespace

/// Counts and weighs the tokens of each bucket.
extern "C" __global__ void __launch_bounds__(threads, 1)
    mbc_draw_count(DrawArguments given) {
  takeTurn();
  Row row(given);
  if (!row.isCut())
    return;
  DrawRow &shared = given.rows[blockIdx.y];
  // Sums of halves of the weights fit into words.
  constexpr int half = 20;
  static_assert(DrawArguments::part <= 1 << (31 - half));
  __shared__ uint32_t counts[DrawRow::buckets], low[DrawRow::buckets],
      high[DrawRow::buckets];
  for (int i = threadIdx.x; i < DrawRow::buckets; i += threads)
    counts[i] = low[i] = high[i] = 0;
  __syncthreads();
  bool weighs = row.how.mostRemoved != 0;
  row.forPart([&](int, int, float value) {
    int bucket = row.bucketOf(value);
    if (bucket < 0)
      return;
    atomicAdd(counts + bucket, 1u);
    if (!weighs)
      return;
    Mass weight = weightOf(shareOfBest(row.best - value));
    atomicAdd(low + bucket, uint32_t(weight & ((1u << half) - 1)));
    atomicAdd(high + bucket, uint32_t(weight >> half));
  });
  __syncthreads();
  for (int i = threadIdx.x; i < DrawRow::buckets; i += threads)
    if (counts[i] != 0) {
      atomicAdd(shared.counts + i, counts[i]);
      atomicAdd(shared.weights + i, (Mass(high[i]) << half) + low[i]);
    }
  if (isLast(&shared.arrived))
    findBuckets(row.how, shared);
}

/// Lists the candidates, and finds the last token that stays.
extern "C" __global__ void __launch_bounds__(threads, 1)
    mbc_draw_cut(DrawArguments given) {
  takeTurn();
  Row row(given);
  if (!row.isCut())
    return;
  DrawRow &shared = given.rows[blockIdx.y];
  int first = shared.first, last = shared.last;
  if (first > last)
    return;
  row.forPart([&](int, int id, float value) {
    int bucket = row.bucketOf(value);
    if (bucket < first || bucket > last)
      return;
    int at = atomicAdd(&shared.found, 1);
    if (at >= DrawRow::listed)
      return;
    shared.distances[at] = row.distanceOf(value);
    shared.ids[at] = id;
  });
  if (!isLast(&shared.arrived))
    return;
  __shared__ uint32_t distances[DrawRow::listed];
  __shared__ int32_t ids[DrawRow::listed];
  __shared__ Mass weights[DrawRow::listed];
  __shared__ uint32_t farthest;
  int count = __ldcg(&shared.found);
  if (count > DrawRow::listed)
    count = -1;
  if (threadIdx.x == 0)
    farthest = count < 0 ? 0xffffffffu : 0;
  __syncthreads();
  if (threadIdx.x == 0) // once all have seen it
    shared.found = 0;
  for (int i = threadIdx.x; i < count; i += threads) {
    distances[i] = __ldcg(shared.distances + i);
    ids[i] = __ldcg(shared.ids + i);
    weights[i] = row.weightAt(distances[i]);
    atomicMax(&farthest, distances[i]);
  }
  __syncthreads();
  findLast({row, distances, ids, weights, count, first, last, farthest},
           shared);
}

/// Weighs what stays, and draws.
extern "C" __global__ void __launch_bounds__(threads, 1)
    mbc_draw(DrawArguments given) {
  takeTurn();
  Row row(given);
  if (!row.isDrawn())
    return;
  DrawRow &shared = given.rows[blockIdx.y];
  uint32_t lastDistance = 0xffffffffu;
  int32_t lastId = noId;
  if (row.isCut() && shared.first <= shared.last) {
    lastDistance = shared.lastDistance;
    lastId = shared.lastId;
  }
  auto weigh = [&](int id, float value) -> Mass {
    uint32_t distance = row.distanceOf(value);
    if (distance > lastDistance || (distance == lastDistance && id > lastId))
      return 0;
    float share = shareOfBest(row.best - value);
    return share < row.how.leastShare ? 0 : weightOf(share);
  };
  Mass weight = 0;
  row.forPart([&](int, int id, float value) { weight += weigh(id, value); });
  weight = sumOfBlock(weight);
  Mass *partWeights = given.partWeights + int64_t(blockIdx.y) * gridDim.x;
  if (threadIdx.x == 0)
    partWeights[blockIdx.x] = weight;
  if (!isLast(&shared.arrived))
    return;

  // The part.
  int parts = gridDim.x, many = (parts + threads - 1) / threads;
  int begin = min(int(threadIdx.x) * many, parts),
      end = min(begin + many, parts);
  Mass mine = 0, all;
  for (int i = begin; i < end; ++i)
    mine += __ldcg(partWeights + i);
  Mass upTo = sumUpTo(mine, all) - mine;
  if (all == 0) { // the largest logit is infinite
    if (threadIdx.x == 0)
      given.chosen[blockIdx.y] = {-1, 0};
    return;
  }
  Mass target = targetOf(all, row.how.random);
  __shared__ int64_t part;
  __shared__ Mass before;
  if (upTo <= target && target < upTo + mine) {
    int i = begin;
    for (Mass next; upTo + (next = __ldcg(partWeights + i)) <= target; ++i)
      upTo += next;
    part = i;
    before = upTo;
  }
  __syncthreads();
  // The token in it: each thread has neighbours.
  int64_t id = part * DrawArguments::part + threadIdx.x * each;
  Mass weights[each];
  mine = 0;
  row.forTokens(id, 1, [&](int i, int id, float value) {
    mine += weights[i] = weigh(id, value);
  });
  upTo = before + sumUpTo(mine, all) - mine;
  int32_t token = -1;
#pragma unroll
  for (int i = 0; i < each; upTo += weights[i], ++i)
    if (upTo <= target && target < upTo + weights[i])
      token = int32_t(id) + i;
  if (token >= 0)
    given.chosen[blockIdx.y] = {token, row.logits[token] -
                                           row.logits[row.likeliest.id] +
                                           row.likeliest.logprob};
}
