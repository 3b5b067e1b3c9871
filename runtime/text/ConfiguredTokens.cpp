//===- ConfiguredTokens.cpp - Tokens of tokenizer_config.json -------------===//
//
// transformers adds to a tokenizer.json what its tokenizer_config.json names
// besides: added_tokens_decoder by id, then the special tokens.
//
//===----------------------------------------------------------------------===//
#include "runtime/core/Text.h"
#include "runtime/text/TokenizerParts.h"

#include <algorithm>
#include <fmt/format.h>

namespace mbc::text {

static Status addSpecial(TokenizerParts &parts, const std::string &content) {
  if (content.empty())
    return {};
  if (auto it = parts.addedByText.find(content);
      it != parts.addedByText.end()) {
    const AddedToken *known = it->second;
    for (AddedToken &token : parts.added)
      if (&token == known)
        token.special = true;
    return {};
  }
  AddedToken token;
  token.content = content;
  token.id = parts.idOf(content).value_or(parts.nextId());
  token.special = true;
  return parts.addToken(std::move(token));
}

Status applyConfig(TokenizerParts &parts, const TokenizerConfig &config,
                   std::string_view name) {
  for (const auto &[id, added] : config.addedTokens) {
    if (added.content.empty() || parts.addedByText.contains(added.content))
      continue;
    int32_t expected = parts.idOf(added.content).value_or(parts.nextId());
    if (id != expected)
      return inputError(fmt::format(
          "{}: added_tokens_decoder gives {} the id {}; by tokenizer.json it "
          "is {}",
          name, quote(added.content), id, expected));
    MBC_TRY(parts.addToken({added.content,
                            id,
                            added.singleWord,
                            added.lstrip,
                            added.rstrip,
                            added.normalized,
                            added.special,
                            {}}));
  }
  for (const char *named : {"bos_token", "eos_token", "unk_token", "sep_token",
                            "pad_token", "cls_token", "mask_token"})
    MBC_TRY(addSpecial(parts, config.specialToken(named)));
  for (const std::string &content : config.extraTokens)
    MBC_TRY(addSpecial(parts, content));
  return {};
}

} // namespace mbc::text
