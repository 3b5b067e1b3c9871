//===- ExecPlanMemory.cpp - Places in the arena ---------------------------===//

#include "compiler/Conversion/NNToExec/NNToExec.h"
#include "dialects/Exec/ExecDialect.h"

#include "llvm/Support/MathExtras.h"

namespace mbc {
#define GEN_PASS_DEF_EXECPLANMEMORY
#define GEN_PASS_DEF_EXECVERIFYPLANNED
#include "compiler/Conversion/NNToExec/Passes.h.inc"
} // namespace mbc

using namespace mlir;
using namespace mbc;

namespace {

/// Cache lines: no two buffers share one, and vector loads may be aligned.
constexpr int64_t alignment = 64;

/// A buffer from the first command that names it to the last.
struct Interval {
  exec::BufferOp buffer;
  int64_t begin = 0, end = 0;
  int64_t bytes = 0, offset = 0;

  /// Whether both are in use at some time.
  bool meets(const Interval &other) const {
    return other.begin <= end && begin <= other.end;
  }
};

/// The buffers of a function and when they are in use, in text order.
class Lifetimes {
public:
  explicit Lifetimes(exec::FuncOp function) {
    number(function.getBody().front());
    function.walk([&](exec::BufferOp buffer) {
      MemRefType type = buffer.getType();
      Interval interval{buffer, first[buffer], last[buffer],
                        exec::bytesOf(type, type.getNumElements())};
      extend(interval, buffer.getResult(), buffer->getBlock());
      intervals.push_back(interval);
    });
  }

  std::vector<Interval> intervals;

private:
  /// Numbers in text order; the bodies of a repeat lie inside of it.
  void number(mlir::Block &block) {
    for (Operation &op : block) {
      first[&op] = clock++;
      for (Region &region : op.getRegions())
        number(region.front());
      last[&op] = clock++;
    }
  }

  /// A use inside of a repeat that the buffer is outside of lasts for all of
  /// its layers.
  void extend(Interval &interval, Value view, mlir::Block *home) {
    for (Operation *user : view.getUsers()) {
      Operation *there = home->findAncestorOpInBlock(*user);
      interval.end = std::max(interval.end, last[there]);
      if (auto window = dyn_cast<exec::SubviewOp>(user))
        extend(interval, window.getResult(), home);
    }
  }

  int64_t clock = 0;
  DenseMap<Operation *, int64_t> first, last;
};

/// Gives each interval an offset; largest first, as low as possible.
void place(std::vector<Interval> &intervals) {
  SmallVector<Interval *> order;
  for (Interval &interval : intervals) {
    interval.bytes = llvm::alignTo(interval.bytes, alignment);
    order.push_back(&interval);
  }
  llvm::sort(order, [](Interval *a, Interval *b) {
    return std::pair(b->bytes, a->begin) < std::pair(a->bytes, b->begin);
  });
  SmallVector<Interval *> placed;
  for (Interval *interval : order) {
    // Placed ones that are in use at the same time, by offset.
    SmallVector<Interval *> others;
    for (Interval *other : placed)
      if (interval->meets(*other))
        others.push_back(other);
    llvm::sort(others,
               [](Interval *a, Interval *b) { return a->offset < b->offset; });
    int64_t offset = 0;
    for (Interval *other : others) {
      if (offset + interval->bytes <= other->offset)
        break;
      offset = std::max(offset, other->offset + other->bytes);
    }
    interval->offset = offset;
    placed.push_back(interval);
  }
}

struct ExecPlanMemory : mbc::impl::ExecPlanMemoryBase<ExecPlanMemory> {
  void runOnOperation() override {
    getOperation()->walk([](exec::FuncOp function) {
      Lifetimes lifetimes(function);
      place(lifetimes.intervals);
      int64_t arena = 0;
      for (Interval &interval : lifetimes.intervals) {
        interval.buffer.setOffset(interval.offset);
        arena = std::max(arena, interval.offset + interval.bytes);
      }
      function.setArena(arena);
    });
  }
};

/// (X20) An arena, every buffer inside of it, and none on another that is in
/// use at the same time.
LogicalResult verifyPlanned(exec::FuncOp function) {
  if (!function.getArena())
    return function.emitOpError("has no arena");
  auto arena = static_cast<int64_t>(*function.getArena());
  std::vector<Interval> intervals = Lifetimes(function).intervals;
  for (auto [index, interval] : llvm::enumerate(intervals)) {
    exec::BufferOp buffer = interval.buffer;
    if (!buffer.getOffset())
      return buffer.emitOpError("has no place in the arena");
    interval.offset = static_cast<int64_t>(*buffer.getOffset());
    if (interval.offset < 0)
      return buffer.emitOpError() << "begins at " << interval.offset;
    if (interval.offset > arena - interval.bytes)
      return buffer.emitOpError()
             << "ends at " << interval.offset + interval.bytes
             << ", behind the arena of " << arena << " bytes";
    for (const Interval &other : ArrayRef(intervals).take_front(index)) {
      if (!interval.meets(other) ||
          interval.offset >= other.offset + other.bytes ||
          other.offset >= interval.offset + interval.bytes)
        continue;
      auto diag = buffer.emitOpError(
          "lies on another buffer that is in use at the same time");
      diag.attachNote(exec::BufferOp(other.buffer).getLoc()) << "this one";
      return diag;
    }
  }
  return success();
}

struct ExecVerifyPlanned : mbc::impl::ExecVerifyPlannedBase<ExecVerifyPlanned> {
  void runOnOperation() override {
    WalkResult result = getOperation()->walk([](exec::FuncOp function) {
      return WalkResult(verifyPlanned(function));
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};

} // namespace
