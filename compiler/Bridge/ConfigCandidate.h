//===- ConfigCandidate.h - One model tried on a checkpoint ------*- C++ -*-===//
#pragma once

#include "compiler/Bridge/MegatronFields.h"
#include "compiler/Bridge/ProvedModel.h"
#include "compiler/Transforms/ConfigSolver.h"

#include <memory>
#include <string>
#include <vector>

namespace mbc {

/// A declared model, tried as the one that a Megatron checkpoint holds.
class ConfigCandidate {
public:
  static Expected<ConfigCandidate> make(const ModelLibrary &library,
                                        const DeclaredModel &declared);

  /// Holds the names of the tensors against the mapping; why they do not fit,
  /// or empty.
  std::string misfit(const TensorSet &tensors) const;
  /// The rows that the padded table of the vocabulary stores; none when the
  /// model has none.
  std::optional<int64_t> vocabularyRows(const TensorSet &tensors) const;

  /// Solves for config.json. The members below say what came out.
  /// `tensors` null: by the fields alone.
  void solve(const MegatronFields &fields, const TensorSet *tensors);

  const DeclaredModel &declared() const { return declaration->declared(); }

  Json config;
  /// Fields and tensors that cannot both be right; sentences.
  std::vector<std::string> contradictions;
  /// What nothing determines: Megatron's fields, with those of config.json.
  std::vector<std::string> missing;

private:
  void demandFields(nn::ConfigSolver &solver, const MegatronFields &fields);
  void demandTensors(nn::ConfigSolver &solver, const TensorSet &tensors);
  void findMissing(nn::ConfigSolver &solver, const MegatronFields &fields);

  std::unique_ptr<ProvedModel> declaration;
};

/// Where `proved` gives Megatron's fields other values than `fields` has:
/// sentences. Fields that are `free`, or null for a name, say nothing.
std::vector<std::string> fieldDifferences(ProvedModel &proved,
                                          const MegatronFields &fields);

} // namespace mbc
