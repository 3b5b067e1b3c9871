//===- Verify.cpp - mbc verify --------------------------------------------===//
#include "compiler/Commands/Command.h"
#include "compiler/Commands/CompareOutput.h"
#include "compiler/Commands/ConvertOutput.h"
#include "compiler/Commands/ReferenceOptions.h"
#include "runtime/core/Text.h"

#include <fmt/format.h>

namespace mbc {

namespace {

struct VerifyArguments {
  std::string a, b;
  ReferenceOptions reference;
  bool valuesOnly = false, tensorsOnly = false;

  VerifyScope scope() const {
    return valuesOnly    ? VerifyScope::Values
           : tensorsOnly ? VerifyScope::Tensors
                         : VerifyScope::Everything;
  }
};

/// Adds sentences to the report, and returns them for --json.
Json addSentences(const std::vector<std::string> &sentences, const char *prefix,
                  Outcome &outcome) {
  Json list = Json::array();
  for (const std::string &text : sentences) {
    outcome.text += prefix + text + "\n";
    list.push(text);
  }
  return list;
}

Outcome ofTwo(const VerifyArguments &options, const VerifyReport &report) {
  Outcome outcome;
  Json notes = addSentences(report.notes, "note: ", outcome);
  outcome.text += compareText(report.compared);
  outcome.json = compareJson(report.compared);
  outcome.json.set("notes", std::move(notes));
  outcome.json.set("file_differences",
                   addSentences(report.fileDifferences, "", outcome));
  outcome.json.set("single_files",
                   addSentences(report.singleFiles, "note: ", outcome));
  if (report.filesCompared && report.fileDifferences.empty())
    outcome.text += fmt::format("{} other files: equal byte for byte\n",
                                report.filesCompared);
  outcome.json.set("stored_differences",
                   addSentences(report.storedDifferences, "", outcome));
  outcome.json.set("a", options.a);
  outcome.json.set("b", options.b);
  outcome.json.set("proved", report.proved);
  return outcome;
}

Outcome ofOne(const VerifyArguments &options, const VerifyReport &report) {
  Outcome outcome;
  Json differences = Json::array(), checked = Json::array();
  for (const ManifestDifference &difference : report.manifestDifferences) {
    outcome.text +=
        fmt::format("{} {}\n", quote(difference.name), difference.what);
    differences.push(
        Json::object({{"name", difference.name}, {"what", difference.what}}));
  }
  outcome.text += exchangesText(report.exchanges);
  Json stored = addSentences(report.storedDifferences, "", outcome);
  for (const std::string &note : report.notes)
    outcome.text += "note: " + note + "\n";
  outcome.text += "checked:\n";
  for (const std::string &item : report.checked) {
    outcome.text += "  " + item + "\n";
    checked.push(item);
  }
  for (const TensorComparison &difference : report.compared.differences)
    outcome.text += "tied copy " + difference.text() + "\n";
  if (report.recordsWithoutCrc)
    outcome.json.set("records_without_crc", *report.recordsWithoutCrc);
  if (report.megatron) {
    outcome.json.set("skipped", trainingStateJson(report.skipped));
    outcome.json.set("manifest", report.hasManifest);
    outcome.json.set("manifest_differences", std::move(differences));
    outcome.json.set("exchanges", exchangesJson(report.exchanges));
    outcome.json.set("stored_differences", std::move(stored));
  }
  outcome.json.set("a", options.a);
  outcome.json.set("model", report.model);
  outcome.json.set("tensors", report.tensors);
  outcome.json.set("elements", report.elements);
  outcome.json.set("checked", std::move(checked));
  outcome.json.set("ties", compareJson(report.compared));
  return outcome;
}

Expected<Outcome> runVerify(const VerifyArguments &options,
                            const CommonOptions &common) {
  BridgeOptions open = common.bridge();
  MBC_TRY(options.reference.addTo(open));
  MBC_ASSIGN(AutoBridge a, AutoBridge::open(options.a, open));
  Outcome outcome;
  VerifyReport report;
  if (options.b.empty()) {
    MBC_ASSIGN(report, a.verify());
    outcome = ofOne(options, report);
  } else {
    MBC_ASSIGN(AutoBridge b, AutoBridge::open(options.b, open));
    MBC_ASSIGN(report, a.verify(b, options.scope()));
    outcome = ofTwo(options, report);
  }
  outcome.status = report.same() ? 0 : 1;
  return outcome;
}

} // namespace

void addVerify(CLI::App &root, CommandList &commands) {
  auto &command = *commands.emplace_back(std::make_unique<Command>(
      root, "verify", "Compare two checkpoints bit for bit, or check one",
      "A and B are Hugging Face folders or Megatron checkpoints (root or "
      "iteration folder), in any mixture. Every tensor of both sides is "
      "covered. Of each tensor that differs, the first differing element is "
      "named with its index in the model, both values, and the files and "
      "offsets where they are stored; exit status 1 then. Layers, experts, "
      "heads, rows and other parts that hold each other's values are named as "
      "exchanged, and transposed matrices as transposed. Configuration, "
      "tokenizer and other files that both sides have must be equal byte for "
      "byte, and the checksums of a Megatron side right. With A alone: names, "
      "types and shapes are proved, and the checksums of a Megatron "
      "checkpoint, every digest of the manifest that its import wrote, and "
      "the tied copies of a Hugging Face folder are checked."));
  auto options = std::make_shared<VerifyArguments>();
  command
      .argument("A", options->a, "Hugging Face folder or Megatron checkpoint")
      .argument("B", options->b, "What to compare it with", false)
      .flag("--values-only", options->valuesOnly,
            "Compare tensors of different float types by value, after exact "
            "widening, instead of reporting the type; implies --tensors-only")
      .flag("--tensors-only", options->tensorsOnly,
            "Leave out the files beside the tensors");
  options->reference.declare(
      command, "Take config.json from here, instead of a Megatron checkpoint's "
               "record of its source or its own configuration");
  command.configOptions().examples(
      "  mbc verify SmolLM2 megatron\n"
      "  mbc verify SmolLM2 exported --json\n"
      "  mbc verify megatron/iter_0000000\n"
      "  mbc verify bf16-folder fp32-folder --values-only");
  command.run = [options, &common = command.common] {
    return runVerify(*options, common);
  };
}

} // namespace mbc
