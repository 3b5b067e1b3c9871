//===- BaseCommand.cpp ----------------------------------------------------===//
#include "runtime/commands/BaseCommand.h"

#include "runtime/commands/TextTable.h"
#include "runtime/core/Text.h"
#include "runtime/io/HubCache.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <fmt/format.h>

namespace mbc {

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

std::optional<double> parseReal(std::string_view text) {
  double value = 0;
  auto [end, code] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

Status resolveInPlace(std::string &folder) {
  if (folder.empty())
    return {};
  MBC_ASSIGN(std::filesystem::path path, resolveModel(folder));
  folder = path.string();
  return {};
}

/// Columns of a terminal, and those that the names of options take.
constexpr size_t kWidth = 79, kNames = 30;

static std::string wrapHelp(std::string_view text) {
  return wrapText(text, kWidth - kNames);
}

BaseCommand::BaseCommand(CLI::App &root, std::string tool, std::string name,
                         const char *summary, const char *details)
    : application(root.add_subcommand(name, summary)), tool(std::move(tool)),
      title(std::move(name)), details(details) {
  // What is left over is refused by `execute`, in our own words.
  application->allow_extras();
}

BaseCommand::~BaseCommand() = default;

void BaseCommand::declareCommon(BaseOptions &options) {
  base = &options;
  addFlag("--json", options.json,
          "Print the result, or the error, as one JSON object on stdout");
  addFlag("--quiet", options.quiet,
          "Print errors only: no progress and no report; the exit status "
          "tells");
  addOption("--threads", threadsText, "N",
            "Worker threads; changes the speed, never a byte of the result "
            "(default: the processors, at most 16)",
            false);
}

void BaseCommand::addArgument(const char *name, std::string &value,
                              const char *help, bool isRequired) {
  application->add_option(name, value, wrapHelp(help))->type_name("");
  texts[name] = &value;
  if (isRequired)
    required.push_back({name, &value});
}

void BaseCommand::addOption(const char *names, std::string &value,
                            const char *type, const char *help,
                            bool isRequired) {
  application->add_option(names, value, wrapHelp(help))->type_name(type);
  for (std::string_view rest = names; !rest.empty();) {
    std::string_view spelling = rest.substr(0, rest.find(','));
    texts[std::string(spelling)] = &value;
    rest.remove_prefix(std::min(spelling.size() + 1, rest.size()));
  }
  if (isRequired)
    required.push_back({names, &value});
}

void BaseCommand::addOptional(const char *names,
                              std::optional<std::string> &value,
                              const char *type, const char *help) {
  application
      ->add_option_function<std::string>(
          names, [&value](const std::string &text) { value = text; },
          wrapHelp(help))
      ->type_name(type);
}

void BaseCommand::addList(const char *names, std::vector<std::string> &values,
                          const char *type, const char *help) {
  application->add_option(names, values, wrapHelp(help))
      ->type_name(type)
      ->allow_extra_args(false);
}

void BaseCommand::addFlag(const char *names, bool &value, const char *help) {
  application->add_flag(names, value, wrapHelp(help));
}

void BaseCommand::addExamples(const char *text) {
  std::string more = moreHelp(kWidth, kNames);
  application->footer(more + (more.empty() ? "" : "\n") + "Examples:\n" + text);
}

bool BaseCommand::parsed() const { return application->parsed(); }

std::string BaseCommand::help() {
  // Only shown as required: what is missing is named by `execute`.
  for (const Required &item : required)
    application->get_option(item.name.substr(item.name.rfind(',') + 1))
        ->required();
  application->description(
      wrapText(application->get_description() + "\n\n" + details, kWidth) +
      "\n");
  return application->help(tool);
}

Expected<Outcome> BaseCommand::execute() {
  auto usage = [&](std::string message) {
    return inputError(
        fmt::format("{}; see '{} {} --help'", message, tool, title));
  };
  for (const std::string &extra : application->remaining())
    return usage(extra.starts_with("-")
                     ? fmt::format("unknown option {}", quote(extra))
                     : fmt::format("unexpected argument {}", quote(extra)));
  std::vector<std::string> notes;
  MBC_TRY(prepare([&](std::string_view option)
                      -> std::string & { return *texts.find(option)->second; },
                  notes));
  for (const Required &item : required)
    if (item.value->empty())
      return usage(fmt::format("expected {}", item.name));
  if (!threadsText.empty()) {
    MBC_ASSIGN(uint64_t threads, parseCount("--threads", threadsText, 1, 1024));
    base->threads = static_cast<unsigned>(threads);
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
