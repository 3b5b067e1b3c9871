//===- Command.cpp - Declaring the options of a command -------------------===//
#include "compiler/Commands/Command.h"
#include "runtime/io/HubCache.h"

#include "compiler/Commands/TextTable.h"
#include "runtime/core/Text.h"

#include "llvm/ADT/StringExtras.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <fmt/format.h>

namespace mbc {

Status CommonOptions::load(ModelLibrary &library) const {
  return library.addFolders({modelPaths.begin(), modelPaths.end()});
}

Expected<uint64_t> parseCount(std::string_view option, std::string_view text,
                              uint64_t least, uint64_t most) {
  uint64_t value = 0;
  auto [end, code] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() ||
      value < least || value > most)
    return inputError(
        fmt::format("option '{}' is {}, expected a whole number from {} to {}",
                    option, quote(text), least, most));
  return value;
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

Status resolveInPlace(std::string &folder) {
  if (folder.empty())
    return {};
  MBC_ASSIGN(std::filesystem::path path, resolveModel(folder));
  folder = path.string();
  return {};
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

/// Columns of a terminal, and those that the names of options take.
constexpr size_t kWidth = 79, kNames = 30;

static std::string wrapHelp(std::string_view text) {
  return wrapText(text, kWidth - kNames);
}

Command::Command(CLI::App &root, std::string name, const char *summary,
                 const char *details)
    : app(root.add_subcommand(name, summary)), title(std::move(name)),
      details(details) {
  // What is left over is refused by `execute`, in our own words.
  app->allow_extras();
  flag("--json", common.json,
       "Print the result, or the error, as one JSON object on stdout");
  flag("--quiet", common.quiet,
       "Print errors only: no progress and no report; the exit status tells");
  option("--threads", threadsText, "N",
         "Worker threads; changes the speed, never a byte of the result "
         "(default: the processors, at most 16)");
  list("--model-path", common.modelPaths, "DIR",
       "Also use DIR/models/*.mbc and DIR/mappings/*.mbc, before the built-in "
       "declarations; may be repeated");
}

Command &Command::argument(const char *name, std::string &value,
                           const char *help, bool isRequired) {
  app->add_option(name, value, wrapHelp(help))->type_name("");
  texts[name] = &value;
  if (isRequired)
    required.push_back({name, &value});
  return *this;
}

Command &Command::option(const char *names, std::string &value,
                         const char *type, const char *help, bool isRequired) {
  app->add_option(names, value, wrapHelp(help))->type_name(type);
  for (llvm::StringRef spelling : llvm::split(names, ','))
    texts[spelling.str()] = &value;
  if (isRequired)
    required.push_back({names, &value});
  return *this;
}

Command &Command::list(const char *names, std::vector<std::string> &values,
                       const char *type, const char *help) {
  app->add_option(names, values, wrapHelp(help))
      ->type_name(type)
      ->allow_extra_args(false);
  return *this;
}

Command &Command::flag(const char *names, bool &value, const char *help) {
  app->add_flag(names, value, wrapHelp(help));
  return *this;
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

Command &Command::configOptions() {
  flag("--strict-config", common.config.strictConfig,
       "Refuse fields of config.json that the declaration does not know; "
       "otherwise they are carried and reported");
  return list("--accept", common.config.accept, "FIELD",
              "Accept the value of a config field that changes meaning and is "
              "not supported; may be repeated");
}

Command &Command::bridgeFlags() {
  bridge.declare(*app, title);
  return *this;
}

Command &Command::examples(const char *text) {
  std::string flags = bridge.help(kWidth, kNames);
  app->footer(flags + (flags.empty() ? "" : "\n") + "Examples:\n" + text);
  return *this;
}

bool Command::parsed() const { return app->parsed(); }

std::string Command::help() {
  // Only shown as required: what is missing is named by `execute`.
  for (const Required &item : required)
    app->get_option(item.name.substr(item.name.rfind(',') + 1))->required();
  app->description(wrapText(app->get_description() + "\n\n" + details, kWidth) +
                   "\n");
  return app->help("mbc");
}

Expected<Outcome> Command::execute() {
  auto usage = [&](std::string message) {
    return inputError(fmt::format("{}; see 'mbc {} --help'", message, title));
  };
  for (const std::string &extra : app->remaining())
    return usage(extra.starts_with("-")
                     ? fmt::format("unknown option {}", quote(extra))
                     : fmt::format("unexpected argument {}", quote(extra)));
  std::vector<std::string> notes;
  MBC_TRY(bridge.apply(
      [&](std::string_view option) -> std::string & {
        return *texts.find(option)->second;
      },
      common.noProgress, notes));
  for (const Required &item : required)
    if (item.value->empty())
      return usage(fmt::format("expected {}", item.name));
  if (!threadsText.empty()) {
    MBC_ASSIGN(uint64_t threads, parseCount("--threads", threadsText, 1, 1024));
    common.threads = static_cast<unsigned>(threads);
  }
  MBC_ASSIGN(Outcome outcome, run());
  Json list = Json::array();
  for (const std::string &note : notes) {
    outcome.text += "note: " + note + "\n";
    list.push(note);
  }
  if (!notes.empty())
    outcome.json.set("flag_notes", std::move(list));
  return outcome;
}

} // namespace mbc
