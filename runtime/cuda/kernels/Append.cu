//===- Append.cu - What a call's rows leave in a state --------*- CUDA -*-===//
//
// Keys and values go to their slots; with keys turned on the way, and the
// queries beside them, where a row kernel would have done no more. Reference:
// runtime/host/Attention.cpp.
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/kernels/Rotation.cuh"

using namespace mbc::cuda;

/// Writes a call's rows [rows, ...] to their slots of a state.
extern "C" __global__ void mbc_append(View from, void *state, Elem elem,
                                      int64_t width, const RowPlace *places,
                                      Count count) {
  takeTurn();
  int64_t row = blockIdx.x;
  if (row >= rowsOf(count))
    return;
  RowPlace place = places[row];
  int64_t to = int64_t(place.slot + place.index) * width;
  for (int64_t i = threadIdx.x; i < width; i += blockDim.x)
    storeElement(state, elem, to + i,
                 loadElement(from.data, from.elem,
                             rowStart(from, row) + offsetIn(from, i)));
}

/// The same of two arrays, in pieces of 16 bytes: blockIdx.y says which. A
/// thread has `appendPieces` of them at once.
extern "C" __global__ void __launch_bounds__(appendThreads)
    mbc_append_pieces(const __grid_constant__ AppendArguments given,
                      Count count) {
  takeTurn();
  const AppendPart &part = given.parts[blockIdx.y];
  int64_t rows = rowsOf(count);
  uint4 piece[appendPieces];
  uint4 *to[appendPieces];
#pragma unroll
  for (int i = 0; i < appendPieces; ++i) {
    unsigned number = (blockIdx.x * appendPieces + i) * appendThreads +
                      threadIdx.x;
    int row = int(number / part.pieces), at = int(number % part.pieces);
    to[i] = nullptr;
    if (row >= rows)
      continue;
    RowPlace place = given.places[row];
    auto *from = static_cast<const uint4 *>(part.from) + row * part.row +
                 unsigned(at) / part.run * part.runs + unsigned(at) % part.run;
    piece[i] = *from;
    to[i] = static_cast<uint4 *>(part.state) +
            int64_t(place.slot + place.index) * part.pieces + at;
  }
#pragma unroll
  for (int i = 0; i < appendPieces; ++i)
    if (to[i])
      *to[i] = piece[i];
}

namespace {

/// Four lanes have a head of a row: a query, which goes to `out`, or a key or a
/// value, which go to the state.
template <typename T, int Width>
__device__ void turnRows(const DecodeArguments &given, Count count) {
  constexpr int steps = Width / 32;
  takeTurn();
  int t = threadIdx.x % 4, ofHead = given.group + 2;
  int64_t number = int64_t(blockIdx.x) * (appendThreads / 4) + threadIdx.x / 4;
  int64_t row = number / (given.kv * ofHead);
  int inRow = int(number - row * (given.kv * ofHead));
  int kv = inRow / ofHead, which = inRow % ofHead;
  bool isOne = row < rowsOf(count);
  bool isQuery = which < given.group, isKey = which == given.group;
  const HeadTurn &turn = given.turn;
  uint4 x[steps] = {}, weights[steps] = {};
  auto *weight = static_cast<const T *>(isQuery ? turn.qWeight
                                        : isKey ? turn.kWeight
                                                : nullptr);
  T *to = nullptr;
  if (isOne) {
    const View &view = isQuery ? given.q : isKey ? given.k : given.v;
    auto *from = static_cast<const T *>(view.data) + row * view.strides[0] +
                 kv * view.strides[1] + (isQuery ? which * view.strides[2] : 0);
#pragma unroll
    for (int s = 0; s < steps; ++s)
      x[s] = *reinterpret_cast<const uint4 *>(from + 32 * s + 8 * t);
    if (weight)
#pragma unroll
      for (int s = 0; s < steps; ++s)
        weights[s] = *reinterpret_cast<const uint4 *>(weight + 32 * s + 8 * t);
    RowPlace place = given.places[row];
    int64_t slot = place.slot + place.index;
    to = isQuery ? static_cast<T *>(given.out.data) +
                       row * given.out.strides[0] + kv * given.out.strides[1] +
                       which * given.out.strides[2]
         : isKey ? static_cast<T *>(given.keys) + slot * given.keySlot +
                       kv * given.keyHead
                 : static_cast<T *>(given.values) + slot * given.valueSlot +
                       kv * given.valueHead;
  }
  uint4 turned[steps];
#pragma unroll
  for (int s = 0; s < steps; ++s)
    turned[s] = x[s];
  // Lanes of a warp exchange sums, whatever they have.
  turnHead<T, Width>(turned, weights, weight, turn.qWeight || turn.kWeight,
                     isQuery ? turn.qEpsilon : turn.kEpsilon,
                     turn.angles + (isOne ? row : 0) * turn.angleRow,
                     turn.pairs);
  if (isOne)
#pragma unroll
    for (int s = 0; s < steps; ++s)
      *reinterpret_cast<uint4 *>(to + 32 * s + 8 * t) =
          isQuery || isKey ? turned[s] : x[s];
}

} // namespace

#define MBC_TURN_ROWS(name, T, Width)                                          \
  extern "C" __global__ void __launch_bounds__(appendThreads)                  \
      mbc_turn_rows_##name##_##Width(                                          \
          const __grid_constant__ DecodeArguments given, Count count) {        \
    turnRows<T, Width>(given, count);                                          \
  }
#define MBC_TURN_ROWS_OF(name, T)                                              \
  MBC_TURN_ROWS(name, T, 64)                                                   \
  MBC_TURN_ROWS(name, T, 128)                                                  \
  MBC_TURN_ROWS(name, T, 256)
MBC_TURN_ROWS_OF(bf16, __nv_bfloat16)
MBC_TURN_ROWS_OF(f16, __half)
