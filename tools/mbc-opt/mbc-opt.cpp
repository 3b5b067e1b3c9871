//===- mbc-opt.cpp - Dialects and passes of mbc, one by one ---------------===//

#include "compiler/Conversion/NNToExec/NNToExec.h"
#include "compiler/Transforms/NNPasses.h"
#include "compiler/Transforms/WMapPasses.h"
#include "dialects/Exec/ExecDialect.h"
#include "dialects/NN/NNDialect.h"
#include "dialects/WMap/WMapDialect.h"

#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registry.insert<mbc::exec::ExecDialect, mbc::nn::NNDialect,
                  mbc::wmap::WMapDialect>();
  mbc::nn::registerNNPasses();
  mbc::wmap::registerWMapPasses();
  mbc::registerExecPasses();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "mbc optimizer driver\n", registry));
}
