//===- FormatProfile.h - How a checkpoint format spells a key ---*- C++ -*-===//
//
// A profile is format x layer spec x mcore version. It turns the structured
// keys of a mapping (MCore's module paths with separate norms) into the names
// and stacked shapes of that format; a mapping never rewrites names.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "compiler/Transforms/WMapEntries.h"
#include "mbc/Convert.h"

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace mbc::wmap {

/// A key cut at its indices: "decoder.layers" [l] "mlp.experts" [e]
/// "linear_fc1.weight". `layer` and `expert` are null where there is none.
struct KeyParts {
  std::string root; ///< up to and with the layer container; empty outside
  mlir::Attribute layer;
  std::string module; ///< below the layer, up to the expert or the leaf
  mlir::Attribute expert;
  std::string leaf; ///< below the expert; empty without one
};
KeyParts splitKey(KeyAttr key);

/// torch_dist as TransformerEngine's layer spec writes it, mcore 0.11 and on
/// (checkpoint formats: `sharded_state_dict` of TE modules). Norms in front of
/// a linear are part of it, experts of a layer are one tensor.
class TorchDistTE {
public:
  /// `modules`: the modules (KeyParts::module) of the layer in question.
  /// The module that holds the norm `module` in that layer, with its leaf.
  static std::string fuseNorm(const std::string &module,
                              const std::set<std::string> &modules);

  /// True if this stack's keys may be stacked along a layer axis; MTP layers
  /// and foreign towers always carry their index.
  static bool mayStack(const std::string &root);

  /// The TE modules that keep an `_extra_state` and are saved with this stored
  /// name: that of the name itself, if it is one, and attention without weights
  /// with its output, where mcore saves it.
  static std::vector<std::string> stateModules(const std::string &name);
};

/// What decides the names of a rank's state dict.
struct ModuleNames {
  LayerSpec spec = LayerSpec::TransformerEngine;
  ExpertModules experts = ExpertModules::Grouped;
  /// The layer inside of an MTP layer is `transformer_layer`, as up to mcore
  /// 0.16, not `mtp_model_layer`.
  bool oldMtp = false;
};

/// The legacy `torch` format: the state dicts of nn.Modules, rank by rank. Its
/// tensors are those of TorchDistTE with an index for each layer, cut.
class LegacyTorch {
public:
  /// The name in a state dict of a TorchDistTE name, whose layer index is that
  /// of the rank already. `expert`: the index, local to the rank, of the one
  /// that is meant.
  static std::string moduleName(std::string_view name, int64_t expert,
                                const ModuleNames &names);

  /// Whether Megatron cuts a tensor over the tensor-parallel ranks, along its
  /// first dimension, that a model declares as whole: these modules gather
  /// their output.
  static bool isGathered(std::string_view name, LayerSpec spec);

  /// The modules that keep an `_extra_state` because of a tensor that they, or
  /// a part of them, hold.
  static std::vector<std::string> stateModules(std::string_view moduleName,
                                               LayerSpec spec);
};

} // namespace mbc::wmap
