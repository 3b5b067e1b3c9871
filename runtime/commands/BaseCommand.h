//===- BaseCommand.h - Declaring the options of a command -------*- C++ -*-===//
#pragma once

#include "runtime/commands/Outcome.h"
#include "runtime/core/Error.h"
#include "runtime/core/Progress.h"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
} // namespace CLI

namespace mbc {

/// Options of every command of every tool.
struct BaseOptions {
  bool json = false, quiet = false, noProgress = false;
  unsigned threads = 0;

  Progress::Mode progress() const {
    return Progress::detectMode(quiet || noProgress);
  }
};

/// A subcommand while its options are declared, and what it runs. The command
/// itself lives in `run`, which is called once, after parsing.
class BaseCommand {
public:
  virtual ~BaseCommand();

  /// Refuses what is missing or unknown, then runs.
  Expected<Outcome> execute();
  bool parsed() const;
  std::string help();
  const std::string &name() const { return title; }
  const BaseOptions &options() const { return *base; }

  std::function<Expected<Outcome>()> run;

protected:
  /// `summary` stands in the list of commands of `tool`, `details` in its own
  /// help.
  BaseCommand(CLI::App &root, std::string tool, std::string name,
              const char *summary, const char *details);
  /// --json, --quiet and --threads.
  void declareCommon(BaseOptions &options);

  void addArgument(const char *name, std::string &value, const char *help,
                   bool required);
  void addOption(const char *names, std::string &value, const char *type,
                 const char *help, bool required);
  /// Tells an empty value from none.
  void addOptional(const char *names, std::optional<std::string> &value,
                   const char *type, const char *help);
  void addList(const char *names, std::vector<std::string> &values,
               const char *type, const char *help);
  void addFlag(const char *names, bool &value, const char *help);
  void addExamples(const char *text);
  CLI::App &app() { return *application; }

  /// The text that an option, by any of its spellings, is parsed into.
  using Target = std::function<std::string &(std::string_view option)>;
  /// What a tool does once options are parsed; `notes` are told to the user.
  virtual Status prepare(const Target &target,
                         std::vector<std::string> &notes) {
    return {};
  }
  /// Part of the help before the examples, in columns of `names` and `width`.
  virtual std::string moreHelp(size_t width, size_t names) const { return {}; }

private:
  struct Required {
    std::string name;
    const std::string *value;
  };
  CLI::App *application;
  std::string tool, title, details, threadsText;
  BaseOptions *base = nullptr;
  /// By each spelling: "HF_DIR", "-o", "--output".
  std::map<std::string, std::string *, std::less<>> texts;
  std::vector<Required> required;
};

/// The declarations, one after another on an object of class `Self`.
template <typename Self> class ChainedCommand : public BaseCommand {
public:
  /// A positional argument; `required` ones are asked for by name.
  Self &argument(const char *name, std::string &value, const char *help,
                 bool required = true) {
    addArgument(name, value, help, required);
    return self();
  }
  Self &option(const char *names, std::string &value, const char *type,
               const char *help, bool required = false) {
    addOption(names, value, type, help, required);
    return self();
  }
  Self &optional(const char *names, std::optional<std::string> &value,
                 const char *type, const char *help) {
    addOptional(names, value, type, help);
    return self();
  }
  Self &list(const char *names, std::vector<std::string> &values,
             const char *type, const char *help) {
    addList(names, values, type, help);
    return self();
  }
  Self &flag(const char *names, bool &value, const char *help) {
    addFlag(names, value, help);
    return self();
  }
  Self &examples(const char *text) {
    addExamples(text);
    return self();
  }

protected:
  using BaseCommand::BaseCommand;

private:
  Self &self() { return static_cast<Self &>(*this); }
};

/// A number from `least` on; `option` names it in the error.
Expected<uint64_t> parseCount(std::string_view option, std::string_view text,
                              uint64_t least, uint64_t most);
/// The same, into `value`; an empty text, an option that is not given, leaves
/// it as it is.
template <typename T>
Status parseCount(std::string_view option, std::string_view text,
                  uint64_t least, uint64_t most, T &value) {
  if (text.empty())
    return {};
  MBC_ASSIGN(value, parseCount(option, text, least, most));
  return {};
}
/// A real number, infinite ones and NaN too; none where the text is something
/// else.
std::optional<double> parseReal(std::string_view text);
/// Replaces a hub id by the folder of its snapshot in the local cache; other
/// texts, paths and the empty one, stay.
Status resolveInPlace(std::string &folder);

} // namespace mbc
