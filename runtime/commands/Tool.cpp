//===- Tool.cpp - From arguments to an exit status ------------------------===//
#include "runtime/commands/Tool.h"

#include "runtime/commands/Interrupt.h"
#include "runtime/commands/StandardOutput.h"
#include "runtime/core/Guarded.h"
#include "runtime/core/Text.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fmt/format.h>

namespace mbc {

/// Version of every --json document; compiler/Commands/README.md has their
/// members.
static constexpr int kJsonSchema = 1;

static void printError(const std::string &message) {
  // Proofs give whole texts, each line with its place.
  bool located = message.find(": error: ") != std::string::npos;
  std::string text = located ? message : "error: " + message;
  if (!text.ends_with('\n'))
    text += '\n';
  std::fwrite(text.data(), 1, text.size(), stderr);
}

static int statusOf(ErrorKind kind) {
  switch (kind) {
  case ErrorKind::Input:
    return 2;
  case ErrorKind::System:
    return 3;
  case ErrorKind::Difference:
    return 1;
  }
  return 3;
}

static std::string_view kindName(ErrorKind kind) {
  switch (kind) {
  case ErrorKind::Input:
    return "input";
  case ErrorKind::System:
    return "system";
  case ErrorKind::Difference:
    return "difference";
  }
  return "system";
}

static Json document(const std::string &command, int status) {
  return Json::object(
      {{"schema", kJsonSchema}, {"command", command}, {"status", status}});
}

static int report(const Error &error, const std::string &command, bool json) {
  letInterruptEnd();
  int status = statusOf(error.kind);
  printError(error.message);
  if (json) {
    Json result = document(command, status);
    result.set("error",
               Json::object({{"kind", std::string(kindName(error.kind))},
                             {"message", error.message}}));
    writeOutput(result.dump() + "\n");
  }
  return status;
}

static int report(const Outcome &outcome, const BaseCommand &command) {
  letInterruptEnd();
  Expected<bool> written = true;
  if (command.options().json) {
    Json result = document(command.name(), outcome.status);
    for (const Json::Member &member : outcome.json.members())
      result.set(member.first, member.second);
    written = writeOutput(result.dump() + "\n");
  } else if (!command.options().quiet) {
    written = writeOutput(outcome.text);
  }
  return written ? outcome.status
                 : report(written.error(), command.name(), false);
}

static int printVersion(const Tool &tool, bool json) {
  if (!json)
    return writeOutput(fmt::format(
               "{} {} ({}){}{}\n", tool.name, MBC_VERSION, MBC_COMMIT,
               tool.builtWith.empty() ? "" : ", ", tool.builtWith))
               ? 0
               : 3;
  Json result = document("version", 0);
  result.set("version", MBC_VERSION);
  result.set("commit", MBC_COMMIT);
  for (const Json::Member &member : tool.versions.members())
    result.set(member.first, member.second);
  return writeOutput(result.dump() + "\n") ? 0 : 3;
}

/// The library's complaint about the form of an argument, in our words.
static std::string usageText(const CLI::ParseError &error) {
  std::string what = error.what();
  std::string option = what.substr(0, what.find_first_of(": "));
  if (error.get_name() == "ArgumentMismatch")
    return fmt::format("option {} expects one value, and may be given once",
                       quote(option));
  return fmt::format("cannot understand {}", quote(option));
}

static int run(const Tool &tool, int argc, char **argv, bool json) {
  CLI::App app(tool.description, tool.name);
  app.footer(std::string("Exit status: 0 all asked for was done and checked; "
                         "1 a comparison found a\ndifference; 2 bad usage, "
                         "bad input or a refused proof; 3 the system "
                         "failed.\n\nExamples:\n") +
             tool.examples);
  bool version = false, topJson = false;
  app.add_flag("--version", version,
               "Print the version; with --json also those of its formats");
  app.add_flag("--json", topJson, "With --version: print JSON");
  app.allow_extras();
  app.require_subcommand(0, 1);

  auto commands = tool.commands(app);
  std::vector<std::string> arguments(argv + 1, argv + argc);
  if (tool.spell)
    tool.spell(arguments);
  std::ranges::reverse(arguments); // as the parser takes them
  try {
    app.parse(arguments);
  } catch (const CLI::CallForHelp &) {
    for (const auto &command : commands)
      if (command->parsed())
        return writeOutput(command->help()) ? 0 : 3;
    return writeOutput(app.help()) ? 0 : 3;
  } catch (const CLI::ParseError &error) {
    return report(Error{ErrorKind::Input, usageText(error)}, "", json);
  }
  if (version)
    return printVersion(tool, topJson);
  for (const auto &command : commands) {
    if (!command->parsed())
      continue;
    auto outcome = command->execute();
    return outcome ? report(*outcome, *command)
                   : report(outcome.error(), command->name(),
                            command->options().json);
  }
  auto extras = app.remaining();
  std::string what = "expected a command";
  if (!extras.empty())
    what = (extras.front().starts_with("-") ? "unknown option "
                                            : "unknown command ") +
           quote(extras.front());
  return report(Error{ErrorKind::Input,
                      fmt::format("{}; see '{} --help'", what, tool.name)},
                "", json);
}

int runTool(const Tool &tool, int argc, char **argv) {
  // Known before parsing, so that errors of parsing are JSON too.
  bool json = false;
  for (int i = 1; i < argc; ++i)
    json |= std::string_view(argv[i]) == "--json";
  try {
    handleInterrupts();
    return run(tool, argc, argv, json);
  } catch (...) {
    return report(currentException(), "", json);
  }
}

} // namespace mbc
