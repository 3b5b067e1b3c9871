//===- LegacyLayout.h - What each rank of a legacy checkpoint holds -*- C++
//-*-===//
//
// The legacy torch format stores what every rank had. A layout says, for a plan
// with indexed layer keys and the sizes of the parallel dimensions, which
// tensors that are and which part of which of the plan's Megatron tensors each
// one is: as copy plans between those ("hf" side) and the ranks' ("mcore"
// side), so that a MappedTensors reads a rank's tensors out of whole ones, or
// whole ones out of the ranks' files.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "compiler/Bridge/PipelineLayout.h"
#include "compiler/Transforms/Admissible.h"
#include "compiler/Transforms/FormatProfile.h"
#include "runtime/io/LegacyTorch.h"
#include "runtime/io/LegacyTorchWriter.h"

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace mbc {

/// A folder of the checkpoint. The expert-tensor-parallel rank has no part in
/// its name: it follows from the tensor-parallel rank.
struct LegacyRank {
  uint32_t tp, pp, ep, etp;
  std::string folder; ///< "mp_rank_00_001"
};

class LegacyLayout {
public:
  /// `sizes`: tp, ep and etp, for which `plan` was placed; pp and vpp are those
  /// of `stages`. Refused: sizes that give two ranks one folder, and those that
  /// cut some tensor unevenly.
  static Expected<LegacyLayout> create(const plan::PlanT &plan,
                                       const wmap::ParallelSizes &sizes,
                                       PipelineLayout stages);

  /// By folder: the order in which Megatron numbers them.
  const std::vector<LegacyRank> &ranks() const { return list; }
  const PipelineLayout &stages() const { return pipeline; }

  /// What one rank stores of the whole tensors that `set` holds: the copies
  /// that give its tensors, named "model/..." or "model0/...", and the state
  /// dicts. Rows of the vocabulary are padded to a multiple of
  /// `vocabMultiple` * tp.
  struct RankFile {
    plan::PlanT copies;
    /// Entry::tensor is the position in the set that `copies` gives.
    std::vector<LegacyTorchSpec::Model> models;
  };
  Expected<RankFile> fileOf(const LegacyRank &rank, const TensorSet &set,
                            const wmap::ModuleNames &names,
                            int64_t vocabMultiple) const;

  /// Of the tensors of that file.
  uint64_t bytesOf(const LegacyRank &rank, const TensorSet &set,
                   const wmap::ModuleNames &names, int64_t vocabMultiple) const;

  /// The whole tensors out of the files of all ranks. Every tensor of every
  /// file is one that its rank should have, with the shape that it should have
  /// there, and copies of one parameter are equal; else an Input error.
  Expected<plan::PlanT> wholeOf(const LegacyTorchFiles &files) const;

private:
  LegacyLayout(const wmap::ParallelSizes &sizes, PipelineLayout stages)
      : sizes(sizes), pipeline(std::move(stages)) {}

  /// A whole tensor, and how Megatron cuts it.
  struct Whole {
    std::string name;
    std::vector<int64_t> shape; ///< of one expert, without the expert axis
    int64_t experts = 0;        ///< 0: no experts
    size_t axis = 0;            ///< of `shape`
    /// Equal runs along the axis (gate and up) that are cut each; their pieces
    /// are put together again.
    int64_t blocks = 1;
    bool cut = false;    ///< over etp for experts, else over tp
    bool padded = false; ///< rows of the vocabulary
    uint32_t chunk = 0;
    /// Where it comes in a state dict: layer, and position in the plan.
    std::pair<int64_t, size_t> order;
    std::string local; ///< its name, the layer counted from the chunk's first
  };
  /// A tensor of one rank before its module's class is known.
  struct Held {
    const Whole *whole;
    uint32_t chunk; ///< virtual chunk on the rank
    std::string local;
    bool copy = false; ///< of the embedding, which another stage has
  };
  /// A tensor of one rank as stored.
  struct Form {
    std::string name;
    std::vector<int64_t> shape;
    bool transposed = false; ///< experts of GroupedMLP
    int64_t expert = 0;      ///< the first in it, of the rank's
    int64_t experts = 0;     ///< in it; 0: the tensor has none
    int64_t ranks = 1;       ///< over how many the tensor is cut
    int64_t piece = 0;       ///< of each block, along the axis
  };

  void addWhole(const plan::PlacementT &placement,
                std::span<const uint32_t> indices,
                const std::vector<int64_t> &shape, bool padded);
  Status checkCut(const Whole &whole, const plan::PlacementT &placement) const;
  Status makeRanks();
  int64_t expertsPerRank(const Whole &whole) const;
  std::vector<Held> heldBy(uint32_t stage, bool withOptional) const;
  std::vector<Form> formsOf(const Held &held, const wmap::ModuleNames &names,
                            bool gathered, int64_t rows) const;
  std::vector<Form> formsToWrite(const Held &held,
                                 const wmap::ModuleNames &names,
                                 int64_t vocabMultiple) const;
  void addCopies(const Whole &whole, const Form &form, const LegacyRank &rank,
                 const std::string &stored, DType dtype,
                 const std::vector<int64_t> &wholeShape,
                 std::vector<std::unique_ptr<plan::CopyT>> &copies) const;

  wmap::ParallelSizes sizes;
  PipelineLayout pipeline;
  std::vector<LegacyRank> list;
  std::vector<std::unique_ptr<Whole>> wholes;
  const Whole *embedding = nullptr;
  bool hasMtp = false, hasOutput = false, hasExperts = false;
};

} // namespace mbc
