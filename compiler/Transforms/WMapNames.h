//===- WMapNames.h - When can two names be the same? ------------*- C++ -*-===//
//
// A name is a sequence of text and canonical decimals, some of them holes.
// Two names can be equal only if their texts agree token by token; what is
// left is a system of integer equations over loop indices and configuration
// names, which MLIR's Presburger library decides. So "no tensor is used
// twice" is proved for every depth and every expert count at once.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/Support/LLVM.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace mbc::wmap {

/// sum of coefficient * symbol + constant.
struct Affine {
  std::map<std::string, int64_t> terms;
  int64_t constant = 0;
};
/// The expression as an affine form, if it is one.
std::optional<Affine> toAffine(mlir::Attribute expr);

/// A piece of a name: text without digits, or a number (constant or hole).
struct NameToken {
  std::string text;
  std::optional<Affine> number;
};

/// Splits into tokens. Fails, with the reason, where a hole is not affine or
/// touches a digit or another hole, since the number could then be read in
/// two ways.
mlir::FailureOr<std::vector<NameToken>>
tokenizeName(mlir::ArrayRef<mlir::Attribute> segments, std::string &why);

/// Ascending values first, first + step, ...
struct IndexRange {
  int64_t first, count, step;
};
/// Ascending integers as few ranges.
std::vector<IndexRange> toRanges(mlir::ArrayRef<int64_t> values);

/// The values of a loop index: known ranges, or 0 <= index < bound under a
/// condition on the index (both symbolic).
struct IndexDomain {
  std::string index;
  std::string over; ///< stack or axis: indices of one stack share conditions
  std::vector<IndexRange> ranges; ///< used when `bound` is null
  mlir::Attribute bound;
  mlir::Attribute condition; ///< null: none
};

/// A family of names: tokens and the domains of their indices.
struct NameFamily {
  std::vector<NameToken> tokens;
  std::vector<IndexDomain> domains;
  /// Conditions on the configuration alone under which the family exists.
  std::vector<mlir::Attribute> conditions;
};

/// True unless it is proved that no member of `a` is a member of `b`.
bool mayMeet(const NameFamily &a, const NameFamily &b);
/// True unless it is proved that different indices give different names.
bool mayRepeat(const NameFamily &family);
/// True unless it is proved that every hole is at least 0.
bool mayBeNegative(const NameFamily &family);

} // namespace mbc::wmap
