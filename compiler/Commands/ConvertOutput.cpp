//===- ConvertOutput.cpp --------------------------------------------------===//
#include "compiler/Commands/ConvertOutput.h"

#include "compiler/Commands/CompareOutput.h"
#include "runtime/core/Text.h"
#include "runtime/io/NumberText.h"

#include <fmt/format.h>

namespace mbc {

Json trainingStateJson(const TrainingState &state) {
  return Json::object({{"optimizer_tensors", state.optimizerTensors},
                       {"optimizer_objects", state.optimizerObjects},
                       {"rng_states", state.rng},
                       {"rerun_states", state.rerun},
                       {"extra_states", state.extraStates},
                       {"scheduler", state.scheduler}});
}

Json convertJson(const ConvertReport &report) {
  Json notes = Json::array();
  for (const std::string &note : report.notes)
    notes.push(note);
  return Json::object({{"model", report.model},
                       {"source", report.source.string()},
                       {"target", report.target.string()},
                       {"tensors", report.tensors},
                       {"parameters", report.parameters},
                       {"bytes", report.bytes},
                       {"seconds", report.seconds},
                       {"indexed_layers", report.indexedLayers},
                       {"skipped", trainingStateJson(report.skipped)},
                       {"notes", std::move(notes)}});
}

Outcome convertOutcome(std::string_view done, const ConvertReport &report) {
  Outcome outcome;
  outcome.text = fmt::format(
      "{} {}: {} tensors, {} parameters, {} in {}\n  from {}\n  to   {}\n",
      done, report.model, groupedNumber(report.tensors),
      groupedNumber(report.parameters), sizeText(report.bytes),
      rateText(report.seconds, report.bytes), report.source.string(),
      report.target.string());
  if (!report.skipped.empty())
    outcome.text += "left out: " + report.skipped.text() + "\n";
  for (const std::string &note : report.notes)
    outcome.text += "note: " + note + "\n";
  outcome.json = convertJson(report);
  return outcome;
}

} // namespace mbc
