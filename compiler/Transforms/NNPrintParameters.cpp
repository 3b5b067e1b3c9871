//===- NNPrintParameters.cpp - The parameters of a model as a list --------===//

#include "compiler/Transforms/NNPasses.h"
#include "dialects/NN/Expr.h"
#include "dialects/NN/Parameters.h"

#include "llvm/Support/raw_ostream.h"

namespace mbc::nn {
#define GEN_PASS_DEF_NNPRINTPARAMETERS
#include "compiler/Transforms/NNPasses.h.inc"
} // namespace mbc::nn

using namespace mlir;
using namespace mbc::nn;

/// "0-2, 5": ascending numbers as ranges.
static void printRanges(const std::vector<int64_t> &numbers) {
  for (size_t first = 0; first < numbers.size();) {
    size_t last = first;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1)
      ++last;
    llvm::outs() << (first ? ", " : "") << numbers[first];
    if (last > first)
      llvm::outs() << '-' << numbers[last];
    first = last + 1;
  }
}

static void printModel(ModelOp model) {
  llvm::outs() << "model " << model.getSymName() << '\n';
  int64_t tensors = 0, elements = 0;
  for (const LogicalParameter &parameter : collectParameters(model)) {
    ParamOp op = parameter.op;
    llvm::outs() << "  " << parameter.path << ' ' << parameter.type.text();
    if (parameter.stack) {
      llvm::outs() << " in " << LayersOp(parameter.stack).getSymName();
      if (!parameter.layers.empty()) {
        llvm::outs() << " layers ";
        printRanges(parameter.layers);
      }
    }
    if (parameter.predicate)
      llvm::outs() << " where " << exprText(parameter.predicate);
    if (op.getTie())
      llvm::outs() << " tied to " << *op.getTie();
    llvm::outs() << '\n';
    std::optional<int64_t> size = parameter.type.getStaticElements();
    int64_t copies = parameter.stack ? parameter.layers.size() : 1;
    if (size && !op.getTie()) {
      tensors += copies;
      elements += copies * *size;
    }
  }
  if (model.isElaborated())
    llvm::outs() << "  total: " << tensors << " parameters, " << elements
                 << " elements\n";
}

namespace {

struct NNPrintParameters
    : mbc::nn::impl::NNPrintParametersBase<NNPrintParameters> {
  void runOnOperation() override {
    for (auto model : getOperation().getOps<ModelOp>())
      printModel(model);
    markAllAnalysesPreserved();
  }
};

} // namespace
