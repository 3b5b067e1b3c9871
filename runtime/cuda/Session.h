//===- Session.h - A program on a GPU ---------------------------*- C++ -*-===//
#pragma once

#include "runtime/cuda/CublasLt.h"
#include "runtime/cuda/Kernels.h"
#include "runtime/program/Call.h"
#include "runtime/program/MemoryLayout.h"
#include "runtime/program/Program.h"
#include "runtime/program/WeightSource.h"

namespace mbc::cuda {

struct SessionOptions {
  int device = 0;
  /// Workers that read weights.
  unsigned threads = 1;
  /// Tokens that the state can hold, of all sequences together.
  int64_t slots = 0;
};

/// Memory of a GPU for a program's weights, state and scratch, and its
/// execution there, in the order of one stream. Not for several threads at
/// once.
class Session {
public:
  /// An Input error where the device has not enough memory: it says how much is
  /// needed and free, and what lowers it.
  static Expected<std::unique_ptr<Session>>
  create(const program::ProgramT &program, const SessionOptions &options);

  /// Fills the weights: files are read into pinned memory and copied from there
  /// while the next ones are read.
  Status load(const WeightSource &source, Progress &progress);

  /// Runs a function and waits for its outputs. Errors name what `bindCall`
  /// names, and of what fails on the device the command's place in the
  /// declaration.
  Status run(const program::FunctionT &function, const Call &call);

  int64_t slots() const { return options.slots; }
  const Device &device() const { return *gpu; }

  /// Copies `bytesOf` an instance of a weight from `from`, for who has it
  /// without a checkpoint.
  Status setWeight(size_t weight, size_t instance, const void *from);

private:
  friend class Launcher;
  Session(const program::ProgramT &program, const SessionOptions &options)
      : program(program), options(options) {}

  std::byte *weightAt(size_t weight, size_t instance) const;
  /// Room of at least `bytes` that a command may use while it runs.
  Expected<std::byte *> scratch(uint64_t bytes);

  const program::ProgramT &program;
  SessionOptions options;
  MemoryLayout layout;
  std::unique_ptr<Device> gpu;
  std::unique_ptr<Kernels> kernels;
  /// Null where the library is not there: products are mbc's own then.
  std::unique_ptr<CublasLt> products;
  Memory weights, states, arena, ports, staging, work;
  /// Of row kernels: their steps; of ropes: frequencies, then axes.
  std::vector<Memory> steps, ropes;
  /// Of row kernels: floats of a row's scratch.
  std::vector<int32_t> stepFloats;
  /// MBC_CUDA_WAIT=1: after each command, so that a failure names its own.
  bool waitsForEach = false;
  /// Of a dynamic rope: the longest length since the last short one.
  std::vector<int64_t> ropeLengths;
};

} // namespace mbc::cuda
