//===- Prefill.cu - What cuDNN's attention is given -----------*- CUDA -*-===//
//
// Tables of a call's sequences, and keys and values of latent attention in full.
// References: the tables of LaunchPrefill.cpp's call; runtime/host/LatentAttention.cpp,
// expanded.
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/kernels/Elements.cuh"

using namespace mbc::cuda;

namespace {

constexpr int tableThreads = 256, copyThreads = 128;

/// One of the pieces of 16 bytes that rows of 16-bit elements consist of.
constexpr int piece = 8;

/// The sequence that key `key` of those brought together is of; tables.k counts
/// keys of `row` elements. -1: there are fewer keys.
__device__ int sequenceOf(const LatentKeysArguments &given, int64_t row,
                          int64_t key) {
  const int64_t *begins = given.tables.k;
  if (key * row >= begins[given.sequences])
    return -1;
  // The last that begins at the key or before; those without keys come last.
  int low = 0, high = given.sequences;
  while (high - low > 1) {
    int middle = (low + high) / 2;
    if (begins[middle] <= key * row)
      low = middle;
    else
      high = middle;
  }
  return low;
}

/// The slot of a key of a sequence.
__device__ int64_t slotOf(const LatentKeysArguments &given, int64_t row,
                          int64_t key, int sequence) {
  return given.tables.slots[sequence] + key - given.tables.k[sequence] / row;
}

} // namespace

/// One block fills the tables.
extern "C" __global__ void __launch_bounds__(tableThreads)
    mbc_sequences(const __grid_constant__ SequenceArguments given,
                  Count count) {
  int rows = int(rowsOf(count));
  const SequenceTables &t = given.tables;
  for (int s = threadIdx.x; s <= given.sequences; s += blockDim.x) {
    t.q[s] = rows * given.qRow;
    t.out[s] = rows * given.outRow;
    t.k[s] = given.slots * given.kRow;
    t.v[s] = given.slots * given.vRow;
    if (s == given.sequences)
      break;
    t.rows[s] = t.keys[s] = t.slots[s] = 0;
  }
  __syncthreads();
  for (int row = threadIdx.x; row < rows; row += blockDim.x) {
    RowPlace place = given.places[row];
    int s = place.sequence;
    if ((row > 0 && given.places[row - 1].sequence == s) ||
        s >= given.sequences)
      continue;
    t.rows[s] = place.total - place.index;
    t.keys[s] = place.total;
    t.slots[s] = place.slot;
    t.q[s] = row * given.qRow;
    t.out[s] = row * given.outRow;
    t.k[s] = place.slot * given.kRow;
    t.v[s] = place.slot * given.vRow;
  }
  if (given.slots >= 0)
    return;
  __syncthreads();
  if (threadIdx.x == 0) {
    int64_t keys = 0;
    for (int s = 0; s <= given.sequences; ++s) {
      t.k[s] = keys * given.kRow;
      t.v[s] = keys * given.vRow;
      if (s < given.sequences)
        keys += t.keys[s];
    }
  }
}

/// Brings the latents of all keys together; a block a key, of as many as there
/// is room for. Rows that are none become zeros: they are multiplied too.
extern "C" __global__ void __launch_bounds__(copyThreads)
    mbc_gather_latents(const __grid_constant__ LatentKeysArguments given) {
  int64_t key = blockIdx.x, row = int64_t(given.heads) * (given.nope + given.rope);
  int sequence = sequenceOf(given, row, key);
  int pieces = given.latent / piece;
  auto *out = static_cast<uint4 *>(given.gathered) + key * pieces;
  if (sequence < 0) {
    for (int i = threadIdx.x; i < pieces; i += blockDim.x)
      out[i] = {0, 0, 0, 0};
    return;
  }
  auto *in = static_cast<const uint4 *>(given.latents) +
             slotOf(given, row, key, sequence) * pieces;
  for (int i = threadIdx.x; i < pieces; i += blockDim.x)
    out[i] = in[i];
}

/// keys[key, head] = what the product made of the latent, then the key's rope,
/// which is of all heads.
extern "C" __global__ void __launch_bounds__(copyThreads)
    mbc_latent_keys(const __grid_constant__ LatentKeysArguments given) {
  int width = given.nope + given.rope, both = given.nope + given.v;
  int64_t key = blockIdx.x, row = int64_t(given.heads) * width;
  int sequence = sequenceOf(given, row, key);
  if (sequence < 0)
    return;
  int64_t slot = slotOf(given, row, key, sequence);
  int pieces = width / piece, first = given.nope / piece;
  auto *out = static_cast<uint4 *>(given.keys) + key * (row / piece);
  auto *nope = static_cast<const uint4 *>(given.expanded) +
               key * given.heads * (both / piece);
  auto *rope = static_cast<const uint4 *>(given.ropes) +
               slot * (given.rope / piece);
  for (int i = threadIdx.x; i < given.heads * pieces; i += blockDim.x) {
    int head = i / pieces, at = i % pieces;
    out[i] = at < first ? nope[head * (both / piece) + at] : rope[at - first];
  }
}

/// out[row, head] = the two parts of a query, one after the other.
extern "C" __global__ void __launch_bounds__(copyThreads)
    mbc_join_queries(View nope, View rope, void *out, Count count) {
  int64_t row = blockIdx.x, heads = nope.dims[1];
  if (row >= rowsOf(count))
    return;
  int first = int(nope.dims[2]) / piece, second = int(rope.dims[2]) / piece;
  int pieces = first + second;
  auto rowOf = [row](const View &view) {
    return reinterpret_cast<const uint4 *>(
        static_cast<const uint16_t *>(view.data) + row * view.strides[0]);
  };
  const uint4 *one = rowOf(nope), *two = rowOf(rope);
  auto *to = static_cast<uint4 *>(out) + row * heads * pieces;
  for (int i = threadIdx.x; i < heads * pieces; i += blockDim.x) {
    int head = i / pieces, at = i % pieces;
    to[i] = at < first ? one[head * (nope.strides[1] / piece) + at]
                       : two[head * (rope.strides[1] / piece) + at - first];
  }
}
