//===- Metrics.h - How far two values are apart -----------------*- C++ -*-===//
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace mbc::compare {

/// A value of some tokens: `rows` rows of `width` numbers, one every `stride`.
struct Rows {
  const float *data = nullptr;
  int64_t rows = 0, width = 0, stride = 0;

  std::span<const float> row(int64_t index) const {
    return {data + index * stride, static_cast<size_t>(width)};
  }
};

/// What two values of one shape differ by. A NaN is equal to a NaN, an infinity
/// to the same infinity; one that stands on one side alone makes the errors
/// infinite and the cosine NaN.
struct Errors {
  /// False: the widths or the rows differ, and nothing else is known.
  bool comparable = true;
  int64_t widthA = 0, widthB = 0;
  double maxAbs = 0;
  /// The largest over the tokens of |a - b| / max(|a|, |b|), Euclidean norms of
  /// the token's row: a token that is wrong does not vanish among many that are
  /// right, nor beside one with huge values.
  double relative = 0;
  /// Of all numbers as two vectors; 1 where both are zero.
  double cosine = 1;
  /// Numbers that are not equal, of those compared.
  int64_t differing = 0, compared = 0;
  /// NaNs that stand on this side alone.
  int64_t nansA = 0, nansB = 0;
  /// Where the largest difference is; the first NaN of one side alone, if any.
  int64_t worstRow = 0, worstColumn = 0;

  /// Whether the values agree: with tolerance 0 in every number, else by
  /// `relative`.
  bool within(double tolerance) const;
};

/// Compares column by column; where `covered` is not empty, only columns whose
/// entry is not 0.
Errors errorsOf(const Rows &a, const Rows &b,
                std::span<const uint8_t> covered = {});

/// A token and its probability.
struct Choice {
  int32_t token = 0;
  double probability = 0;
};

/// The distributions that two rows of logits stand for.
struct RowAgreement {
  /// Kullback-Leibler divergence of B from A in nats, sum p_A log(p_A / p_B):
  /// infinite where A can choose what B cannot, NaN where a side is no
  /// distribution (a NaN, +inf, or nothing but -inf).
  double kl = 0;
  /// The most probable tokens, the likeliest first, of equal ones the lower id.
  std::vector<Choice> a, b;
  bool sameFirst = true;
  int64_t shared = 0; ///< tokens that are in both lists
};

/// Of two rows of logits with one vocabulary.
RowAgreement agreementOf(std::span<const float> a, std::span<const float> b,
                         int64_t top);

} // namespace mbc::compare
