//===- ServeModel.h - A model behind HTTP -----------------------*- C++ -*-===//
#pragma once

#include "runtime/commands/DraftOptions.h"
#include "runtime/commands/GenerationModel.h"
#include "runtime/serve/HttpServer.h"

#include <optional>
#include <string>

namespace mbc {

/// As they were typed.
struct ServeTexts {
  std::string host, port, name, apiKey, origin, tokenizer;
  std::string sequences, queue, length, maxBody, timeout, device;
  DraftTexts drafts;

  template <typename Self> void declare(ChainedCommand<Self> &command);
};

struct ServeOptions {
  serve::HttpOptions http;
  std::string name;      ///< empty: the folder's
  std::string apiKey;    ///< empty: none
  std::string tokenizer; ///< folder; empty: beside the checkpoint
  /// Computed at a time; none: `defaultServedSequences`, or what the program
  /// does.
  std::optional<int64_t> sequences;
  /// Of a request, at most; none: as `serveModel` takes them.
  std::optional<uint64_t> bodyBytes;
  int64_t queue = 32; ///< texts that wait, at most
  /// Tokens of a text with its prompt; none: `defaultServedLength`, or what the
  /// model takes.
  std::optional<int64_t> length;
  uint64_t drafts = 0; ///< tokens that are guessed ahead
  execute::Device device;

  /// An Input error names the option. The key is that of the environment,
  /// MBC_API_KEY, where none is given.
  static Expected<ServeOptions> parse(const ServeTexts &texts);

  /// Of a program for them: a power of two.
  uint64_t programSequences() const;
};

constexpr int64_t defaultServedSequences = 8;
/// Memory is reserved for so many tokens of each sequence.
constexpr int64_t defaultServedLength = 4096;

/// Serves until a signal ends it. `folder` is what the model is called by where
/// no name is given; `details` are members of the outcome's JSON.
Expected<Outcome> serveModel(RunnableModel model, const std::string &folder,
                             const ServeOptions &options,
                             const BaseOptions &common, Json details);

template <typename Self>
void ServeTexts::declare(ChainedCommand<Self> &command) {
  command
      .option("--host", host, "ADDRESS",
              "Listen on this address of the machine; 0.0.0.0 on all (default: "
              "127.0.0.1, which other machines do not reach)")
      .option("--port", port, "N",
              "Listen on this port; 0 on any that is free (default: 8000)")
      .option("--served-model-name", name, "NAME",
              "What requests call the model (default: the folder's name)")
      .option("--api-key", apiKey, "KEY",
              "Ask for this key, as 'Authorization: Bearer KEY' (default: "
              "$MBC_API_KEY, which other users of the machine do not see; "
              "none)")
      .option("--sequences", sequences, "N",
              "Texts that are computed at a time (default: 8, or as many as "
              "the program does)")
      .option("--queue", queue, "N",
              "Texts that may wait for these; a request beyond is answered "
              "with status 429 (default: 32)")
      .option("--length", length, "N",
              "Tokens of a prompt and what comes after it, at most; memory is "
              "reserved for --sequences times as many (default: 4096, or what "
              "the model takes)")
      .option("--max-body", maxBody, "SIZE",
              "Bytes of a request, such as 500KB (default: 4MB; 32MB for a "
              "model that sees pictures)")
      .option("--timeout", timeout, "SECONDS",
              "End connections on which nothing moves for so long (default: "
              "60)")
      .option("--cors", origin, "ORIGIN",
              "Let pages of this origin call the server, such as "
              "https://example.org, or '*' (default: none may)")
      .option("--tokenizer", tokenizer, "DIR",
              "Take the tokenizer, the chat template and "
              "generation_config.json from this folder")
      .option("--device", device, "DEVICE", execute::deviceHelp);
  drafts.declare(command);
}

} // namespace mbc
