//===- Passes.td - Native code of programs -----------------*- tablegen -*-===//
#ifndef MBC_COMPILER_CODEGEN_PASSES
#define MBC_COMPILER_CODEGEN_PASSES

include "mlir/Pass/PassBase.td"

def ExecGenerateRows : Pass<"exec-generate-rows", "::mlir::ModuleOp"> {
  let summary = "write row kernels as loops over vectors";
  let description = [{
    Every kernel with every layout of operands that `exec.rows` uses becomes an
    `exec.entry`, and a function in a module for each target, inside of the
    program. Needs planned memory: what may lie on what is known then.
  }];
  let options = [ListOption<"targets", "targets", "std::string",
                            "processors to generate for: x86-64-v3, x86-64-v4">];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
    "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect",
    "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
}

def ExecLinkCode : Pass<"exec-link-code", "::mlir::ModuleOp"> {
  let summary = "compile the modules of a program's targets to shared objects";
  let description = [{
    A module becomes an `exec.image`. Refused is an image that a runtime would
    refuse.
  }];
}

#endif
