//===- ServeOptions.cpp - The options of serve ----------------------------===//

#include "runtime/commands/ServeModel.h"
#include "runtime/core/Text.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <fmt/format.h>

namespace mbc {

/// What a header may hold: one line.
static Status checkLine(const char *what, const std::string &text) {
  if (std::ranges::any_of(
          text, [](unsigned char c) { return c <= ' ' || c == 0x7f; }))
    return inputError(
        fmt::format("{} has a space or a control character", what));
  return {};
}

Expected<ServeOptions> ServeOptions::parse(const ServeTexts &texts) {
  ServeOptions result;
  if (!texts.host.empty())
    result.http.host = texts.host;
  MBC_TRY(parseCount("--port", texts.port, 0, 65535, result.http.port));
  MBC_TRY(
      parseCount("--sequences", texts.sequences, 1, 1024, result.sequences));
  MBC_TRY(parseCount("--queue", texts.queue, 0, 100'000, result.queue));
  MBC_TRY(parseCount("--length", texts.length, 2, 1 << 30, result.length));
  MBC_ASSIGN(result.drafts, texts.drafts.parse());
  MBC_ASSIGN(result.device, execute::Device::parse(texts.device));
  uint64_t seconds = 60;
  MBC_TRY(parseCount("--timeout", texts.timeout, 1, 86'400, seconds));
  result.http.idle = std::chrono::seconds(seconds);
  if (!texts.maxBody.empty()) {
    auto bytes = parseByteSize(texts.maxBody);
    if (!bytes || *bytes > 1'000'000'000)
      return inputError(fmt::format("option '--max-body' is {}, expected a "
                                    "size up to 1GB, such as 500KB",
                                    quote(texts.maxBody)));
    result.bodyBytes = *bytes;
  }
  result.name = texts.name;
  result.http.origin = texts.origin;
  MBC_TRY(checkLine("option '--cors'", texts.origin));
  result.apiKey = texts.apiKey;
  if (const char *key = std::getenv("MBC_API_KEY");
      key && result.apiKey.empty())
    result.apiKey = key;
  MBC_TRY(checkLine("the API key", result.apiKey));
  result.tokenizer = texts.tokenizer;
  MBC_TRY(resolveInPlace(result.tokenizer));
  return result;
}

uint64_t ServeOptions::programSequences() const {
  return std::bit_ceil(
      static_cast<uint64_t>(sequences.value_or(defaultServedSequences)));
}

} // namespace mbc
