//===- RebuiltConfig.cpp --------------------------------------------------===//
#include "compiler/Bridge/RebuiltConfig.h"

#include "compiler/Bridge/ConfigCandidate.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>

namespace fs = std::filesystem;

namespace mbc {

namespace {

std::string joined(const std::vector<std::string> &parts,
                   std::string_view separator) {
  std::string text;
  for (const std::string &part : parts)
    text += (text.empty() ? "" : std::string(separator)) + part;
  return text;
}

/// A model that has the tensors, and why it is not the one, or its proof.
struct Attempt {
  ConfigCandidate candidate;
  std::string why;
  std::unique_ptr<ProvedModel> proved;
};

/// The type of most of the elements: what the weights are computed in.
DType commonDType(const TensorSet &tensors) {
  std::map<DType, uint64_t> elements;
  for (const TensorInfo &info : tensors.tensors())
    elements[info.dtype] += static_cast<uint64_t>(info.elements());
  auto most = std::ranges::max_element(
      elements, {}, [](const auto &entry) { return entry.second; });
  return most == elements.end() ? DType::BF16 : most->first;
}

class Rebuilder {
public:
  Rebuilder(const ModelLibrary &library, const StoredMegatron &stored,
            std::optional<MegatronFields> fields, const RebuildOptions &options)
      : library(library), stored(stored), options(options),
        where(stored.folder.string()), fields(std::move(fields)) {}

  Expected<RebuiltConfig> run();

private:
  Expected<std::vector<DeclaredModel>> models() const;
  Status settleVocabulary(const ConfigCandidate &candidate);
  void attempt(Attempt &attempt) const;
  Failure refuse(const std::string &why) const {
    return inputError(fmt::format("{}: cannot rebuild config.json: {}; a "
                                  "folder with the model's config.json "
                                  "replaces it: --hf-model DIR",
                                  where, why));
  }

  const ModelLibrary &library;
  /// The tensors where their names and shapes say something; else null.
  const TensorSet *whole() const {
    return stored.whole ? &stored.tensors : nullptr;
  }

  const StoredMegatron &stored;
  const RebuildOptions &options;
  std::string where;
  std::optional<MegatronFields> fields;
  std::vector<std::string> notes;
};

} // namespace

Expected<std::vector<DeclaredModel>> Rebuilder::models() const {
  std::vector<DeclaredModel> list;
  for (const DeclaredModel &model : library.models())
    if ((options.model.empty() || model.name == options.model) &&
        std::ranges::find(list, model.name, &DeclaredModel::name) == list.end())
      list.push_back(model);
  return list;
}

/// The rows of the vocabulary without padding: what --vocab-size says, else
/// Megatron's vocab_size, else all that are stored.
Status Rebuilder::settleVocabulary(const ConfigCandidate &candidate) {
  auto number = [&](const char *name) -> std::optional<int64_t> {
    const Json *value = fields->find(name);
    return value ? value->asInt() : std::nullopt;
  };
  std::optional<int64_t> stated = number("vocab_size");
  std::optional<int64_t> padded = number("padded_vocab_size");
  // What the ranks hold of it is checked with their tensors.
  std::optional<int64_t> rows =
      whole() ? candidate.vocabularyRows(*whole()) : padded;
  if (!rows)
    return {};
  if (padded && *padded != *rows)
    return refuse(fmt::format("field 'padded_vocab_size' = {} in {}, yet {} "
                              "rows of the vocabulary are stored",
                              *padded, fields->source(), *rows));
  if (stated && *stated > *rows)
    return refuse(fmt::format("field '{}' = {} in {}, yet only {} rows of the "
                              "vocabulary are stored",
                              fields->spelling("vocab_size"), *stated,
                              fields->source(), *rows));
  if (options.vocabulary) {
    // What Megatron calls the vocabulary may have been padded before.
    if (*options.vocabulary > stated.value_or(*rows) ||
        (stated && *options.vocabulary != *stated && *stated != *rows))
      return inputError(fmt::format(
          "{}: option '--vocab-size' is {}, yet {} rows of the vocabulary are "
          "stored{}",
          where, *options.vocabulary, *rows,
          stated ? fmt::format(", and {} says {}", fields->source(), *stated)
                 : ""));
    fields->set("vocab_size", Json(*options.vocabulary));
    return {};
  }
  const Json *pads = fields->find("should_pad_vocab");
  if (stated && *stated != *rows && pads && pads->isBool() && !*pads->asBool())
    return refuse(fmt::format(
        "field 'vocab_size' = {} in {} and nothing is padded, yet {} rows of "
        "the vocabulary are stored",
        *stated, fields->source(), *rows));
  const Json *there = fields->find("vocab_size");
  if (there && !there->isNull() && !stated)
    return {}; // of a wrong type: the model says so
  if (!stated)
    fields->set("vocab_size", Json(*rows));
  if (stated.value_or(*rows) == *rows && !pads)
    notes.push_back(fmt::format(
        "the vocabulary has the {} rows that are stored, which may include "
        "padding; --vocab-size N says how many are real",
        *rows));
  return {};
}

void Rebuilder::attempt(Attempt &attempt) const {
  ConfigCandidate &candidate = attempt.candidate;
  candidate.solve(*fields, whole());
  std::vector<std::string> reasons = candidate.contradictions;
  if (!candidate.missing.empty())
    reasons.push_back(fmt::format("{} does not say {}", fields->source(),
                                  joined(candidate.missing, ", ")));
  if (!reasons.empty()) {
    attempt.why = joined(reasons, "; ");
    return;
  }
  candidate.config.set("torch_dtype",
                       std::string(torchName(commonDType(stored.tensors))));
  auto proved = ProvedModel::create(library, candidate.config, fields->source(),
                                    options.config);
  if (!proved) {
    attempt.why = proved.error().message;
    return;
  }
  if (auto differences = fieldDifferences(**proved, *fields);
      !differences.empty()) {
    attempt.why = joined(differences, "; ");
    return;
  }
  if (auto checked = stored.check(**proved); !checked) {
    attempt.why = checked.error().message;
    return;
  }
  attempt.proved = std::move(*proved);
}

Expected<RebuiltConfig> Rebuilder::run() {
  if (!fields)
    return inputError(fmt::format(
        "{}: holds no record of its Hugging Face side, no run_config.yaml and "
        "no 'args' of Megatron-LM; give a folder with its config.json: "
        "--hf-model DIR",
        where));
  MBC_ASSIGN(std::vector<DeclaredModel> list, models());
  std::vector<Attempt> fitting;
  std::vector<std::string> others;
  for (const DeclaredModel &declared : list) {
    MBC_ASSIGN(ConfigCandidate candidate,
               ConfigCandidate::make(library, declared));
    if (std::string why = whole() ? candidate.misfit(*whole()) : "";
        !why.empty())
      others.push_back(declared.name + ": " + why);
    else
      fitting.push_back({std::move(candidate), "", nullptr});
  }
  if (fitting.empty())
    return refuse("no declared model has these tensors (" +
                  joined(others, "; ") + ")");
  MBC_TRY(settleVocabulary(fitting.front().candidate));

  std::vector<std::string> names, reasons;
  Attempt *chosen = nullptr;
  for (Attempt &one : fitting) {
    attempt(one);
    const std::string &name = one.candidate.declared().name;
    if (!one.proved) {
      reasons.push_back(name + ": " + one.why);
      continue;
    }
    names.push_back(name);
    chosen = &one;
  }
  if (names.size() > 1)
    return inputError(fmt::format(
        "{}: may be {}: fields and tensors fit them all; --model NAME decides",
        where, joined(names, " or ")));
  if (!chosen)
    return refuse(joined(reasons, "\n"));
  RebuiltConfig result;
  result.config = std::move(chosen->candidate.config);
  result.source = fields->source();
  result.proved = std::move(chosen->proved);
  result.notes = std::move(notes);
  result.notes.insert(
      result.notes.begin(),
      fmt::format("config.json is rebuilt from {}", fields->source()));
  return result;
}

Expected<RebuiltConfig> rebuildConfig(const ModelLibrary &library,
                                      const StoredMegatron &stored,
                                      std::optional<MegatronFields> fields,
                                      const RebuildOptions &options) {
  return Rebuilder(library, stored, std::move(fields), options).run();
}

} // namespace mbc
