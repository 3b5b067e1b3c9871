//===- DraftDeclaration.h - A first pair for an unknown model ---*- C++ -*-===//
#pragma once

#include "compiler/Bridge/ProvedModel.h"
#include "runtime/io/HfFolder.h"

namespace mbc {

/// Texts of a pair of declarations, and what they rest on.
struct Draft {
  std::string name, file;     ///< "MyModel", "my_model.mbc"
  std::string base;           ///< the declared family that it started from
  std::string model, mapping; ///< the two texts
  size_t families = 0;        ///< tensors families of the base
  size_t inferred = 0;        ///< of them found in the folder without doubt
  /// What is left to decide, one sentence each; it is marked in the texts, and
  /// `mbc check` refuses it there.
  std::vector<std::string> open;
};

/// Drafts a pair for the architecture that a folder's config.json names: the
/// declared family whose tensors are most like those of the folder, with the
/// names of the folder. Input error when no family takes the configuration.
/// `scratch`: an empty folder for temporary files.
Expected<Draft> draftDeclaration(const ModelLibrary &library,
                                 const HfFolder &folder,
                                 const std::filesystem::path &scratch,
                                 const ConfigOptions &options);

} // namespace mbc
