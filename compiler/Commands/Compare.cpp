//===- Compare.cpp - mbc compare ------------------------------------------===//
#include "compiler/Commands/Command.h"
#include "compiler/Commands/ReferenceOptions.h"
#include "compiler/Compare/CompareSides.h"
#include "runtime/commands/Tokens.h"
#include "runtime/core/File.h"
#include "runtime/text/Tokenizer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fmt/format.h>

namespace mbc {

namespace {

/// Tokens that are looked at, at most: their logits of both sides are held.
constexpr size_t mostTokens = 4096;
/// Of the tokens that are drawn where none are given.
constexpr int64_t drawnTokens = 32;
/// Where a tokenizer makes tokens of it: words, a name, numbers and code.
constexpr const char *usualPrompt =
    "The capital of France is Paris. In 1969, two people walked on the moon "
    "for the first time.\nfor i in range(10):\n    print(i * 3.14)\n";

struct CompareArguments {
  std::string a, b, tokens, referenceStates, dtype, tolerance, top, html;
  bool noWeights = false;
  /// A list, so that an empty text differs from none.
  std::vector<std::string> prompts;
  ReferenceOptions reference;
};

Expected<double> parseTolerance(const std::string &text) {
  std::optional<double> value = parseReal(text);
  if (!value || !std::isfinite(*value) || *value < 0)
    return inputError(fmt::format("option '--tolerance': '{}' is no number of "
                                  "0 or more, such as 1e-4",
                                  text));
  return *value;
}

/// Ids from all of the vocabulary, the same for every model with as many.
std::vector<int32_t> drawTokens(int64_t vocab) {
  std::vector<int32_t> tokens;
  uint64_t state = 1;
  for (int64_t i = 0; i < drawnTokens; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    tokens.push_back(static_cast<int32_t>((state >> 33) % vocab));
  }
  return tokens;
}

Status checkLength(size_t tokens, const char *origin) {
  if (tokens < 2)
    return inputError(fmt::format(
        "{}: {} token{}; expected 2 at least, as the first position is not "
        "turned by rope and attends to itself alone, so that errors of either "
        "stay hidden",
        origin, tokens, tokens == 1 ? "" : "s"));
  if (tokens > mostTokens)
    return inputError(
        fmt::format("{}: {} tokens; expected {} at most, as what "
                    "both sides compute of them is held in memory",
                    origin, tokens, mostTokens));
  return {};
}

Expected<std::vector<int32_t>> givenTokens(const CompareArguments &options) {
  MBC_ASSIGN(Tokens tokens, readTokens(options.tokens));
  if (tokens.batch != 1)
    return inputError(fmt::format("option '--tokens': {} sequences; expected "
                                  "one",
                                  tokens.batch));
  MBC_TRY(checkLength(tokens.ids.size(), "option '--tokens'"));
  return tokens.ids;
}

Expected<std::unique_ptr<Side>> openSide(const ModelLibrary &library,
                                         std::string folder, const char *label,
                                         const CompareArguments &options,
                                         const CommonOptions &common,
                                         const RunOptions &run) {
  MBC_TRY(resolveInPlace(folder));
  MBC_ASSIGN(CheckpointKind kind, detectCheckpoint(folder));
  // What a Megatron checkpoint leaves open; a folder says it all.
  ReferenceOptions reference;
  if (kind != CheckpointKind::HuggingFace)
    reference = options.reference;
  MBC_ASSIGN(OpenOptions open, reference.openOptions(common));
  return Side::open(library, folder, open, run, label);
}

/// The tokenizer beside either side, A's first; null: there is none.
Expected<std::unique_ptr<text::Tokenizer>>
findTokenizer(std::initializer_list<const Side *> sides, bool needed) {
  std::string why;
  for (const Side *side : sides) {
    auto tokenizer = text::Tokenizer::open(side->checkpoint().folder());
    if (tokenizer)
      return std::move(*tokenizer);
    why += (why.empty() ? "" : "; ") + tokenizer.error().message;
  }
  if (needed)
    return inputError(fmt::format("option '--prompt' needs a tokenizer, which "
                                  "neither side has: {}; '--tokens' takes ids",
                                  why));
  return nullptr;
}

void addTexts(const text::Tokenizer &tokenizer, compare::Report &report) {
  auto textOf = [&](int32_t token) {
    return tokenizer.decode(std::span(&token, 1), /*skipSpecial=*/false);
  };
  for (int32_t token : report.tokens)
    report.tokenTexts.push_back(textOf(token));
  for (const compare::RowAgreement &row : report.logits)
    for (const auto *choices : {&row.a, &row.b})
      for (const compare::Choice &choice : *choices)
        report.choiceTexts.try_emplace(choice.token, textOf(choice.token));
}

/// What both sides compute, where the options name no tokens: those of the
/// prompt, else of a usual one, else ids from all of the vocabulary.
Expected<std::vector<int32_t>> chooseTokens(const CompareArguments &options,
                                            const text::Tokenizer *tokenizer,
                                            int64_t vocab, std::string &note) {
  if (!options.prompts.empty()) {
    MBC_ASSIGN(std::vector<int32_t> tokens,
               tokenizer->encode(options.prompts[0], /*addSpecial=*/true));
    MBC_TRY(checkLength(tokens.size(), "option '--prompt'"));
    return tokens;
  }
  if (tokenizer) {
    auto tokens = tokenizer->encode(usualPrompt, /*addSpecial=*/true);
    // A tokenizer of another model may lie there.
    if (tokens && tokens->size() > 1 &&
        std::ranges::all_of(*tokens, [&](int32_t id) { return id < vocab; }))
      return std::move(*tokens);
  }
  note = fmt::format("{} tokens drawn from the vocabulary; '--tokens' takes "
                     "others",
                     drawnTokens);
  return drawTokens(vocab);
}

Expected<compare::Report> runBoth(const CompareArguments &options,
                                  const CommonOptions &common) {
  ComparisonOptions comparison;
  MBC_ASSIGN(std::optional<DType> dtype, parseDType("--dtype", options.dtype));
  comparison.run.dtype = dtype.value_or(DType::F32);
  comparison.run.threads = common.threads;
  comparison.run.progress = common.progress();
  comparison.weights = !options.noWeights;
  if (!options.tolerance.empty()) {
    MBC_ASSIGN(comparison.tolerance, parseTolerance(options.tolerance));
  }
  MBC_TRY(parseCount("--top-k", options.top, 1, 100, comparison.top));
  if (options.b.empty() == options.referenceStates.empty())
    return inputError(options.b.empty()
                          ? "nothing to compare with: expected B, or "
                            "'--reference FILE.safetensors'"
                          : "both B and '--reference' are given: expected one "
                            "of them");
  if (options.prompts.size() > 1)
    return inputError("option '--prompt' is given more than once");
  if (!options.prompts.empty() &&
      (!options.tokens.empty() || !options.referenceStates.empty()))
    return inputError(fmt::format(
        "option '--prompt' does not go with '{}', which says the tokens",
        options.tokens.empty() ? "--reference" : "--tokens"));
  std::optional<std::vector<int32_t>> tokens;
  if (!options.tokens.empty()) {
    MBC_ASSIGN(tokens, givenTokens(options));
  }
  ModelLibrary library;
  MBC_TRY(common.load(library));
  if (!options.referenceStates.empty()) {
    MBC_ASSIGN(auto states,
               compare::ReferenceStates::open(options.referenceStates));
    MBC_TRY(checkLength(states->tokens().size(), "option '--reference'"));
    if (tokens && *tokens != states->tokens())
      return inputError(fmt::format(
          "option '--tokens': the states of {} are of other tokens; leave the "
          "option out, or write them anew",
          options.referenceStates));
    MBC_ASSIGN(auto side, openSide(library, options.a, "A", options, common,
                                   comparison.run));
    MBC_ASSIGN(compare::Report report,
               compareWithReference(*side, *states, options.referenceStates,
                                    comparison));
    MBC_ASSIGN(auto tokenizer, findTokenizer({side.get()}, false));
    if (tokenizer)
      addTexts(*tokenizer, report);
    return report;
  }
  MBC_ASSIGN(auto a, openSide(library, options.a, "A", options, common,
                              comparison.run));
  MBC_ASSIGN(auto b, openSide(library, options.b, "B", options, common,
                              comparison.run));
  MBC_ASSIGN(auto tokenizer,
             findTokenizer({a.get(), b.get()}, !options.prompts.empty()));
  std::string note;
  if (!tokens) {
    MBC_ASSIGN(tokens, chooseTokens(options, tokenizer.get(),
                                    a->value("vocab").value_or(1), note));
  }
  MBC_ASSIGN(compare::Report report, compareSides(*a, *b, *tokens, comparison));
  if (!note.empty())
    report.notes.push_back(note);
  if (tokenizer)
    addTexts(*tokenizer, report);
  return report;
}

Expected<Outcome> runCompare(const CompareArguments &options,
                             const CommonOptions &common) {
  auto start = std::chrono::steady_clock::now();
  if (!options.html.empty())
    MBC_TRY(checkFileTarget(options.html));
  MBC_ASSIGN(compare::Report report, runBoth(options, common));
  report.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  Outcome outcome;
  outcome.text = compare::reportText(report);
  outcome.json = compare::reportJson(report);
  if (!options.html.empty()) {
    MBC_TRY(writeWholeFile(options.html, compare::reportHtml(report)));
    outcome.text += fmt::format("report: {}\n", options.html);
    outcome.json.set("html", options.html);
  }
  outcome.status = report.same() ? 0 : 1;
  return outcome;
}

} // namespace

void addCompare(CLI::App &root, CommandList &commands) {
  auto &command = *commands.emplace_back(std::make_unique<Command>(
      root, "compare", "Where two checkpoints first differ when they run",
      "Computes some tokens with both checkpoints, each a Hugging Face folder "
      "or a Megatron checkpoint, and compares what every layer leaves. Of the "
      "first layer that differs every operation is compared, and the one is "
      "named whose result differs while all that it reads agrees: with its "
      "place in the declaration, the tensors that it reads on either side, and "
      "what differs of them (weights, heads that are exchanged, settings of "
      "config.json). Exit status 1 then. Errors are relative to the larger row "
      "of the two, of the token that is worst. Unless --tolerance says "
      "otherwise it is 0 where both sides store the same types: equal weights "
      "and settings then give equal bits. Where one side's weights are rounded "
      "it is 0.031 for bfloat16 (8 units in the last place) and 0.0078 for "
      "float16 (16); 0.00003 beside another program in float32. Layers for "
      "multi-token prediction are compared where both sides have them. Where "
      "both compute the same, the weights are compared too: of those that the "
      "tokens do not show (experts that none chose, rows of other tokens) some "
      "may differ, which is exit status 1 unless --tolerance asks for it."));
  auto options = std::make_shared<CompareArguments>();
  command
      .argument("A", options->a, "Hugging Face folder or Megatron checkpoint")
      .argument("B", options->b, "What to compare it with", false)
      .list("--prompt", options->prompts, "TEXT",
            "The text to compute, by A's tokenizer, else B's (default: two "
            "sentences and some code; without a tokenizer 32 tokens drawn from "
            "the vocabulary)")
      .option("--tokens", options->tokens, "IDS|FILE",
              "Token ids 1,2,3, or a .npy file of one sequence, instead of a "
              "text; two at least")
      .option("--reference", options->referenceStates, "FILE",
              "Compare with hidden states of another program instead of B: a "
              "safetensors file of tools/reference_states.py, which runs "
              "transformers; its tokens are taken")
      .computeType(options->dtype, "float32")
      .option("--tolerance", options->tolerance, "X",
              "Largest relative error that is no difference")
      .flag("--no-weights", options->noWeights,
            "Do not compare the weights where both compute the same")
      .option(
          "--top-k", options->top, "N",
          "Likeliest tokens of each position that are compared (default: 5)")
      .option("--html", options->html, "FILE",
              "Write a page with the errors of all layers and operations and "
              "the likeliest tokens; it needs no network");
  options->reference.declare(
      command, "Of Megatron checkpoints: take config.json from here, instead "
               "of the record of the source or their own configuration");
  command.configOptions().examples(
      "  mbc compare SmolLM2 megatron --prompt \"The capital of France is\"\n"
      "  mbc compare SmolLM2 exported --tokens 1,2,3,4 --html report.html\n"
      "  mbc compare SmolLM2 bf16 --tolerance 0.01 --json\n"
      "  mbc compare SmolLM2 --reference states.safetensors");
  command.run = [options, &common = command.common] {
    return runCompare(*options, common);
  };
}

} // namespace mbc
