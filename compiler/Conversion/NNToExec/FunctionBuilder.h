//===- FunctionBuilder.h - Commands for operations --------------*- C++ -*-===//
#pragma once

#include "compiler/Conversion/NNToExec/NNToExec.h"
#include "compiler/Conversion/NNToExec/RopeTables.h"
#include "dialects/Exec/ExecDialect.h"
#include "dialects/NN/NNOps.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringMap.h"

namespace mbc::select {

using namespace mlir;

/// The symbols of a program, shared by its functions.
class ProgramBuilder {
public:
  ProgramBuilder(nn::GraphOp graph, exec::ProgramOp program, Type dtype)
      : graph(graph), program(program), dtype(dtype),
        builder(OpBuilder::atBlockEnd(&program.getBody().front())) {}

  /// Those of `scaled` that products alone use are FP8 in blocks of `block`.
  void declareWeights(ArrayRef<std::string> scaled, ArrayRef<int64_t> block);
  MemRefType weightType(StringRef path) {
    return cast<MemRefType>(
        program.lookupSymbol<exec::WeightOp>(path).getType());
  }
  FlatSymbolRefAttr kernel(Location loc, int64_t operands,
                           ArrayRef<Attribute> steps);
  FlatSymbolRefAttr rope(Location loc, const RopeTable &table);
  FlatSymbolRefAttr state(Location loc, StringRef path, Type dtype,
                          ArrayRef<int64_t> widths, ArrayRef<int64_t> layers);

  nn::GraphOp graph;
  exec::ProgramOp program;
  Type dtype; ///< of activations and of weights that pin no other

private:
  OpBuilder builder;
  DenseMap<Attribute, FlatSymbolRefAttr> kernels, ropes;
};

/// One entry of the graph becomes one function.
class FunctionBuilder {
public:
  FunctionBuilder(ProgramBuilder &shared, nn::EntryOp entry)
      : shared(shared), entry(entry), ctx(entry.getContext()), builder(ctx) {}

  LogicalResult run();

private:
  LogicalResult lowerBlock(mlir::Block &block);
  LogicalResult lower(Operation *op);
  LogicalResult lowerCluster(nn::ClusterOp op);
  LogicalResult lowerRepeat(nn::RepeatOp op);
  LogicalResult lowerAttention(nn::AttentionOp op);
  LogicalResult lowerLatentAttention(nn::MLAAttentionOp op);
  LogicalResult lowerRoute(nn::RouteOp op);
  LogicalResult lowerDispatch(nn::DispatchOp op);
  LogicalResult lowerGroupedLinear(nn::GroupedLinearOp op);
  LogicalResult lowerCombine(nn::CombineOp op);
  /// Rows sorted by expert as [tokens, topk, ...].
  Value inOrderOfTokens(Value view, Value place, Location loc);
  LogicalResult lowerSplit(nn::SplitOp op);
  LogicalResult lowerJoin(nn::JoinOp op);
  void lowerTap(nn::TapOp op);

  Type elementOf(nn::TensorType type) {
    return type.getElem() == "i32"
               ? builder.getI32Type()
               : (type.getElem() == "f32" ? builder.getF32Type()
                                          : shared.dtype);
  }
  SmallVector<int64_t> sizesOf(nn::TensorType type) {
    SmallVector<int64_t> sizes;
    for (nn::AxisAttr axis : type.getOut())
      sizes.push_back(*axis.getStaticSize());
    return sizes;
  }
  MemRefType denseType(nn::TensorType type) {
    return MemRefType::get(sizesOf(type), elementOf(type));
  }

  /// Where the value of `result` is to be written: the function's output, the
  /// carried buffer, or memory of its own.
  Value destination(Value result);
  /// The view as [rows, rest]; copied where the rest has gaps.
  Value asMatrix(Value view, Location loc);
  /// The view; copied where its last dimension has gaps.
  Value dense(Value view, Location loc);
  /// The view with dimensions of these sizes; copied where they do not fit.
  Value reshape(Value view, ArrayRef<int64_t> sizes, Location loc);
  Value subview(Value source, int64_t offset, MemRefType type, Location loc);
  /// Memory of its own.
  Value buffer(ArrayRef<int64_t> sizes, Type element, Location loc);
  /// The state of the next attention of the layers at hand.
  FlatSymbolRefAttr nextState(Location loc, ArrayRef<int64_t> widths);
  Value angles(nn::RopeOp op, int64_t dim);
  Value positions(int64_t numbers);
  /// An array that the caller gives besides those of the entry: i32.
  Value addInput(StringRef name, ArrayRef<int64_t> sizes);
  LogicalResult lowerShift(nn::ShiftOp op);
  LogicalResult lowerPlace(nn::PlaceOp op);

  ProgramBuilder &shared;
  nn::EntryOp entry;
  MLIRContext *ctx;
  OpBuilder builder;
  exec::FuncOp function;
  DenseMap<Value, Value> views;
  /// Values of the entry and of kinds that have a place already.
  DenseMap<Value, Value> places;
  /// Of each rope at its positions: the angles of the rows.
  DenseMap<std::pair<Attribute, Value>, Value> angleBuffers;
  Value positionInput, placeInput;
  /// Ids of later tokens, by how much later.
  DenseMap<std::pair<Value, int64_t>, Value> shiftedInputs;
  /// Place before the first command, for what every layer uses.
  Operation *prologue = nullptr;
  // The stack at hand.
  StringRef stack;
  SmallVector<int64_t> layers;
  int attentions = 0;
  int64_t depth = 1;
  /// Of the ids of a route: where rows lie once they are sorted by expert.
  struct Groups {
    Value place, offsets;
  };
  DenseMap<Value, Groups> groupsOfIds;
  /// The same of values that have such rows.
  DenseMap<Value, Groups> groupsOf;
  /// Outputs of values that the caller wants to see, by name.
  llvm::StringMap<Value> taps;
};

} // namespace mbc::select
