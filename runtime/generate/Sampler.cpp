//===- Sampler.cpp --------------------------------------------------------===//
#include "runtime/generate/Sampler.h"

#include "runtime/generate/Philox.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <numeric>
#include <optional>

namespace mbc::generate {

constexpr float never = -std::numeric_limits<float>::infinity();

Status checkSampling(const Sampling &sampling, std::string_view where) {
  auto refuse = [&](const char *name, double value, const char *expected) {
    return inputError(
        fmt::format("{}{} is {}, expected {}", where, name, value, expected));
  };
  // Written so that what is not a number fails.
  // Logits divided by less leave the range of float32.
  if (!(sampling.temperature >= 1e-5 && std::isfinite(sampling.temperature)))
    return refuse("temperature", sampling.temperature,
                  "a number from 0.00001 on, or 0 for the most probable token");
  if (!(sampling.topP > 0 && sampling.topP <= 1))
    return refuse("top_p", sampling.topP, "a number above 0, at most 1");
  if (!(sampling.minP >= 0 && sampling.minP <= 1))
    return refuse("min_p", sampling.minP, "a number from 0 to 1");
  if (!(sampling.repetitionPenalty > 0 &&
        std::isfinite(sampling.repetitionPenalty)))
    return refuse("repetition_penalty", sampling.repetitionPenalty,
                  "a number above 0");
  return {};
}

//===----------------------------------------------------------------------===//
// Settings, in the order in which they are applied
//===----------------------------------------------------------------------===//

static void penalizeRepetition(std::span<float> logits, float penalty,
                               std::span<const int32_t> text) {
  std::vector<bool> seen(logits.size());
  for (int32_t id : text) {
    if (static_cast<size_t>(id) >= logits.size() || seen[id])
      continue;
    seen[id] = true;
    logits[id] = logits[id] < 0 ? logits[id] * penalty : logits[id] / penalty;
  }
}

static void keepLargest(std::span<float> logits, uint64_t count) {
  if (count >= logits.size())
    return;
  std::vector<float> sorted(logits.begin(), logits.end());
  auto last = sorted.begin() + static_cast<ptrdiff_t>(count) - 1;
  std::ranges::nth_element(sorted, last, std::greater());
  // All that equal the last one stay.
  for (float &logit : logits)
    if (logit < *last)
      logit = never;
}

/// What each token counts, and their sum.
static uint64_t weigh(std::span<const float> logits, float largest,
                      std::vector<uint64_t> &weights) {
  weights.resize(logits.size());
  uint64_t sum = 0;
  for (size_t i = 0; i < logits.size(); ++i)
    sum += weights[i] = weightOf(shareOfBest(largest - logits[i]));
  return sum;
}

/// Removes the least probable tokens, of together at most a share of the
/// probability; of equals the last go first, where transformers leaves the
/// order open.
static void keepMass(std::span<float> logits, uint64_t mostRemoved) {
  std::vector<uint64_t> weights;
  uint64_t mass = weightThatStays(
      weigh(logits, std::ranges::max(logits), weights), mostRemoved);
  auto before = [&](int32_t a, int32_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  };
  std::vector<int32_t> order;
  order.reserve(logits.size());
  for (size_t id = 0; id < logits.size(); ++id)
    if (logits[id] != never)
      order.push_back(static_cast<int32_t>(id));
  // Few tokens have nearly all of the mass: the others are not sorted.
  uint64_t sum = 0;
  auto next = order.begin();
  for (ptrdiff_t few = 256; sum < mass && next != order.end(); few *= 8) {
    auto last = few < order.end() - next ? next + few : order.end();
    if (last != order.end())
      std::ranges::nth_element(next, last, order.end(), before);
    std::ranges::sort(next, last, before);
    while (sum < mass && next != last)
      sum += weights[*next++];
  }
  for (; next != order.end(); ++next)
    logits[*next] = never;
}

/// Removes tokens less probable than `share` of the most probable one.
static void keepShare(std::span<float> logits, float share) {
  float largest = std::ranges::max(logits);
  for (float &logit : logits)
    if (shareOfBest(largest - logit) < share)
      logit = never;
}

Drawing drawingOf(const ChoiceContext &context) {
  const Sampling &sampling = *context.sampling;
  Drawing drawing;
  if (!sampling.draw)
    return drawing;
  drawing.draws = 1;
  drawing.random = randomBits(sampling.seed, context.step);
  drawing.temperature = static_cast<float>(sampling.temperature);
  drawing.topK = static_cast<uint32_t>(
      std::min<uint64_t>(sampling.topK, std::numeric_limits<uint32_t>::max()));
  drawing.leastShare = static_cast<float>(sampling.minP);
  if (sampling.topP < 1) {
    // Shares are compared as float32, as transformers has them: those that
    // round to the limit go.
    auto limit = static_cast<float>(1 - sampling.topP);
    double most = (double(limit) + std::nextafter(limit, 2.0f)) / 2;
    drawing.mostRemoved = most < 1 ? static_cast<uint64_t>(most * 0x1p64)
                                   : std::numeric_limits<uint64_t>::max();
  }
  return drawing;
}

/// Temperature, top-k, top-p and min-p.
static void process(std::span<float> logits, const Drawing &drawing) {
  if (drawing.temperature != 1)
    for (float &logit : logits)
      logit /= drawing.temperature;
  if (drawing.topK != 0)
    keepLargest(logits, drawing.topK);
  if (drawing.mostRemoved != 0)
    keepMass(logits, drawing.mostRemoved);
  if (drawing.leastShare > 0)
    keepShare(logits, drawing.leastShare);
}

void processLogits(std::span<float> logits, const Sampling &sampling,
                   std::span<const int32_t> text) {
  if (sampling.repetitionPenalty != 1)
    penalizeRepetition(logits, static_cast<float>(sampling.repetitionPenalty),
                       text);
  if (sampling.draw)
    process(logits, drawingOf({&sampling, text}));
}

//===----------------------------------------------------------------------===//
// Choosing
//===----------------------------------------------------------------------===//

/// The first of the largest; none where a logit is not a number, or the largest
/// is not finite.
static std::optional<int32_t> largestOf(std::span<const float> logits) {
  size_t best = 0;
  bool numbers = true;
  for (size_t i = 0; i < logits.size(); ++i) {
    numbers &= logits[i] == logits[i];
    if (logits[i] > logits[best])
      best = i;
  }
  if (!numbers || logits.empty() || !std::isfinite(logits[best]))
    return std::nullopt;
  return static_cast<int32_t>(best);
}

std::optional<int32_t> drawToken(std::span<float> logits,
                                 const Drawing &drawing) {
  process(logits, drawing);
  std::optional<int32_t> best = largestOf(logits);
  if (!best)
    return std::nullopt;
  std::vector<uint64_t> weights;
  uint64_t target =
               targetOf(weigh(logits, logits[*best], weights), drawing.random),
           sum = 0;
  size_t id = 0;
  while ((sum += weights[id]) <= target)
    ++id;
  return static_cast<int32_t>(id);
}

static double logSum(std::span<const float> logits, float largest) {
  double sum = 0;
  for (float logit : logits)
    sum += std::exp(static_cast<double>(logit - largest));
  return largest + std::log(sum);
}

bool needsLogitsAlone(const ChoiceContext &context) {
  return context.sampling->repetitionPenalty == 1 && context.logprobs <= 0;
}

Failure unusableLogits(size_t count) {
  return inputError(fmt::format(
      "the logits of token {} have values that are no finite numbers; the "
      "weights are damaged, or exceed the range of the type that computes "
      "(--dtype)",
      count));
}

Expected<Choice> chooseToken(std::span<float> logits,
                             const ChoiceContext &context) {
  auto unusable = [&] { return unusableLogits(context.text.size()); };
  std::optional<int32_t> best = largestOf(logits);
  if (!best)
    return unusable();
  const Sampling &sampling = *context.sampling;
  Choice choice;
  double normalizer = 0;
  std::vector<float> raw;
  if (context.logprobs >= 0) {
    normalizer = logSum(logits, logits[*best]);
    std::vector<int32_t> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    size_t count = std::min<size_t>(context.logprobs, order.size());
    std::ranges::partial_sort(
        order, order.begin() + static_cast<ptrdiff_t>(count),
        [&](int32_t a, int32_t b) {
          return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
        });
    for (size_t i = 0; i < count; ++i)
      choice.top.push_back(
          {order[i], static_cast<float>(logits[order[i]] - normalizer)});
    raw.assign(logits.begin(), logits.end());
  }
  if (sampling.repetitionPenalty != 1)
    penalizeRepetition(logits, static_cast<float>(sampling.repetitionPenalty),
                       context.text);
  best =
      sampling.draw ? drawToken(logits, drawingOf(context)) : largestOf(logits);
  if (!best)
    return unusable();
  choice.token.id = *best;
  if (context.logprobs >= 0)
    choice.token.logprob =
        static_cast<float>(raw[choice.token.id] - normalizer);
  return choice;
}

} // namespace mbc::generate
