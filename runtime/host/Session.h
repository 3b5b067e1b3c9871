//===- Session.h - A program on the host ------------------------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"
#include "runtime/host/Attention.h"
#include "runtime/host/Gemm.h"
#include "runtime/host/NativeCode.h"
#include "runtime/host/Weights.h"
#include "runtime/program/Program.h"
#include "runtime/program/Session.h"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mbc::host {

struct SessionOptions {
  unsigned threads = 1;
  /// Tokens that the state can hold, of all sequences together.
  int64_t slots = 0;
};

/// Execution on the processors.
class Session final : public mbc::Session {
public:
  /// Loads the code that the program brings for the machine. An Input error
  /// where the state or the weights exceed the machine.
  static Expected<std::unique_ptr<Session>>
  create(const program::ProgramT &program, const SessionOptions &options);
  ~Session() override;

  Status load(const WeightSource &source, Progress &progress) override;
  Status run(const program::FunctionT &function, const Call &call) override;
  int64_t slots() const override { return options.slots; }

  /// Where an instance of a weight lies, `bytesOf` it long, for who fills it
  /// without a checkpoint; of an FP8 one, its scales too.
  std::byte *weight(size_t weight, size_t instance) {
    return weights.at(weight, instance);
  }
  std::span<float> weightScales(size_t weight, size_t instance) {
    return weights.scalesAt(weight, instance);
  }

private:
  Session(const program::ProgramT &program, const SessionOptions &options,
          Weights weights);

  /// The function at hand.
  struct Frame {
    const program::FunctionT *function;
    const Call *call;
    std::vector<BoundView> views;
    /// Of views of weights: the rows that they look at.
    std::vector<std::span<const RowRun>> rowsOf;
    BoundCall bound;
    std::vector<Memory> floats; ///< inputs of floats, with room for all rows
    /// Of views of outputs with one layer of several: that layer; else -1.
    std::vector<int64_t> oneLayer;
  };

  Status bindFloats(Frame &frame);
  Status bindViews(Frame &frame);
  void bindWeight(Frame &frame, size_t view, size_t instance);
  Status bindLayer(Frame &frame, uint32_t layer);
  Status runBody(Frame &frame, const program::BodyT &body, uint32_t layer);
  Status runCommand(Frame &frame, const program::OpUnion &op, uint32_t layer);
  Product productOf(const Frame &frame, uint32_t xView, uint32_t weightView,
                    uint32_t outView, RowRun &whole) const;
  Status multiplyGroups(const Frame &frame, const program::GroupedGemmT &gemm);
  static int64_t rowsOf(const Frame &frame, const BoundView &view) {
    return mbc::rowsOf(*frame.function, frame.bound, view.dims[0]);
  }
  Status placeFeatures(const Frame &frame, const program::PlaceT &place);
  void computeAngles(const Frame &frame, const program::AnglesT &angles);
  StateRows state(size_t index, size_t part, uint32_t layer) const;

  const program::ProgramT &program;
  SessionOptions options;
  ThreadPool pool;
  MemoryLayout layout;
  Weights weights;
  Memory states, arena;
  /// Of row kernels; null: they are interpreted.
  std::unique_ptr<NativeCode> code;
  /// Of a dynamic rope: the longest length since the last short one.
  std::vector<int64_t> ropeLengths;
  ProductScratch scratch;
};

} // namespace mbc::host
