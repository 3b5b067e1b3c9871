//===- NNPrintCost.cpp - What a graph costs -------------------------------===//

#include "compiler/Transforms/NNPasses.h"
#include "dialects/NN/NNOps.h"
#include "dialects/Runs.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/Support/raw_ostream.h"

namespace mbc::nn {
#define GEN_PASS_DEF_NNPRINTCOST
#include "compiler/Transforms/NNPasses.h.inc"
} // namespace mbc::nn

using namespace mlir;
using namespace mbc;
using namespace mbc::nn;

namespace {

/// A kind of layer, or all that is outside of layers.
struct Part {
  std::string name;
  size_t layers = 1;
  OpCost cost;
  std::string forms; ///< lines of operators that have several
};

class Counter {
public:
  Counter(ElementSizes sizes, uint64_t context, uint64_t rows)
      : sizes(sizes), context(context), rows(rows) {}

  void count(mlir::Block &block, Part &part);

  std::vector<Part> kinds;
  Part outside{"outside of layers", 1, {}, {}};

private:
  void countAngles(RopeOp rope);

  ElementSizes sizes;
  uint64_t context, rows;
  /// Weights of no layer, wherever they are used.
  llvm::StringSet<> shared;
  DenseSet<Attribute> angles;
};

} // namespace

/// Angles are made once, before all layers, from the rows' positions.
void Counter::countAngles(RopeOp rope) {
  if (!angles.insert(angleKey(rope)).second)
    return;
  outside.cost.movedBytes += rows * angleWidth(rope) * sizeof(float);
  outside.cost.movedBytes += rope.getPositions()
                                 ? sizes.bytesOf(rope.getPositions())
                                 : rows * sizeof(int32_t);
}

void Counter::count(mlir::Block &block, Part &part) {
  llvm::StringSet<> used;
  for (Operation &op : block) {
    if (!isa<RepeatOp>(op))
      op.walk([&](RopeOp rope) { countAngles(rope); });
    if (auto repeat = dyn_cast<RepeatOp>(op)) {
      for (Region &kind : repeat.getKinds()) {
        size_t number = kind.getRegionNumber();
        Part &layer = kinds.emplace_back();
        layer.name = repeat.getStack().str();
        if (repeat.getKinds().size() > 1)
          layer.name += " kind " + std::to_string(number);
        layer.layers = layersOfKind(repeat.getRuns(), number).size();
        count(kind.front(), layer);
      }
      continue;
    }
    if (auto use = dyn_cast<WeightOp>(op)) {
      auto weights = SymbolTable::lookupNearestSymbolFrom<WeightsOp>(
          use, use.getWeightAttr());
      bool stacked = weights.getLayers().has_value();
      if ((stacked ? used : shared).insert(use.getWeight()).second)
        (stacked ? part : outside).cost.weightBytes +=
            sizes.bytesOf(use.getResult());
      continue;
    }
    auto costly = dyn_cast<CostOpInterface>(op);
    if (!costly)
      continue;
    SmallVector<OpCost> forms = costly.getCosts(sizes);
    const OpCost &best =
        *llvm::min_element(forms, [&](const OpCost &a, const OpCost &b) {
          return a.flopsWith(context) < b.flopsWith(context);
        });
    if (forms.size() > 1) {
      llvm::raw_string_ostream os(part.forms);
      os << "    " << op.getName() << " with a context of " << context << ":";
      for (const OpCost &form : forms)
        os << " " << form.form << " " << form.flopsWith(context) << ",";
      os << " best " << best.form << "\n";
    }
    part.cost.flops += best.flops;
    part.cost.attentionFlops += best.attentionFlops;
    part.cost.contextFlops += best.contextFlops;
    part.cost.movedBytes += best.movedBytes;
    part.cost.readBytes += best.readBytes;
    part.cost.stateBytes += best.stateBytes;
  }
}

namespace {

struct NNPrintCost : nn::impl::NNPrintCostBase<NNPrintCost> {
  using NNPrintCostBase::NNPrintCostBase;

  void runOnOperation() override {
    llvm::raw_ostream &os = llvm::outs();
    for (auto graph : getOperation().getOps<GraphOp>())
      for (auto entry : graph.getOps<EntryOp>()) {
        uint64_t rows =
            *cast<nn::TensorType>(entry.getBody().getArgument(0).getType())
                 .getOut()
                 .front()
                 .getStaticSize();
        Counter counter({elementBytes, elementBytes}, context, rows);
        counter.count(entry.getBody().front(), counter.outside);
        os << entry.getSymName() << ": " << rows << " rows\n";
        counter.kinds.push_back(counter.outside);
        for (const Part &part : counter.kinds)
          os << "  " << part.name << ": layers " << part.layers << ", flops "
             << part.cost.flops << ", attention " << part.cost.attentionFlops
             << ", context " << part.cost.contextFlops << ", moved "
             << part.cost.movedBytes << ", weights " << part.cost.weightBytes
             << ", read " << part.cost.readBytes << ", state "
             << part.cost.stateBytes << "\n"
             << part.forms;
      }
  }
};

} // namespace
