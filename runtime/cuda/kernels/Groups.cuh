//===- Groups.cuh - Rows that are sorted by group -------------*- CUDA -*-===//
#pragma once

#include "runtime/cuda/kernels/Elements.cuh"

namespace mbc::cuda {

/// Rows of a group.
struct Range {
  int begin, end;
};
__device__ inline Range rangeOf(const ProductArguments &given, int group,
                                int64_t rows) {
  if (!given.offsets)
    return {0, int(rows)};
  return {given.offsets[group], given.offsets[group + 1]};
}

/// The number of the group that is number `wanted` of those that have rows; the
/// number of groups if there are fewer. The whole warp calls.
__device__ inline int groupWithRows(const ProductArguments &given, int wanted) {
  for (int first = 0; first < given.groups; first += 32) {
    int group = first + int(threadIdx.x % 32);
    unsigned votes = __ballot_sync(
        0xffffffff, group < given.groups &&
                        given.offsets[group] < given.offsets[group + 1]);
    int here = __popc(votes);
    if (wanted < here) {
      for (; wanted > 0; --wanted)
        votes &= votes - 1;
      return first + __popc((votes & -votes) - 1);
    }
    wanted -= here;
  }
  return given.groups;
}

} // namespace mbc::cuda
