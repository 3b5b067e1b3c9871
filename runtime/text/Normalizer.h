//===- Normalizer.h - What happens to a text first --------------*- C++ -*-===//
#pragma once

#include "runtime/text/Field.h"
#include "runtime/text/Pattern.h"

#include <memory>
#include <string>

namespace mbc::text {

/// The "normalizer" of a tokenizer.json.
class Normalizer {
public:
  virtual ~Normalizer();
  /// Changes well-formed `text` in place.
  virtual Status apply(std::string &text, PatternScratch &scratch) const = 0;

  /// Of a field; null for null, which changes nothing.
  static Expected<std::unique_ptr<Normalizer>> parse(const Field &field);
};

/// Replaces every match of a pattern by `content`, as Replace does here and
/// among the decoders.
Status replaceMatches(std::string &text, const Pattern &pattern,
                      std::string_view content, PatternScratch &scratch);

/// {"String": "..."} or {"Regex": "..."}.
Expected<std::unique_ptr<Pattern>> parsePattern(const Field &field);

} // namespace mbc::text
