//===- Converse.cpp - A conversation on the terminal ----------------------===//
#include "runtime/commands/GenerateText.h"
#include "runtime/commands/Interrupt.h"
#include "runtime/commands/StandardOutput.h"
#include "runtime/core/Text.h"

#include <algorithm>
#include <fmt/format.h>
#include <iostream>

namespace mbc {

/// Tokens of a conversation where nothing is said: its state is reserved at the
/// start.
constexpr int64_t defaultLength = 8192;

namespace {

class Conversation {
public:
  Conversation(GenerationModel &model, const GenerateOptions &options)
      : model(model), options(options) {
    reset();
  }

  /// Shows files with the next message; on stderr what is wrong with one.
  void show(std::span<const std::string> paths);
  /// Until the input ends. An Error where stdout cannot be written, or the
  /// computation failed.
  Status hold();

private:
  void reset() {
    history = options.system
                  ? Json::array({chatMessage("system", *options.system)})
                  : Json::array();
    seen.clear();
    shown.clear();
  }
  Status answer(std::string text);
  Status write(std::string_view text) {
    MBC_ASSIGN(bool open, writeOutput(text));
    over |= !open;
    return {};
  }

  GenerationModel &model;
  const GenerateOptions &options;
  Json history;
  PreparedPictures seen, shown; ///< of the history; for the next message
  bool over = false;
};

void Conversation::show(std::span<const std::string> paths) {
  auto prepare = [&]() -> Expected<PreparedPictures> {
    MBC_ASSIGN(const ModelPictures *eyes, model.pictures());
    return eyes->read(paths);
  };
  auto prepared = prepare();
  if (!prepared)
    fmt::print(stderr, "error: {}\n", prepared.error().message);
  else
    shown.insert(shown.end(), prepared->begin(), prepared->end());
}

/// Answers a message. What is wrong with it alone is said, and forgotten with
/// it.
Status Conversation::answer(std::string text) {
  Prompt prompt;
  prompt.messages = history;
  prompt.messages->push(pictureMessage(text, shown.size()));
  prompt.prepared = seen;
  prompt.prepared->insert(prompt.prepared->end(), shown.begin(), shown.end());
  shown.clear();
  GenerateOptions plain = options;
  plain.system.reset(); // it is in the history
  auto request = makeRequest(prompt, plain, model);
  if (!request) {
    fmt::print(stderr, "error: {}; /reset begins anew\n",
               request.error().message);
    return {};
  }
  generate::Engine &engine = model.engine();
  Status status;
  std::optional<generate::Result> result;
  generate::Sink sink;
  auto show = [&](std::string_view piece) {
    if (status && !piece.empty())
      status = write(piece);
  };
  sink.token = [&](const generate::Choice &, std::string_view piece) {
    show(piece);
  };
  sink.rest = show;
  sink.done = [&](Expected<generate::Result> done) {
    if (done)
      result = std::move(*done);
    else
      status = Failure(std::move(done.error()));
  };
  MBC_ASSIGN(generate::Engine::Id id,
             engine.submit(std::move(*request), std::move(sink)));
  {
    InterruptGuard guard([&] { engine.cancel(id); });
    while (!result && status && !over) {
      MBC_TRY(engine.step());
    }
  }
  MBC_TRY(std::move(status));
  if (!result)
    return {};
  std::string_view why =
      result->finish == generate::Finish::Cancelled ? " (stopped)"
      : result->finish == generate::Finish::Length  ? " (--max-new-tokens)"
                                                    : "";
  MBC_TRY(write(fmt::format("{}\n", why)));
  history = std::move(*prompt.messages);
  seen = std::move(*prompt.prepared);
  history.push(chatMessage("assistant", std::move(result->text)));
  return {};
}

Status Conversation::hold() {
  MBC_TRY(
      write(fmt::format("{}/reset begins anew, /exit or the end of input "
                        "ends; Ctrl-C stops an answer\n",
                        model.sees() ? "/image FILE shows a picture, " : "")));
  std::string line;
  while (!over) {
    MBC_TRY(write("> "));
    {
      // A line that is being typed is dropped.
      InterruptGuard guard([] {
        if (auto shown = writeOutput("\n> "); !shown)
          return;
      });
      if (!std::getline(std::cin, line))
        return write("\n");
    }
    if (line == "/exit")
      return {};
    if (line == "/reset") {
      reset();
      continue;
    }
    constexpr std::string_view image = "/image ";
    if (line.starts_with(image)) {
      std::string path = line.substr(image.size());
      show(std::span(&path, 1));
      continue;
    }
    if (line.starts_with("/"))
      fmt::print(stderr,
                 "error: unknown command {}; there are {}/reset and /exit\n",
                 quote(line), model.sees() ? "/image FILE, " : "");
    else if (line.find_first_not_of(" \t\r") != std::string::npos)
      MBC_TRY(answer(line));
  }
  return {};
}

} // namespace

Expected<Outcome> converse(GenerationModel &model,
                           const GenerateOptions &options,
                           const BaseOptions &common) {
  // A model that cannot converse is known before its weights are read.
  Prompt first;
  first.messages = Json::array({chatMessage("user", "Hello")});
  MBC_TRY(makeRequest(first, options, model));
  auto longest = static_cast<int64_t>(model.program().length);
  MBC_TRY(model.load(options.device,
                     std::min(longest, options.length.value_or(defaultLength)),
                     1, options.drafts, common));
  Conversation conversation(model, options);
  if (!options.pictures.empty())
    conversation.show(options.pictures);
  MBC_TRY(conversation.hold());
  return Outcome();
}

} // namespace mbc
