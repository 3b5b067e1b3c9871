//===- VerifyReport.h - What a comparison found -----------------*- C++ -*-===//
#pragma once

#include "mbc/Api.h"
#include "mbc/DType.h"
#include "mbc/TrainingState.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mbc {

enum class Verdict { Equal, Differs, DTypeDiffers, ShapeDiffers, OnlyA, OnlyB };

/// "differs", "only_in_a": stable words, for --json.
MBC_API std::string_view verdictName(Verdict verdict);

/// One side of a differing element.
struct ElementValue {
  std::string bits;    ///< "0x3f80"
  std::string decimal; ///< "1": the shortest text that reads back the same
  std::string file;    ///< empty: the element is in no file, and reads as zero
  uint64_t offset = 0; ///< byte offset in `file`
};

/// What was found out about one tensor name.
struct MBC_API TensorComparison {
  std::string name;
  Verdict verdict = Verdict::Equal;
  /// Of the sides that have it.
  DType dtypeA{}, dtypeB{};
  std::vector<int64_t> shapeA, shapeB;

  /// With Verdict::Differs: how many elements, and the first of them.
  int64_t differing = 0;
  int64_t firstElement = 0;
  std::vector<int64_t> index; ///< row-major index of the first
  /// Its place in the logical parameter, where a plan tells: "decoder.attn.qkv
  /// (l = 3): kv_heads 2, group 1, head_dim 5, hidden 17".
  std::string logical;
  ElementValue a, b;

  /// One line: "NAME: 5 of 36,864 elements differ, first [12, 17] ...".
  std::string text() const;
};

/// Weights that stand in each other's place: "layers 0 and 3 of decoder are
/// exchanged (9 of 9 tensors)".
struct Exchange {
  std::string text;
  std::vector<std::string> tensors; ///< whose difference it explains, all of it
};

/// A comparison of two sets of tensors.
struct CompareReport {
  uint64_t tensors = 0;  ///< names in either set
  uint64_t equal = 0;    ///< of them
  uint64_t elements = 0; ///< that were compared
  uint64_t bytes = 0;    ///< of A that were compared
  double seconds = 0;
  /// What is not equal, in the order of A, then of B.
  std::vector<TensorComparison> differences;
  /// Of the differences, those that are exchanges.
  std::vector<Exchange> exchanges;

  bool same() const { return differences.empty(); }
};

/// A tensor or file that is not what the manifest of the import says.
struct ManifestDifference {
  std::string name;
  /// "has changed", "is missing", "is not in the manifest", or
  /// "holds what 'x' should hold".
  std::string what;
  /// Of a tensor that holds what another one should hold: that one.
  std::string owner;
};

/// What a comparison of two checkpoints covers.
enum class VerifyScope {
  Everything, ///< tensors bit for bit, and the files beside them
  Tensors,    ///< tensors bit for bit
  Values,     ///< tensors of different float types by value
};

/// What `AutoBridge::verify` found.
struct VerifyReport {
  std::string model; ///< "Llama"; empty: no declaration was used
  /// False: the architecture is not declared, and tensors were compared by name
  /// alone.
  bool proved = true;
  uint64_t tensors = 0;  ///< Hugging Face tensors of this side
  uint64_t elements = 0; ///< of them
  /// Of two: the comparison. Of one: stored copies of tied parameters against
  /// their originals.
  CompareReport compared;
  /// What somebody should know: how it was opened, how values were compared
  /// where that is not bit by bit. One sentence each.
  std::vector<std::string> notes;

  // Of two only.
  /// Files beside the weights that both sides have.
  uint64_t filesCompared = 0;
  /// Such files that differ, and metadata of weight files: a sentence each.
  std::vector<std::string> fileDifferences;
  /// Files that one side has: no difference.
  std::vector<std::string> singleFiles;

  /// What a Megatron side holds beside its tensors and is not as the import
  /// stored it, checksums included: a sentence each.
  std::vector<std::string> storedDifferences;

  // Of one checkpoint only.
  /// What was checked, one sentence each.
  std::vector<std::string> checked;
  /// What a Megatron checkpoint holds besides weights.
  TrainingState skipped;
  /// Records of a Megatron checkpoint that state no checksum.
  std::optional<uint64_t> recordsWithoutCrc;
  /// The checkpoint is of Megatron.
  bool megatron = false;
  /// Whether there is a manifest to check against.
  bool hasManifest = false;
  std::vector<ManifestDifference> manifestDifferences;
  /// Of these, exchanges of whole tensors.
  std::vector<Exchange> exchanges;

  bool same() const {
    return compared.same() && fileDifferences.empty() &&
           storedDifferences.empty() && manifestDifferences.empty();
  }
};

} // namespace mbc
