//===- GenerationConfig.cpp -----------------------------------------------===//
#include "runtime/generate/GenerationConfig.h"

#include "runtime/core/Json.h"
#include "runtime/core/Text.h"

#include <algorithm>
#include <fmt/format.h>

namespace fs = std::filesystem;

namespace mbc::generate {

namespace {

/// The fields of one file.
class Fields {
public:
  Fields(const fs::path &path, const Json &json) : path(path), json(json) {}

  /// A token or a list of them.
  Status tokens(const char *name, std::vector<int32_t> &ids) const {
    const Json *value = find(name);
    if (!value)
      return {};
    std::span<const Json> list =
        value->isArray() ? std::span(value->elements()) : std::span(value, 1);
    std::vector<int32_t> found;
    for (const Json &item : list) {
      std::optional<int64_t> id = item.asInt();
      if (!id || *id < 0 || *id > INT32_MAX)
        return wrong(name, *value, "a token's number, or a list of them");
      found.push_back(static_cast<int32_t>(*id));
    }
    ids = std::move(found);
    return {};
  }

  Status token(const char *name, std::optional<int32_t> &id) const {
    std::vector<int32_t> ids;
    MBC_TRY(tokens(name, ids));
    if (!ids.empty())
      id = ids.front();
    return {};
  }

  Status number(const char *name, double &number) const {
    if (const Json *value = find(name)) {
      std::optional<double> found = value->asDouble();
      if (!found)
        return wrong(name, *value, "a number");
      number = *found;
    }
    return {};
  }

  Status count(const char *name, uint64_t &number) const {
    if (const Json *value = find(name)) {
      std::optional<int64_t> found = value->asInt();
      if (!found || *found < 0)
        return wrong(name, *value, "a whole number from 0 on");
      number = static_cast<uint64_t>(*found);
    }
    return {};
  }

  Status flag(const char *name, bool &flag) const {
    if (const Json *value = find(name)) {
      std::optional<bool> found = value->asBool();
      if (!found)
        return wrong(name, *value, "true or false");
      flag = *found;
    }
    return {};
  }

  const Json *find(const char *name) const {
    const Json *value = json.find(name);
    return value && !value->isNull() ? value : nullptr;
  }

private:
  Failure wrong(const char *name, const Json &value,
                const char *expected) const {
    return inputError(fmt::format("{}: {} is {}, expected {}", path.string(),
                                  name, quote(value.dumpCompact()), expected));
  }

  const fs::path &path;
  const Json &json;
};

/// Fields of transformers' GenerationConfig that choose tokens too, with the
/// values that change nothing.
struct Neutral {
  const char *field;
  std::initializer_list<double> values;
};
const Neutral neutral[] = {{"num_beams", {1}},
                           {"num_beam_groups", {1}},
                           {"penalty_alpha", {0}},
                           {"no_repeat_ngram_size", {0}},
                           {"encoder_no_repeat_ngram_size", {0}},
                           {"encoder_repetition_penalty", {1}},
                           {"typical_p", {1}},
                           {"top_h", {}},
                           {"epsilon_cutoff", {0}},
                           {"eta_cutoff", {0}},
                           {"diversity_penalty", {0}},
                           {"guidance_scale", {1}},
                           {"min_length", {0}},
                           {"min_new_tokens", {0}},
                           {"bad_words_ids", {}},
                           {"sequence_bias", {}},
                           {"suppress_tokens", {}},
                           {"begin_suppress_tokens", {}},
                           {"forced_bos_token_id", {}},
                           {"forced_eos_token_id", {}},
                           {"exponential_decay_length_penalty", {}},
                           {"stop_strings", {}}};

bool isNeutral(const Neutral &of, const Json &value) {
  if (value.isArray() || value.isObject())
    return value.elements().empty() && value.members().empty();
  std::optional<double> number = value.asDouble();
  return number && std::ranges::find(of.values, *number) != of.values.end();
}

} // namespace

SamplingSettings SamplingSettings::over(const SamplingSettings &other) const {
  SamplingSettings result = *this;
  result.sample |= other.sample;
  auto fill = [](auto &value, const auto &from) {
    if (!value)
      value = from;
  };
  fill(result.temperature, other.temperature);
  fill(result.topP, other.topP);
  fill(result.minP, other.minP);
  fill(result.topK, other.topK);
  fill(result.repetitionPenalty, other.repetitionPenalty);
  fill(result.seed, other.seed);
  return result;
}

Expected<Sampling> GenerationConfig::resolve(const SamplingSettings &settings,
                                             std::string_view where) const {
  Sampling result;
  if (settings.sample || settings.temperature || settings.topP ||
      settings.minP || settings.topK) {
    result = sampling;
    result.draw = settings.temperature != 0.0;
    if (result.draw)
      result.temperature = settings.temperature.value_or(sampling.temperature);
    result.topP = settings.topP.value_or(sampling.topP);
    result.minP = settings.minP.value_or(sampling.minP);
    result.topK = settings.topK.value_or(sampling.topK);
  }
  result.repetitionPenalty =
      settings.repetitionPenalty.value_or(sampling.repetitionPenalty);
  result.seed = settings.seed.value_or(0);
  MBC_TRY(checkSampling(result, where));
  return result;
}

Expected<GenerationConfig> GenerationConfig::read(const fs::path &folder) {
  GenerationConfig result;
  std::error_code code;
  for (const char *name : {"config.json", "generation_config.json"}) {
    fs::path path = folder / name;
    if (!fs::exists(path, code))
      continue;
    MBC_ASSIGN(Json json, Json::parseFile(path));
    Fields fields(path, json);
    MBC_TRY(fields.tokens("eos_token_id", result.eosTokens));
    MBC_TRY(fields.token("bos_token_id", result.bosToken));
    MBC_TRY(fields.token("pad_token_id", result.padToken));
    Sampling &sampling = result.sampling;
    MBC_TRY(fields.flag("do_sample", sampling.draw));
    MBC_TRY(fields.number("temperature", sampling.temperature));
    MBC_TRY(fields.count("top_k", sampling.topK));
    MBC_TRY(fields.number("top_p", sampling.topP));
    MBC_TRY(fields.number("min_p", sampling.minP));
    MBC_TRY(fields.number("repetition_penalty", sampling.repetitionPenalty));
    MBC_TRY(checkSampling(sampling, path.string() + ": "));
    for (const Neutral &of : neutral)
      if (const Json *value = fields.find(of.field);
          value && !isNeutral(of, *value))
        result.ignored.emplace_back(of.field);
  }
  return result;
}

} // namespace mbc::generate
