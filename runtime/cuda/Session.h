//===- Session.h - A program on a GPU ---------------------------*- C++ -*-===//
#pragma once

#include "runtime/cuda/CublasLt.h"
#include "runtime/cuda/Cudnn.h"
#include "runtime/cuda/Fusion.h"
#include "runtime/cuda/Graphs.h"
#include "runtime/cuda/HeadTurns.h"
#include "runtime/cuda/Kernels.h"
#include "runtime/cuda/WeightScales.h"
#include "runtime/program/MemoryLayout.h"
#include "runtime/program/Program.h"
#include "runtime/program/Session.h"
#include "runtime/program/WeightSource.h"

#include <array>
#include <optional>
#include <tuple>

namespace mbc::cuda {

class Launcher;
struct DrawRow; // kernels/Arguments.h

struct SessionOptions {
  int device = 0;
  /// Workers that read weights.
  unsigned threads = 1;
  /// Tokens that the state can hold, of all sequences together.
  int64_t slots = 0;
};

/// Tables of sequences: whether these have a state, for how many there is room,
/// the strides of the arrays, and the slots that there are.
using SequenceTableKey =
    std::tuple<bool, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t>;

/// Execution on a GPU, in the order of one stream.
class Session final : public mbc::Session {
public:
  /// An Input error where the device has not enough memory: it says how much is
  /// needed and free, and what lowers it.
  ~Session() override;
  static Expected<std::unique_ptr<Session>>
  create(const program::ProgramT &program, const SessionOptions &options);

  /// Files are read into pinned memory and copied from there while the next
  /// ones are read.
  Status load(const WeightSource &source, Progress &progress) override;
  Status run(const program::FunctionT &function, const Call &call) override;
  int64_t slots() const override { return options.slots; }
  bool choosesTokens() const override { return true; }
  bool runsAhead() const override { return mayRunAhead && !profiled; }
  Status start(const program::FunctionT &function, const Call &call,
               bool follows) override;
  Status finish() override;
  std::vector<std::string> notes() const override;
  const Device &device() const { return *gpu; }
  /// Keeps times of kernels from now on; null: no longer.
  void keepProfile(Profile *profile) {
    gpu->keepProfile(profile);
    profiled = profile != nullptr;
  }

  /// Launches of attention that were cuDNN's.
  uint64_t cudnnLaunches() const { return attendedByCudnn; }
  /// Launches of products with what is around them; of a graph those that it
  /// was made of.
  uint64_t fusedLaunches() const { return fusedLaunched; }
  /// Launches of attention that turned its queries and keys, and of appends.
  uint64_t turnedLaunches() const { return attendedTurned + turnedBefore; }

  /// Copies `bytesOf` an instance of a weight from `from`, for who has it
  /// without a checkpoint; of an FP8 one, its scales.
  Status setWeight(size_t weight, size_t instance, const void *from);
  Status setScales(size_t weight, size_t instance, const ScaledRows &rows) {
    return scales.set(*gpu, weight, instance, rows);
  }

private:
  friend class Launcher;
  Session(const program::ProgramT &program, const SessionOptions &options);

  std::byte *weightAt(size_t weight, size_t instance) const;
  /// Finds out which row kernels are products' affair.
  Status fuse();
  /// Null where there is none. It is started when first asked for.
  Cudnn *cudnn();
  /// Room of at least `bytes` that a command may use while it runs.
  Expected<std::byte *> scratch(uint64_t bytes);
  /// `draws` for so many rows.
  Expected<DrawRow *> drawRows(int64_t rows);

  const program::ProgramT &program;
  SessionOptions options;
  MemoryLayout layout;
  std::unique_ptr<Device> gpu;
  std::unique_ptr<Kernels> kernels;
  /// Whether row kernels are those that the program brings for this GPU.
  bool runsGenerated = false;
  /// Null where the library is not there: products are mbc's own then.
  std::unique_ptr<CublasLt> products;
  WeightScales scales;
  /// `chosen`: the tokens of the last call; `draws`: a DrawRow of each row, for
  /// as many as were drawn at once.
  Memory weights, states, arena, ports, chosen, draws, work;
  /// Of a call that is under way: memory of the host, pinned, that its numbers
  /// leave from, and where its outputs arrive as far as they fit.
  struct CallBuffers {
    Memory staging, results;
    CUevent done = nullptr;
  };
  std::array<CallBuffers, 2> buffers;
  /// Calls that were started, and that were finished: each has the buffers of
  /// its number.
  uint64_t started = 0, finished = 0;
  std::array<std::unique_ptr<Launcher>, 2> underWay;
  /// Counters of kernels whose last block ends their work: zeros between them.
  Memory arrived;
  std::optional<std::unique_ptr<Cudnn>> startedCudnn;
  /// Why it was not, where attention that it takes had to do without.
  std::string withoutCudnn;
  struct Fusions {
    Fusion ofOneRow, ofFewRows;
  };
  /// Of each function; none where MBC_CUDA_FUSE=0.
  std::map<const program::FunctionT *, Fusions> fusions;
  /// Rows of float32 that a product leaves for the next one's norm.
  Memory handed;
  uint64_t handedBytes = 0, fusedLaunched = 0;
  uint64_t attendedByCudnn = 0, attendedTurned = 0, turnedBefore = 0;
  /// Row kernels whose work attention does; none: MBC_CUDA_FUSE=0.
  TurnsOfRows turns;
  std::map<SequenceTableKey, Memory> sequenceTables;
  /// Of row kernels: their steps; of ropes: frequencies, then axes.
  std::vector<Memory> steps, ropes;
  /// Of row kernels: floats of a row's scratch.
  std::vector<int32_t> stepFloats;
  /// MBC_CUDA_WAIT=1: after each command, so that a failure names its own.
  bool waitsForEach = false;
  /// MBC_CUDA_DECODE_PARTS: parts of the keys of attention of few rows; 0: as
  /// many as seem best.
  int64_t decodeParts = 0;
  /// MBC_CUDA_AHEAD=0: not.
  bool mayRunAhead = true;
  /// MBC_CUDA_LATENT=plain: not by Latent.cu.
  bool decodesLatents = true;
  bool profiled = false;
  /// Null: MBC_CUDA_GRAPHS=0.
  std::unique_ptr<Graphs> graphs;
  /// Of a dynamic rope: the longest length since the last short one.
  std::vector<int64_t> ropeLengths;
};

} // namespace mbc::cuda
