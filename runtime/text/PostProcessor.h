//===- PostProcessor.h - Tokens around a text -------------------*- C++ -*-===//
#pragma once

#include "runtime/text/Field.h"

#include <cstdint>
#include <vector>

namespace mbc::text {

/// The "post_processor" of a tokenizer.json, for one text.
class PostProcessor {
public:
  static Expected<PostProcessor> parse(const Field &field);
  /// `before`, the text, `after`.
  static PostProcessor around(std::vector<int32_t> before,
                              std::vector<int32_t> after);

  /// `special`: with the tokens that are added.
  std::vector<int32_t> apply(std::vector<int32_t> ids, bool special) const;

private:
  Status add(const Field &field);
  /// What the text becomes: tokens, and the text itself where there are none.
  struct Part {
    bool isText;
    std::vector<int32_t> ids;
  };
  /// One after another, each of what the one before has given.
  std::vector<std::vector<Part>> templates;
};

} // namespace mbc::text
