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

/// exp(logit - largest) for each, in double, and their sum.
static double exponentials(std::span<const float> logits, float largest,
                           std::vector<double> &out) {
  out.resize(logits.size());
  double sum = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    out[i] = logits[i] == never
                 ? 0
                 : std::exp(static_cast<double>(logits[i] - largest));
    sum += out[i];
  }
  return sum;
}

/// Removes the least probable tokens of together at most 1 - `mass`; of equals
/// the last go first, where transformers leaves the order open. One token
/// stays.
static void keepMass(std::span<float> logits, double mass) {
  std::vector<double> weights;
  double sum = exponentials(logits, std::ranges::max(logits), weights);
  auto limit = static_cast<float>(1 - mass);
  auto probability = [&](int32_t id) {
    return static_cast<float>(weights[id] / sum);
  };
  // The reverse of the order in which they go.
  auto before = [&](int32_t a, int32_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  };
  std::vector<int32_t> order;
  order.reserve(logits.size());
  for (size_t id = 0; id < logits.size(); ++id)
    if (logits[id] != never)
      order.push_back(static_cast<int32_t>(id));
  // Few tokens have nearly all of the mass: the others are summed, not sorted.
  for (size_t few = 256;; few *= 8) {
    few = std::min(few, order.size());
    std::ranges::nth_element(
        order, order.begin() + static_cast<ptrdiff_t>(few) - 1, before);
    double cumulative = 0;
    for (size_t i = few; i < order.size(); ++i)
      cumulative += probability(order[i]);
    if (few < order.size() && static_cast<float>(cumulative) > limit)
      continue;
    for (size_t i = few; i < order.size(); ++i)
      logits[order[i]] = never;
    std::ranges::sort(order.begin(),
                      order.begin() + static_cast<ptrdiff_t>(few), before);
    for (size_t i = few; i-- > 1;) {
      cumulative += probability(order[i]);
      if (static_cast<float>(cumulative) > limit)
        return;
      logits[order[i]] = never;
    }
    return;
  }
}

/// Removes tokens less probable than `share` of the most probable one.
static void keepShare(std::span<float> logits, double share) {
  std::vector<double> weights;
  double sum = exponentials(logits, std::ranges::max(logits), weights);
  float least = static_cast<float>(share) * static_cast<float>(1 / sum);
  for (size_t i = 0; i < logits.size(); ++i)
    if (weights[i] < 1 && static_cast<float>(weights[i] / sum) < least)
      logits[i] = never;
}

void processLogits(std::span<float> logits, const Sampling &sampling,
                   std::span<const int32_t> text) {
  if (sampling.repetitionPenalty != 1)
    penalizeRepetition(logits, static_cast<float>(sampling.repetitionPenalty),
                       text);
  if (!sampling.draw)
    return;
  if (sampling.temperature != 1)
    for (float &logit : logits)
      logit /= static_cast<float>(sampling.temperature);
  if (sampling.topK != 0)
    keepLargest(logits, sampling.topK);
  if (sampling.topP < 1)
    keepMass(logits, sampling.topP);
  if (sampling.minP > 0)
    keepShare(logits, sampling.minP);
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

/// By inversion: the first token at which the sum exceeds a random share.
static int32_t draw(std::span<const float> logits, int32_t largest,
                    double random) {
  std::vector<double> weights;
  double rest = random * exponentials(logits, logits[largest], weights);
  int32_t last = largest;
  for (size_t id = 0; id < weights.size(); ++id) {
    if (weights[id] == 0)
      continue;
    last = static_cast<int32_t>(id);
    rest -= weights[id];
    if (rest < 0)
      break;
  }
  return last;
}

static double logSum(std::span<const float> logits, float largest) {
  double sum = 0;
  for (float logit : logits)
    sum += std::exp(static_cast<double>(logit - largest));
  return largest + std::log(sum);
}

bool isLikeliest(const ChoiceContext &context) {
  const Sampling &sampling = *context.sampling;
  return !sampling.draw && sampling.repetitionPenalty == 1 &&
         context.logprobs <= 0;
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
  if (sampling.draw || sampling.repetitionPenalty != 1) {
    processLogits(logits, sampling, context.text);
    best = largestOf(logits);
    if (!best)
      return unusable();
  }
  choice.token.id =
      sampling.draw ? draw(logits, *best, uniform(sampling.seed, context.step))
                    : *best;
  if (context.logprobs >= 0)
    choice.token.logprob =
        static_cast<float>(raw[choice.token.id] - normalizer);
  return choice;
}

} // namespace mbc::generate
