//===- GenerationModel.h - A model that speaks ------------------*- C++ -*-===//
#pragma once

#include "runtime/commands/BaseCommand.h"
#include "runtime/commands/ModelPictures.h"
#include "runtime/commands/ModelText.h"
#include "runtime/execute/Devices.h"
#include "runtime/execute/Generator.h"
#include "runtime/generate/GenerationConfig.h"
#include "runtime/program/RunnableModel.h"

#include <memory>
#include <optional>
#include <string>

namespace mbc {

/// Of --tokenizer.
inline constexpr const char *tokenizerHelp =
    "Take the tokenizer, the chat template and generation_config.json from "
    "this folder";

/// A model with its tokenizer and its settings, and, once it is loaded, with
/// its weights in memory and an engine.
class GenerationModel {
public:
  /// Reads what lies beside the weights, or in the folder `tokenizer` where
  /// that is not empty. A model without a tokenizer can continue tokens.
  static Expected<std::unique_ptr<GenerationModel>>
  open(RunnableModel model, const std::string &tokenizer, unsigned threads);

  /// Loads the weights to a device, with a state of `slots` tokens for all
  /// sequences, of which `sequences` at most are computed at a time, and
  /// guesses `drafts` tokens of each ahead.
  Status load(const execute::Device &device, int64_t slots, int64_t sequences,
              uint64_t drafts, const BaseOptions &options);

  const program::ProgramT &program() const { return *model.program; }
  const generate::GenerationConfig &config() const { return settings; }
  /// An Input error where there is no tokenizer.
  Expected<const ModelText *> text() const;
  bool sees() const { return program().vision != nullptr; }
  /// An Input error where the model sees nothing, or how its pictures are to be
  /// prepared is not known.
  Expected<const ModelPictures *> pictures() const;
  /// What is worth saying of the settings; sentences.
  std::vector<std::string> notes() const;
  /// After `load`.
  generate::Engine &engine() { return *loadedEngine; }

  /// Bytes of weights, state and scratch.
  Json memoryJson() const;
  std::string memoryText() const;
  double loadSeconds() const { return seconds; }

private:
  GenerationModel() = default;

  RunnableModel model;
  generate::GenerationConfig settings;
  Expected<std::unique_ptr<ModelText>> tokenizer = Failure(Error{});
  Expected<ModelPictures> eyes = Failure(Error{});
  std::unique_ptr<Session> session;
  std::unique_ptr<execute::Generator> generator;
  std::unique_ptr<generate::Engine> loadedEngine;
  double seconds = 0;
};

/// Adds what became of the tokens that were guessed.
void addDrafts(Json &json, const generate::DraftCounts &counts);

} // namespace mbc
