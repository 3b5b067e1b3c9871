//===- Passes.td - Native code of programs -----------------*- tablegen -*-===//
#ifndef MBC_COMPILER_CODEGEN_PASSES
#define MBC_COMPILER_CODEGEN_PASSES

include "mlir/Pass/PassBase.td"

def ExecGenerateRows : Pass<"exec-generate-rows", "::mlir::ModuleOp"> {
  let summary = "write row kernels as loops over vectors";
  let description = [{
    Every kernel with every layout of operands that `exec.rows` uses becomes an
    `exec.entry`, and a function in a module for each target, inside of the
    program. Needs planned memory: what may lie on what is known then. For GPUs
    it becomes an `exec.gpu_entry`, whose launch depends on widths and types
    alone; a kernel that no block has the memory for has none.
  }];
  let options = [ListOption<"targets", "targets", "std::string",
                            "processors and GPUs to generate for: x86-64-v3, x86-64-v4, "
                            "sm_80 and so on">];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
    "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect",
    "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
}

def ExecLinkCode : Pass<"exec-link-code", "::mlir::ModuleOp"> {
  let summary = "compile the modules of a program's targets";
  let description = [{
    A module becomes an `exec.image`, a shared object, or, for GPUs, an
    `exec.gpu_image`. Refused is what a runtime would refuse.
  }];
}

#endif
