//===- ExecAttrs.td - Steps of row kernels -----------------*- tablegen -*-===//
#ifndef MBC_DIALECTS_EXEC_EXECATTRS
#define MBC_DIALECTS_EXEC_EXECATTRS

include "dialects/Exec/ExecDialect.td"

def Exec_StepAttr : AttrDef<Exec_Dialect, "Step"> {
  let mnemonic = "step";
  let summary = "one step of a row kernel";
  let description = [{
    `kind` is a RowKind of program.fbs; `inputs` are earlier steps, `operand` is
    the view that a load or store is about. Values are `vectors` x `width`
    floats.

        #exec.step<"RMSNorm" of 0, 1 operand 0 vectors 8 width 64 scalar 1.0e-05>
  }];
  let parameters = (ins StringRefParameter<"a RowKind">:$kind,
                        OptionalArrayRefParameter<"int64_t">:$inputs,
                        "int64_t":$operand, "int64_t":$vectors,
                        "int64_t":$width, "::mlir::FloatAttr":$scalar);
  let assemblyFormat = [{
    `<` $kind (`of` $inputs^)? `operand` $operand `vectors` $vectors
    `width` $width `scalar` $scalar `>`
  }];
}

#endif
