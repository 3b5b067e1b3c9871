//===- Command.cpp - Declaring the options of a command -------------------===//
#include "compiler/Commands/Command.h"
#include "runtime/core/Text.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace mbc {

Status CommonOptions::load(ModelLibrary &library) const {
  return library.addFolders({modelPaths.begin(), modelPaths.end()});
}

BridgeOptions CommonOptions::bridge() const {
  BridgeOptions options;
  options.strictConfig = config.strictConfig;
  options.accept = config.accept;
  options.modelPaths = {modelPaths.begin(), modelPaths.end()};
  options.threads = threads;
  options.showProgress = !quiet && !noProgress;
  return options;
}

Expected<std::optional<uint64_t>> parseShardSize(const std::string &text) {
  if (text.empty())
    return std::nullopt;
  auto size = parseByteSize(text);
  if (!size)
    return inputError("option '--max-shard-size': " + size.error().message);
  return *size;
}

Expected<std::optional<DType>> parseDType(std::string_view option,
                                          std::string_view text) {
  if (text.empty())
    return std::nullopt;
  for (DType dtype : {DType::BF16, DType::F16, DType::F32})
    if (torchName(dtype) == text)
      return dtype;
  return inputError(
      fmt::format("option '{}' is {}, expected bfloat16, float16 or float32",
                  option, quote(text)));
}

Expected<ParallelSizes> SizeOptions::parse() const {
  ParallelSizes sizes;
  std::tuple<const char *, const std::string &, int64_t &> all[] = {
      {"--tp", tp, sizes.tp},    {"--pp", pp, sizes.pp},
      {"--vpp", vpp, sizes.vpp}, {"--cp", cp, sizes.cp},
      {"--ep", ep, sizes.ep},    {"--etp", etp, sizes.etp}};
  for (auto &[option, text, size] : all) {
    if (text.empty())
      continue;
    MBC_ASSIGN(uint64_t value, parseCount(option, text, 1, 65536));
    size = static_cast<int64_t>(value);
  }
  return sizes;
}

Command::Command(CLI::App &root, std::string name, const char *summary,
                 const char *details)
    : ChainedCommand(root, "mbc", std::move(name), summary, details) {
  declareCommon(common);
  list("--model-path", common.modelPaths, "DIR",
       "Also use DIR/models/*.mbc and DIR/mappings/*.mbc, before the built-in "
       "declarations; may be repeated");
}

Command &Command::sizes(SizeOptions &sizes, const char *role) {
  std::string tail = fmt::format(" size; {}", role);
  auto add = [&](const char *name, std::string &value, const char *what) {
    option(name, value, "N", (what + tail).c_str());
  };
  add("--tp", sizes.tp, "Tensor-parallel");
  add("--pp", sizes.pp, "Pipeline-parallel");
  add("--vpp", sizes.vpp, "Virtual pipeline (chunks a stage)");
  add("--cp", sizes.cp, "Context-parallel");
  add("--ep", sizes.ep, "Expert-parallel");
  add("--etp", sizes.etp, "Expert-tensor-parallel");
  return *this;
}

Command &Command::computeType(std::string &dtype, const char *usual) {
  return option("--dtype", dtype, "DTYPE",
                fmt::format("Compute with float32, bfloat16 or float16 weights "
                            "and activations (default: {}); sums are float32",
                            usual)
                    .c_str());
}

Command &Command::noCache(bool &off) {
  return flag("--no-cache", off,
              "Compile, whether or not the program is kept from an earlier "
              "run, and keep none; as MBC_CACHE=off. 'mbc cache --help' says "
              "more");
}

Command &Command::configOptions() {
  flag("--strict-config", common.config.strictConfig,
       "Refuse fields of config.json that the declaration does not know; "
       "otherwise they are carried and reported");
  return list("--accept", common.config.accept, "FIELD",
              "Accept the value of a config field that changes meaning and is "
              "not supported; may be repeated");
}

Command &Command::bridgeFlags() {
  bridge.declare(app(), name());
  return *this;
}

Status Command::prepare(const Target &target, std::vector<std::string> &notes) {
  return bridge.apply(target, common.noProgress, notes);
}

std::string Command::moreHelp(size_t width, size_t names) const {
  return bridge.help(width, names);
}

} // namespace mbc
