//===- DistAttrs.td - Placements ---------------------------*- tablegen -*-===//
#ifndef MBC_DIALECTS_DIST_DISTATTRS
#define MBC_DIALECTS_DIST_DISTATTRS

include "dialects/Dist/DistDialect.td"

def Dist_PlacementAttr : AttrDef<Dist_Dialect, "Placement"> {
  let mnemonic = "placement";
  let summary = "how the ranks along each mesh axis hold a value";
  let description = [{
    One kind an axis, of one factorisation of the mesh, in its order:

    - `R`: every rank has the same values, its gradient is a pending sum;
    - `I`: every rank has the same values, and the same gradient;
    - `V`: every rank has values of its own;
    - `P`: the value is the sum of what the ranks have.

        #dist.placement<tp = I, cp = I, dp = V, pp = I>
  }];
  let parameters = (ins ArrayRefParameter<"::mlir::StringAttr">:$axes,
                        ArrayRefParameter<"::mbc::dist::Kind">:$kinds);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Of that axis; none where the placement is not about it.
    std::optional<Kind> getKind(::llvm::StringRef axis) const;
  }];
}

#endif
