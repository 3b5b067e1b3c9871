//===- BridgeFlags.cpp - The flags of Megatron Bridge ---------------------===//
#include "compiler/Commands/BridgeFlags.h"

#include "runtime/commands/TextTable.h"
#include "runtime/core/Text.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringRef.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fmt/format.h>

namespace mbc {

namespace {

constexpr std::string_view kAll = "import export roundtrip";
constexpr std::string_view kOneProcess =
    "mbc is one process without a GPU on the machine where it is started, and "
    "its memory does not depend on the model";
constexpr std::string_view kAnyLayout =
    "a checkpoint of any parallel layout is read as it is";

using enum BridgeEffect;

/// Of Bridge 0.1 to 0.6: convert_checkpoints.py, its siblings for several GPUs
/// and for FSDP, hf_megatron_roundtrip*.py, and convert.sh. Their --overwrite,
/// and where it is not listed here --hf-model and --tp and its like, are mbc's
/// own.
constexpr BridgeFlag kTable[] = {
    // Which checkpoints.
    {"import", "--hf-model", "MODEL", StandsFor, "HF_DIR", ""},
    {"import", "--megatron-path", "DIR", StandsFor, "-o", ""},
    {"export", "--megatron-path", "DIR", StandsFor, "MEGATRON_DIR", ""},
    {"export", "--hf-path", "DIR", StandsFor, "-o", ""},
    {"roundtrip", "--hf-model --hf-model-id", "MODEL", StandsFor, "HF_DIR", ""},
    {"import roundtrip", "--hf-revision", "REVISION", Revision, "HF_DIR", ""},
    {"export", "--hf-revision", "REVISION", Revision, "--hf-model", ""},
    {"roundtrip", "--megatron-path --megatron-load-path", "DIR", Refused, "",
     "roundtrip makes its own Megatron checkpoint; to compare one that is "
     "there, use 'mbc verify HF_DIR MEGATRON_DIR'"},
    {"roundtrip", "--megatron-save-path --output-dir", "DIR", Refused, "",
     "roundtrip leaves nothing behind; use 'mbc import' and 'mbc export' for "
     "results to keep"},
    {"roundtrip", "--skip-save", nullptr, Moot, "",
     "roundtrip leaves nothing behind"},
    {"import roundtrip", "--ckpt-format", "FORMAT", StandsFor, "--format", ""},
    {"export", "--ckpt-format", "FORMAT", Moot, "",
     "the format of a checkpoint is found in its folder"},

    // Types.
    {"import", "--torch-dtype", "DTYPE", StandsFor, "--dtype", ""},
    {"export", "--export-weight-dtype", "DTYPE", StandsFor, "--dtype", ""},
    // That of the model on the way: Bridge rounds to it first, and then again.
    {"export", "--torch-dtype", "DTYPE", DefaultFor, "--dtype", ""},

    // Layouts.
    {"import roundtrip", "--tensor-parallel-size", "N", StandsFor, "--tp", ""},
    {"import roundtrip", "--pipeline-parallel-size", "N", StandsFor, "--pp",
     ""},
    {"import roundtrip", "--expert-parallel-size", "N", StandsFor, "--ep", ""},
    {"import roundtrip", "--expert-tensor-parallel-size", "N", StandsFor,
     "--etp", ""},
    {"export",
     "--tp --tensor-parallel-size --pp --pipeline-parallel-size --cp --ep "
     "--expert-parallel-size --etp --expert-tensor-parallel-size",
     "N", Moot, "", kAnyLayout},

    // How it is done.
    {kAll, "--no-progress", nullptr, NoProgress, "", ""},
    {"export roundtrip", "--not-strict", nullptr, Refused, "",
     "a result that lacks tensors, or has some that do not belong to it, is a "
     "damaged model; leave the flag out, and what does not fit is named"},
    {kAll, "--trust-remote-code", nullptr, Moot, "",
     "code in a model's folder is copied as bytes and never run"},
    {kAll,
     "--low-memory-save --no-low-memory-save --distributed-save "
     "--no-distributed-save --exclusive --no-gpu-resource-request",
     nullptr, Moot, "", kOneProcess},
    {kAll,
     "--device --device-map --save-every-n-ranks --distributed-timeout-minutes "
     "--nodes --gpus-per-node --gpus_per_node --cpus-per-task --mem --account "
     "--partition --time --gres --container-image --mount --env --srun-arg "
     "--experiment-name",
     "TEXT", Moot, "", kOneProcess},

    // Where it is done.
    {kAll, "--executor", "NAME", Only, "local",
     "mbc submits no jobs; put the command itself into one: srun mbc ..."},
    {kAll, "--submission-dry-run --dry-run", nullptr, Refused, "",
     "there is no job to show; 'mbc check HF_DIR' proves a conversion without "
     "reading a weight"},
    {kAll, "--detach", nullptr, Refused, "",
     "mbc ends when the conversion is done; put it into a job, or into the "
     "background with the shell"},
};

std::vector<std::string> words(std::string_view text) {
  llvm::SmallVector<llvm::StringRef> parts;
  llvm::SplitString(llvm::StringRef(text.data(), text.size()), parts);
  return {parts.begin(), parts.end()};
}

bool isFor(const BridgeFlag &row, const std::string &command) {
  std::vector<std::string> commands = words(row.commands);
  return std::ranges::find(commands, command) != commands.end();
}

/// What the help says of a row.
std::string meaning(const BridgeFlag &row) {
  switch (row.effect) {
  case StandsFor:
    return fmt::format("The same as {}", row.argument);
  case DefaultFor:
    return fmt::format("The same as {}, which decides where both are given",
                       row.argument);
  case Revision:
    return fmt::format("The revision of the hub id that {} is", row.argument);
  case NoProgress:
    return "Report no progress; --quiet also leaves out the report";
  case Moot:
    return fmt::format("No effect: {}", row.text);
  case Only:
    return fmt::format("No effect with {}, else refused: {}", row.argument,
                       row.text);
  case Refused:
    return fmt::format("Refused: {}", row.text);
  }
  return {};
}

} // namespace

void spellBridgeFlags(std::vector<std::string> &arguments) {
  for (std::string &argument : arguments) {
    std::string_view name = argument;
    name = name.substr(0, name.find('='));
    for (std::string_view oneDash : {"-tp", "-pp", "-ep", "-etp"})
      if (name == oneDash) {
        argument.insert(0, "-");
        break;
      }
  }
}

void BridgeFlags::declare(CLI::App &app, std::string_view name) {
  command = name;
  for (const BridgeFlag &row : kTable) {
    if (!isFor(row, command))
      continue;
    for (std::string &spelling : words(row.flags)) {
      Flag &flag = *flags.emplace_back(std::make_unique<Flag>());
      flag.row = &row;
      flag.name = std::move(spelling);
      CLI::Option *option =
          row.value
              ? app.add_option(flag.name, flag.values)->allow_extra_args(false)
              : app.add_flag(flag.name, flag.given);
      option->group(""); // `help` has a part of its own for them
    }
  }
}

static std::string indented(std::string text, size_t columns) {
  std::string indent(columns, ' ');
  for (size_t at = 0; at != std::string::npos; at = text.find('\n', at)) {
    at += at ? 1 : 0;
    text.insert(at, indent);
  }
  return text;
}

std::string BridgeFlags::help(size_t width, size_t names) const {
  std::string text;
  const BridgeFlag *last = nullptr;
  for (const auto &flag : flags) {
    if (flag->row == last)
      continue;
    last = flag->row;
    std::string spelling =
        fmt::format("{}{}{}", last->flags, last->value ? " " : "",
                    last->value ? last->value : "");
    std::string left = indented(wrapText(spelling, width - 2), 2);
    std::string right =
        indented(wrapText(meaning(*last), width - names), names);
    // The meaning starts on the line of the names where they leave room.
    size_t column = left.size() - (left.rfind('\n') + 1);
    if (column < names)
      right.erase(0, column);
    else
      left += '\n';
    text += fmt::format("{}{}\n", left, right);
  }
  return text.empty() ? text : "Flags of Megatron Bridge:\n" + text;
}

/// One value for one option, whoever names it.
static Status setOnce(std::string &target, const std::string &value,
                      std::string_view flag, std::string_view option) {
  if (!target.empty() && target != value)
    return inputError(
        fmt::format("option '{}' is {}, and stands for {}, which is {}", flag,
                    quote(value), option, quote(target)));
  target = value;
  return {};
}

Status BridgeFlags::applyOne(const Flag &flag, const Target &target,
                             bool &noProgress,
                             std::vector<std::string> &notes) const {
  const BridgeFlag &row = *flag.row;
  switch (row.effect) {
  case StandsFor:
    for (const std::string &value : flag.values)
      MBC_TRY(setOnce(target(row.argument), value, flag.name, row.argument));
    return {};
  case DefaultFor:
    if (std::string &text = target(row.argument); text.empty())
      text = flag.values.back();
    return {};
  case Revision: {
    std::string &model = target(row.argument);
    std::error_code code;
    if (model.empty() || std::filesystem::exists(model, code))
      return inputError(fmt::format(
          "option '{}' is for a hub id, and {} is {}", flag.name, row.argument,
          model.empty() ? "not given" : quote(model) + ", a folder"));
    std::string revision = "@" + flag.values.front();
    if (flag.values.size() > 1 ||
        (model.find('@') != std::string::npos && !model.ends_with(revision)))
      return inputError(fmt::format(
          "option '{}' is {}, and {} is {}: one revision is expected",
          flag.name, quote(flag.values.back()), row.argument, quote(model)));
    if (!model.ends_with(revision))
      model += revision;
    return {};
  }
  case NoProgress:
    noProgress = true;
    return {};
  case Only:
    for (const std::string &value : flag.values)
      if (value != row.argument)
        return inputError(fmt::format("option '{}' is {}, expected {}: {}",
                                      flag.name, quote(value), row.argument,
                                      row.text));
    return {};
  case Moot:
    notes.push_back(fmt::format("'{}' has no effect: {}", flag.name, row.text));
    return {};
  case Refused:
    return inputError(fmt::format("option '{}': {}", flag.name, row.text));
  }
  return {};
}

Status BridgeFlags::apply(const Target &target, bool &noProgress,
                          std::vector<std::string> &notes) const {
  for (const auto &flag : flags)
    if (flag->given || !flag->values.empty())
      MBC_TRY(applyOne(*flag, target, noProgress, notes));
  return {};
}

} // namespace mbc
