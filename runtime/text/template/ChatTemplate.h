//===- ChatTemplate.h - How a model wants its conversations -----*- C++ -*-===//
//
// A chat template turns a conversation into the text that a model continues. It
// is Jinja, run here as transformers' apply_chat_template runs it: the README
// beside this file says which part of the language there is.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/core/Error.h"
#include "runtime/core/Json.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace mbc::text {

class ChatTemplate {
public:
  /// The template of a folder, a Hugging Face folder or the tokenizer folder of
  /// a Megatron checkpoint: `chat_template.jinja`, else `chat_template` of
  /// `tokenizer_config.json`, else of `chat_template.json`. A list of
  /// {name, template} and `additional_chat_templates/NAME.jinja` are named
  /// templates: "default" is taken, and "tool_use", where there is one, for a
  /// conversation with tools. None: the model has no template.
  static Expected<std::optional<ChatTemplate>>
  open(const std::filesystem::path &folder);

  /// `name` is what errors start with: "NAME:LINE:COLUMN: error: ...".
  static Expected<ChatTemplate> parse(std::string source, std::string name);

  /// `variables` is an object: messages, tools, documents,
  /// add_generation_prompt, bos_token, eos_token, enable_thinking, ... A
  /// template tells an absent variable from null, and so must the caller:
  /// transformers gives `tools` and `documents` as null where there are none.
  /// Errors are Input errors: what the template asks of a value that this
  /// cannot do, a conversation that the template itself refuses, or more work
  /// or output than a template is allowed. May be called from several threads.
  Expected<std::string> render(const Json &variables) const;

private:
  struct Compiled;
  std::shared_ptr<const Compiled> compiled;
  /// For conversations with tools; null: `compiled`.
  std::shared_ptr<const Compiled> withTools;
};

} // namespace mbc::text
