//===- NNPasses.td - From a declared model to a static one -*- tablegen -*-===//
#ifndef MBC_COMPILER_TRANSFORMS_NNPASSES
#define MBC_COMPILER_TRANSFORMS_NNPASSES

include "mlir/Pass/PassBase.td"

def NNElaborate : Pass<"nn-elaborate", "::mlir::ModuleOp"> {
  let summary = "evaluate a model for one config.json";
  let description = [{
    Picks the model by `architectures`, evaluates its configuration, refuses
    what the configuration does not allow (all of it at once), and makes sizes,
    conditions, ties and layers static. Numbers E.. are those of
    dialects/NN/README.md. Other models are left as they are.
  }];
  let options = [
    Option<"config", "config", "std::string", /*default=*/"\"\"",
           "config.json of the checkpoint">,
    Option<"strictConfig", "strict-config", "bool", /*default=*/"false",
           "refuse fields that the model does not know">,
    ListOption<"accept", "accept", "std::string",
               "unsupported fields to accept">
  ];
}

def NNVerifyElaborated : Pass<"verify-elaborated", "::mlir::ModuleOp"> {
  let summary = "refuse what `nn-elaborate` should have made static";
}

def NNPrintParameters : Pass<"nn-print-parameters", "::mlir::ModuleOp"> {
  let summary = "print the parameters of each model as a flat list";
  let description = [{
    Before elaboration with the condition on the layer, after it with the
    layers, and the count of all elements, tied parameters left out.
  }];
}

#endif
