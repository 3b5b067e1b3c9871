//===- FormatProfile.h - How a checkpoint format spells a key ---*- C++ -*-===//
//
// A profile is format x layer spec x mcore version. It turns the structured
// keys of a mapping (MCore's module paths with separate norms) into the names
// and stacked shapes of that format; a mapping never rewrites names.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "compiler/Transforms/WMapEntries.h"

#include <set>
#include <string>
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

} // namespace mbc::wmap
