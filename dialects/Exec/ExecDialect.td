//===- ExecDialect.td - The program dialect ----------------*- tablegen -*-===//
#ifndef MBC_DIALECTS_EXEC_EXECDIALECT
#define MBC_DIALECTS_EXEC_EXECDIALECT

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"

def Exec_Dialect : Dialect {
  let name = "exec";
  let cppNamespace = "::mbc::exec";
  let summary = "programs: commands on views of memory";
  let description = [{
    One op for one table of runtime/schema/program.fbs. Values are memrefs:
    strided windows of an arena, of weights and of the caller's arrays. Commands
    write into the last of their operands and give nothing back, so that order
    is the order of the text.

    What is not decided here: anything about a model. Which product follows
    which norm was decided when `nn-to-exec` chose commands.
  }];
  let useDefaultAttributePrinterParser = 1;
  let usePropertiesForAttributes = 1;
}

#endif
