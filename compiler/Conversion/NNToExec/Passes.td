//===- Passes.td - From values to commands -----------------*- tablegen -*-===//
#ifndef MBC_COMPILER_CONVERSION_NNTOEXEC
#define MBC_COMPILER_CONVERSION_NNTOEXEC

include "mlir/Pass/PassBase.td"

def NNToExec : Pass<"nn-to-exec", "::mlir::ModuleOp"> {
  let summary = "choose a command for every operation of a graph";
  let description = [{
    Values become strided views: a split is two views of one buffer, a cluster
    a row kernel, a repeat a carried buffer and a body for each kind of layer.
    Needs clusters (`nn-fuse`).
  }];
  let options = [
    Option<"dtype", "dtype", "std::string", /*default=*/"\"f32\"",
           "type of weights and activations: f32, bf16 or f16">,
    ListOption<"scaled", "scaled", "std::string",
               "parameters to keep as FP8 where products alone use them">,
    ListOption<"block", "block", "int64_t",
               "rows and columns of the blocks that have a scale">];
  let dependentDialects = ["::mbc::exec::ExecDialect"];
}

def ExecVerifySelected : Pass<"verify-selected", "::mlir::ModuleOp"> {
  let summary = "refuse what `nn-to-exec` should have made commands of";
}

def ExecPlanMemory : Pass<"exec-plan-memory", "::mlir::ModuleOp"> {
  let summary = "give every buffer a place in the arena of its function";
  let description = [{
    Buffers that are in use at one time do not overlap; largest first, each at
    the lowest offset that is free while it is in use.
  }];
}

def ExecVerifyPlanned : Pass<"verify-planned", "::mlir::ModuleOp"> {
  let summary = "refuse what `exec-plan-memory` should have placed";
}

#endif
