//===- ExecVerifySelected.cpp - What selection must leave behind ----------===//
//
// Numbers X.. are those of dialects/Exec/README.md.
//
//===----------------------------------------------------------------------===//

#include "compiler/Conversion/NNToExec/NNToExec.h"
#include "dialects/Exec/ExecDialect.h"
#include "dialects/NN/NNDialect.h"
#include "dialects/Runs.h"

namespace mbc {
#define GEN_PASS_DEF_EXECVERIFYSELECTED
#include "compiler/Conversion/NNToExec/Passes.h.inc"
} // namespace mbc

using namespace mlir;
using namespace mbc;

namespace {

/// The buffer, weight or array that a view is a window of.
Value wholeOf(Value view) {
  auto window = view.getDefiningOp<exec::SubviewOp>();
  return window ? window.getSource() : view;
}

/// The views that a command reads and writes.
struct Touched {
  SmallVector<Value> reads, writes;
};

Touched touchedBy(Operation *op, SymbolTable &symbols) {
  Touched touched;
  if (auto rows = dyn_cast<exec::RowsOp>(op)) {
    auto kernel = symbols.lookup<exec::KernelOp>(rows.getKernel());
    for (auto step : kernel.getSteps().getAsRange<exec::StepAttr>()) {
      if (step.getKind() == "Load")
        touched.reads.push_back(rows.getViews()[step.getOperand()]);
      if (step.getKind() == "Store")
        touched.writes.push_back(rows.getViews()[step.getOperand()]);
    }
  } else if (op->getNumOperands() && !isa<exec::SubviewOp>(op)) {
    // A command's last operands are what it makes.
    unsigned made = isa<exec::RouteOp, exec::GroupOp>(op) ? 2 : 1;
    OperandRange operands = op->getOperands();
    llvm::append_range(touched.reads, operands.drop_back(made));
    if (isa<exec::PlaceOp>(op)) // whose other rows stay
      llvm::append_range(touched.reads, operands.take_back(made));
    llvm::append_range(touched.writes, operands.take_back(made));
  }
  return touched;
}

class Verifier {
public:
  explicit Verifier(exec::ProgramOp program)
      : program(program), symbols(program) {}

  LogicalResult run();

private:
  LogicalResult verify(exec::FuncOp function);
  LogicalResult verify(Operation *op, exec::FuncOp function);
  LogicalResult verifyLayers(Operation *op, StringRef symbol,
                             ArrayRef<int64_t> declared);

  exec::ProgramOp program;
  SymbolTable symbols;
  /// Declarations that some command names.
  llvm::SmallPtrSet<Operation *, 16> used;
  /// Of the function at hand: what has been written so far.
  llvm::SmallPtrSet<Value, 16> written;
};

/// (X24) What a stack's layers have is used in that stack, by these layers.
LogicalResult Verifier::verifyLayers(Operation *op, StringRef symbol,
                                     ArrayRef<int64_t> declared) {
  StringRef stack = symbol.split('.').first;
  auto repeat = op->getParentOfType<exec::RepeatOp>();
  if (!repeat || repeat.getStack() != stack)
    return op->emitOpError()
           << "'" << symbol << "' is used outside of stack '" << stack << "'";
  if (std::optional<int64_t> layer = firstLayerNotIn(
          declared, layersOfKind(repeat.getRuns(),
                                 op->getParentRegion()->getRegionNumber())))
    return op->emitOpError() << "'" << symbol << "' is used by layer " << *layer
                             << ", which has none";
  return success();
}

LogicalResult Verifier::verify(Operation *op, exec::FuncOp function) {
  auto attrs = op->getAttrDictionary();
  for (NamedAttribute attr : attrs)
    if (auto symbol = dyn_cast<FlatSymbolRefAttr>(attr.getValue()))
      used.insert(symbols.lookup(symbol.getValue()));
  if (auto use = dyn_cast<exec::UseOp>(op)) {
    auto weight = symbols.lookup<exec::WeightOp>(use.getWeight());
    return weight.getLayers()
               ? verifyLayers(op, use.getWeight(), *weight.getLayers())
               : success();
  }
  if (auto buffer = dyn_cast<exec::BufferOp>(op)) {
    if (buffer.getOffset()) // (X23)
      return op->emitOpError("has a place before places are given");
    return success();
  }
  if (auto kept = op->getAttrOfType<FlatSymbolRefAttr>("state")) {
    auto state = symbols.lookup<exec::StateOp>(kept.getValue());
    if (!state.getLayers().empty() &&
        failed(verifyLayers(op, kept.getValue(), state.getLayers())))
      return failure();
  }
  Touched touched = touchedBy(op, symbols);
  for (Value view : touched.reads) {
    Value whole = wholeOf(view);
    if (whole.getDefiningOp<exec::BufferOp>() && !written.contains(whole))
      // (X26)
      return op->emitOpError("reads a buffer that nothing has written");
  }
  for (Value view : touched.writes) {
    Value whole = wholeOf(view);
    auto argument = dyn_cast<BlockArgument>(whole);
    if (whole.getDefiningOp<exec::UseOp>()) // (X25)
      return op->emitOpError("writes a weight");
    if (argument &&
        argument.getArgNumber() < function.getInputNames().size()) // (X25)
      return op->emitOpError()
             << "writes input "
             << function.getInputNames()[argument.getArgNumber()];
    written.insert(whole);
  }
  return success();
}

LogicalResult Verifier::verify(exec::FuncOp function) {
  if (function.getArena()) // (X23)
    return function.emitOpError("has an arena before places are given");
  written.clear();
  WalkResult result = function.getBody().walk<WalkOrder::PreOrder>(
      [&](Operation *op) { return WalkResult(verify(op, function)); });
  if (result.wasInterrupted())
    return failure();
  size_t inputs = function.getInputNames().size();
  for (BlockArgument argument :
       function.getBody().getArguments().drop_front(inputs))
    if (!written.contains(argument)) // (X25)
      return function.emitOpError()
             << "does not write output "
             << function.getOutputNames()[argument.getArgNumber() - inputs];
  return success();
}

LogicalResult Verifier::run() {
  for (auto function : program.getOps<exec::FuncOp>())
    if (failed(verify(function)))
      return failure();
  for (Operation &op : program.getBody().front())
    if (!isa<exec::FuncOp>(op) && !used.contains(&op)) // (X22)
      return op.emitOpError() << "'" << cast<SymbolOpInterface>(op).getName()
                              << "' is used by no command";
  return success();
}

struct ExecVerifySelected
    : mbc::impl::ExecVerifySelectedBase<ExecVerifySelected> {
  void runOnOperation() override {
    WalkResult result = getOperation()->walk([](Operation *op) -> WalkResult {
      if (isa_and_nonnull<nn::NNDialect>(op->getDialect())) // (X21)
        return op->emitOpError("has become no command");
      return WalkResult::advance();
    });
    if (result.wasInterrupted())
      return signalPassFailure();
    for (auto program : getOperation().getOps<exec::ProgramOp>())
      if (failed(Verifier(program).run()))
        return signalPassFailure();
  }
};

} // namespace
