//===- Tokens.cpp ---------------------------------------------------------===//
#include "runtime/commands/Tokens.h"

#include "runtime/core/Text.h"
#include "runtime/io/Npy.h"
#include "runtime/io/TensorSet.h"

#include <charconv>
#include <fmt/format.h>

namespace mbc {

static Expected<IntegerArray> readArray(const std::string &text) {
  IntegerArray array;
  bool file = text.find_first_not_of("0123456789, ") != std::string::npos;
  if (file) {
    MBC_ASSIGN(array, readIntegerNpy(text, uint64_t(1) << 30));
  } else {
    for (size_t at = 0; at <= text.size();) {
      size_t end = std::min(text.find(',', at), text.size());
      int64_t value = 0;
      const char *first = text.data() + at, *last = text.data() + end;
      while (first < last && *first == ' ')
        ++first;
      auto [stop, error] = std::from_chars(first, last, value);
      if (error != std::errc() || stop != last)
        return inputError(fmt::format(
            "option '--tokens': '{}' is no token; expected numbers such as "
            "1,2,3, or a .npy file",
            text.substr(at, end - at)));
      array.values.push_back(value);
      at = end + 1;
    }
    array.shape = {static_cast<int64_t>(array.values.size())};
  }
  if (array.shape.size() == 1)
    array.shape.insert(array.shape.begin(), 1);
  if (array.shape.size() != 2 || array.values.empty())
    return inputError(fmt::format(
        "option '--tokens': has shape {}, expected [sequence] or [batch, "
        "sequence]",
        shapeText(array.shape)));
  return array;
}

Expected<Tokens> readTokens(const std::string &text) {
  MBC_ASSIGN(IntegerArray array, readArray(text));
  Tokens tokens{array.shape[0], array.shape[1], {}};
  for (size_t i = 0; i < array.values.size(); ++i) {
    int64_t token = array.values[i];
    if (token < 0 || token > INT32_MAX)
      return inputError(fmt::format(
          "option '--tokens': token {} at [{}, {}] is outside of every "
          "vocabulary",
          token, i / tokens.length, i % tokens.length));
    tokens.ids.push_back(static_cast<int32_t>(token));
  }
  return tokens;
}

} // namespace mbc
