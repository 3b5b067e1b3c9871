//===- Texts.h - What methods and filters do to texts -----------*- C++ -*-===//
#pragma once

#include "runtime/text/template/Run.h"

namespace mbc::text::jinja {

/// str.strip: of white space, or of the characters of the str `set`.
std::string_view stripped(std::string_view text, const Value &set, bool left,
                          bool right);
/// str.split without a separator; `most` < 0: all.
std::vector<std::string_view> splitSpace(std::string_view text, int64_t most,
                                         bool fromRight);
/// str.split with one.
std::vector<std::string_view> splitText(std::string_view text,
                                        std::string_view separator,
                                        int64_t most, bool fromRight);
/// str.splitlines.
std::vector<std::string_view> lines(std::string_view text, bool keepEnds);
/// str.replace; `most` < 0: all.
std::string replaced(Run &run, std::string_view text, std::string_view from,
                     std::string_view to, int64_t most);
/// Filled to `width` code points; on both sides as str.center.
std::string padded(Run &run, std::string_view text, int64_t width,
                   std::string_view fill, bool left, bool right);

} // namespace mbc::text::jinja
