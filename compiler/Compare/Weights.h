//===- Weights.h - The weights of two sides, beside each other --*- C++ -*-===//
#pragma once

#include "compiler/Compare/Side.h"
#include "runtime/io/Compare.h"
#include "runtime/io/TensorViews.h"

#include <memory>
#include <string>
#include <vector>

namespace mbc {

/// How the types in which two sides store their weights go together.
enum class StoredTypes {
  Equal,   ///< every tensor has one type on both
  Widened, ///< some differ, and hold the same values
  Rounded, ///< some differ, and values with them
};

/// What differs of all weights.
struct WholeModels {
  std::vector<std::string> findings; ///< at least one: how many differ
  size_t tensors = 0, differing = 0;
  /// Parameters that hold other values, and their layers (-1: outside of
  /// layers), in the order of the tensors' names.
  std::vector<std::pair<std::string, int64_t>> parameters;
};

/// The tensors of two checkpoints under their Hugging Face names, and what
/// differs of them.
class Weights {
public:
  /// Where types differ every weight is read once, to tell rounded ones from
  /// others. Both must outlive the result.
  static Expected<std::unique_ptr<Weights>>
  open(const Side &a, const Side &b, unsigned threads, Progress::Mode progress);

  StoredTypes types() const { return kind; }
  /// With Rounded: the narrowest type to which a side is rounded.
  DType narrowest() const { return narrow; }

  /// The tensors of these parameters in a layer (-1: outside of layers), as
  /// either side spells them, and what differs of them. `compare` false: the
  /// names alone.
  Expected<compare::ParameterReport>
  parameter(const std::string &path, int64_t layer, bool compare = true) const;
  /// What differs in the whole models: exchanges, then tensors, `most` of them
  /// as text.
  Expected<WholeModels> all(size_t most) const;

private:
  Weights(const Side &a, const Side &b, unsigned threads,
          Progress::Mode progress)
      : a(a), b(b), threads(threads), progress(progress) {}
  Expected<CompareReport> compareNames(const std::vector<std::string> &names,
                                       const char *title) const;

  const Side &a, &b;
  unsigned threads;
  Progress::Mode progress;
  StoredTypes kind = StoredTypes::Equal;
  DType narrow = DType::F32;
  /// With Rounded: both sides in the narrower types.
  std::unique_ptr<TensorSet> castA, castB;
  const TensorSet *setA = nullptr, *setB = nullptr;
};

/// The tensors of a parameter in a layer (-1: outside of layers): their Hugging
/// Face names, and as the checkpoint spells them ("NAME[3]": of a stacked
/// tensor that layer).
struct ParameterNames {
  std::vector<std::string> huggingFace, stored;
};
ParameterNames parameterNames(const Checkpoint &checkpoint,
                              const std::string &path, int64_t layer);

} // namespace mbc
