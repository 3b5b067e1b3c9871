//===- mbc-translate.cpp - From .mbc files and back, for tests ------------===//

#include "compiler/Frontend/TranslateRegistration.h"
#include "compiler/Pipelines.h"
#include "compiler/Target/PlanTarget.h"
#include "compiler/Target/ProgramTarget.h"

#include "mlir/Tools/mlir-translate/MlirTranslateMain.h"

int main(int argc, char **argv) {
  mbc::registerFrontendTranslations();
  mbc::registerProveTranslation();
  mbc::wmap::registerPlanTranslations();
  mbc::exec::registerProgramTranslations();
  return failed(mlir::mlirTranslateMain(argc, argv, "mbc translation tool\n"));
}
