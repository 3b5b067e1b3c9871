//===- MegatronFields.h - The configuration that a checkpoint has -*- C++
//-*-===//
#pragma once

#include "runtime/core/Json.h"
#include "runtime/io/LegacyTorch.h"
#include "runtime/io/TorchDist.h"

#include <optional>

namespace mbc {

/// Megatron's configuration as a checkpoint states it, under the names of
/// Megatron Bridge's provider classes:
///   run_config.yaml   its section `model` (Bridge), else
///   common state      the Namespace `args` (Megatron-LM's save_checkpoint).
class MegatronFields {
public:
  /// None when the checkpoint has neither. Input errors: a run_config.yaml that
  /// is no YAML or has no `model`, `args` that are no Namespace.
  static Expected<std::optional<MegatronFields>>
  read(const TorchDistCheckpoint &checkpoint);
  /// The `args` of the first rank.
  static Expected<std::optional<MegatronFields>>
  read(const LegacyTorchFiles &files);

  /// The value of "a.b.c"; null when it is not there.
  const Json *find(std::string_view path) const;
  void set(std::string_view name, Json value) {
    fields.set(name, std::move(value));
  }

  /// Where the fields are from: "DIR/run_config.yaml", "DIR/common.pt (args)".
  const std::string &source() const { return where; }
  /// What a field is called there: "norm_epsilon" for layernorm_epsilon.
  std::string spelling(std::string_view field) const;

private:
  static Expected<MegatronFields>
  fromRunConfig(const std::filesystem::path &path);
  static Expected<std::optional<MegatronFields>>
  fromArguments(const PickleValue *arguments, std::string where);

  Json fields = Json::object();
  std::string where;
  bool arguments = false;
};

} // namespace mbc
