//===- NNTypes.td - Tensors with named axes ----------------*- tablegen -*-===//
#ifndef MBC_DIALECTS_NN_NNTYPES
#define MBC_DIALECTS_NN_NNTYPES

include "dialects/NN/NNAttrs.td"

class NN_Type<string name, string typeMnemonic> : TypeDef<NN_Dialect, name> {
  let mnemonic = typeMnemonic;
}

def NN_TensorType : NN_Type<"Tensor", "tensor"> {
  let summary = "a logical tensor [batch : out ; in] with named axes";
  let description = [{
    A weight is a stack (batch) of matrices out x in; a vector and an
    activation have only out axes. `elem` is "weight" (the model's type),
    "f32", "i32" or "act" (the activation type). `|` stands for the `;` of the
    language, which MLIR's lexer does not know. After `nn-partition` the sizes
    are those of one rank, and `placement` (a `#dist.placement`, else null) says
    how the ranks hold the whole.

        !nn.tensor<[heads = @heads, d = 64 | hidden = @hidden], weight>
        !nn.tensor<[experts = @experts : half = {gate: 1, up: 1}, f = 8 | h = 4], weight>
  }];
  let parameters = (ins ArrayRefParameter<"::mbc::nn::AxisAttr">:$batch,
                        ArrayRefParameter<"::mbc::nn::AxisAttr">:$out,
                        ArrayRefParameter<"::mbc::nn::AxisAttr">:$in,
                        StringRefParameter<"element kind">:$elem,
                        "::mlir::Attribute":$placement);
  let builders = [TypeBuilder<(ins "::llvm::ArrayRef<::mbc::nn::AxisAttr>":$batch,
                                   "::llvm::ArrayRef<::mbc::nn::AxisAttr>":$out,
                                   "::llvm::ArrayRef<::mbc::nn::AxisAttr>":$in,
                                   "::llvm::StringRef":$elem), [{
    return $_get($_ctxt, batch, out, in, elem, ::mlir::Attribute());
  }]>];
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{
    /// Batch, out and in axes in declared order.
    ::llvm::SmallVector<::mbc::nn::AxisAttr> getAxes() const;
    /// The axis of that name (out before batch before in), or null.
    ::mbc::nn::AxisAttr findAxis(::llvm::StringRef name) const;
    /// The same tensor with every size replaced by `fn(size)`.
    TensorType mapSizes(
        ::llvm::function_ref<::mlir::Attribute(::mlir::Attribute)> fn) const;
    /// The same tensor with another placement, or with none.
    TensorType withPlacement(::mlir::Attribute placement) const;
    /// "[vocab ; hidden]": names only.
    std::string text() const;
    /// Elements, once every size is a number.
    std::optional<int64_t> getStaticElements() const;
  }];
}

#endif
