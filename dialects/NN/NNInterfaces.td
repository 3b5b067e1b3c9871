//===- NNInterfaces.td - What every operator answers -------*- tablegen -*-===//
#ifndef MBC_DIALECTS_NN_NNINTERFACES
#define MBC_DIALECTS_NN_NNINTERFACES

include "mlir/IR/OpBase.td"

def NN_AxisRuleOpInterface : OpInterface<"AxisRuleOpInterface"> {
  let cppNamespace = "::mbc::nn";
  let description = "Types of the results from those of the operands.";
  let methods = [InterfaceMethod<
      "The rule of AxisRules.h; without placements, which `partition` gives.",
      "::mbc::nn::AxisResults", "inferTypes",
      (ins "::mbc::nn::EmitErrorFn":$emit)>];
  let verify = [{ return ::mbc::nn::detail::verifyAxisRule($_op); }];
}

def NN_PartitionOpInterface : OpInterface<"PartitionOpInterface"> {
  let cppNamespace = "::mbc::nn";
  let description = [{
    Placements of the results from those of the operands. An operator without a
    rule for an axis of more than one rank refuses it by name.
  }];
  let methods = [InterfaceMethod<
      "One placement a result; `operands` are in order, none is null.",
      "::mbc::nn::PlacementResults", "partition",
      (ins "::mbc::nn::EmitErrorFn":$emit, "::mbc::dist::MeshOp":$mesh,
           "::llvm::ArrayRef<::mbc::dist::PlacementAttr>":$operands),
      /*methodBody=*/"", /*defaultImplementation=*/[{
        return ::mbc::nn::partitionRows($_op, emit, mesh, operands);
      }]>];
}

def NN_CostOpInterface : OpInterface<"CostOpInterface"> {
  let cppNamespace = "::mbc::nn";
  let description = "What an operator over static sizes costs.";
  let methods = [InterfaceMethod<[{
      Of one execution over all rows: one cost for each way in which the
      operator can be computed.
    }], "::llvm::SmallVector<::mbc::nn::OpCost>", "getCosts",
      (ins "const ::mbc::nn::ElementSizes &":$sizes)>];
}

#endif
