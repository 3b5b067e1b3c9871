//===- GenerateOptions.h - The options of generate --------------*- C++ -*-===//
#pragma once

#include "runtime/commands/BaseCommand.h"
#include "runtime/commands/DraftOptions.h"
#include "runtime/commands/GenerationModel.h"
#include "runtime/commands/Prompts.h"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace mbc {

/// As they were typed.
struct GenerateTexts {
  std::optional<std::string> prompt, promptFile, promptsFile, tokens, system;
  std::string output;
  std::string maxNewTokens, length, sequences, logprobs, tokenizer, device;
  std::string temperature, topK, topP, minP, repetitionPenalty, seed;
  std::vector<std::string> stop, variables, images, videos;
  bool chat = false, sample = false, ignoreEos = false;
  DraftTexts drafts;

  /// Adds all of them.
  template <typename Self> void declare(ChainedCommand<Self> &command);
};

/// What is to be generated, read and checked as far as that goes without a
/// model.
struct GenerateOptions {
  std::vector<Prompt> prompts; ///< none: a conversation on the terminal
  /// Files that the first message of a conversation shows.
  std::vector<std::string> pictures;
  bool chat = false, ignoreEos = false;
  /// --prompts-file: results are lines, in order.
  bool lines = false;
  std::string output; ///< of the lines; empty: stdout
  std::optional<std::string> system;
  std::string tokenizer;           ///< folder; empty: beside the checkpoint
  Json variables = Json::object(); ///< of the template
  std::optional<int64_t> maxNewTokens;
  /// Tokens of a text, prompt included; none: what the program takes.
  std::optional<int64_t> length;
  generate::SamplingSettings sampling;
  std::vector<std::string> stop;
  int32_t logprobs = -1;
  /// Computed at a time; none: what fits the prompts.
  std::optional<uint64_t> sequences;
  uint64_t drafts = 0; ///< tokens that are guessed ahead
  execute::Device device;

  /// Refuses what does not go together, and reads the prompts.
  static Expected<GenerateOptions> parse(const GenerateTexts &texts,
                                         const BaseOptions &common);

  /// Sequences that a program for these prompts computes at a time; a power of
  /// two, so that few programs do for all.
  uint64_t programSequences() const;

  /// Prepares the pictures of all prompts, as the processor in `folder` does,
  /// and gives the number of patches for which a program has to be compiled to
  /// see each of them: a power of two, 0 for none, and in a conversation, where
  /// pictures are still to come, `unknown`. Where there is no such processor
  /// nothing is prepared: what the program is says why.
  Expected<uint64_t> preparePictures(const std::filesystem::path &folder,
                                     uint64_t unknown, unsigned threads);
};

template <typename Self>
void GenerateTexts::declare(ChainedCommand<Self> &command) {
  command
      .optional("--prompt", prompt, "TEXT",
                "The text to continue; '-' reads it from stdin")
      .optional("--prompt-file", promptFile, "FILE",
                "Read the prompt from a file, without the line end at its end")
      .optional(
          "--prompts-file", promptsFile, "FILE",
          "Many prompts, a JSON object a line: {\"prompt\": TEXT}, "
          "{\"messages\": [{\"role\", \"content\"}]} or {\"tokens\": "
          "[ID]}, and any of id, max_new_tokens, stop, seed, temperature, "
          "top_k, top_p, min_p, repetition_penalty. Results are lines in "
          "the same order; '-' is stdin")
      .optional("--tokens", tokens, "IDS|FILE",
                "Token ids 1,2,3 instead of a text, or a .npy file of integers "
                "[sequence] or [batch, sequence]")
      .option("-o,--output", output, "FILE",
              "Write the lines of --prompts-file here, once all are there "
              "(default: stdout, one after another)")
      .list("--image", images, "FILE",
            "Show the model a picture, PNG or JPEG; may be repeated. Pictures "
            "come before the text, or where it has the model's picture tokens. "
            "In --prompts-file: \"images\": [FILE], beside {\"type\": "
            "\"image\"} in a list of content parts; in a conversation: /image "
            "FILE")
      .list("--video", videos, "FILE", "Refused: no model here sees videos")
      .flag("--chat", chat,
            "The prompt is a message to the assistant: the model's chat "
            "template makes the text around it. Without a prompt, on a "
            "terminal: a conversation")
      .optional("--system", system, "TEXT", "With --chat: the system message")
      .list("--template-set", variables, "NAME=JSON",
            "With --chat: a variable of the template, such as "
            "enable_thinking=false. May be repeated")
      .option("--tokenizer", tokenizer, "DIR", tokenizerHelp)
      .option("--max-new-tokens", maxNewTokens, "N",
              "Tokens to generate at most (default: 256, or what the context "
              "leaves)")
      .option("--length", length, "N",
              "Tokens that a text may have, prompt included (default: what the "
              "model was made for; 8192 in a conversation)")
      .option("--sequences", sequences, "N",
              "Texts that are computed at a time (default: as many as there "
              "are, 8 at most)")
      .flag("--sample", sample,
            "Draw tokens with the settings of generation_config.json; the "
            "default is the most probable token each time")
      .option("--temperature", temperature, "T",
              "Draw tokens, from logits divided by T; 0 is the most probable "
              "token. What the options for drawing leave out is as in "
              "generation_config.json")
      .option("--top-k", topK, "K",
              "Draw from the K most probable tokens; 0: from all")
      .option("--top-p", topP, "P",
              "Draw from the most probable tokens that have the share P of the "
              "probability")
      .option("--min-p", minP, "P",
              "Draw from tokens at least P times as probable as the most "
              "probable one")
      .option("--repetition-penalty", repetitionPenalty, "X",
              "Divide positive logits of tokens that are in the text by X, and "
              "multiply negative ones; 1: none (default: as "
              "generation_config.json says)")
      .option("--seed", seed, "N",
              "Of the random numbers (default: 0). A prompt has the same text "
              "for a seed, alone and among others")
      .list("--stop", stop, "TEXT",
            "End before this text. May be repeated; the model's own end tokens "
            "end too")
      .flag("--ignore-eos", ignoreEos, "Do not end at the model's end tokens")
      .option("--logprobs", logprobs, "N",
              "With --json or --prompts-file: the log-probabilities of the N "
              "best tokens too, as the model gives them, before any setting")
      .option("--device", device, "DEVICE", execute::deviceHelp);
  drafts.declare(command);
}

} // namespace mbc
