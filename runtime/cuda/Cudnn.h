//===- Cudnn.h - Attention of many rows, by cuDNN ---------------*- C++ -*-===//
//
// What is compiled with cuDNN's headers is CudnnGraph.cpp alone; where there
// are none CudnnAbsent.cpp stands for it.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/cuda/Device.h"
#include "runtime/cuda/kernels/Arguments.h"

#include <compare>
#include <memory>
#include <optional>

namespace mbc::cuda {

/// The oldest version that is taken: 9.3.0.
constexpr size_t leastCudnn = 90300;

/// What it costs not to have the library.
inline constexpr const char *costOfNoCudnn =
    "attention of prompts in 16 bits is mbc's own, which takes longer the "
    "longer they are";

struct CudnnLibrary {
  void *handle;
  size_t version; ///< 91900: 9.19.0
  std::string path;
};

/// Loads the library once. A System error names what was looked for and where,
/// or the version that is too old, or says that this build has no use for it.
Expected<const CudnnLibrary *> cudnn();
/// "9.19.0"
std::string cudnnVersionText(size_t version);

/// An attention of packed sequences, as far as it decides cuDNN's plan: what a
/// call may have at most, and how its arrays lie. Strides in elements.
struct CudnnShape {
  Elem elem; ///< of queries, keys, values and results: bf16 or f16
  /// Sequences begin where the offsets say; else there is one, which begins
  /// with the arrays, and that is some percent faster.
  int32_t packed;
  int32_t causal;
  /// Keys that a query sees at most; 0: all.
  int32_t window;
  /// Sequences of a call; rows and keys of one.
  int64_t sequences, rows, keys;
  int64_t heads, kvHeads, width, valueWidth;
  /// From a row to the next, and from a head to the next.
  int64_t qRow, kRow, vRow, outRow, qHead, kHead, vHead, outHead;
  float scale;
  auto operator<=>(const CudnnShape &) const = default;
};

/// Where the arrays of a call lie. Numbers of rows and keys of each sequence,
/// and the offsets in elements at which it begins in each array, are in device
/// memory: a captured launch holds for every call.
struct CudnnArrays {
  const void *q, *k, *v;
  void *out;
  const int32_t *rows, *keys; ///< [sequences]; none of those left over
  const int64_t *qAt, *kAt, *vAt, *outAt; ///< [sequences + 1]
};

/// cuDNN's attention on one device, with a plan for each shape.
class Cudnn {
public:
  static Expected<std::unique_ptr<Cudnn>> create(const Device &device);
  virtual ~Cudnn() = default;

  /// Bytes of scratch that `attend` needs; none where the library does not take
  /// the shape.
  virtual std::optional<uint64_t> scratchFor(const CudnnShape &shape) = 0;
  /// Puts the attention on the device's stream.
  virtual Status attend(const CudnnShape &shape, const CudnnArrays &arrays,
                        std::byte *scratch) = 0;
};

} // namespace mbc::cuda
