//===- DistDialect.td - Ranks and what each holds ----------*- tablegen -*-===//
#ifndef MBC_DIALECTS_DIST_DISTDIALECT
#define MBC_DIALECTS_DIST_DISTDIALECT

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"

def Dist_Dialect : Dialect {
  let name = "dist";
  let cppNamespace = "::mbc::dist";
  let summary = "the mesh of ranks, and what of a value each rank holds";
  let description = [{
    A program after `nn-partition` is that of one rank. Its values say for each
    axis of the mesh how the ranks along it hold them. See README.md for the
    rationale and the numbered constraints (D01...).
  }];
  let useDefaultAttributePrinterParser = 1;
  let usePropertiesForAttributes = 1;
}

#endif
