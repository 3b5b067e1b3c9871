//===- ReportText.cpp - A comparison for a terminal -----------------------===//
#include "runtime/compare/Report.h"

#include "runtime/commands/TextTable.h"
#include "runtime/core/Text.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace mbc::compare {

double Report::meanKl() const {
  double sum = 0;
  for (const RowAgreement &row : logits)
    sum += row.kl;
  return logits.empty() ? 0 : sum / static_cast<double>(logits.size());
}

double Report::maxKl() const {
  double most = 0;
  for (const RowAgreement &row : logits)
    // A NaN stays: it says that there is no distribution.
    most = std::isnan(row.kl) || std::isnan(most) ? std::nan("")
                                                  : std::max(most, row.kl);
  return most;
}

int64_t Report::sameFirst() const {
  return std::ranges::count(logits, true, &RowAgreement::sameFirst);
}

std::string stepText(const std::string &stack, int64_t layer) {
  return stack.empty() ? "outside of layers"
                       : fmt::format("layer {} of {}", layer, stack);
}

std::string numberText(double value) {
  if (value == 0)
    return "0";
  return fmt::format("{:.3g}", value);
}

std::string cosineText(double value) {
  if (value > 0.99 && value < 1)
    return fmt::format("1 - {:.2g}", 1 - value);
  return numberText(value);
}

std::string stateText(OperationState state) {
  switch (state) {
  case OperationState::Agrees:
    return "agrees";
  case OperationState::Differs:
    return "differs";
  case OperationState::OnlyA:
    return "only in A";
  case OperationState::OnlyB:
    return "only in B";
  case OperationState::Unseen:
    return "not seen";
  }
  return "";
}

static bool isExact(const Report &report) {
  return std::ranges::all_of(report.steps, [](const Step &step) {
    return !step.seen || step.errors.differing == 0;
  });
}

std::string verdictText(const Report &report) {
  if (report.runsAgree()) {
    std::string text =
        isExact(report)
            ? "every layer and the logits are equal, number for number"
            : fmt::format("every layer and the logits agree within {}",
                          numberText(report.tolerance));
    if (!report.hidden)
      return text;
    text += "; yet weights differ, which these tokens do not show";
    if (!report.culprits.empty())
      text += fmt::format(
          ": {} of {}, {}", report.culprits[0].operation,
          stepText(report.culprits[0].stack, report.culprits[0].layer),
          report.culprits[0].cause);
    return text;
  }
  const Step &step = report.steps[report.first];
  std::string where = step.stack.empty()
                          ? fmt::format("'{}', outside of layers", step.name)
                          : stepText(step.stack, step.layer);
  std::string text = fmt::format("the first difference is in {}", where);
  if (!report.culprits.empty()) {
    const Culprit &culprit = report.culprits.front();
    text += fmt::format(": operation {} ({}), {}", culprit.operation,
                        culprit.kind, culprit.cause);
  }
  return text;
}

static std::vector<std::string> cellsOf(const Errors &errors) {
  if (!errors.comparable)
    return {fmt::format("{} and {} numbers", errors.widthA, errors.widthB), "",
            ""};
  std::string most = numberText(errors.maxAbs);
  if (errors.nansA || errors.nansB)
    most = errors.nansA ? fmt::format("{} NaN in A alone", errors.nansA)
                        : fmt::format("{} NaN in B alone", errors.nansB);
  return {most, numberText(errors.relative), cosineText(errors.cosine)};
}

static void addRow(TextTable &table, std::string name, const Errors &errors,
                   std::string remark) {
  std::vector<std::string> cells{std::move(name)};
  std::ranges::move(cellsOf(errors), std::back_inserter(cells));
  cells.push_back(std::move(remark));
  table.row(std::move(cells));
}

/// Layers that are equal in every number take one row for all.
static std::string stepsTable(const Report &report) {
  TextTable table({1, 2, 3});
  table.row({"after", "max abs error", "relative", "cosine", ""});
  for (size_t i = 0; i < report.steps.size(); ++i) {
    const Step &step = report.steps[i];
    auto quiet = [&](const Step &one) {
      return one.seen && one.agrees && one.stack == step.stack &&
             !step.stack.empty() && one.errors.comparable &&
             one.errors.differing == 0;
    };
    size_t end = i;
    while (end < report.steps.size() && quiet(report.steps[end]))
      ++end;
    if (end > i + 2) {
      addRow(table,
             fmt::format("{} {} - {}", step.stack, step.layer,
                         report.steps[end - 1].layer),
             step.errors, "equal");
      i = end - 1;
      continue;
    }
    if (!step.seen) {
      table.row({step.name, "", "", "", "not in the reference"});
      continue;
    }
    addRow(table, step.name, step.errors,
           static_cast<int64_t>(i) == report.first     ? "<- first difference"
           : step.agrees && step.errors.differing == 0 ? "equal"
           : step.agrees                               ? "within tolerance"
                                                       : "");
  }
  return table.text();
}

static std::string operationsTable(const Report &report) {
  TextTable table({1, 2, 3});
  table.row({"operation", "max abs error", "relative", "cosine", "", ""});
  for (const OperationComparison &one : report.operations) {
    std::vector<std::string> cells{one.operation.name};
    bool seen = one.state == OperationState::Agrees ||
                one.state == OperationState::Differs;
    std::ranges::move(seen ? cellsOf(one.errors)
                           : std::vector<std::string>(3, ""),
                      std::back_inserter(cells));
    std::string remark = stateText(one.state);
    if (one.state == OperationState::Agrees && one.errors.differing == 0)
      remark = "equal";
    if (one.guilty)
      remark += " <- on its own";
    cells.push_back(std::move(remark));
    std::string parts;
    if (one.state == OperationState::Differs && one.parts.size() > 1)
      for (const auto &[part, errors] : one.parts)
        parts += fmt::format("{}{} {}", parts.empty() ? "" : ", ", part,
                             errors.comparable ? numberText(errors.relative)
                                               : "of another shape");
    cells.push_back(std::move(parts));
    table.row(std::move(cells));
  }
  return table.text();
}

static std::string namesText(const std::vector<std::string> &names) {
  constexpr size_t most = 6;
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), most); ++i)
    text += (i ? ", " : "") + names[i];
  if (names.size() > most)
    text += fmt::format(" and {} more", names.size() - most);
  return text;
}

static std::string culpritText(const Culprit &culprit, bool first) {
  std::string text = fmt::format(
      "{}{} ({}) in {}{}{}\n",
      first                                     ? ""
      : culprit.state == OperationState::Agrees ? "also: "
                                                : "also, on its own: ",
      culprit.operation, culprit.kind, stepText(culprit.stack, culprit.layer),
      culprit.place.empty() ? "" : ", ", culprit.place);
  text += fmt::format("  why: {}\n", culprit.cause);
  if (!culprit.unseen.empty())
    text += fmt::format("  or one before it, whose values are not seen: {}\n",
                        fmt::join(culprit.unseen, ", "));
  if (!culprit.where.empty())
    text += fmt::format("  differs at: {}\n", fmt::join(culprit.where, "; "));
  for (const ParameterReport &parameter : culprit.parameters) {
    text += fmt::format("  reads {}{}\n", parameter.path,
                        !parameter.compared ? ""
                        : parameter.equal   ? ", equal in A and B"
                                            : ", which differs");
    if (!parameter.tensorsA.empty())
      text += fmt::format("    A: {}\n", namesText(parameter.tensorsA));
    if (!parameter.tensorsB.empty())
      text += fmt::format("    B: {}\n", namesText(parameter.tensorsB));
    for (const std::string &finding : parameter.findings)
      text += fmt::format("    {}\n", finding);
  }
  return text;
}

static std::string logitsText(const Report &report) {
  if (report.logits.empty())
    return {};
  int64_t shared = 0, all = 0;
  for (const RowAgreement &row : report.logits) {
    shared += row.shared;
    all += std::max(row.a.size(), row.b.size());
  }
  return fmt::format(
      "logits: KL(A, B) {} on average, {} at most; the likeliest token is the "
      "same at {} of {} positions; of the {} likeliest {:.4g} % are shared\n",
      numberText(report.meanKl()), numberText(report.maxKl()),
      report.sameFirst(), report.logits.size(), report.top,
      all ? 100.0 * static_cast<double>(shared) / static_cast<double>(all)
          : 100.0);
}

std::string reportText(const Report &report) {
  auto side = [](const char *label, const SideReport &of) {
    return fmt::format("{}: {} ({}{}, {})\n", label, of.path,
                       of.model.empty() ? "" : of.model + ", ", of.format,
                       of.stored);
  };
  std::string text = side("A", report.a) + side("B", report.b);
  text += fmt::format("{} tokens, computed in {}; tolerance {} ({})\n",
                      report.tokens.size(), report.dtype,
                      numberText(report.tolerance), report.toleranceWhy);
  for (const std::string &note : report.notes)
    text += "note: " + note + "\n";
  for (const std::string &difference : report.configDifferences)
    text += "config.json, " + difference + "\n";
  text += "\n" + stepsTable(report);
  text += "\n" + logitsText(report);
  if (!report.operations.empty())
    text += "\noperations " +
            stepText(report.steps[report.first].stack,
                     report.steps[report.first].layer) +
            "\n" + operationsTable(report);
  text += "\n" + verdictText(report) + "\n";
  for (size_t i = 0; i < report.culprits.size(); ++i)
    text += culpritText(report.culprits[i], i == 0);
  if (!report.weightFindings.empty()) {
    text += "all weights:\n";
    for (const std::string &finding : report.weightFindings)
      text += "  " + finding + "\n";
  }
  return text;
}

} // namespace mbc::compare
