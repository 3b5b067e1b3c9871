//===- EmitGpuRows.cpp ----------------------------------------------------===//

#include "compiler/Codegen/EmitGpuRows.h"
#include "compiler/Codegen/RowValues.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using mbc::program::RowKind;

namespace mbc::codegen {

namespace {

constexpr int64_t warp = 32;
constexpr unsigned globalSpace = 1, sharedSpace = 3;
/// Floats of a thread's share of a segment that stay in registers from its sums
/// to its elements, all loads first; a greater one is looped over.
constexpr int64_t registerFloats = 64;

/// Arguments in front of the operands.
enum Argument { Counts, Which, Factor, Divisor, Launched, Operands };

class GpuEmitter : RowValues {
public:
  GpuEmitter(ImplicitLocOpBuilder &builder, ModuleOp module,
             const RowKernel &kernel, const StagePlan &plan,
             const GpuShape &shape, bool dependent)
      : RowValues(builder, kernel, plan, Machine::Gpu,
                  {globalSpace, sharedSpace, /*aligned=*/true}),
        module(module), shape(shape), dependent(dependent) {}

  void emit(func::FuncOp function);

private:
  /// A thread's share of a segment, or the piece that it has.
  struct Item {
    Value segment;  ///< its first element
    Value isInside; ///< null: always
  };
  /// A piece at a place of the segment, and whether it is one; null: always.
  struct Place {
    Piece piece;
    Value isInside;
  };

  // Instructions that are no one's operation.
  Value call(StringRef name, Type type, ValueRange operands = {});
  Value special(StringRef name);
  Value integer(int64_t value) {
    return arith::ConstantOp::create(b, b.getI32IntegerAttr(value));
  }
  Value argument(int64_t number) { return entry->getArgument(number); }
  Value wide(Value x) { return arith::ExtSIOp::create(b, b.getI64Type(), x); }
  Value both(Value x, Value y) {
    return !x ? y : !y ? x : Value(arith::AndIOp::create(b, x, y));
  }
  Value isBelow(Value x, Value y) {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::slt, x, y);
  }
  Value quotient(Value x, int64_t y) {
    return y == 1 ? x : b.createOrFold<arith::DivUIOp>(x, constant(y));
  }
  Value remainder(Value x, int64_t y) {
    return y == 1 ? constant(0)
                  : b.createOrFold<arith::RemUIOp>(x, constant(y));
  }
  /// ceil(launched / rows)
  Value blocksOf(int64_t rows) {
    return quotient(plus(wide(argument(Launched)), constant(rows - 1)), rows);
  }
  void barrier() {
    call("llvm.nvvm.barrier.cta.sync.aligned.all", {}, integer(0));
  }
  void keepLoadsHere();
  Value shared(StringRef name, int64_t floats, LLVM::Linkage linkage);
  template <typename Body> void when(Value condition, Body body);

  void emitTasks(size_t first, Value block);
  void emitTask(const GpuTask &of, Value block);
  void emitRow();
  void emitItems();
  void storeRoots(ArrayRef<Values> results, const Place &at);
  void setItem(Value index);
  void setBatch();
  void setFirstItems();
  bool isStatic() const;
  /// Whether a thread has the same items in each row.
  bool hasSameItems() const {
    return spread->batch > 1 || spread->items <= task->threads * task->parts;
  }
  void setPlaces(Value first);
  Place placeAt(Value number);
  using PlaceBody =
      llvm::function_ref<void(const Place &, SmallVector<Value> &)>;
  void eachPlace(SmallVector<Value> &carried, PlaceBody body);
  Value sumOf(int64_t norm, Value mean);
  Value sumOfGroup(Value sum);
  void emitNorm(int64_t norm);
  void enter(size_t number) {
    stage = &plan.stages[number];
    spread = &shape.stages[number];
  }

  ModuleOp module;
  const GpuShape &shape;
  const bool dependent;

  // Of the task at hand.
  const GpuTask *task = nullptr;
  const StageShape *spread = nullptr;
  Value thread;              ///< of the row
  Value part;                ///< of the row
  Value isMember;            ///< whether the thread has a row; null: always
  Value isInside;            ///< whether the row is one of the call
  Value first;               ///< piece of a segment that the thread has
  SmallVector<Item> items;   ///< of the thread, at once
  SmallVector<Place> places; ///< of each, where they are written out
  int64_t sums = 0;          ///< that blocks have made so far
};

//===----------------------------------------------------------------------===//
// Instructions
//===----------------------------------------------------------------------===//

Value GpuEmitter::call(StringRef name, Type type, ValueRange operands) {
  if (!type) {
    LLVM::CallIntrinsicOp::create(b, b.getStringAttr(name), operands);
    return {};
  }
  return LLVM::CallIntrinsicOp::create(b, type, b.getStringAttr(name), operands)
      ->getResult(0);
}

/// LLVM would move a load to where its value is stored, behind the wait for the
/// number of rows; not across what may write to memory.
void GpuEmitter::keepLoadsHere() {
  LLVM::InlineAsmOp::create(b, TypeRange(), ValueRange(), "", "~{memory}",
                            /*has_side_effects=*/true,
                            /*is_align_stack=*/false,
                            LLVM::tailcallkind::TailCallKind::None,
                            LLVM::AsmDialectAttr(), ArrayAttr());
}

/// A register that numbers threads or blocks.
Value GpuEmitter::special(StringRef name) {
  Value number =
      call(("llvm.nvvm.read.ptx.sreg." + name).str(), b.getI32Type());
  return arith::ExtUIOp::create(b, b.getI64Type(), number);
}

/// The module's array of that name in the memory that a block shares. One whose
/// size the launch says has no floats here.
Value GpuEmitter::shared(StringRef name, int64_t floats,
                         LLVM::Linkage linkage) {
  auto type = LLVM::LLVMArrayType::get(b.getF32Type(), floats);
  auto known = module.lookupSymbol<LLVM::GlobalOp>(name);
  if (!known) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(module.getBody());
    known = LLVM::GlobalOp::create(b, type, /*isConstant=*/false, linkage, name,
                                   Attribute(), /*alignment=*/16, sharedSpace);
  }
  return LLVM::AddressOfOp::create(b, known);
}

template <typename Body> void GpuEmitter::when(Value condition, Body body) {
  if (!condition)
    return body();
  auto branch = scf::IfOp::create(b, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(branch.thenBlock()->getTerminator());
  keepingKnown(body);
}

//===----------------------------------------------------------------------===//
// Sums
//===----------------------------------------------------------------------===//

/// A thread's sum, of all threads of its group: the same in each of them.
Value GpuEmitter::sumOfGroup(Value sum) {
  for (int64_t lane = std::min(spread->group, warp) / 2; lane > 0; lane /= 2)
    sum = math.add(sum, call("llvm.nvvm.shfl.sync.bfly.f32", b.getF32Type(),
                             {integer(-1), sum, integer(lane), integer(31)}));
  if (spread->group <= warp)
    return sum;
  // Sums follow each other: each has a place of its own until all blocks have
  // read it, which a barrier at the end of the row says.
  int64_t warps = spread->group / warp;
  Value all = address(
      b.getF32Type(),
      shared("sums" + std::to_string(sums++), warp, LLVM::Linkage::Internal),
      constant(0));
  Value isFirst = arith::CmpIOp::create(b, arith::CmpIPredicate::eq,
                                        remainder(thread, warp), constant(0));
  // Threads of a block that have no part of the row have none here either.
  if (shape.threads > spread->group)
    isFirst = both(isFirst, isMember);
  when(isFirst, [&] {
    LLVM::StoreOp::create(
        b, sum, address(b.getF32Type(), all, quotient(thread, warp)), 4);
  });
  barrier();
  auto type = VectorType::get({warps}, b.getF32Type());
  Value read = LLVM::LoadOp::create(b, type, all, /*alignment=*/16);
  return math.sum(
      math.extend(read, int64_t(llvm::PowerOf2Ceil(uint64_t(warps)))));
}

/// Of a norm's input over the segment, as Emitter::sumOf.
Value GpuEmitter::sumOf(int64_t norm, Value mean) {
  const Step &step = kernel.steps[norm];
  bool squares = mean || step.kind == RowKind::RMSNorm;
  SmallVector<Value> sum{math.broadcast(number(0), spread->lanes)};
  eachPlace(sum, [&](const Place &at, SmallVector<Value> &carried) {
    for (Value v : valueAt(step.inputs[0], Path::Main, at.piece)) {
      if (mean)
        v = math.sub(v, math.broadcast(mean, spread->lanes));
      // What is no piece adds nothing, whatever is there.
      if (at.isInside)
        v = arith::SelectOp::create(b, at.isInside, v, math.splat(0, v));
      carried[0] =
          squares ? math.fma(v, v, carried[0]) : math.add(carried[0], v);
    }
  });
  return sumOfGroup(math.sum(sum[0]));
}

void GpuEmitter::emitNorm(int64_t norm) {
  const Step &step = kernel.steps[norm];
  Value width = number(static_cast<float>(step.width)), mean;
  if (step.kind == RowKind::LayerNorm)
    mean = means[norm] = math.div(sumOf(norm, {}), width);
  Value variance = math.div(sumOf(norm, mean), width);
  Value deviation = math::SqrtOp::create(
      b, math.add(variance, number(static_cast<float>(step.scalar))));
  factors[norm] = math.div(number(1), deviation);
}

//===----------------------------------------------------------------------===//
// Pieces
//===----------------------------------------------------------------------===//

/// Whether a thread's share is written out.
bool GpuEmitter::isStatic() const {
  int64_t points = stage->points == Points::One ? 1 : 2;
  return spread->share * spread->lanes * points <= registerFloats;
}

/// Goes to the item of that number in the row. What is none is the last one's
/// again: it is read, and not written.
void GpuEmitter::setItem(Value index) {
  Item item;
  int64_t stride = task->threads * task->parts;
  if (spread->items % stride != 0) {
    item.isInside = isBelow(index, constant(spread->items));
    index = arith::MinSIOp::create(b, index, constant(spread->items - 1));
  }
  int64_t perSegment = stage->norms.empty() ? spread->pieces : spread->group;
  bool one = stage->count == stage->width;
  item.segment =
      one ? constant(0) : times(quotient(index, perSegment), stage->width);
  items = {item};
  setPlaces(one ? index : remainder(index, perSegment));
}

/// Goes to the thread's items of all segments that it has at once.
void GpuEmitter::setBatch() {
  int64_t perSegment = stage->norms.empty() ? spread->pieces : spread->group;
  int64_t segments = stage->count / stage->width,
          atOnce = task->threads / perSegment;
  Value number =
      plus(quotient(thread, perSegment), times(part, atOnce * spread->batch));
  items.clear();
  for (int64_t i = 0; i < spread->batch; ++i) {
    Item item{plus(number, constant(i * atOnce)), {}};
    if (segments % (atOnce * spread->batch) != 0) {
      item.isInside = isBelow(item.segment, constant(segments));
      item.segment =
          arith::MinSIOp::create(b, item.segment, constant(segments - 1));
    }
    item.segment = times(item.segment, stage->width);
    items.push_back(item);
  }
  setPlaces(remainder(thread, perSegment));
}

/// The items of a thread that has the same in each row.
void GpuEmitter::setFirstItems() {
  if (spread->batch > 1)
    setBatch();
  else
    setItem(plus(thread, times(part, task->threads)));
}

void GpuEmitter::setPlaces(Value piece) {
  first = piece;
  places.clear();
  if (isStatic())
    for (int64_t i = 0; i < spread->share; ++i)
      places.push_back(placeAt(constant(i)));
}

/// A piece of an item; pieces of a group's threads lie beside each other.
GpuEmitter::Place GpuEmitter::placeAt(Value number) {
  Place place{{first, constant(0), spread->lanes}, {}};
  if (!stage->norms.empty()) {
    Value index = plus(times(number, spread->group), first);
    if (spread->pieces % spread->group != 0) {
      place.isInside = isBelow(index, constant(spread->pieces));
      index = arith::MinSIOp::create(b, index, constant(spread->pieces - 1));
    }
    place.piece.chunk = index;
  }
  place.piece.chunk = times(place.piece.chunk, spread->lanes);
  return place;
}

void GpuEmitter::eachPlace(SmallVector<Value> &carried, PlaceBody body) {
  if (isStatic()) {
    for (const Place &place : places)
      body(place, carried);
    return;
  }
  auto loop = scf::ForOp::create(b, constant(0), constant(spread->share),
                                 constant(1), ValueRange(carried));
  OpBuilder::InsertionGuard guard(b);
  if (carried.empty())
    b.setInsertionPoint(loop.getBody()->getTerminator());
  else
    b.setInsertionPointToStart(loop.getBody());
  SmallVector<Value> values(loop.getRegionIterArgs());
  keepingKnown([&] { body(placeAt(loop.getInductionVar()), values); });
  if (!carried.empty())
    scf::YieldOp::create(b, values);
  carried.assign(loop.getResults().begin(), loop.getResults().end());
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

void GpuEmitter::storeRoots(ArrayRef<Values> results, const Place &at) {
  when(at.isInside, [&] {
    for (auto [root, values] : llvm::zip(stage->roots, results))
      storeRoot(root, at.piece, values);
  });
}

void GpuEmitter::emitItems() {
  if (isStatic()) {
    // All that is read is asked for before anything is waited for.
    for (const Item &item : items) {
      segment = item.segment;
      for (const Place &place : places)
        for (auto [load, path] : loadsOfStage())
          valueAt(load, path, place.piece);
    }
    keepLoadsHere();
    std::vector<SmallVector<Values>> results;
    for (const Item &item : items) {
      segment = item.segment;
      for (int64_t norm : stage->norms)
        emitNorm(norm);
      for (const Place &place : places)
        for (SmallVector<Values> &of = results.emplace_back();
             int64_t root : stage->roots)
          of.push_back(rootAt(root, place.piece));
    }
    when(isInside, [&] {
      for (auto [i, item] : llvm::enumerate(items)) {
        segment = item.segment;
        when(item.isInside, [&] {
          for (auto [n, place] : llvm::enumerate(places))
            storeRoots(results[i * places.size() + n], place);
        });
      }
    });
    return;
  }
  // A greater share is read twice, of one item.
  const Item &item = items.front();
  segment = item.segment;
  for (int64_t norm : stage->norms)
    emitNorm(norm);
  SmallVector<Value> none;
  Value isWritten = both(isInside, item.isInside);
  eachPlace(none, [&](const Place &at, SmallVector<Value> &) {
    SmallVector<Values> results;
    for (int64_t root : stage->roots)
      results.push_back(rootAt(root, at.piece));
    storeRoots(results, {at.piece, both(isWritten, at.isInside)});
  });
}

/// The stages of the task for the row at `rowBase`.
void GpuEmitter::emitRow() {
  bool several = task->stages.size() > 1;
  for (size_t number : task->stages) {
    if (several) {
      enter(number);
      known.clear();
      if (hasSameItems())
        setFirstItems();
    }
    if (hasSameItems()) {
      emitItems();
    } else {
      int64_t rounds = llvm::divideCeil(spread->items, task->threads);
      auto loop =
          scf::ForOp::create(b, constant(0), constant(rounds), constant(1));
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPoint(loop.getBody()->getTerminator());
      keepingKnown([&] {
        setItem(plus(thread, times(loop.getInductionVar(), task->threads)));
        emitItems();
      });
    }
    // The next one may read what other threads have written.
    if (several)
      barrier();
  }
}

void GpuEmitter::emitTask(const GpuTask &of, Value block) {
  task = &of;
  known.clear();
  Value number = special("tid.x"), row;
  bool whole = of.threads * of.rows == shape.threads;
  bool oneRow = whole && of.rows == 1;
  row = oneRow ? constant(0) : quotient(number, of.threads);
  thread = oneRow ? number : remainder(number, of.threads);
  isMember = whole ? Value() : isBelow(row, constant(of.rows));
  part = remainder(block, of.parts);
  Value first = times(quotient(block, of.parts), of.rows);
  // What no other grid writes is read before it is waited for.
  if (of.stages.size() == 1) {
    enter(of.stages[0]);
    if (hasSameItems()) {
      setFirstItems();
      rowBase.clear();
      for (size_t i = 0; i < kernel.operands.size(); ++i)
        rowBase.push_back(argument(Operands + i));
      for (const Item &item : items) {
        segment = item.segment;
        for (const Place &place : places)
          for (auto [load, path] : loadsOfStage())
            if (kernel.operands[kernel.steps[load].operand].shared)
              valueAt(load, path, place.piece);
      }
    }
  }
  if (dependent)
    call("llvm.nvvm.griddepcontrol.wait", {});
  auto given = LLVM::LoadOp::create(
      b, b.getI32Type(),
      address(b.getI32Type(), argument(Counts), wide(argument(Which))), 4);
  Value divisor = wide(argument(Divisor));
  Value total = arith::MulIOp::create(b, wide(given), wide(argument(Factor)));
  // row < total / divisor, without a division, which is dozens of instructions.
  auto isOfCall = [&](Value number) -> Value {
    return arith::CmpIOp::create(
        b, arith::CmpIPredicate::sle,
        arith::MulIOp::create(b, plus(number, constant(1)), divisor), total);
  };

  // Rows of the launch are there to be read, whether or not the call has them:
  // the first ones do not wait for the count.
  Type index = b.getI64Type();
  Value stride = times(blocksOf(of.rows), of.rows);
  auto loop = scf::WhileOp::create(b, TypeRange{index, index},
                                   ValueRange{first, wide(argument(Launched))});
  OpBuilder::InsertionGuard guard(b);
  Block *body = b.createBlock(&loop.getBefore(), {}, TypeRange{index, index},
                              {b.getLoc(), b.getLoc()});
  Value base = body->getArgument(0), limit = body->getArgument(1);
  Value own = plus(base, row);
  isInside = both(isOfCall(own), isMember);
  if (!whole || of.rows > 1)
    own = arith::MinSIOp::create(b, own, plus(limit, constant(-1)));
  rowBase.clear();
  for (size_t i = 0; i < kernel.operands.size(); ++i)
    rowBase.push_back(rowAddress(i, argument(Operands + i), own));
  int64_t before = sums;
  emitRow();
  Value next = plus(base, stride);
  scf::ConditionOp::create(b, isOfCall(next), ValueRange{next, limit});
  Block *again = b.createBlock(&loop.getAfter(), {}, TypeRange{index, index},
                               {b.getLoc(), b.getLoc()});
  if (sums != before)
    barrier();
  Value count = arith::DivSIOp::create(b, total, divisor);
  scf::YieldOp::create(b, ValueRange{again->getArgument(0), count});
}

/// The tasks from `first` on, of which the block is number `block`.
void GpuEmitter::emitTasks(size_t first, Value block) {
  const GpuTask &of = shape.tasks[first];
  if (first + 1 == shape.tasks.size())
    return emitTask(of, block);
  Value blocks = times(blocksOf(of.rows), of.parts);
  auto branch = scf::IfOp::create(b, isBelow(block, blocks), /*withElse=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(branch.thenBlock()->getTerminator());
  emitTask(of, block);
  b.setInsertionPoint(branch.elseBlock()->getTerminator());
  emitTasks(first + 1, arith::SubIOp::create(b, block, blocks));
}

void GpuEmitter::emit(func::FuncOp function) {
  entry = function.addEntryBlock();
  b.setInsertionPointToStart(entry);
  if (dependent)
    call("llvm.nvvm.griddepcontrol.launch.dependents", {});
  if (plan.scratchFloats > 0)
    scratch = shared("scratch", 0, LLVM::Linkage::External);
  emitTasks(0, special("ctaid.x"));
  func::ReturnOp::create(b);
}

} // namespace

func::FuncOp emitGpuRows(OpBuilder &builder, Location loc, StringRef name,
                         const RowKernel &kernel, const StagePlan &plan,
                         const GpuShape &shape, bool dependent) {
  ImplicitLocOpBuilder b(loc, builder);
  MLIRContext *context = builder.getContext();
  Type pointer = LLVM::LLVMPointerType::get(context, globalSpace),
       index = builder.getI32Type();
  SmallVector<Type> arguments{pointer, index, index, index, index};
  arguments.append(kernel.operands.size(), pointer);
  auto function =
      func::FuncOp::create(b, name, builder.getFunctionType(arguments, {}));
  auto module = cast<ModuleOp>(builder.getBlock()->getParentOp());
  GpuEmitter(b, module, kernel, plan, shape, dependent).emit(function);
  return function;
}

} // namespace mbc::codegen
