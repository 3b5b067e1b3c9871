//===- Prompts.h - What is to be continued ----------------------*- C++ -*-===//
#pragma once

#include "runtime/commands/ModelPictures.h"
#include "runtime/core/Json.h"
#include "runtime/generate/GenerationConfig.h"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace mbc {

/// A text, a conversation or tokens to continue, with settings of its own.
struct Prompt {
  std::string place; ///< for messages: "prompts.jsonl:3", "option '--prompt'"
  Json id;           ///< given back with the result; null: none
  std::optional<std::string> text;
  std::optional<Json> messages; ///< [{"role", "content"}, ...]
  std::vector<int32_t> tokens;
  std::vector<std::string> pictures; ///< paths of files, in order
  /// The same, once they are read.
  std::optional<PreparedPictures> prepared;
  std::optional<int64_t> maxNewTokens;
  generate::SamplingSettings sampling;
  std::optional<std::vector<std::string>> stop;
};

/// One JSON object a line; empty lines are left out. Paths of pictures begin at
/// the file's folder. An Input error names file, line and member.
Expected<std::vector<Prompt>>
readPromptLines(const std::filesystem::path &path);

/// A whole file as a prompt, "-" being stdin; without a line end at its end.
Expected<std::string> readPromptFile(const std::string &path);

} // namespace mbc
