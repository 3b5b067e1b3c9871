//===- CutCheckpoint.h - The tensors of a smaller model ---------*- C++ -*-===//
#pragma once

#include "compiler/Bridge/ProvedModel.h"
#include "runtime/io/HfFolder.h"
#include "runtime/io/MappedTensors.h"

namespace mbc {

/// The tensors of `target`, a declaration under the configuration of a cut,
/// each as the corner at the origin of the tensor that `source`, the same
/// declaration under the whole configuration, has at the same indices: names
/// and shapes come from the two, block scales and extras from `folder` too.
/// Input error when a tensor is missing. All must outlive the result.
Expected<std::unique_ptr<MappedTensors>>
cutTensors(ProvedModel &source, ProvedModel &target, const HfFolder &folder);

} // namespace mbc
