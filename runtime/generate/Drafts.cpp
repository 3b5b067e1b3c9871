//===- Drafts.cpp ---------------------------------------------------------===//
#include "runtime/generate/Drafts.h"

#include <algorithm>

namespace mbc::generate {

Expected<std::vector<Choice>> chooseTokens(std::span<float> logits,
                                           const Part &part) {
  std::vector<Choice> choices;
  auto drafts = static_cast<size_t>(part.drafts);
  size_t vocabulary = logits.size() / (1 + drafts);
  ChoiceContext context = part.choice;
  size_t known = context.text.size() - drafts;
  for (size_t i = 0; i <= drafts; ++i) {
    context.text = part.choice.text.first(known + i);
    context.step = part.choice.step + i;
    MBC_ASSIGN(
        choices.emplace_back(),
        chooseToken(logits.subspan(i * vocabulary, vocabulary), context));
    if (i < drafts && choices.back().token.id != part.choice.text[known + i])
      break;
  }
  return choices;
}

Expected<std::vector<Choice>> takeChosen(std::span<const TokenScore> chosen,
                                         const Part &part) {
  std::vector<Choice> choices;
  auto drafts = static_cast<size_t>(part.drafts);
  size_t known = part.choice.text.size() - drafts;
  for (size_t i = 0; i <= drafts; ++i) {
    if (chosen[i].id < 0)
      return unusableLogits(known + i);
    choices.push_back({chosen[i], {}});
    if (i < drafts && chosen[i].id != part.choice.text[known + i])
      break;
  }
  return choices;
}

int32_t chooseDraft(std::span<float> logits, const Part &part,
                    std::span<const int32_t> text, size_t chosen) {
  ChoiceContext context = part.choice;
  context.text = text;
  context.step += chosen;
  context.logprobs = -1;
  auto choice = chooseToken(logits, context);
  return choice ? choice->token.id : -1;
}

int64_t wantedDrafts(const Executor &executor, const Part &part,
                     size_t chosen) {
  // Every step adds a token that is not a draft.
  int64_t most = part.left - static_cast<int64_t>(chosen) - 1;
  return std::max<int64_t>(0, std::min(executor.drafts(), most));
}

std::vector<int32_t> textAfter(const Part &part,
                               std::span<const Choice> choices) {
  auto known = part.choice.text.first(part.choice.text.size() - part.drafts);
  std::vector<int32_t> text(known.begin(), known.end());
  for (const Choice &choice : choices)
    text.push_back(choice.token.id);
  return text;
}

} // namespace mbc::generate
