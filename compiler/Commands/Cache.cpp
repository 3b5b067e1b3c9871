//===- Cache.cpp - mbc cache ----------------------------------------------===//
#include "compiler/Commands/Command.h"
#include "runtime/commands/TextTable.h"
#include "runtime/core/Text.h"
#include "runtime/program/Program.h"
#include "runtime/program/ProgramCache.h"

#include <algorithm>
#include <fmt/chrono.h>
#include <fmt/format.h>

namespace mbc {

namespace {

/// "2026-11-23T04:10:58Z".
std::string timeText(std::chrono::system_clock::time_point time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

/// "1 program and 12 plans"; plans are how GPUs' libraries are best called.
std::string countText(size_t programs, size_t plans) {
  std::string text =
      fmt::format("{} {}", programs, programs == 1 ? "program" : "programs");
  if (plans)
    text += fmt::format(" and {} {}", plans, plans == 1 ? "plan" : "plans");
  return text;
}

size_t plansOf(const std::vector<ProgramCache::Entry> &entries) {
  return std::ranges::count(entries, true, &ProgramCache::Entry::isPlan);
}

Outcome listPrograms(const ProgramCache &cache) {
  TextTable table({3});
  table.row({"PROGRAM", "MODEL", "DTYPE", "SIZE", "LAST USED"});
  Json programs = Json::array();
  uint64_t total = 0;
  std::vector<ProgramCache::Entry> entries = cache.entries();
  size_t plans = plansOf(entries), count = entries.size() - plans;
  for (const ProgramCache::Entry &entry : entries) {
    total += entry.bytes;
    if (entry.isPlan)
      continue;
    std::string name = entry.path.filename().string();
    Json json = Json::object({{"name", name},
                              {"bytes", entry.bytes},
                              {"last_used", timeText(entry.used)}});
    auto program = readProgram(entry.path);
    std::string model = program ? (*program)->model : "cannot be read",
                dtype = program ? std::string(torchName(
                                      static_cast<DType>((*program)->dtype)))
                                : "";
    json.set("readable", program.has_value());
    if (program) {
      json.set("model", model);
      json.set("dtype", dtype);
      json.set("length", (*program)->length);
    }
    table.row(
        {name, model, dtype, sizeText(entry.bytes), timeText(entry.used)});
    programs.push(std::move(json));
  }
  Outcome outcome;
  if (count > 0)
    outcome.text = table.text();
  outcome.text += fmt::format(
      "{} of {}, at most {}, in {}{}\n", countText(count, plans),
      sizeText(total), sizeText(cache.limit()),
      cache.folder().empty() ? "no folder" : cache.folder().string(),
      cache.isOff() ? "; the cache is off" : "");
  outcome.json.set("folder", cache.folder().string());
  outcome.json.set("off", cache.isOff());
  outcome.json.set("limit", cache.limit());
  outcome.json.set("bytes", total);
  outcome.json.set("plans", uint64_t(plans));
  outcome.json.set("programs", std::move(programs));
  return outcome;
}

Expected<Outcome> clearPrograms(const ProgramCache &cache) {
  uint64_t total = 0;
  std::vector<ProgramCache::Entry> entries = cache.entries();
  for (const ProgramCache::Entry &entry : entries)
    total += entry.bytes;
  size_t plans = plansOf(entries), programs = entries.size() - plans;
  MBC_TRY(cache.clear());
  Outcome outcome;
  outcome.text =
      fmt::format("removed {} of {} from {}\n", countText(programs, plans),
                  sizeText(total), cache.folder().string());
  outcome.json = Json::object({{"folder", cache.folder().string()},
                               {"removed", programs},
                               {"plans", uint64_t(plans)},
                               {"bytes", total}});
  return outcome;
}

Expected<Outcome> runCache(const std::string &action) {
  MBC_ASSIGN(ProgramCache cache, ProgramCache::fromEnvironment());
  if (action.empty() || action == "list")
    return listPrograms(cache);
  if (action == "clear")
    return clearPrograms(cache);
  if (action == "path") {
    if (cache.folder().empty())
      return inputError("there is no folder for a cache: MBC_CACHE_DIR, "
                        "XDG_CACHE_HOME and HOME are not set");
    Outcome outcome;
    outcome.text = cache.folder().string() + "\n";
    outcome.json.set("folder", cache.folder().string());
    return outcome;
  }
  return inputError(fmt::format(
      "unknown action {}; expected list, clear or path", quote(action)));
}

} // namespace

void addCache(CLI::App &root, CommandList &commands) {
  auto &command = *commands.emplace_back(std::make_unique<Command>(
      root, "cache", "The programs kept from earlier runs",
      "'mbc logits', 'generate' and 'serve' keep the programs that they "
      "compile, under the digest of all that decides them: mbc itself, the "
      "declarations, config.json, the "
      "tensors' names, types and shapes, and the options. ACTION is list "
      "(default), clear or path. The folder is MBC_CACHE_DIR, or "
      "XDG_CACHE_HOME/mbc, or ~/.cache/mbc; MBC_CACHE_LIMIT (default: 2GiB) "
      "bounds its size, the least recently used programs going first; "
      "MBC_CACHE=off turns it off. The folder may be removed at any time."));
  auto action = std::make_shared<std::string>();
  command.argument("ACTION", *action, "list, clear or path", /*required=*/false)
      .examples("  mbc cache\n"
                "  mbc cache clear\n"
                "  du -sh $(mbc cache path)\n"
                "  MBC_CACHE=off mbc logits DIR --tokens 1,2,3 -o out.npy");
  command.run = [action] { return runCache(*action); };
}

} // namespace mbc
