//===- ErrorChart.cpp -----------------------------------------------------===//
#include "runtime/compare/ErrorChart.h"

#include "runtime/core/Text.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace mbc::compare {

std::string escapeHtml(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    unsigned length = utf8Length(text);
    unsigned char first = text.front();
    if (length == 0) {
      out += "\xEF\xBF\xBD"; // the replacement character
      length = 1;
    } else if (first == '&') {
      out += "&amp;";
    } else if (first == '<') {
      out += "&lt;";
    } else if (first == '>') {
      out += "&gt;";
    } else if (first == '"') {
      out += "&quot;";
    } else if (first == '\'') {
      out += "&#39;";
    } else if (first == '\n') {
      out += "\xE2\x8F\x8E"; // what would not be seen: a return sign
    } else if (first < 0x20 || first == 0x7F) {
      out += fmt::format("\\x{:02x}", first);
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return out;
}

namespace {

// The picture, in its own units: narrow, so that it can be read on a phone.
constexpr double wide = 520, high = 300;
constexpr double left = 46, right = 12, top = 14, bottom = 44;

/// Places of points: steps from left to right, powers of ten upwards.
class Chart {
public:
  explicit Chart(const Report &report) : report(report) {
    low = 0;
    upper = -400;
    auto include = [&](double value) {
      if (value > 0 && std::isfinite(value)) {
        double power = std::log10(value);
        low = seen ? std::min(low, power) : power;
        upper = std::max(upper, power);
        seen = true;
      }
    };
    for (const Step &step : report.steps) {
      include(step.errors.maxAbs);
      include(step.errors.relative);
    }
    include(report.tolerance);
    if (!seen)
      upper = low = 0;
    low = std::floor(low) - 1; // below it lies zero
    upper = std::ceil(upper + 0.05);
  }

  std::string text() const;

private:
  double x(size_t step) const {
    double count = std::max<double>(1, report.steps.size() - 1.0);
    return left + (wide - left - right) * static_cast<double>(step) / count;
  }
  double y(double value) const {
    double power = value <= 0             ? low
                   : std::isfinite(value) ? std::log10(value)
                                          : upper; // NaN too
    return top + (high - top - bottom) * (upper - power) / (upper - low);
  }
  std::string curve(const char *kind, double Errors::*value) const;
  std::string grid() const;

  const Report &report;
  double low, upper;
  bool seen = false;
};

} // namespace

std::string Chart::grid() const {
  std::string text;
  int lowest = static_cast<int>(low), most = static_cast<int>(upper);
  int pace = std::max(1, (most - lowest) / 8 + ((most - lowest) % 8 != 0));
  for (int power = lowest; power <= most; power += pace) {
    double at = y(power == lowest ? 0 : std::pow(10, power));
    text += fmt::format(
        R"(<line class="axis" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>)"
        R"(<text x="{:.1f}" y="{:.1f}" text-anchor="end">{}</text>)",
        left, at, wide - right, at, left - 5, at + 4,
        power == lowest ? "0" : fmt::format("1e{}", power));
  }
  // The first and last step, and some layers between them.
  size_t every = std::max<size_t>(1, report.steps.size() / 8);
  for (size_t i = 0; i < report.steps.size(); ++i) {
    const Step &step = report.steps[i];
    bool isLayer = !step.stack.empty();
    bool edge = i == 0 || i + 1 == report.steps.size();
    if (!edge && (!isLayer || step.layer % static_cast<int64_t>(every)))
      continue;
    const char *anchor = i == 0                         ? "start"
                         : i + 1 == report.steps.size() ? "end"
                                                        : "middle";
    text += fmt::format(
        R"(<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>)", x(i),
        high - bottom + (edge ? 32 : 16), anchor,
        isLayer ? std::to_string(step.layer) : escapeHtml(step.name));
  }
  return text;
}

std::string Chart::curve(const char *kind, double Errors::*value) const {
  std::string path, points;
  bool pen = false;
  for (size_t i = 0; i < report.steps.size(); ++i) {
    const Step &step = report.steps[i];
    if (!step.seen || !step.errors.comparable) {
      pen = false;
      continue;
    }
    double at = y(step.errors.*value);
    path += fmt::format("{}{:.1f} {:.1f}", pen ? "L" : "M", x(i), at);
    pen = true;
    points += fmt::format(
        R"(<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{}"><title>{}: max abs {}, relative {}, cosine {}</title></circle>)",
        kind, x(i), at, report.steps.size() > 60 ? 2 : 3, escapeHtml(step.name),
        numberText(step.errors.maxAbs), numberText(step.errors.relative),
        numberText(step.errors.cosine));
  }
  return fmt::format(R"(<path class="{}" d="{}"/>)", kind, path) + points;
}

std::string Chart::text() const {
  std::string text = fmt::format(
      R"(<svg viewBox="0 0 {} {}" role="img" aria-label="errors after each step">)",
      wide, high);
  text += grid();
  if (report.first >= 0) {
    double at = x(report.first);
    bool nearEnd = at > wide * 0.6;
    text += fmt::format(
        R"(<line class="bad" x1="{0:.1f}" y1="{1:.1f}" x2="{0:.1f}" y2="{2:.1f}"/>)"
        R"(<text class="bad" x="{3:.1f}" y="{4:.1f}" text-anchor="{5}">{6}</text>)",
        at, top, high - bottom, at + (nearEnd ? -5 : 5), top + 9,
        nearEnd ? "end" : "start",
        "first: " + escapeHtml(report.steps[report.first].name));
  }
  if (report.tolerance > 0)
    text += fmt::format(
        R"(<line class="tol" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"><title>tolerance {}</title></line>)",
        left, y(report.tolerance), wide - right, y(report.tolerance),
        numberText(report.tolerance));
  text += curve("abs", &Errors::maxAbs) + curve("rel", &Errors::relative);
  return text + "</svg>";
}

std::string errorChart(const Report &report) { return Chart(report).text(); }

} // namespace mbc::compare
