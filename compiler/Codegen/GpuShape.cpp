//===- GpuShape.cpp -------------------------------------------------------===//

#include "compiler/Codegen/GpuShape.h"

#include "llvm/Support/MathExtras.h"

#include <set>

using namespace mlir;
using mbc::program::RowKind;

namespace mbc::codegen {

namespace {

constexpr int64_t warp = 32;
/// Bytes of the widest access.
constexpr int64_t widest = 16;
/// Threads of a block, where nothing asks for others; and of one that has a
/// whole row, before a thread has more than one piece, and at most.
constexpr int64_t usualThreads = 256, rowThreads = 512, mostThreads = 1024;
/// Pieces of a whole row that a warp takes without others: it needs no barrier.
constexpr int64_t warpPieces = 64;
/// Pieces of a row that a thread of `rowThreads` has before there are more
/// threads.
constexpr int64_t mostPieces = 4;
/// Floats of an operand that a thread has at once, of several segments.
constexpr int64_t batchFloats = 16;

class Shaper {
public:
  Shaper(const RowKernel &kernel, const StagePlan &plan)
      : kernel(kernel), plan(plan) {}

  GpuShape run();

private:
  std::set<int64_t> operandsOf(const Stage &stage, bool stored) const;
  bool areIndependent() const;
  bool isOneRow(size_t stage) const {
    return !plan.stages[stage].norms.empty() &&
           plan.stages[stage].width == plan.stages[stage].count;
  }
  StageShape shapeOf(size_t stage) const;
  void setGroup(size_t stage, int64_t threads);
  GpuTask taskOf(size_t stage);
  int64_t batchOf(size_t stage) const;
  int64_t threadsOfRow(size_t stage) const;

  const RowKernel &kernel;
  const StagePlan &plan;
  GpuShape shape;
};

/// The operands that a stage stores, or all that it touches.
std::set<int64_t> Shaper::operandsOf(const Stage &stage, bool stored) const {
  std::set<int64_t> operands;
  std::vector<int64_t> open(stage.roots.begin(), stage.roots.end());
  std::set<int64_t> seen;
  while (!open.empty()) {
    int64_t i = open.back();
    open.pop_back();
    const Step &step = kernel.steps[i];
    if (!seen.insert(i).second)
      continue;
    if (step.kind == RowKind::Store || (!stored && step.kind == RowKind::Load))
      operands.insert(step.operand);
    open.insert(open.end(), step.inputs.begin(), step.inputs.end());
  }
  return operands;
}

/// Whether no stage needs what another has done.
bool Shaper::areIndependent() const {
  if (llvm::is_contained(plan.kept, true))
    return false;
  for (const Stage &writer : plan.stages)
    for (const Stage &other : plan.stages)
      if (&writer != &other)
        for (int64_t a : operandsOf(writer, true))
          for (int64_t b : operandsOf(other, false))
            if (kernel.overlap(a, b) != Overlap::None)
              return false;
  return true;
}

StageShape Shaper::shapeOf(size_t number) const {
  const Stage &stage = plan.stages[number];
  StageShape result;
  // As many places as make a widest access of the narrowest elements.
  int64_t least = sizeof(float);
  for (int64_t operand : operandsOf(stage, false))
    least = std::min<int64_t>(
        least, kernel.operands[operand].element.getIntOrFloatBitWidth() / 8);
  // Of two points both together: a thread then has as many values as in other
  // stages, and processors as many threads.
  result.lanes = widest / least / (stage.points == Points::One ? 1 : 2);
  while (stage.chunk % result.lanes != 0)
    result.lanes /= 2;
  result.pieces = stage.places() / result.lanes;
  int64_t segments = stage.count / stage.width;
  if (stage.norms.empty()) {
    result.items = segments * result.pieces;
    return result;
  }
  result.group =
      std::min<int64_t>(warp, llvm::PowerOf2Ceil(uint64_t(result.pieces)));
  result.share = llvm::divideCeil(result.pieces, result.group);
  result.items = segments * result.group;
  return result;
}

/// Gives a whole row of a stage to all threads of a block.
void Shaper::setGroup(size_t stage, int64_t threads) {
  StageShape &of = shape.stages[stage];
  of.group = of.items = threads;
  of.share = llvm::divideCeil(of.pieces, threads);
}

/// Threads of a block that has a whole row.
int64_t Shaper::threadsOfRow(size_t stage) const {
  int64_t pieces = shape.stages[stage].pieces;
  int64_t share = llvm::divideCeil(pieces, rowThreads);
  if (share > mostPieces)
    share = llvm::divideCeil(pieces, mostThreads);
  return llvm::alignTo(llvm::divideCeil(pieces, share), warp);
}

/// Segments that a thread works on at once.
int64_t Shaper::batchOf(size_t stage) const {
  const StageShape &of = shape.stages[stage];
  int64_t points = plan.stages[stage].points == Points::One ? 1 : 2;
  int64_t segments = plan.stages[stage].count / plan.stages[stage].width;
  int64_t most = batchFloats / (of.lanes * points * of.share);
  return std::max<int64_t>(1, std::min(most, segments));
}

/// A stage on blocks of `shape.threads`.
GpuTask Shaper::taskOf(size_t stage) {
  StageShape &of = shape.stages[stage];
  GpuTask task{{stage}, of.items, 1, 1};
  if (of.group > warp)
    return task;
  int64_t segments = plan.stages[stage].count / plan.stages[stage].width;
  int64_t ofSegment = of.items / segments;
  if (int64_t batch = batchOf(stage); batch > 1 && ofSegment <= shape.threads) {
    of.batch = batch;
    // Whole segments, so that a thread is at the same place of each.
    int64_t threads = llvm::divideCeil(segments, batch) * ofSegment;
    task.threads = std::min(threads, shape.threads / ofSegment * ofSegment);
    task.parts = llvm::divideCeil(threads, task.threads);
    task.rows = task.parts == 1 ? shape.threads / task.threads : 1;
    return task;
  }
  if (of.items <= shape.threads) {
    task.rows = shape.threads / of.items;
    return task;
  }
  task.parts = llvm::divideCeil(of.items, shape.threads);
  task.threads = llvm::alignTo(llvm::divideCeil(of.items, task.parts), warp);
  return task;
}

GpuShape Shaper::run() {
  for (size_t i = 0; i < plan.stages.size(); ++i)
    shape.stages.push_back(shapeOf(i));
  if (!areIndependent()) {
    GpuTask task;
    for (size_t i = 0; i < plan.stages.size(); ++i) {
      task.stages.push_back(i);
      task.threads = std::max(
          task.threads, isOneRow(i) ? threadsOfRow(i) : shape.stages[i].items);
    }
    task.threads = shape.threads =
        llvm::alignTo(std::min(task.threads, rowThreads), warp);
    for (size_t i = 0; i < plan.stages.size(); ++i)
      if (isOneRow(i) && shape.threads > warp)
        setGroup(i, shape.threads);
    shape.tasks.push_back(std::move(task));
    return std::move(shape);
  }
  shape.threads = usualThreads;
  for (size_t i = 0; i < plan.stages.size(); ++i)
    if (isOneRow(i) && shape.stages[i].pieces > warpPieces) {
      setGroup(i, threadsOfRow(i));
      shape.threads = std::max(shape.threads, shape.stages[i].items);
    }
  // No more threads than some task uses.
  int64_t used = warp;
  for (size_t i = 0; i < plan.stages.size(); ++i) {
    shape.tasks.push_back(taskOf(i));
    used = std::max(used, shape.tasks[i].threads * shape.tasks[i].rows);
  }
  shape.threads = llvm::alignTo(used, warp);
  return std::move(shape);
}

} // namespace

GpuShape planShape(const RowKernel &kernel, const StagePlan &plan) {
  return Shaper(kernel, plan).run();
}

} // namespace mbc::codegen
