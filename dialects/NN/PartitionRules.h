//===- PartitionRules.h - Placements of results -----------------*- C++ -*-===//
#pragma once

#include "dialects/Dist/DistDialect.h"
#include "dialects/NN/AxisRules.h"

namespace mbc::nn {

using PlacementResults =
    mlir::FailureOr<llvm::SmallVector<dist::PlacementAttr>>;

/// Which factorisation of the mesh places a value.
enum class Ranks { Dense, Experts };

/// Of a type that `nn-partition` has placed, or null.
dist::PlacementAttr placementOf(mlir::Type type);
/// `kind` over the axes along which ranks have rows of their own, invariant
/// over the others.
dist::PlacementAttr placeRows(dist::MeshOp mesh, Ranks ranks, dist::Kind kind);
/// The factorisation whose axes, in order, are those of the placement.
std::optional<Ranks> ranksOf(dist::MeshOp mesh, dist::PlacementAttr placement);

/// The rule of operators that compute each rank's rows from its own rows and
/// from weights that it has as a whole. It covers data parallelism; any other
/// axis of more than one rank is refused.
PlacementResults partitionRows(mlir::Operation *op, EmitErrorFn emit,
                               dist::MeshOp mesh,
                               llvm::ArrayRef<dist::PlacementAttr> operands);

} // namespace mbc::nn
