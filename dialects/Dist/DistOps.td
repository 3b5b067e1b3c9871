//===- DistOps.td - The mesh -------------------------------*- tablegen -*-===//
#ifndef MBC_DIALECTS_DIST_DISTOPS
#define MBC_DIALECTS_DIST_DISTOPS

include "dialects/Dist/DistAttrs.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/SymbolInterfaces.td"

class Dist_Op<string mnemonic, list<Trait> traits = []>
    : Op<Dist_Dialect, mnemonic, traits>;

def Dist_MeshOp : Dist_Op<"mesh", [Symbol]> {
  let summary = "the ranks, factorised by named axes";
  let description = [{
    The first axis changes fastest from rank to rank. Experts are placed by a
    second factorisation of the same ranks.

        dist.mesh @mesh axes ["tp", "cp", "dp", "pp"] of [2, 1, 4, 1]
                        experts ["etp", "ep", "edp", "pp"] of [1, 8, 1, 1]
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrArrayAttr:$axes,
                       DenseI64ArrayAttr:$sizes, StrArrayAttr:$expert_axes,
                       DenseI64ArrayAttr:$expert_sizes);
  let assemblyFormat = [{
    $sym_name `axes` $axes `of` $sizes `experts` $expert_axes `of` $expert_sizes
    attr-dict
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The ranks along that axis; none where the mesh has no such axis.
    std::optional<int64_t> getSize(::llvm::StringRef axis);
  }];
}

#endif
