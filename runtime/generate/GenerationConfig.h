//===- GenerationConfig.h - What a model says of generation -----*- C++ -*-===//
#pragma once

#include "runtime/generate/Sampler.h"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mbc::generate {

/// What a user asks for; what is left out is as the model says.
struct SamplingSettings {
  /// Draw tokens with the model's own settings.
  bool sample = false;
  /// Any of these asks for drawing too, but for a temperature of 0, which is
  /// the most probable token.
  std::optional<double> temperature, topP, minP;
  std::optional<uint64_t> topK;
  std::optional<double> repetitionPenalty;
  std::optional<uint64_t> seed;

  /// These, and what they leave out from `other`.
  SamplingSettings over(const SamplingSettings &other) const;
};

/// The parts of generation_config.json that mbc follows; what it leaves out is
/// in config.json.
struct GenerationConfig {
  /// Tokens that end a text: `eos_token_id`, a number or a list.
  std::vector<int32_t> eosTokens;
  std::optional<int32_t> bosToken, padToken;
  /// `do_sample`, `temperature`, `top_k`, `top_p`, `min_p` and
  /// `repetition_penalty`; what is not said is off.
  Sampling sampling;
  /// Fields with a value that would change the text elsewhere, and that mbc
  /// does not follow, in order: "num_beams".
  std::vector<std::string> ignored;

  /// What `settings` are for this model: greedy unless they ask for drawing.
  /// Its repetition penalty holds in any case, as in transformers. An Input
  /// error, which `where` begins, for a value out of its range.
  Expected<Sampling> resolve(const SamplingSettings &settings,
                             std::string_view where) const;

  /// Reads both files of `folder`; neither has to be there. An Input error
  /// names the file, the field and what was expected of it.
  static Expected<GenerationConfig> read(const std::filesystem::path &folder);
};

} // namespace mbc::generate
