//===- ServedModel.h - A model, as the endpoints see it ---------*- C++ -*-===//
#pragma once

#include "runtime/core/Json.h"
#include "runtime/generate/Engine.h"
#include "runtime/generate/GenerationConfig.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mbc::serve {

/// A model's tokenizer and chat template. Used on several threads.
class TextModel {
public:
  virtual ~TextModel() = default;
  /// The tokens of a prompt, with those that the tokenizer puts around a text.
  virtual Expected<std::vector<int32_t>>
  encode(std::string_view text) const = 0;
  /// The tokens that the assistant's next message comes after. Input errors:
  /// the model has no template, or it refuses the conversation.
  /// `pictures`: the files of the parts {"type": "image"} of the messages, in
  /// order; also refused where the model sees none, or one is damaged.
  virtual Expected<generate::EncodedPrompt>
  encodeChat(const Json &messages, const Json &variables,
             std::span<const std::string> pictures) const = 0;
  /// Without special tokens; U+FFFD for what is no UTF-8.
  virtual std::string decode(std::span<const int32_t> ids) const = 0;
  /// As `decode`, of a token alone, also where it is a special one.
  virtual std::string tokenText(int32_t id) const = 0;
};

/// All of it outlives the service.
struct ServedModel {
  std::string name;
  /// With `EngineOptions::text`; `run` is on a thread of its own.
  generate::Engine &engine;
  const TextModel &text;
  const generate::GenerationConfig &config;
  int64_t context = 0;   ///< tokens of a prompt and what comes after it
  int64_t sequences = 0; ///< that the engine computes at a time
};

} // namespace mbc::serve
