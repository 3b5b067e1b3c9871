//===- Command.h - What the subcommands share -------------------*- C++ -*-===//
#pragma once

#include "compiler/Bridge/Checkpoint.h"
#include "compiler/Commands/BridgeFlags.h"
#include "mbc/AutoBridge.h"
#include "runtime/core/Json.h"
#include "runtime/core/Progress.h"

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
} // namespace CLI

namespace mbc {

/// What a command has to say when it is done.
struct Outcome {
  int status = 0;             ///< 0, or 1: a comparison found a difference
  std::string text;           ///< for people, with line ends
  Json json = Json::object(); ///< members after "schema", "command", "status"
};

/// Options of every command.
struct CommonOptions {
  bool json = false, quiet = false, noProgress = false;
  unsigned threads = 0;
  std::vector<std::string> modelPaths;
  ConfigOptions config;

  Progress::Mode progress() const {
    return Progress::detectMode(quiet || noProgress);
  }
  /// The built-in declarations and those of --model-path.
  Status load(ModelLibrary &library) const;
  /// What these options say of a checkpoint; the rest has its defaults.
  BridgeOptions bridge() const;
};

/// The texts of --tp and its like.
struct SizeOptions {
  std::string tp, pp, vpp, cp, ep, etp;
  Expected<ParallelSizes> parse() const;
};

/// A subcommand while its options are declared, and what it runs. The command
/// itself lives in `run`, which is called once, after parsing.
class Command {
public:
  /// `summary` stands in the list of commands, `details` in its own help.
  Command(CLI::App &root, std::string name, const char *summary,
          const char *details);

  /// A positional argument; `required` ones are asked for by name.
  Command &argument(const char *name, std::string &value, const char *help,
                    bool required = true);
  Command &option(const char *names, std::string &value, const char *type,
                  const char *help, bool required = false);
  Command &list(const char *names, std::vector<std::string> &values,
                const char *type, const char *help);
  Command &flag(const char *names, bool &value, const char *help);
  /// --tp, --pp, --vpp, --cp, --ep, --etp; `role` says what they do here.
  Command &sizes(SizeOptions &sizes, const char *role);
  /// --strict-config and --accept.
  Command &configOptions();
  /// The flags of Megatron Bridge's command of the same name; the last ones to
  /// be declared.
  Command &bridgeFlags();
  Command &examples(const char *text);

  /// Refuses what is missing or unknown, then runs.
  Expected<Outcome> execute();
  bool parsed() const;
  std::string help();
  const std::string &name() const { return title; }

  CommonOptions common;
  std::function<Expected<Outcome>()> run;

private:
  struct Required {
    std::string name;
    const std::string *value;
  };
  CLI::App *app;
  std::string title, details, threadsText;
  /// By each spelling: "HF_DIR", "-o", "--output".
  std::map<std::string, std::string *, std::less<>> texts;
  BridgeFlags bridge;
  std::vector<Required> required;
};

using CommandList = std::vector<std::unique_ptr<Command>>;

// One file each.
void addImport(CLI::App &root, CommandList &commands);
void addExport(CLI::App &root, CommandList &commands);
void addRoundtrip(CLI::App &root, CommandList &commands);
void addReshard(CLI::App &root, CommandList &commands);
void addVerify(CLI::App &root, CommandList &commands);
void addInspect(CLI::App &root, CommandList &commands);
void addModels(CLI::App &root, CommandList &commands);
void addCheck(CLI::App &root, CommandList &commands);
void addToy(CLI::App &root, CommandList &commands);
void addNew(CLI::App &root, CommandList &commands);

/// A number from `least` on; `option` names it in the error.
Expected<uint64_t> parseCount(std::string_view option, std::string_view text,
                              uint64_t least, uint64_t most);
/// The size of --max-shard-size; none when `text` is empty.
Expected<std::optional<uint64_t>> parseShardSize(const std::string &text);
/// Replaces a hub id by the folder of its snapshot in the local cache; other
/// texts, paths and the empty one, stay.
Status resolveInPlace(std::string &folder);

/// "bfloat16", "float16" or "float32"; none when `text` is empty.
Expected<std::optional<DType>> parseDType(std::string_view option,
                                          std::string_view text);

} // namespace mbc
