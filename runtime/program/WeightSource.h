//===- WeightSource.h - A program's weights in a checkpoint -----*- C++ -*-===//
#pragma once

#include "runtime/core/Progress.h"
#include "runtime/io/MappedTensors.h"
#include "runtime/schema/program_generated.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace mbc {

/// Whole rows of a weight as a file holds them.
struct StoredRows {
  uint32_t file; ///< index for `WeightSource::path`
  uint64_t offset;
  int64_t first, count;
  /// Of FP8: index for `WeightSource::scales`, and where the first row stands
  /// among the rows of the tensor; they are of one of its matrices.
  int32_t scale = -1;
  int64_t row = 0;
};

/// Which block scales the rows of an FP8 weight have.
struct ScaledRows {
  struct Run {
    int64_t first, count;
    size_t grid; ///< in `grids`: the scales of the matrix that they are rows of
    int64_t row; ///< of that matrix, the first
  };
  std::vector<float> grids; ///< a row of scales for each row of blocks
  std::vector<Run> runs;
};

/// Where the logical parameters of a program lie in a checkpoint of either
/// format: one interval of one tensor each, as Megatron's order is the declared
/// one.
class WeightSource {
public:
  /// `format` says which side of the program's plans `set` holds; FP8 with
  /// block scales is read as its values. `set` and `program` must outlive the
  /// result. An Input error names what is missing or of another shape or type;
  /// `name` stands in it.
  static Expected<std::unique_ptr<WeightSource>>
  create(const program::ProgramT &program, PlanSide format,
         const TensorSet &set, const std::string &name);

  /// The rows of an instance (a layer that has it) in order, where files hold
  /// all of it in the program's type; else none.
  std::vector<StoredRows> stored(size_t weight, size_t instance) const;
  const std::string &path(uint32_t file) const { return set->files()[file]; }

  /// The block scales of a stored tensor: how they lie, and as floats. An Input
  /// error where one is no finite number.
  const BlockScale &blockScale(int32_t scale) const {
    return set->scales()[scale];
  }
  Expected<std::vector<float>> scales(int32_t scale) const;
  /// The scales of an FP8 weight that `rows` hold. An Input error where they
  /// are none: files do not hold it as the program has it.
  Expected<ScaledRows> scalesOf(size_t weight,
                                const std::vector<StoredRows> &rows) const;

  /// Reads every weight once, in blocks, on `threads` workers, converted to the
  /// program's type. `place(weight, instance)` gives the memory of an instance,
  /// row-major; null: it is not read.
  Status
  load(const std::function<std::byte *(size_t weight, size_t instance)> &place,
       unsigned threads, Progress &progress) const;

  /// Bytes that `load` fills.
  uint64_t bytes() const;

private:
  /// An instance lies at [begin, begin + elements) of a tensor, or is made of
  /// several: one for each of its matrices.
  struct Piece {
    uint32_t weight, instance;
    uint64_t offset; ///< elements, in the instance
    uint32_t tensor;
    int64_t begin, count;
  };

  WeightSource(const program::ProgramT &program, const TensorSet &set)
      : program(program), set(&set) {}
  Status locate(const plan::PlanT &plan, const std::string &name);
  bool appendScaled(std::vector<StoredRows> &rows, const Extent &extent,
                    int64_t dest, const program::WeightT &weight) const;

  const program::ProgramT &program;
  const TensorSet *set;
  /// The values of a folder that holds FP8; else null.
  std::unique_ptr<TensorSet> values;
  /// The plan with the types that the source has, and the Megatron side of a
  /// Hugging Face folder through it.
  std::unique_ptr<plan::PlanT> bound;
  std::unique_ptr<MappedTensors> mapped;
  std::vector<Piece> pieces;
};

} // namespace mbc
