//===- GenerationModel.cpp ------------------------------------------------===//
#include "runtime/commands/GenerationModel.h"

#include "runtime/core/Parallel.h"
#include "runtime/core/Text.h"
#include "runtime/program/MemoryLayout.h"

#include <chrono>
#include <fmt/format.h>

namespace mbc {

Expected<std::unique_ptr<GenerationModel>>
GenerationModel::open(RunnableModel model, const std::string &tokenizer,
                      unsigned threads) {
  std::unique_ptr<GenerationModel> result(new GenerationModel);
  std::filesystem::path folder =
      tokenizer.empty() ? model.sideFiles : std::filesystem::path(tokenizer);
  MBC_ASSIGN(result->settings, generate::GenerationConfig::read(folder));
  result->tokenizer = ModelText::open(folder);
  if (!tokenizer.empty() && !result->tokenizer)
    return Failure(result->tokenizer.error());
  if (result->tokenizer && result->settings.eosTokens.empty())
    result->settings.eosTokens = (*result->tokenizer)->endTokens();
  result->model = std::move(model);
  result->eyes = ModelPictures::open(folder, result->program(),
                                     threads ? threads : defaultThreads());
  return result;
}

Expected<const ModelText *> GenerationModel::text() const {
  if (!tokenizer)
    return Failure(Error{tokenizer.error().kind,
                         tokenizer.error().message +
                             "; '--tokenizer DIR' takes that of another "
                             "folder"});
  return tokenizer->get();
}

Expected<const ModelPictures *> GenerationModel::pictures() const {
  if (!eyes)
    return Failure(eyes.error());
  return &*eyes;
}

std::vector<std::string> GenerationModel::notes() const {
  std::vector<std::string> notes;
  for (const std::string &field : settings.ignored)
    notes.push_back(fmt::format(
        "generation_config.json sets {}, which mbc does not follow", field));
  if (settings.eosTokens.empty())
    notes.emplace_back("the model names no end token: texts end at "
                       "--max-new-tokens or --stop");
  if (session)
    for (std::string &note : session->notes())
      notes.push_back(std::move(note));
  return notes;
}

Status GenerationModel::load(const execute::Device &device, int64_t slots,
                             int64_t sequences, uint64_t drafts,
                             const BaseOptions &options) {
  auto start = std::chrono::steady_clock::now();
  unsigned threads = options.threads ? options.threads : defaultThreads();
  MBC_ASSIGN(session,
             execute::openSession(program(), device, {threads, slots}));
  MBC_ASSIGN(generator, execute::Generator::create(
                            *session, program(), static_cast<int64_t>(drafts)));
  Progress loading("loading", model.source->bytes(), options.progress());
  MBC_TRY(session->load(*model.source, loading));
  loading.finish();
  generate::EngineOptions engineOptions;
  engineOptions.sequences = sequences;
  if (tokenizer)
    engineOptions.text = (*tokenizer)->decoder();
  loadedEngine =
      std::make_unique<generate::Engine>(*generator, std::move(engineOptions));
  seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  return {};
}

Json GenerationModel::memoryJson() const {
  MemoryLayout layout = layoutMemory(program(), session->slots());
  return Json::object({{"state_tokens", session->slots()},
                       {"weight_bytes", layout.weights},
                       {"state_bytes", layout.states},
                       {"arena_bytes", layout.arena}});
}

std::string GenerationModel::memoryText() const {
  MemoryLayout layout = layoutMemory(program(), session->slots());
  return fmt::format("weights {}, a state of {} tokens {}, scratch {}",
                     sizeText(layout.weights), session->slots(),
                     sizeText(layout.states), sizeText(layout.arena));
}

void addDrafts(Json &json, const generate::DraftCounts &counts) {
  json.set("draft_tokens", counts.tried);
  json.set("accepted_tokens", counts.accepted);
  json.set("acceptance", counts.rate());
}

} // namespace mbc
