//===- Metrics.cpp --------------------------------------------------------===//
#include "runtime/compare/Metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace mbc::compare {

constexpr double infinite = std::numeric_limits<double>::infinity();
constexpr double noNumber = std::numeric_limits<double>::quiet_NaN();

bool Errors::within(double tolerance) const {
  if (!comparable || nansA || nansB)
    return false;
  // Squares underflow before differences do.
  return tolerance == 0 ? differing == 0 : relative <= tolerance;
}

Errors errorsOf(const Rows &a, const Rows &b,
                std::span<const uint8_t> covered) {
  Errors errors;
  errors.widthA = a.width;
  errors.widthB = b.width;
  errors.comparable = a.width == b.width && a.rows == b.rows;
  if (!errors.comparable)
    return errors;
  double dot = 0, squaresA = 0, squaresB = 0;
  bool lost = false; // a number of one side alone is not finite
  for (int64_t row = 0; row < a.rows; ++row) {
    std::span<const float> left = a.row(row), right = b.row(row);
    double difference = 0, normA = 0, normB = 0;
    for (int64_t column = 0; column < a.width; ++column) {
      if (!covered.empty() && !covered[column])
        continue;
      ++errors.compared;
      double x = left[column], y = right[column];
      bool noX = std::isnan(x), noY = std::isnan(y);
      if ((noX && noY) || (std::isinf(x) && x == y))
        continue;
      if (noX || noY) {
        if (!errors.nansA && !errors.nansB) {
          errors.worstRow = row;
          errors.worstColumn = column;
        }
        ++(noX ? errors.nansA : errors.nansB);
        ++errors.differing;
        lost = true;
        continue;
      }
      double apart = std::abs(x - y);
      errors.differing += apart != 0;
      if (apart > errors.maxAbs) {
        errors.maxAbs = apart;
        if (!errors.nansA && !errors.nansB) {
          errors.worstRow = row;
          errors.worstColumn = column;
        }
      }
      if (std::isinf(apart)) {
        lost = true;
        continue;
      }
      difference += apart * apart;
      normA += x * x;
      normB += y * y;
      dot += x * y;
    }
    squaresA += normA;
    squaresB += normB;
    if (difference > 0)
      errors.relative = std::max(
          errors.relative, std::sqrt(difference / std::max(normA, normB)));
  }
  if (lost) {
    errors.maxAbs = errors.relative = infinite;
    errors.cosine = noNumber;
  } else if (errors.differing) {
    // Zero beside something has no direction.
    double norms = std::sqrt(squaresA) * std::sqrt(squaresB);
    errors.cosine = norms > 0 ? std::clamp(dot / norms, -1.0, 1.0) : 0;
  }
  return errors;
}

/// The probabilities of a row, or none where it is no distribution.
static std::vector<double> probabilitiesOf(std::span<const float> logits) {
  double most = -infinite;
  for (float value : logits) {
    if (std::isnan(value) || value == std::numeric_limits<float>::infinity())
      return {};
    most = std::max<double>(most, value);
  }
  if (most == -infinite)
    return {};
  std::vector<double> result(logits.size());
  double sum = 0;
  for (size_t i = 0; i < logits.size(); ++i)
    sum += result[i] = std::exp(logits[i] - most);
  for (double &value : result)
    value /= sum;
  return result;
}

static std::vector<Choice> topOf(std::span<const double> probabilities,
                                 int64_t top) {
  std::vector<int32_t> order(probabilities.size());
  std::iota(order.begin(), order.end(), 0);
  size_t count = std::min<size_t>(top, order.size());
  std::partial_sort(order.begin(), order.begin() + count, order.end(),
                    [&](int32_t x, int32_t y) {
                      return probabilities[x] != probabilities[y]
                                 ? probabilities[x] > probabilities[y]
                                 : x < y;
                    });
  std::vector<Choice> result;
  for (size_t i = 0; i < count; ++i)
    result.push_back({order[i], probabilities[order[i]]});
  return result;
}

RowAgreement agreementOf(std::span<const float> a, std::span<const float> b,
                         int64_t top) {
  RowAgreement result;
  std::vector<double> left = probabilitiesOf(a), right = probabilitiesOf(b);
  result.a = topOf(left, top);
  result.b = topOf(right, top);
  for (const Choice &choice : result.a)
    result.shared += std::ranges::count(result.b, choice.token, &Choice::token);
  if (left.empty() || right.empty()) {
    result.kl = noNumber;
    result.sameFirst = left.empty() && right.empty();
    return result;
  }
  result.sameFirst = result.a[0].token == result.b[0].token;
  // From the logits: a probability that underflows is not impossible.
  auto logSum = [](std::span<const float> logits) {
    double most = *std::ranges::max_element(logits), sum = 0;
    for (float value : logits)
      sum += std::exp(value - most);
    return most + std::log(sum);
  };
  double sumA = logSum(a), sumB = logSum(b);
  for (size_t i = 0; i < a.size(); ++i)
    if (left[i] > 0)
      result.kl += left[i] * ((a[i] - sumA) - (b[i] - sumB));
  // Rounding may leave a hair below zero.
  result.kl = std::max(result.kl, 0.0);
  return result;
}

} // namespace mbc::compare
