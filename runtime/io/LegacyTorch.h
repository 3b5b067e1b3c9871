//===- LegacyTorch.h - Megatron's legacy torch checkpoints, for reading -*- C++
//-*-===//
//
//   ROOT/latest_checkpointed_iteration.txt
//   ROOT/iter_0000100/ or ROOT/release/
//     mp_rank_TT[_PPP][_EEE]/      tensor-, pipeline-, expert-parallel rank
//       model_optim_rng.pt         torch.save of a dict: args, iteration,
//                                  checkpoint_version, `model` or `model0`,
//                                  `model1`, ... and the state of the training
//       distrib_optim.pt           the distributed optimizer's state
//
// A file holds what one rank had: state dicts of nn.Modules, cut and numbered
// as that rank saw them. What they are parts of is the business of the copy
// plans that are made for them.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/io/Pickle.h"
#include "runtime/io/TensorSet.h"

#include <filesystem>
#include <map>
#include <memory>
#include <optional>

namespace mbc {

/// The tensors of all ranks, under the names
/// "mp_rank_00_001/model/decoder.layers.0.mlp.linear_fc2.weight".
class LegacyTorchFiles final : public TensorSet {
public:
  struct Rank {
    std::string folder; ///< "mp_rank_00_001"
    /// The numbers of that name: tensor-parallel rank, then the pipeline- or
    /// the expert-parallel one, then the expert-parallel one.
    std::vector<uint32_t> numbers;
    uint32_t chunks = 1;   ///< model0, model1, ...; 1: `model`
    bool numbered = false; ///< model0 and not `model`
  };

  /// `folder`: the one with `mp_rank_*`. Reads the directory and the pickle of
  /// every rank's file, no weights. An Input error when ranks disagree about
  /// the arguments or the iteration, when the numbers of the folders have
  /// gaps, or when a tensor cannot be read in place.
  static Expected<std::unique_ptr<LegacyTorchFiles>>
  open(const std::filesystem::path &folder, unsigned threads = 0);

  void locate(size_t index, int64_t begin, int64_t count, int64_t dest,
              std::vector<Extent> &out) const override;

  const std::filesystem::path &folder() const { return directory; }
  /// Sorted by their numbers.
  const std::vector<Rank> &ranks() const { return list; }
  /// `args` of the first rank, an argparse.Namespace; None when there is none.
  const PickleValue &arguments() const { return args; }
  /// An integer of the arguments; none when it is absent or None.
  std::optional<int64_t> argument(std::string_view name) const;
  /// Kept out of the set: `optimizer`, `rng_state`, ... and other files of the
  /// ranks' folders, with the number of ranks that have them.
  const std::map<std::string, size_t> &skipped() const { return left; }

  /// The tensors of one rank: indices [first, second) of `tensors()`.
  std::pair<size_t, size_t> tensorsOf(size_t rank) const {
    return {starts[rank], starts[rank + 1]};
  }
  /// An error unless two tensors of one shape and type hold the same bits. By
  /// the checksums of their records where these are of nothing else.
  Status checkEqual(size_t a, size_t b) const;

  /// Compares the CRC-32 of every record of a tensor. Returns the number of
  /// records that state none.
  Expected<size_t> verifyCrc(unsigned threads = 0) const;

private:
  LegacyTorchFiles() = default;
  struct File;
  struct Stored {
    uint32_t rank;
    uint64_t offset; ///< of the first element, in the file
    uint32_t crc;    ///< of the whole record; 0 when it holds more than this
  };
  Status checkRanks(const std::vector<File> &files) const;
  Status checkFolders() const;
  Expected<size_t> verifyRanks(size_t first, size_t last,
                               unsigned threads) const;

  std::filesystem::path directory;
  std::vector<Rank> list;
  std::vector<Stored> stored;
  std::vector<size_t> starts;
  PickleValue args;
  std::map<std::string, size_t> left;
};

} // namespace mbc
