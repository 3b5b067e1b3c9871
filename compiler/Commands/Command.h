//===- Command.h - What the subcommands share -------------------*- C++ -*-===//
#pragma once

#include "compiler/Bridge/Checkpoint.h"
#include "compiler/Commands/BridgeFlags.h"
#include "mbc/AutoBridge.h"
#include "runtime/commands/BaseCommand.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
} // namespace CLI

namespace mbc {

/// Options of every command of mbc.
struct CommonOptions : BaseOptions {
  std::vector<std::string> modelPaths;
  ConfigOptions config;

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

/// A subcommand of mbc.
class Command final : public ChainedCommand<Command> {
public:
  Command(CLI::App &root, std::string name, const char *summary,
          const char *details);

  /// --tp, --pp, --vpp, --cp, --ep, --etp; `role` says what they do here.
  Command &sizes(SizeOptions &sizes, const char *role);
  /// --dtype of what is computed; `usual`: the type where it is not given.
  Command &computeType(std::string &dtype, const char *usual);
  /// --no-cache.
  Command &noCache(bool &off);
  /// --strict-config and --accept.
  Command &configOptions();
  /// The flags of Megatron Bridge's command of the same name; the last ones to
  /// be declared.
  Command &bridgeFlags();

  CommonOptions common;

private:
  Status prepare(const Target &target,
                 std::vector<std::string> &notes) override;
  std::string moreHelp(size_t width, size_t names) const override;

  BridgeFlags bridge;
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
void addCompile(CLI::App &root, CommandList &commands);
void addLogits(CLI::App &root, CommandList &commands);
void addGenerate(CLI::App &root, CommandList &commands);
void addCompare(CLI::App &root, CommandList &commands);
void addTokenize(CLI::App &root, CommandList &commands);
void addDoctor(CLI::App &root, CommandList &commands);
void addServe(CLI::App &root, CommandList &commands);
void addCache(CLI::App &root, CommandList &commands);

/// The size of --max-shard-size; none when `text` is empty.
Expected<std::optional<uint64_t>> parseShardSize(const std::string &text);
/// "bfloat16", "float16" or "float32"; none when `text` is empty.
Expected<std::optional<DType>> parseDType(std::string_view option,
                                          std::string_view text);

} // namespace mbc
