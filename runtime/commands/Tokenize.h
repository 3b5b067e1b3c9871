//===- Tokenize.h - Text to token ids and back ------------------*- C++ -*-===//
#pragma once

#include "runtime/commands/BaseCommand.h"
#include "runtime/commands/Outcome.h"

#include <memory>
#include <string>

namespace mbc {

struct TokenizeOptions {
  std::string folder, file, lines;
  /// A list, so that an empty text differs from none.
  std::vector<std::string> texts;
  bool decode = false, noSpecial = false, pieces = false;
};

/// An Input error where there is not exactly one text, or where it cannot be
/// taken apart or put together.
Expected<Outcome> tokenize(const TokenizeOptions &options);

constexpr const char *tokenizeSummary = "Text to token ids, and back";
constexpr const char *tokenizeDetails =
    "Takes a text apart as the tokenizer beside the weights does: "
    "tokenizer.json (byte-level BPE) or tiktoken.model. Special tokens written "
    "in the text are recognised.";

/// Declares the options and what is run; the same for mbc and mbc-run.
template <typename Command>
void declareTokenize(Command &command, const char *examples) {
  auto options = std::make_shared<TokenizeOptions>();
  command
      .argument("DIR", options->folder,
                "Hugging Face folder, or Megatron checkpoint, with a tokenizer")
      .list("--text", options->texts, "TEXT",
            "The text; with --decode token ids, 1,2,3")
      .option("--file", options->file, "FILE",
              "A file with the text, or the ids. Bytes that are no UTF-8 are "
              "read as U+FFFD")
      .option("--lines", options->lines, "FILE",
              "Many: a JSON text on each line, or with --decode an array of "
              "ids, answered by a line each")
      .flag("--decode", options->decode, "From token ids to text")
      .flag("--no-special", options->noSpecial,
            "Without the tokens that stand around a text, such as BOS; with "
            "--decode, without special tokens")
      .flag("--pieces", options->pieces,
            "The tokens' own spelling instead of ids; with --decode, what each "
            "id adds to the text, as a JSON array")
      .examples(examples);
  command.run = [options]() -> Expected<Outcome> {
    MBC_TRY(resolveInPlace(options->folder));
    return tokenize(*options);
  };
}

} // namespace mbc
