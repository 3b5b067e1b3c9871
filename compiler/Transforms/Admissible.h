//===- Admissible.h - Which parallel sizes fit a model ----------*- C++ -*-===//
#pragma once

#include "compiler/Transforms/WMapEntries.h"
#include "dialects/NN/ShardSizes.h"
#include "mbc/Convert.h"

#include <cstdint>
#include <string>
#include <vector>

namespace mbc::wmap {

/// Those of the library's users, with nothing left open.
struct ParallelSizes : mbc::ParallelSizes {
  ParallelSizes(const mbc::ParallelSizes &sizes = {})
      : mbc::ParallelSizes(sizes) {
    if (etp == 0)
      etp = 1;
  }
  /// The size of a mesh axis of `shard` ("tp", "ep", "etp").
  int64_t of(llvm::StringRef mesh) const;
};

/// The layers of each pipeline chunk, in the order of the layers: chunk k is
/// virtual chunk k / pp of stage k % pp. Empty, with the reason in `why`, when
/// Megatron would refuse the sizes.
std::vector<int64_t> chunkLayers(int64_t layers, const ParallelSizes &sizes,
                                 std::string &why);

/// Whether some parameter is cut over this mesh axis.
bool cutsOver(nn::ModelOp model, llvm::StringRef mesh);

/// All n <= `limit` that every parameter admits on this mesh axis. For "pp":
/// the sizes that divide the layers. An axis that nothing is cut over: {1}.
std::vector<int64_t> admissibleSizes(nn::ModelOp model, llvm::StringRef mesh,
                                     int64_t limit = 1024);
/// W29, W30: refuses sizes that some parameter does not admit, with a note on
/// what would be.
mlir::LogicalResult checkAdmissible(nn::ModelOp model,
                                    const ParallelSizes &sizes);

} // namespace mbc::wmap
