//===- NNVerifyFused.cpp - What fusion must leave behind ------------------===//
//
// Numbers N.. are those of dialects/NN/README.md.
//
//===----------------------------------------------------------------------===//

#include "compiler/Transforms/NNPasses.h"
#include "dialects/NN/NNOps.h"

namespace mbc::nn {
#define GEN_PASS_DEF_NNVERIFYFUSED
#include "compiler/Transforms/NNPasses.h.inc"
} // namespace mbc::nn

using namespace mlir;
using namespace mbc;
using namespace mbc::nn;

static LogicalResult verifyCluster(ClusterOp cluster) {
  if (cluster.getResults().empty()) // (N63)
    return cluster.emitOpError("has no result");
  // (N64) One kernel goes over the rows once: every value has the same ones.
  AxisAttr rows;
  auto verifyRows = [&](Value value, StringRef what) -> LogicalResult {
    auto type = cast<nn::TensorType>(value.getType());
    if (type.getElem() == "weight")
      return success();
    if (type.getOut().empty())
      return cluster.emitOpError() << what << " " << type << " has no rows";
    if (rows && type.getOut().front() != rows)
      return cluster.emitOpError()
             << what << " " << type << " has other rows than '"
             << rows.getName() << "' = " << *rows.getStaticSize();
    rows = type.getOut().front();
    return success();
  };
  for (Value result : cluster.getResults())
    if (failed(verifyRows(result, "result")))
      return failure();
  for (Value input : cluster.getInputs())
    if (failed(verifyRows(input, "operand")))
      return failure();
  for (Operation &op : cluster.getBody().front().without_terminator())
    for (Value value : op.getResults())
      if (failed(verifyRows(value, "value")))
        return failure();
  return success();
}

namespace {

struct NNVerifyFused : nn::impl::NNVerifyFusedBase<NNVerifyFused> {
  void runOnOperation() override {
    for (auto graph : getOperation().getOps<GraphOp>()) {
      WalkResult result = graph.walk([](Operation *op) -> WalkResult {
        if (auto cluster = dyn_cast<ClusterOp>(op))
          return verifyCluster(cluster);
        if (isRowOp(op) && !isa<ClusterOp>(op->getParentOp())) // (N62)
          return op->emitOpError("is a row operation outside of a cluster");
        return WalkResult::advance();
      });
      if (result.wasInterrupted())
        return signalPassFailure();
    }
  }
};

} // namespace
