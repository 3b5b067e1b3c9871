//===- PartitionRules.cpp -------------------------------------------------===//

#include "dialects/NN/PartitionRules.h"
#include "dialects/NN/NNOps.h"

using namespace mlir;
using namespace mbc;
using namespace mbc::nn;

dist::PlacementAttr mbc::nn::placementOf(Type type) {
  auto tensor = dyn_cast<nn::TensorType>(type);
  return tensor ? dyn_cast_or_null<dist::PlacementAttr>(tensor.getPlacement())
                : dist::PlacementAttr();
}

static ArrayAttr axesOf(dist::MeshOp mesh, Ranks ranks) {
  return ranks == Ranks::Dense ? mesh.getAxes() : mesh.getExpertAxes();
}

/// Whether ranks along the axis have rows of their own, and every weight.
static bool isData(StringRef axis) { return axis == "dp" || axis == "edp"; }

dist::PlacementAttr mbc::nn::placeRows(dist::MeshOp mesh, Ranks ranks,
                                       dist::Kind kind) {
  SmallVector<StringAttr> axes;
  SmallVector<dist::Kind> kinds;
  for (auto axis : axesOf(mesh, ranks).getAsRange<StringAttr>()) {
    axes.push_back(axis);
    // One rank has all there is, whichever way it is seen.
    kinds.push_back(isData(axis.getValue()) && *mesh.getSize(axis) > 1
                        ? kind
                        : dist::Kind::Invariant);
  }
  return dist::PlacementAttr::get(mesh.getContext(), axes, kinds);
}

std::optional<Ranks> mbc::nn::ranksOf(dist::MeshOp mesh,
                                      dist::PlacementAttr placement) {
  for (Ranks ranks : {Ranks::Dense, Ranks::Experts})
    if (llvm::equal(axesOf(mesh, ranks).getAsRange<StringAttr>(),
                    placement.getAxes()))
      return ranks;
  return std::nullopt;
}

PlacementResults
mbc::nn::partitionRows(Operation *op, EmitErrorFn emit, dist::MeshOp mesh,
                       ArrayRef<dist::PlacementAttr> operands) {
  for (ArrayAttr axes : {mesh.getAxes(), mesh.getExpertAxes()})
    for (StringRef axis : axes.getAsValueRange<StringAttr>())
      if (int64_t size = *mesh.getSize(axis); size > 1 && !isData(axis))
        return emit() << "no rule of '" << op->getName() << "' covers " << axis
                      << " = " << size << " yet; expected " << axis << " = 1";
  // Rows leave for the experts' ranks in `dispatch`, and come back in
  // `combine`; anything between takes them where they are.
  std::optional<Ranks> ranks;
  bool varying = false;
  for (auto [value, placement] : llvm::zip(op->getOperands(), operands)) {
    std::optional<Ranks> its = ranksOf(mesh, placement);
    if (!its)
      return emit() << "operand has placement " << placement
                    << ", which is no factorisation of the mesh";
    for (auto [axis, kind] :
         llvm::zip(placement.getAxes(), placement.getKinds())) {
      if (kind == dist::Kind::Pending)
        return emit() << "operand is a pending sum over " << axis.getValue();
      varying |= kind == dist::Kind::Varying;
    }
    if (ranks && *ranks != *its && !isa<CombineOp>(op))
      return emit() << "has operands of both factorisations of the mesh";
    ranks = its;
  }
  if (isa<DispatchOp>(op))
    ranks = Ranks::Experts;
  if (isa<CombineOp>(op))
    ranks = Ranks::Dense;
  dist::PlacementAttr result =
      placeRows(mesh, ranks.value_or(Ranks::Dense),
                varying ? dist::Kind::Varying : dist::Kind::Invariant);
  return SmallVector<dist::PlacementAttr>(op->getNumResults(), result);
}
