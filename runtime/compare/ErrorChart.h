//===- ErrorChart.h - The errors of all steps as a picture ------*- C++ -*-===//
#pragma once

#include "runtime/compare/Report.h"

#include <string>
#include <string_view>

namespace mbc::compare {

/// An inline SVG: the largest absolute and the relative error of every step on
/// a logarithmic scale, the tolerance as a line, and the first step that
/// differs. Points that are zero lie on the axis; what is not finite lies at
/// the upper edge. Colours are the classes `abs`, `rel`, `tol`, `bad`, `axis`.
std::string errorChart(const Report &report);

/// Text as content or attribute of HTML: markup and control characters lose
/// their meaning, invalid UTF-8 is replaced.
std::string escapeHtml(std::string_view text);

} // namespace mbc::compare
