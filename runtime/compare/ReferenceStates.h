//===- ReferenceStates.h - Hidden states of another program -----*- C++ -*-===//
#pragma once

#include "runtime/compare/Graph.h"
#include "runtime/io/Safetensors.h"
#include "runtime/io/TensorViews.h"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace mbc::compare {

/// A safetensors file that tools/reference_states.py writes: `tokens`, integers
/// [tokens]; for a module of the model, by its path, what it gives, floats
/// [tokens, ...] or [1, tokens, ...] ("model.layers.3.self_attn.q_proj"), and
/// what it reads first under its path and ".input"; `logits`.
class ReferenceStates {
public:
  /// An Input error names the tensor that is missing, of a wrong type or shape.
  static Expected<std::unique_ptr<ReferenceStates>>
  open(const std::filesystem::path &path);

  const std::vector<int32_t> &tokens() const { return ids; }
  /// Names of all but the tokens.
  const std::vector<std::string> &names() const { return nameList; }
  bool has(const std::string &name) const { return set->find(name) >= 0; }
  /// Numbers of a token in a tensor that is there.
  int64_t widthOf(const std::string &name) const;
  /// A tensor that is there, as floats.
  Expected<Array> read(const std::string &name) const;
  /// The coarsest type that a state has.
  DType dtype() const { return type; }
  /// Its "__metadata__": the model, how it was run.
  const SafetensorsMetadata &metadata() const { return about; }

private:
  ReferenceStates() = default;
  std::unique_ptr<FileTensors> set;
  std::vector<int32_t> ids;
  std::vector<std::string> nameList;
  DType type = DType::F32;
  SafetensorsMetadata about;
};

} // namespace mbc::compare
