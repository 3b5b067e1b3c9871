//===- mbc-opt.cpp - Dialects and passes of mbc, one by one ---------------===//

#include "compiler/Codegen/Codegen.h"
#include "compiler/Conversion/NNToExec/NNToExec.h"
#include "compiler/Phases.h"
#include "compiler/Transforms/NNPasses.h"
#include "compiler/Transforms/WMapPasses.h"
#include "dialects/Dist/DistDialect.h"
#include "dialects/Exec/ExecDialect.h"
#include "dialects/NN/NNDialect.h"
#include "dialects/WMap/WMapDialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registry.insert<mbc::dist::DistDialect, mbc::exec::ExecDialect,
                  mbc::nn::NNDialect, mbc::wmap::WMapDialect>();
  // Of generated code.
  registry.insert<mlir::arith::ArithDialect, mlir::func::FuncDialect,
                  mlir::LLVM::LLVMDialect, mlir::math::MathDialect,
                  mlir::scf::SCFDialect, mlir::vector::VectorDialect>();
  mbc::nn::registerNNPasses();
  mbc::wmap::registerWMapPasses();
  mbc::registerExecPasses();
  mbc::registerCodegenPasses();
  mbc::registerPhasePipelines();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "mbc optimizer driver\n", registry));
}
