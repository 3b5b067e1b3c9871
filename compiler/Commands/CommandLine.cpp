//===- CommandLine.cpp - From arguments to an exit status -----------------===//
#include "compiler/Commands/CommandLine.h"

#include "compiler/Commands/Command.h"
#include "compiler/Commands/Interrupt.h"
#include "runtime/core/Guarded.h"
#include "runtime/core/Text.h"
#include "runtime/io/CopyPlan.h"

#include "llvm/Config/llvm-config.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fmt/format.h>

namespace mbc {

/// Version of every --json document; see README.md here for their members.
static constexpr int kJsonSchema = 1;
static constexpr int kLanguageVersion = 1;

/// Writes to stdout. A reader that went away is no failure; a full disk is.
static bool print(std::string_view text) {
  errno = 0;
  bool written =
      std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
      std::fflush(stdout) == 0;
  return written || errno == EPIPE;
}

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
  int status = statusOf(error.kind);
  printError(error.message);
  if (json) {
    Json result = document(command, status);
    result.set("error",
               Json::object({{"kind", std::string(kindName(error.kind))},
                             {"message", error.message}}));
    print(result.dump() + "\n");
  }
  return status;
}

static int report(const Outcome &outcome, const Command &command) {
  bool written = true;
  if (command.common.json) {
    Json result = document(command.name(), outcome.status);
    for (const Json::Member &member : outcome.json.members())
      result.set(member.first, member.second);
    written = print(result.dump() + "\n");
  } else if (!command.common.quiet) {
    written = print(outcome.text);
  }
  if (written)
    return outcome.status;
  return report(Error{ErrorKind::System, fmt::format("stdout: cannot write: {}",
                                                     std::strerror(errno))},
                command.name(), false);
}

static int printVersion(bool json) {
  if (!json)
    return print(fmt::format("mbc {} ({}), LLVM {}\n", MBC_VERSION, MBC_COMMIT,
                             LLVM_VERSION_STRING))
               ? 0
               : 3;
  Json result = document("version", 0);
  result.set("version", MBC_VERSION);
  result.set("commit", MBC_COMMIT);
  result.set("llvm", LLVM_VERSION_STRING);
  result.set("language", kLanguageVersion);
  result.set("plan", kPlanVersion);
  return print(result.dump() + "\n") ? 0 : 3;
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

static void describe(CLI::App &app) {
  app.description(
      "Converts LLM checkpoints between Hugging Face folders and Megatron\n"
      "checkpoints: proved before it runs, exact to the bit.");
  app.footer(
      "Exit status: 0 all asked for was done and checked; 1 a comparison found "
      "a\ndifference; 2 bad usage, bad input or a refused proof; 3 the system "
      "failed.\n\n"
      "Examples:\n"
      "  mbc import SmolLM2 -o megatron      Hugging Face -> Megatron\n"
      "  mbc export megatron -o hf           Megatron -> Hugging Face\n"
      "  mbc verify SmolLM2 hf               compare them, bit for bit\n"
      "  mbc import --help                   what each flag changes");
}

static int run(int argc, char **argv, bool json) {
  CLI::App app("", "mbc");
  describe(app);
  bool version = false, topJson = false;
  app.add_flag("--version", version,
               "Print the version; with --json also those of its formats");
  app.add_flag("--json", topJson, "With --version: print JSON");
  app.allow_extras();
  app.require_subcommand(0, 1);

  CommandList commands;
  addImport(app, commands);
  addExport(app, commands);
  addReshard(app, commands);
  addRoundtrip(app, commands);
  addVerify(app, commands);
  addInspect(app, commands);
  addModels(app, commands);
  addCheck(app, commands);
  addToy(app, commands);
  addNew(app, commands);

  std::vector<std::string> arguments(argv + 1, argv + argc);
  spellBridgeFlags(arguments);
  std::ranges::reverse(arguments); // as the parser takes them
  try {
    app.parse(arguments);
  } catch (const CLI::CallForHelp &) {
    for (const auto &command : commands)
      if (command->parsed())
        return print(command->help()) ? 0 : 3;
    return print(app.help()) ? 0 : 3;
  } catch (const CLI::ParseError &error) {
    return report(Error{ErrorKind::Input, usageText(error)}, "", json);
  }
  if (version)
    return printVersion(topJson);
  for (const auto &command : commands) {
    if (!command->parsed())
      continue;
    auto outcome = command->execute();
    return outcome
               ? report(*outcome, *command)
               : report(outcome.error(), command->name(), command->common.json);
  }
  auto extras = app.remaining();
  std::string what = "expected a command";
  if (!extras.empty())
    what = (extras.front().starts_with("-") ? "unknown option "
                                            : "unknown command ") +
           quote(extras.front());
  return report(Error{ErrorKind::Input, what + "; see 'mbc --help'"}, "", json);
}

int runCommandLine(int argc, char **argv) {
  // Known before parsing, so that errors of parsing are JSON too.
  bool json = false;
  for (int i = 1; i < argc; ++i)
    json |= std::string_view(argv[i]) == "--json";
  try {
    handleInterrupts();
    return run(argc, argv, json);
  } catch (...) {
    return report(currentException(), "", json);
  }
}

} // namespace mbc
