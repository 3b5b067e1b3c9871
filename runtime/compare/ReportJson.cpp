//===- ReportJson.cpp - A comparison for programs -------------------------===//
#include "runtime/compare/Report.h"

namespace mbc::compare {

template <typename List> static Json listOf(const List &items) {
  Json list = Json::array();
  for (const auto &item : items)
    list.push(Json(item));
  return list;
}

static Json sideJson(const SideReport &side) {
  return Json::object({{"path", side.path},
                       {"format", side.format},
                       {"model", side.model},
                       {"stored", side.stored}});
}

/// Infinities and NaN are null in JSON; `nans` say where they come from.
static Json errorsJson(const Errors &errors) {
  if (!errors.comparable)
    return Json::object(
        {{"width_a", errors.widthA}, {"width_b", errors.widthB}});
  return Json::object({{"max_abs", errors.maxAbs},
                       {"relative", errors.relative},
                       {"cosine", errors.cosine},
                       {"differing", errors.differing},
                       {"compared", errors.compared},
                       {"nans_a", errors.nansA},
                       {"nans_b", errors.nansB},
                       {"position", errors.worstRow}});
}

static Json stepJson(const Step &step) {
  Json json = Json::object({{"name", step.name}});
  if (!step.stack.empty()) {
    json.set("stack", step.stack);
    json.set("layer", step.layer);
  }
  json.set("seen", step.seen);
  if (step.seen) {
    json.set("agrees", step.agrees);
    json.set("errors", errorsJson(step.errors));
  }
  return json;
}

static Json operationJson(const OperationComparison &one) {
  Json json = Json::object({{"name", one.operation.name},
                            {"kind", one.operation.kind},
                            {"place", one.operation.place},
                            {"inputs", listOf(one.operation.inputs)},
                            {"parameters", listOf(one.operation.weights)},
                            {"state", stateText(one.state)},
                            {"guilty", one.guilty}});
  if (one.state == OperationState::Agrees ||
      one.state == OperationState::Differs)
    json.set("errors", errorsJson(one.errors));
  Json parts = Json::object();
  for (const auto &[name, errors] : one.parts)
    parts.set(name, errorsJson(errors));
  if (!one.parts.empty())
    json.set("parts", std::move(parts));
  return json;
}

static Json culpritJson(const Culprit &culprit) {
  Json parameters = Json::array();
  for (const ParameterReport &parameter : culprit.parameters) {
    Json json = Json::object({{"path", parameter.path},
                              {"tensors_a", listOf(parameter.tensorsA)},
                              {"tensors_b", listOf(parameter.tensorsB)}});
    if (parameter.compared) {
      json.set("equal", parameter.equal);
      json.set("findings", listOf(parameter.findings));
    }
    parameters.push(std::move(json));
  }
  Json json = Json::object({{"operation", culprit.operation},
                            {"kind", culprit.kind},
                            {"place", culprit.place}});
  if (!culprit.stack.empty()) {
    json.set("stack", culprit.stack);
    json.set("layer", culprit.layer);
  }
  json.set("state", stateText(culprit.state));
  json.set("cause", culprit.cause);
  json.set("settings", listOf(culprit.settings));
  json.set("where", listOf(culprit.where));
  json.set("unseen", listOf(culprit.unseen));
  json.set("parameters", std::move(parameters));
  return json;
}

static Json choicesJson(const Report &report,
                        const std::vector<Choice> &choices) {
  Json list = Json::array();
  for (const Choice &choice : choices) {
    Json json = Json::object({{"token", choice.token}});
    if (auto text = report.choiceTexts.find(choice.token);
        text != report.choiceTexts.end())
      json.set("text", text->second);
    json.set("probability", choice.probability);
    list.push(std::move(json));
  }
  return list;
}

Json reportJson(const Report &report) {
  auto all = [](const auto &items, auto toJson) {
    Json list = Json::array();
    for (const auto &item : items)
      list.push(toJson(item));
    return list;
  };
  Json json = Json::object({{"same", report.same()},
                            {"verdict", verdictText(report)},
                            {"a", sideJson(report.a)},
                            {"b", sideJson(report.b)},
                            {"tokens", listOf(report.tokens)},
                            {"dtype", report.dtype},
                            {"tolerance", report.tolerance},
                            {"tolerance_why", report.toleranceWhy},
                            {"same_programs", report.samePrograms}});
  if (!report.tokenTexts.empty())
    json.set("token_texts", listOf(report.tokenTexts));
  json.set("config_differences", listOf(report.configDifferences));
  json.set("notes", listOf(report.notes));
  json.set("steps", all(report.steps, stepJson));
  json.set("first", report.runsAgree() ? Json() : Json(report.first));
  json.set("operations", all(report.operations, operationJson));
  json.set("culprits", all(report.culprits, culpritJson));
  json.set("hidden", report.hidden);
  json.set("weights", listOf(report.weightFindings));
  Json positions = Json::array();
  for (const RowAgreement &row : report.logits)
    positions.push(Json::object({{"kl", row.kl},
                                 {"same_first", row.sameFirst},
                                 {"shared", row.shared},
                                 {"a", choicesJson(report, row.a)},
                                 {"b", choicesJson(report, row.b)}}));
  Json logits = Json::object({{"top_k", report.top},
                              {"mean_kl", report.meanKl()},
                              {"max_kl", report.maxKl()},
                              {"same_first", report.sameFirst()}});
  logits.set("positions", std::move(positions));
  json.set("logits", report.logits.empty() ? Json() : std::move(logits));
  json.set("seconds", report.seconds);
  return json;
}

} // namespace mbc::compare
