//===- LatentAttention.h - Attention over latents ---------------*- C++ -*-===//
#pragma once

#include "runtime/host/Attention.h"

namespace mbc::host {

struct LatentCall {
  /// [rows, heads, nope], [rows, heads, rope], [rows, c], [rows, rope],
  /// [heads, nope + v, c], [rows, heads, v].
  const BoundView *qNope, *qRope, *latent, *kRope, *up, *out;
  /// The c numbers of a token, and its rope key.
  StateRows latents, ropes;
  double scale;
  bool absorbed;
};

/// Writes the call's latents and rope keys into the state, then attends
/// causally, in blocks of keys. `absorbed`: queries are taken to the latents'
/// space, where all heads share the keys, and results back; else keys and
/// values of a block are made of its latents, head by head. Both compute the
/// same but for rounding. The same bits for any number of threads.
void attend(const LatentCall &call, std::span<const Sequence> sequences,
            ThreadPool &pool);

} // namespace mbc::host
