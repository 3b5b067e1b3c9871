//===- ReportHtml.cpp - A comparison as one page --------------------------===//
#include "runtime/compare/ErrorChart.h"
#include "runtime/compare/Report.h"

#include <algorithm>
#include <cctype>
#include <fmt/format.h>

namespace mbc::compare {

static constexpr const char *style = R"(
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5b6570; --line: #d9dee4; --page: #ffffff; --card: #f5f7f9;
  --good: #1a7f45; --bad: #c2261d; --abs: #1f6feb; --rel: #b35900; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaef; --soft: #9aa5b1; --line: #333b45; --page: #14181d;
  --card: #1c2229; --good: #4cc47e; --bad: #ff7b72; --abs: #6cb0ff; --rel: #ffab54; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 60rem; background: var(--page); color: var(--ink);
  font: 16px/1.45 system-ui, "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.15rem; margin: 0 0 .3rem; } h2 { font-size: 1.05rem; margin: 1.8rem 0 .5rem; }
p, ul { margin: .4rem 0; } ul { padding-left: 1.2rem; }
.verdict { border-left: .4rem solid var(--good); background: var(--card); padding: .8rem 1rem; border-radius: .3rem; }
.verdict.differs { border-color: var(--bad); }
.soft, caption { color: var(--soft); font-size: .88rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; width: 100%; overflow-wrap: normal; }
th, td { text-align: left; padding: .28rem .6rem .28rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.bad td { color: var(--bad); font-weight: 600; }
code { font: .92em ui-monospace, "DejaVu Sans Mono", monospace; white-space: pre-wrap; }
code.token { background: var(--card); border-radius: .2rem; padding: 0 .15rem; }
svg { width: 100%; max-width: 48rem; height: auto; display: block; }
svg text { font: 11px system-ui, "DejaVu Sans", sans-serif; fill: var(--soft); }
svg .axis { stroke: var(--line); } svg path { fill: none; stroke-width: 1.6; }
svg path.abs { stroke: var(--abs); } svg circle.abs { fill: var(--abs); }
svg path.rel { stroke: var(--rel); } svg circle.rel { fill: var(--rel); }
svg .tol { stroke: var(--good); stroke-dasharray: 5 4; } svg line.bad { stroke: var(--bad); stroke-dasharray: 2 3; }
@media (max-width: 34rem) { svg text { font-size: 15px; } table { font-size: .8rem; } td, th { padding-right: .45rem; } }
svg text.bad { fill: var(--bad); font-weight: 600; }
.key span { margin-right: 1.2em; white-space: nowrap; } .key i { display: inline-block; width: .8em; height: .8em; margin-right: .35em; border-radius: .2em; }
)";

/// Positions whose likeliest tokens are shown, at most.
constexpr size_t mostPositions = 200;

static std::string code(std::string_view text) {
  return "<code>" + escapeHtml(text) + "</code>";
}

static std::string listOf(const std::vector<std::string> &items) {
  std::string text;
  for (const std::string &item : items)
    text += "<li>" + escapeHtml(item) + "</li>";
  return text.empty() ? text : "<ul>" + text + "</ul>";
}

static std::string errorCells(const Errors &errors) {
  if (!errors.comparable)
    return fmt::format("<td colspan=\"3\">{} numbers in A, {} in B</td>",
                       errors.widthA, errors.widthB);
  if (errors.nansA || errors.nansB)
    return fmt::format("<td colspan=\"3\">{} NaN in {} alone</td>",
                       errors.nansA ? errors.nansA : errors.nansB,
                       errors.nansA ? "A" : "B");
  return fmt::format(
      "<td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>",
      numberText(errors.maxAbs), numberText(errors.relative),
      cosineText(errors.cosine));
}

static std::string verdictSection(const Report &report) {
  std::string verdict = verdictText(report);
  verdict[0] = static_cast<char>(std::toupper(verdict[0]));
  std::string text =
      fmt::format("<div class=\"verdict{}\"><h1>{}.</h1>",
                  report.same() ? "" : " differs", escapeHtml(verdict));
  auto side = [](const char *label, const SideReport &of) {
    return fmt::format("<p class=\"soft\"><b>{}</b> {} ({}{}, {})</p>", label,
                       code(of.path),
                       of.model.empty() ? "" : escapeHtml(of.model) + ", ",
                       escapeHtml(of.format), escapeHtml(of.stored));
  };
  text += side("A", report.a) + side("B", report.b);
  text += fmt::format(
      "<p class=\"soft\">{} tokens, computed in {}. Tolerance {}: {}.</p>",
      report.tokens.size(), escapeHtml(report.dtype),
      numberText(report.tolerance), escapeHtml(report.toleranceWhy));
  if (!report.configDifferences.empty())
    text += "<p class=\"soft\">config.json differs:</p>" +
            listOf(report.configDifferences);
  return text + listOf(report.notes) + "</div>";
}

static std::string culpritSection(const Report &report) {
  std::string text;
  for (size_t i = 0; i < report.culprits.size(); ++i) {
    const Culprit &culprit = report.culprits[i];
    text += fmt::format("<h2>{}{}</h2><p>Place: {}, operation {}{}{}.</p>",
                        report.hidden ? "Not shown by these tokens: "
                        : i           ? "Also wrong on its own: "
                                      : "Where it starts: ",
                        code(culprit.operation),
                        escapeHtml(stepText(culprit.stack, culprit.layer)),
                        escapeHtml(culprit.kind),
                        culprit.place.empty() ? "" : ", declared at ",
                        culprit.place.empty() ? "" : code(culprit.place));
    text += "<p>Why: " + escapeHtml(culprit.cause) + ".</p>";
    if (!culprit.unseen.empty())
      text += "<p>Or one before it, whose values are not seen:</p>" +
              listOf(culprit.unseen);
    if (!culprit.where.empty())
      text += "<p>Its result differs at:</p>" + listOf(culprit.where);
    for (const ParameterReport &parameter : culprit.parameters) {
      text += fmt::format("<p>It reads {}{}:</p><ul>", code(parameter.path),
                          !parameter.compared ? ""
                          : parameter.equal   ? ", equal in A and B"
                                              : ", which differs");
      auto names = [&](const char *label, const std::vector<std::string> &all) {
        std::string list;
        for (size_t n = 0; n < std::min<size_t>(all.size(), 12); ++n)
          list += (n ? ", " : "") + code(all[n]);
        if (all.size() > 12)
          list += fmt::format(" and {} more", all.size() - 12);
        if (!all.empty())
          text += fmt::format("<li>{}: {}</li>", label, list);
      };
      names("A", parameter.tensorsA);
      names("B", parameter.tensorsB);
      for (const std::string &finding : parameter.findings)
        text += "<li>" + escapeHtml(finding) + "</li>";
      text += "</ul>";
    }
  }
  if (!report.weightFindings.empty())
    text += "<h2>All weights</h2>" + listOf(report.weightFindings);
  return text;
}

static std::string stepsSection(const Report &report) {
  std::string text =
      "<h2>Errors after each layer</h2><p class=\"soft key\"><span><i "
      "style=\"background:var(--abs)\"></i>largest absolute error</span><span>"
      "<i style=\"background:var(--rel)\"></i>relative error</span>";
  if (report.tolerance > 0)
    text += "<span><i style=\"background:var(--good)\"></i>tolerance of the "
            "relative error</span>";
  text += "</p>" + errorChart(report) +
          "<div class=\"scroll\"><table><thead><tr><th>after</th><th "
          "class=\"n\">max abs error</th><th class=\"n\">relative</th><th "
          "class=\"n\">cosine</th><th></th></tr></thead><tbody>";
  for (size_t i = 0; i < report.steps.size(); ++i) {
    const Step &step = report.steps[i];
    bool first = static_cast<int64_t>(i) == report.first;
    text +=
        fmt::format("<tr{}><td>{}</td>{}<td>{}</td></tr>",
                    first ? " class=\"bad\"" : "", escapeHtml(step.name),
                    step.seen ? errorCells(step.errors)
                              : "<td colspan=\"3\">not in the reference</td>",
                    first ? "first difference" : "");
  }
  return text + "</tbody></table></div>";
}

static std::string operationsSection(const Report &report) {
  if (report.operations.empty())
    return {};
  const Step &step = report.steps[report.first];
  std::string text = fmt::format(
      "<h2>Operations {}{}</h2><div class=\"scroll\"><table><thead><tr>"
      "<th>operation</th><th>declared at</th><th class=\"n\">max abs error</th>"
      "<th class=\"n\">relative</th><th class=\"n\">cosine</th><th></th></tr>"
      "</thead><tbody>",
      step.stack.empty() ? "" : "of ", stepText(step.stack, step.layer));
  for (const OperationComparison &one : report.operations) {
    bool seen = one.state == OperationState::Agrees ||
                one.state == OperationState::Differs;
    text += fmt::format(
        "<tr{}><td>{}</td><td class=\"soft\">{}</td>{}<td>{}{}</td></tr>",
        one.guilty ? " class=\"bad\"" : "", code(one.operation.name),
        escapeHtml(one.operation.place),
        seen ? errorCells(one.errors) : "<td colspan=\"3\"></td>",
        stateText(one.state), one.guilty ? ", what it reads agrees" : "");
    if (one.state == OperationState::Differs)
      for (const auto &[part, errors] : one.parts)
        text +=
            fmt::format("<tr><td class=\"soft\">&nbsp; part {}</td><td></td>"
                        "{}<td></td></tr>",
                        escapeHtml(part), errorCells(errors));
  }
  return text + "</tbody></table></div>";
}

static std::string choiceCell(const Report &report,
                              const std::vector<Choice> &choices) {
  std::string text = "<td>";
  for (const Choice &choice : choices) {
    auto known = report.choiceTexts.find(choice.token);
    text += fmt::format("<div><code class=\"token\">{}</code> {:.3g} %</div>",
                        known == report.choiceTexts.end()
                            ? std::to_string(choice.token)
                            : escapeHtml(known->second),
                        100 * choice.probability);
  }
  return text + "</td>";
}

static std::string logitsSection(const Report &report) {
  if (report.logits.empty())
    return {};
  // Where the distributions are furthest apart, in order.
  std::vector<size_t> order(report.logits.size());
  for (size_t i = 0; i < order.size(); ++i)
    order[i] = i;
  if (order.size() > mostPositions) {
    std::ranges::sort(order, [&](size_t x, size_t y) {
      return report.logits[x].kl > report.logits[y].kl;
    });
    order.resize(mostPositions);
    std::ranges::sort(order);
  }
  std::string text = fmt::format(
      "<h2>Logits</h2><p>KL(A, B) {} on average, {} at most; the likeliest "
      "token is the same at {} of {} positions.</p>",
      numberText(report.meanKl()), numberText(report.maxKl()),
      report.sameFirst(), report.logits.size());
  if (order.size() < report.logits.size())
    text += fmt::format("<p class=\"soft\">The {} positions that are furthest "
                        "apart:</p>",
                        order.size());
  text += "<div class=\"scroll\"><table><thead><tr><th class=\"n\">position"
          "</th><th>token</th><th class=\"n\">KL</th><th>A expects</th><th>B "
          "expects</th></tr></thead><tbody>";
  for (size_t i : order) {
    const RowAgreement &row = report.logits[i];
    text += fmt::format(
        "<tr{}><td class=\"n\">{}</td><td><code class=\"token\">{}</code></td>"
        "<td class=\"n\">{}</td>{}{}</tr>",
        row.sameFirst ? "" : " class=\"bad\"", i,
        i < report.tokenTexts.size() ? escapeHtml(report.tokenTexts[i])
                                     : std::to_string(report.tokens[i]),
        numberText(row.kl), choiceCell(report, row.a),
        choiceCell(report, row.b));
  }
  return text + "</tbody></table></div>";
}

std::string reportHtml(const Report &report) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\"><title>{}</title><style>{}</style></head><body>\n"
      "{}\n{}\n{}\n{}\n{}\n</body></html>\n",
      report.same() ? "mbc compare: equal" : "mbc compare: a difference", style,
      verdictSection(report), culpritSection(report), stepsSection(report),
      operationsSection(report), logitsSection(report));
}

} // namespace mbc::compare
