//===- CutConfig.h - The configuration of a smaller model -------*- C++ -*-===//
#pragma once

#include "compiler/Bridge/ModelLibrary.h"
#include "runtime/core/Json.h"

#include <cstdint>
#include <optional>

namespace mbc {

/// What is kept of a model: its first layers and its first experts.
struct CutSizes {
  std::optional<int64_t> layers, experts;
};

/// `config` with the sizes of a cut. Which fields those are is read off the
/// declaration: the count of the stack `decoder` and the axis `experts` name
/// them, and so do the conditions that choose a layer's blocks (dense layers
/// beyond the cut vanish) and the router (a token cannot choose more experts,
/// or groups of them, than there are). Lists with one item a layer are
/// shortened. Input error for a size that the model does not have.
Expected<Json> cutConfig(const ModelLibrary &library,
                         const DeclaredModel &declared, const Json &config,
                         const CutSizes &sizes);

} // namespace mbc
