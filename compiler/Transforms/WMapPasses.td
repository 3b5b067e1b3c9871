//===- WMapPasses.td - From a mapping to a copy plan -------*- tablegen -*-===//
#ifndef MBC_COMPILER_TRANSFORMS_WMAPPASSES
#define MBC_COMPILER_TRANSFORMS_WMAPPASSES

include "mlir/Pass/PassBase.td"

def WMapProve : Pass<"wmap-prove", "::mlir::ModuleOp"> {
  let summary = "prove that a mapping covers its model, each tensor once";
  let description = [{
    On a declared model: for every configuration at once (names are unified
    segment by segment, indices decided by Presburger arithmetic). On an
    elaborated model: for this configuration; entries then carry the static
    `type` and the `domain` of layers, and entries of absent parameters go.
  }];
}

def WMapBind : Pass<"wmap-bind", "::mlir::ModuleOp"> {
  let summary = "match a proved mapping with the headers of a folder";
  let description = [{
    Every tensor of the folder is consumed exactly once or `extra`, none is
    missing, shapes are equal; picks one alternative and records dtypes. With
    `implied` there is no folder: the first alternative, and one dtype.
  }];
  let options = [
    Option<"source", "source", "std::string", /*default=*/"\"\"",
           "Hugging Face folder, or a folder of recorded headers">,
    Option<"implied", "implied", "std::string", /*default=*/"\"\"",
           "bind to what the configuration implies, in this dtype (BF16)">
  ];
}

def WMapResolvePlacement : Pass<"wmap-resolve-placement", "::mlir::ModuleOp"> {
  let summary = "spell and cut Megatron's tensors as a format profile does";
  let options = [
    Option<"profile", "profile", "std::string", /*default=*/"\"torch_dist\"",
           "format profile: torch_dist (TE layer spec)">,
    Option<"layers", "layers", "std::string", /*default=*/"\"auto\"",
           "layer keys: auto (as the family's Megatron configuration asks), stacked, stackable (where layers are alike) or indexed">,
    Option<"dtype", "dtype", "std::string", /*default=*/"\"\"",
           "store every tensor in this dtype (F32) unless the model pins it">,
    Option<"tp", "tp", "int64_t", /*default=*/"1", "tensor-parallel size">,
    Option<"pp", "pp", "int64_t", /*default=*/"1", "pipeline-parallel size">,
    Option<"vpp", "vpp", "int64_t", /*default=*/"1", "virtual pipeline chunks a stage">,
    Option<"cp", "cp", "int64_t", /*default=*/"1", "context-parallel size">,
    Option<"ep", "ep", "int64_t", /*default=*/"1", "expert-parallel size">,
    Option<"etp", "etp", "int64_t", /*default=*/"1", "expert-tensor-parallel size">,
    Option<"firstLayers", "first-layers", "int64_t", /*default=*/"0", "layers of the first pipeline stage">,
    Option<"lastLayers", "last-layers", "int64_t", /*default=*/"0", "layers of the last pipeline stage">,
    Option<"embeddingCounts", "embedding-counts", "bool", /*default=*/"false", "the embedding is one of the layers of its stage">,
    Option<"lossCounts", "loss-counts", "bool", /*default=*/"false", "the output layer is one of the layers of its stage">
  ];
}

def WMapPlan : Pass<"wmap-plan", "::mlir::ModuleOp"> {
  let summary = "write the copy plan of a bound and placed mapping";
}

#endif
