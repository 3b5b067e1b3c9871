//===- NNPartition.cpp - The program of one rank --------------------------===//
//
// Numbers D.. are those of dialects/Dist/README.md.
//
//===----------------------------------------------------------------------===//

#include "compiler/Transforms/NNPasses.h"
#include "dialects/NN/NNOps.h"
#include "dialects/NN/ShardSizes.h"

#include "llvm/ADT/StringSwitch.h"

namespace mbc::nn {
#define GEN_PASS_DEF_NNPARTITION
#define GEN_PASS_DEF_NNVERIFYPARTITIONED
#include "compiler/Transforms/NNPasses.h.inc"
} // namespace mbc::nn

using namespace mlir;
using namespace mbc;
using namespace mbc::nn;

//===----------------------------------------------------------------------===//
// The mesh
//===----------------------------------------------------------------------===//

namespace {

/// Ranks along each axis that can be asked for.
struct MeshSizes {
  int64_t tp = 1, cp = 1, dp = 1, pp = 1, etp = 1, ep = 1;

  int64_t *find(StringRef axis) {
    return llvm::StringSwitch<int64_t *>(axis)
        .Case("tp", &tp)
        .Case("cp", &cp)
        .Case("dp", &dp)
        .Case("pp", &pp)
        .Case("etp", &etp)
        .Case("ep", &ep)
        .Default(nullptr);
  }
};

} // namespace

/// "tp=2", each axis once.
static FailureOr<MeshSizes> parseMesh(Operation *op,
                                      ArrayRef<std::string> items) {
  MeshSizes sizes;
  SmallVector<StringRef> seen;
  for (StringRef item : items) {
    auto [axis, number] = item.split('=');
    int64_t *size = sizes.find(axis);
    if (!size || number.getAsInteger(10, *size) || *size <= 0)
      return op->emitError() << "mesh axis '" << item
                             << "' is none; expected AXIS=RANKS, an axis of "
                                "tp, cp, dp, pp, etp, ep";
    if (llvm::is_contained(seen, axis))
      return op->emitError() << "mesh axis '" << axis << "' is given twice";
    seen.push_back(axis);
  }
  return sizes;
}

/// The mesh, at the start of the module; null with an error where experts
/// cannot be placed on the same ranks.
static dist::MeshOp createMesh(ModuleOp module, MeshSizes sizes) {
  int64_t stage = sizes.tp * sizes.cp * sizes.dp;
  if (stage % (sizes.etp * sizes.ep) != 0) {
    module.emitError() << "etp * ep = " << sizes.etp * sizes.ep
                       << " does not divide the tp * cp * dp = " << stage
                       << " ranks of a stage";
    return {};
  }
  OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
  return dist::MeshOp::create(
      builder, module.getLoc(), "mesh",
      builder.getStrArrayAttr({"tp", "cp", "dp", "pp"}),
      builder.getDenseI64ArrayAttr({sizes.tp, sizes.cp, sizes.dp, sizes.pp}),
      builder.getStrArrayAttr({"etp", "ep", "edp", "pp"}),
      builder.getDenseI64ArrayAttr(
          {sizes.etp, sizes.ep, stage / (sizes.etp * sizes.ep), sizes.pp}));
}

//===----------------------------------------------------------------------===//
// What weights and inputs are given
//===----------------------------------------------------------------------===//

/// (D10) What a weight's shards cut divides by the ranks along their axes.
static LogicalResult checkShards(GraphOp graph, dist::MeshOp mesh) {
  auto forEach = [&](llvm::function_ref<LogicalResult(WeightsOp, ShardAttr)> fn)
      -> LogicalResult {
    for (auto weights : graph.getOps<WeightsOp>())
      if (ArrayAttr shards = weights.getShardAttr())
        for (auto shard : shards.getAsRange<ShardAttr>())
          // Padded until it divides.
          if (!isPadded(weights.getPadAttr(), shard) &&
              failed(fn(weights, shard)))
            return failure();
    return success();
  };
  return forEach([&](WeightsOp weights, ShardAttr shard) -> LogicalResult {
    StringRef axis = shard.getMesh();
    std::optional<int64_t> ranks = mesh.getSize(axis);
    ShardSizes cut = shardSizes(weights.getType(), shard);
    if (ranks && admits(cut.sizes, *ranks))
      return success();
    InFlightDiagnostic diag = weights.emitError()
                              << "cannot shard " << cut.text << " of '"
                              << weights.getSymName() << "' over " << axis;
    if (!ranks)
      return diag << ", which the mesh has not";
    diag << " = " << *ranks;
    ShardCuts cuts;
    (void)forEach([&](WeightsOp other, ShardAttr its) {
      if (its.getMesh() == axis)
        cuts.add(shardSizes(other.getType(), its).sizes);
      return success();
    });
    diag.attachNote() << "admissible " << axis << ": "
                      << listText(cuts.admissible(1024));
    return diag;
  });
}

/// Of experts where it is used by their products.
static Ranks ranksOf(GraphOp graph, WeightsOp weights) {
  WalkResult found = graph.walk([&](GroupedLinearOp op) {
    auto use = op.getWeight().getDefiningOp<WeightOp>();
    return use && use.getWeight() == weights.getSymName()
               ? WalkResult::interrupt()
               : WalkResult::advance();
  });
  return found.wasInterrupted() ? Ranks::Experts : Ranks::Dense;
}

/// (D08) Replicated where ranks have rows of their own: each adds to the
/// gradient what its rows say.
static dist::PlacementAttr weightPlacement(GraphOp graph, WeightsOp weights,
                                           dist::MeshOp mesh) {
  return placeRows(mesh, ranksOf(graph, weights), dist::Kind::Replicated);
}

/// (D09) Each rank is given rows of its own.
static dist::PlacementAttr inputPlacement(dist::MeshOp mesh) {
  return placeRows(mesh, Ranks::Dense, dist::Kind::Varying);
}

/// (D07) What the operator's rule gives for the placements of its operands.
static PlacementResults ruleOf(Operation *op, dist::MeshOp mesh) {
  auto emit = [op] { return op->emitError(); };
  auto rule = dyn_cast<PartitionOpInterface>(op);
  if (!rule)
    return emit() << "'" << op->getName() << "' has no rule of partition yet";
  SmallVector<dist::PlacementAttr> operands;
  for (Type type : op->getOperandTypes())
    operands.push_back(placementOf(type));
  return rule.partition(emit, mesh, operands);
}

//===----------------------------------------------------------------------===//
// nn-partition
//===----------------------------------------------------------------------===//

namespace {

class Partitioner {
public:
  Partitioner(GraphOp graph, dist::MeshOp mesh) : graph(graph), mesh(mesh) {}

  LogicalResult run() {
    if (failed(checkShards(graph, mesh)))
      return failure();
    for (auto weights : graph.getOps<WeightsOp>()) {
      // No rule covers a cut yet: every rank has the whole.
      weights.setType(weights.getType().withPlacement(
          weightPlacement(graph, weights, mesh)));
      weightTypes[weights.getSymName()] = weights.getType();
    }
    for (auto entry : graph.getOps<EntryOp>()) {
      for (BlockArgument argument : entry.getBody().getArguments())
        place(argument, inputPlacement(mesh));
      if (failed(block(entry.getBody().front())))
        return failure();
    }
    return success();
  }

private:
  static void place(Value value, Attribute placement) {
    value.setType(
        cast<nn::TensorType>(value.getType()).withPlacement(placement));
  }

  LogicalResult block(mlir::Block &block) {
    for (Operation &op : block.without_terminator())
      if (failed(operation(&op)))
        return failure();
    return success();
  }

  LogicalResult operation(Operation *op) {
    if (auto use = dyn_cast<WeightOp>(op)) {
      use.getResult().setType(weightTypes.lookup(use.getWeight()));
      return success();
    }
    if (auto repeat = dyn_cast<RepeatOp>(op))
      return layers(repeat);
    PlacementResults placements = ruleOf(op, mesh);
    if (failed(placements))
      return failure();
    for (auto [result, placement] : llvm::zip(op->getResults(), *placements))
      place(result, placement);
    return success();
  }

  LogicalResult layers(RepeatOp repeat) {
    for (Region &kind : repeat.getKinds()) {
      for (auto [argument, input] :
           llvm::zip(kind.getArguments(), repeat.getInputs()))
        argument.setType(input.getType());
      if (failed(block(kind.front())))
        return failure();
      Value last = kind.front().getTerminator()->getOperand(0);
      if (last.getType() != repeat.getInputs()[0].getType())
        return repeat.emitError()
               << "a layer takes " << repeat.getInputs()[0].getType()
               << " and gives back " << last.getType();
    }
    repeat->getResult(0).setType(repeat.getInputs()[0].getType());
    return success();
  }

  GraphOp graph;
  dist::MeshOp mesh;
  llvm::StringMap<nn::TensorType> weightTypes;
};

struct NNPartition : nn::impl::NNPartitionBase<NNPartition> {
  using NNPartitionBase::NNPartitionBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (!module.getOps<dist::MeshOp>().empty()) {
      module.emitError("is partitioned already");
      return signalPassFailure();
    }
    SmallVector<std::string> items(mesh.begin(), mesh.end());
    FailureOr<MeshSizes> sizes = parseMesh(module, items);
    if (failed(sizes))
      return signalPassFailure();
    dist::MeshOp ranks = createMesh(module, *sizes);
    if (!ranks)
      return signalPassFailure();
    for (auto graph : module.getOps<GraphOp>())
      if (failed(Partitioner(graph, ranks).run()))
        return signalPassFailure();
  }
};

} // namespace

//===----------------------------------------------------------------------===//
// verify-partitioned
//===----------------------------------------------------------------------===//

/// (D06) Every value has a placement of one factorisation of the mesh, and one
/// rank has all there is.
static LogicalResult verifyPlacement(Operation *op, Type type,
                                     dist::MeshOp mesh) {
  dist::PlacementAttr placement = placementOf(type);
  if (!placement)
    return op->emitOpError() << "value of type " << type << " has no placement";
  if (!ranksOf(mesh, placement))
    return op->emitOpError()
           << "placement " << placement << " is no factorisation of the mesh";
  for (auto [axis, kind] : llvm::zip(placement.getAxes(), placement.getKinds()))
    if (*mesh.getSize(axis) == 1 && kind != dist::Kind::Invariant)
      return op->emitOpError()
             << "placement over " << axis.getValue() << " = 1 is "
             << StringRef(reinterpret_cast<const char *>(&kind), 1)
             << ", expected I";
  return success();
}

static LogicalResult expectPlacement(Operation *op, Type type,
                                     dist::PlacementAttr expected) {
  if (placementOf(type) == expected)
    return success();
  return op->emitOpError() << "placement is " << placementOf(type)
                           << ", expected " << expected;
}

static LogicalResult verifyGraph(GraphOp graph, dist::MeshOp mesh) {
  WalkResult result =
      graph.walk<WalkOrder::PreOrder>([&](Operation *op) -> WalkResult {
        SmallVector<Type> types(op->getResultTypes());
        for (Region &region : op->getRegions())
          llvm::append_range(types, region.getArgumentTypes());
        if (auto weights = dyn_cast<WeightsOp>(op))
          types.push_back(weights.getType());
        for (Type type : types)
          if (failed(verifyPlacement(op, type, mesh)))
            return WalkResult::interrupt();
        if (auto weights = dyn_cast<WeightsOp>(op))
          return expectPlacement(op, weights.getType(),
                                 weightPlacement(graph, weights, mesh));
        if (auto entry = dyn_cast<EntryOp>(op)) {
          for (Type type : entry.getBody().getArgumentTypes())
            if (failed(expectPlacement(op, type, inputPlacement(mesh))))
              return WalkResult::interrupt();
          return success();
        }
        if (isa<GraphOp, WeightOp, RepeatOp, YieldOp>(op))
          return success();
        PlacementResults rule = ruleOf(op, mesh);
        if (failed(rule))
          return WalkResult::interrupt();
        for (auto [type, expected] : llvm::zip(op->getResultTypes(), *rule))
          if (failed(expectPlacement(op, type, expected)))
            return WalkResult::interrupt();
        return success();
      });
  return failure(result.wasInterrupted() || failed(checkShards(graph, mesh)));
}

namespace {

struct NNVerifyPartitioned
    : nn::impl::NNVerifyPartitionedBase<NNVerifyPartitioned> {
  void runOnOperation() override {
    auto meshes = getOperation().getOps<dist::MeshOp>();
    if (!llvm::hasSingleElement(meshes)) { // (D05)
      getOperation().emitOpError("needs one mesh");
      return signalPassFailure();
    }
    for (auto graph : getOperation().getOps<GraphOp>())
      if (failed(verifyGraph(graph, *meshes.begin())))
        return signalPassFailure();
  }
};

} // namespace
