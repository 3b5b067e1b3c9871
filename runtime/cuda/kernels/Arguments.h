//===- Arguments.h - What kernels are given ---------------------*- C++ -*-===//
//
// Shared by the host and the device; plain structs, nothing else.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/program/Drawing.h"

#include <cstdint>

namespace mbc::cuda {

/// F8: E4M3 with block scales, of weights alone.
enum class Elem : int32_t { F32, BF16, F16, I32, F8 };
constexpr int64_t elemBytes(Elem elem) {
  return elem == Elem::F8 ? 1 : elem == Elem::BF16 || elem == Elem::F16 ? 2 : 4;
}

/// A strided window of device memory; dimension 0 is the row. Sizes and strides
/// in elements.
struct View {
  static constexpr int maxRank = 8;
  void *data;
  Elem elem;
  int32_t rank;
  int64_t dims[maxRank], strides[maxRank];
  /// A weight: the same for every row.
  int32_t shared;
};

/// How many rows of a call there are. It is read on the device, so that a
/// captured graph holds for every call of its function.
struct Count {
  const int32_t *counts; ///< rows, outputs of the call
  int32_t which;
  int32_t factor;  ///< rows of experts are several for each token
  int32_t divisor; ///< one row for several neighbours
};

/// Where a token of the call stands: it is number `index` of its sequence,
/// which has the slots from `slot` on and `total` tokens with this call.
struct RowPlace {
  int32_t slot, index, total, sequence;
};

/// One step of a row kernel (program.fbs: RowStep); its value lies at `offset`
/// floats of a row's scratch.
struct RowStep {
  int32_t kind;
  int32_t inputs[3]; ///< offsets of their values
  int32_t operand, vectors, width, offset;
  float scalar;
};

struct RowArguments {
  static constexpr int maxOperands = 20;
  const RowStep *steps;
  int32_t count, total; ///< steps; floats of a row's scratch
  float *scratch;       ///< of each block; null: shared memory
  View operands[maxOperands];
};

/// The scales of an FP8 weight: element i of row r, of all groups' rows one
/// after another, has scales[(r >> shift) * stride + i / columns].
struct BlockScales {
  const float *scales;
  int32_t shift, stride, columns;
};

struct ProductArguments {
  const void *x, *weight, *bias; ///< bias: null if none
  void *out;
  /// Of a product of groups: where each one's rows begin, `groups` + 1 of them;
  /// null: one group.
  const int32_t *offsets;
  int64_t ldx, ldw, ldo, groupStride;
  int32_t n, k, groups;
  int32_t fixed; ///< no kernel writes the weight
  Elem xElem, weightElem, biasElem, outElem;
  BlockScales blocks; ///< of an FP8 weight
};

/// The norm of a row that a product multiplies, which it computes by itself:
/// of k elements, rounded to the type of the weight.
struct NormArguments {
  const void *x, *weight, *bias; ///< bias: null if none
  Elem xElem, weightElem, biasElem;
  float offset;    ///< is added to the weight
  float epsilon;   ///< is added to the variance
  int32_t centred; ///< the mean is subtracted first
  /// The order in which the row kernel that it stands for sums: `group` threads
  /// have pieces of `lanes` elements, the first threads the first ones.
  int32_t lanes, group;
};

/// What is made of the elements of a product's row, instead of the row alone.
/// The row is `segments` parts of `width`; values are those of element i of
/// each part (as the product would store it), of each load, and of each step,
/// in this order.
struct ElementArguments {
  static constexpr int maxSegments = 2, maxLoads = 4, maxSteps = 12;
  static constexpr int maxValues = maxSegments + maxLoads + maxSteps;
  /// Element i of row r is element r * stride + i.
  struct Array {
    void *data;
    int64_t stride;
    Elem elem;
  };
  struct Step {
    int16_t kind;      ///< program::RowKind; a store, or of pointwise ones
    int16_t inputs[2]; ///< values
    int16_t array;     ///< of a store, in `stores`
    float scalar;
  };
  int32_t segments, width, loadCount, stepCount;
  int32_t keepsRow; ///< the product's row is stored too
  Array loads[maxLoads], stores[maxLoads];
  Step steps[maxSteps];
};

/// Attention of rows over a state. A key is the `first` elements of a row of
/// `keys`, then the `second` of one of `moreKeys`; queries likewise.
struct AttentionArguments {
  View q, moreQ; ///< [rows, kv, group, first], [rows, kv, group, second]
  const void *keys, *moreKeys, *values;
  View out; ///< [rows, kv, group, width]
  const RowPlace *places;
  /// Elements from a slot of each to the next, and from a key head to the next.
  int64_t keySlot, moreKeySlot, valueSlot, keyHead, valueHead;
  Elem elem;
  int32_t kv, group, first, second, width;
  int32_t causal, window;
  float scale;
  /// Keys of a part; parts of a row are put together by a second kernel.
  int32_t part, parts;
  float *partial; ///< [rows, kv, group, parts, width + 2]
};

/// What is done to queries and keys before they are attended: an RMS norm of
/// each head (weights of the state's type; null: none), and a rotation.
struct HeadTurn {
  const void *qWeight, *kWeight;
  const float *angles; ///< of a row its cosines, then its sines
  int64_t angleRow;    ///< elements from a row's to the next's
  float qEpsilon, kEpsilon;
  int32_t pairs; ///< of neighbours; else element i with i + width / 2
};

/// Attention of few rows over a state, into which their keys and values go.
struct DecodeArguments {
  /// Parts of a row's keys; and rows of a sequence in a call, where keys are
  /// turned here.
  static constexpr int mostParts = 32, mostOwn = 8;
  View q, out; ///< [rows, kv, group, width]
  View k, v;   ///< [rows, kv, width], of the state's type
  void *keys, *values;
  const RowPlace *places;
  /// Elements from a slot of each to the next, and from a head to the next.
  int64_t keySlot, valueSlot, keyHead, valueHead;
  int32_t kv, group, causal, window;
  float scale;
  /// Parts of a row's keys at most.
  int32_t parts;
  int32_t outTogether; ///< neighbours of `out` may be stored at once
  /// [rows, kv, group, parts, width], then [rows, kv, group, parts, 2]
  float *partial;
  /// Parts that are done, of each row and block of queries: zeros, before and
  /// after.
  int32_t *arrived;
  HeadTurn turn; ///< of the kernels that have one
};

/// Rows that go to their slots of a state; sizes and strides in pieces of 16
/// bytes.
struct AppendPart {
  const void *from;
  void *state;
  int64_t row, runs;    ///< from a row to the next, and from a run of it
  uint32_t run, pieces; ///< of a run, and of a row
};
struct AppendArguments {
  AppendPart parts[2];
  const RowPlace *places;
};
constexpr unsigned appendThreads = 128;
/// That a thread has on the way at once.
constexpr int appendPieces = 4;
/// Latent attention of few rows over a state, into which their keys go.
struct LatentArguments {
  const void *q; ///< against latents: [rows, heads, width], of the state's type
  View qRope;    ///< [rows, heads, rope]
  View latent, kRope;    ///< [rows, width], [rows, rope]
  void *latents, *ropes; ///< of the state, by slots
  const RowPlace *places;
  int32_t heads, width, rope;
  float scale;
  /// Parts of a row's keys at most; of each, sums that are still to be divided,
  /// the highest score (a power of two's) and the sum of weights.
  int32_t parts;
  float *partial; ///< [rows, heads, parts, width + 2]
};

/// The sequences of a call, as cuDNN wants them: of each the rows and keys it
/// has, and the elements at which it begins in every array. There are as many
/// places as a plan has; those left over have no rows and no keys.
struct SequenceTables {
  int32_t *rows, *keys, *slots; ///< [sequences]
  int64_t *q, *k, *v, *out;     ///< [sequences + 1]
};
struct SequenceArguments {
  const RowPlace *places;
  SequenceTables tables;
  /// Elements from a row of each array to the next.
  int64_t qRow, kRow, vRow, outRow;
  /// Keys that there is room for, or -1: those of the sequences were brought
  /// together, one sequence after another.
  int64_t slots;
  int32_t sequences;
};

/// Keys of an expanded latent attention: of 16 bits, in rows of whole 16 bytes.
struct LatentKeysArguments {
  const void *latents, *ropes; ///< of the state, by slots
  void *gathered;              ///< [keys, latent]
  const void *expanded;        ///< [keys, heads, nope + v]
  void *keys;                  ///< [keys, heads, nope + rope]
  SequenceTables tables;
  int32_t sequences, heads, latent, nope, v, rope;
};

/// Of some logits of a row: Choose.cu.
struct LikeliestPart {
  float highest;
  int32_t index;
  float sum;
};
/// As mbc::ChosenToken.
struct ChosenToken {
  int32_t id;
  float logprob;
};

/// What tokens weigh together (weightOf), as atomic operations name it.
using Mass = unsigned long long;

/// What kernels that draw a token tell each other of a row. Counts and weights
/// of buckets, `arrived` and `found` are zeros before a call and after it.
struct DrawRow {
  /// Tokens by their distance from the best, in equal steps: how many there
  /// are, and what they weigh together.
  static constexpr int buckets = 1024, bucketsOfOne = 32;
  static_assert(negligibleBelow * bucketsOfOne <= buckets);
  Mass weights[buckets];
  uint32_t counts[buckets];
  /// Parts of the row that are done; candidates that were found.
  int32_t arrived, found;
  /// Tokens in these buckets may be the last to stay: the candidates. None
  /// where the first is behind the last: then all stay.
  int32_t first, last;
  /// Whether top-k removes any.
  int32_t cutsByCount;
  /// Count and weight of the tokens in buckets before `first`, and the weight
  /// of all.
  uint32_t countBefore;
  Mass weightBefore, weight;
  /// The last token that stays: those stay that are less far from the best, and
  /// of the ones as far those with no higher id.
  uint32_t lastDistance;
  int32_t lastId;
  /// Distance and id, in any order; there may be more than have room.
  static constexpr int listed = 2560;
  uint32_t distances[listed];
  int32_t ids[listed];
};

struct DrawArguments {
  /// Logits of a part of a row.
  static constexpr int part = 2048;
  const float *logits; ///< [rows, vocab]
  int64_t vocab;
  const Drawing *drawings; ///< [rows]
  /// [rows]: the likeliest tokens, which become the drawn ones.
  ChosenToken *chosen;
  DrawRow *rows;
  /// [rows, parts]: what stays of each part of a row weighs so much.
  Mass *partWeights;
};

struct RouteArguments {
  const float *logits, *correction;
  float *weights;
  int32_t *ids;
  int64_t logitsRow, weightsRow, idsRow;
  int32_t experts, topk, groups, groupTopk;
  int32_t sigmoid, method, renorm;
  float scale;
};

} // namespace mbc::cuda
