//===- NNDialect.td - The model dialect --------------------*- tablegen -*-===//
#ifndef MBC_DIALECTS_NN_NNDIALECT
#define MBC_DIALECTS_NN_NNDIALECT

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"

def NN_Dialect : Dialect {
  let name = "nn";
  let cppNamespace = "::mbc::nn";
  let summary = "a model as it is declared: configuration, parameters, dataflow";
  let description = [{
    The global model, before any placement. Sizes are expressions over
    configuration names until `nn-elaborate` replaces them by numbers.

        .mbc --parse, lower--> nn + wmap (symbolic)
                                  | nn-elaborate{config=...}
                                  v
                               nn + wmap (static) --wmap-prove--> ...

    What is not decided here: which rank holds what, how a checkpoint spells a
    parameter, in which order anything runs. See README.md for the rationale
    and the numbered constraints (N01...).
  }];
  let dependentDialects = ["::mbc::dist::DistDialect"];
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
  let usePropertiesForAttributes = 1;
}

#endif
