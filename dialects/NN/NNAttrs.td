//===- NNAttrs.td - Expressions and axes -------------------*- tablegen -*-===//
#ifndef MBC_DIALECTS_NN_NNATTRS
#define MBC_DIALECTS_NN_NNATTRS

include "dialects/NN/NNDialect.td"

class NN_Attr<string name, string attrMnemonic> : AttrDef<NN_Dialect, name> {
  let mnemonic = attrMnemonic;
}

def NN_ExprAttr : NN_Attr<"Expr", "expr"> {
  let summary = "an operation of a configuration expression";
  let description = [{
    Leaves are builtin attributes: integers (i64), floats (f64), strings, bools,
    `unit` for `none`, arrays for lists, dictionaries for records, and flat
    symbol references (`@hidden`) for configuration names, dims, block
    dimension parameters and the layer index.

    Made only through `buildExpr` (Expr.h), which keeps integer sums and
    products in canonical form, so that equal sizes are equal attributes.
  }];
  let parameters = (ins StringRefParameter<"operator or function">:$op,
                        ArrayRefParameter<"::mlir::Attribute">:$operands);
  let assemblyFormat = "`<` $op `(` $operands `)` `>`";
}

def NN_AxisAttr : NN_Attr<"Axis", "axis"> {
  let summary = "a named axis, or a sum axis with named parts";
  let description = [{
    `size` is an expression; for a sum axis the sum of the sizes of its parts;
    `unit`, written `?`, for an axis of the data (tokens, routed rows).
    A part is an axis without parts of its own. `kept` is the name under which
    a part keeps its axis when the sum axis is split; empty: a literal 1, the
    axis is lost. It is stored, since sizes become numbers on elaboration and
    the rank of a value must not depend on them.

        #nn.axis<slot = {q: group = @group, k: 1, v: 1}>
  }];
  let parameters = (ins StringRefParameter<"name">:$name,
                        "::mlir::Attribute":$size,
                        ArrayRefParameter<"::mbc::nn::AxisAttr">:$parts,
                        StringRefParameter<"axis name of a part">:$kept);
  let builders = [AttrBuilder<(ins "::llvm::StringRef":$name,
                                   "::mlir::Attribute":$size,
                                   CArg<"::llvm::ArrayRef<::mbc::nn::AxisAttr>",
                                        "{}">:$parts), [{
    return $_get($_ctxt, name, size, parts, ::llvm::StringRef());
  }]>];
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{
    bool isSum() const { return !getParts().empty(); }
    /// The part of that name, or null.
    AxisAttr getPart(::llvm::StringRef name) const;
    /// An axis of the data, whose size no configuration gives.
    bool isData() const { return ::llvm::isa<::mlir::UnitAttr>(getSize()); }
    /// A sum axis of these parts, its size their sum.
    static AxisAttr getSum(::mlir::MLIRContext *ctx, ::llvm::StringRef name,
                           ::llvm::ArrayRef<AxisAttr> parts);
    /// The same axis with every size replaced by `fn(size)`.
    AxisAttr mapSizes(
        ::llvm::function_ref<::mlir::Attribute(::mlir::Attribute)> fn) const;
    /// "slot = q: group + k: 1 + v: 1", as the source says it.
    std::string text() const;
    /// The size as a number once elaborated.
    std::optional<int64_t> getStaticSize() const;
  }];
}

def NN_ShardAttr : NN_Attr<"Shard", "shard"> {
  let summary = "axes (or parts) of a parameter split over one mesh axis";
  let description = [{
    `targets` are "axis" or "axis.part", mixed radix from the outermost:
    (kv_heads, slot.q) over tp = a * r with a | kv_heads and r | slot.q.
  }];
  let parameters = (ins ArrayRefParameter<"::mlir::StringAttr">:$targets,
                        StringRefParameter<"tp, ep or etp">:$mesh);
  let assemblyFormat = "`<` $targets `over` $mesh `>`";
}

#endif
