//===- QuantizeScales.h - Block scales for weights --------------*- C++ -*-===//
#pragma once

#include "runtime/core/Progress.h"
#include "runtime/io/ScaledTensors.h"

#include <filesystem>
#include <memory>

namespace mbc {

/// How scales are rounded: any F32, or to the next power of two upwards
/// (config.json's scale_fmt "ue8m0").
enum class ScaleFormat { F32, PowerOfTwo };

/// Computes the F32 block scales of the tensors `names` of `set` and writes
/// them to `file`; the result holds them under their names. A scale is the
/// largest magnitude of the block over 448, a quotient in F32, so that the
/// block fills E4M3's range: the rule of the `act_quant` kernel of
/// DeepSeek-V3's inference code, and of transformers' fine-grained FP8 but for
/// its rounding of a reciprocal. A block of zeros has scale 1, as in
/// transformers; a block without a normal scale the smallest normal one. A
/// weight that is no finite number is an Input error. `progress` is advanced by
/// elements.
Expected<std::unique_ptr<TensorSet>>
writeScales(const TensorSet &set, const std::vector<ScaledName> &names,
            ScaleFormat format, const std::filesystem::path &file,
            unsigned threads, Progress &progress);

} // namespace mbc
