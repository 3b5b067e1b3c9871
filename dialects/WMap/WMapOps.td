//===- WMapOps.td - Entries and copy plans -----------------*- tablegen -*-===//
#ifndef MBC_DIALECTS_WMAP_WMAPOPS
#define MBC_DIALECTS_WMAP_WMAPOPS

include "dialects/WMap/WMapAttrs.td"
include "mlir/IR/SymbolInterfaces.td"

class WMap_Op<string mnemonic, list<Trait> traits = []>
    : Op<WMap_Dialect, mnemonic, traits>;

def WMap_Loops : TypedArrayAttrBase<WMap_LoopAttr, "loops">;
def WMap_Alternatives : TypedArrayAttrBase<WMap_AlternativeAttr, "alternatives">;

def WMap_MappingOp : WMap_Op<"mapping", [NoTerminator, SingleBlock]> {
  let summary = "the mapping of the model of the same name";
  // No symbol: it shares its name with the model.
  let arguments = (ins StrAttr:$model);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "`of` $model attr-dict-with-keyword $body";
}

def WMap_ConfigOp : WMap_Op<"config", [HasParent<"MappingOp">]> {
  let summary = "a field of Megatron's configuration";
  let description = [{
    `value` is an expression over configuration names. With `name`, the field
    *is* that name. A configuration that was not written from this mapping must
    have the same value, or, with `binding`, only while that condition holds.
  }];
  let arguments = (ins StrAttr:$field, AnyAttr:$value, OptionalAttr<StrAttr>:$name,
                       OptionalAttr<AnyAttr>:$binding);
  let assemblyFormat = [{
    $field `=` $value (`both_ways` $name^)? (`binding` $binding^)? attr-dict
  }];
}

def WMap_NeutralOp : WMap_Op<"neutral", [HasParent<"MappingOp">]> {
  let summary = "a field of Megatron's that changes the model unless it is `value`";
  let description = [{
    Never written; a configuration that has it must have this value.
  }];
  let arguments = (ins StrAttr:$field, AnyAttr:$value);
  let assemblyFormat = "$field `=` $value attr-dict";
}

def WMap_HfFieldOp : WMap_Op<"hf_field", [HasParent<"MappingOp">]> {
  let summary = "a field of config.json that Megatron's configuration has no field for";
  let description = [{
    What Megatron computes with: a config.json that is made from Megatron's
    configuration says so, while `when` holds.
  }];
  let arguments = (ins StrAttr:$field, AnyAttr:$value, OptionalAttr<AnyAttr>:$when);
  let assemblyFormat = "$field `=` $value (`when` $when^)? attr-dict";
}

def WMap_ScaleOp : WMap_Op<"scale", [HasParent<"MappingOp">]> {
  let summary = "block scales stored beside scaled tensors";
  let arguments = (ins StrAttr:$suffix, AnyAttr:$blocks, AnyAttr:$condition);
  let assemblyFormat = "$suffix `blocks` $blocks `when` $condition attr-dict";
}

def WMap_EntryOp : WMap_Op<"entry", [HasParent<"MappingOp">]> {
  let summary = "how both sides hold one logical parameter";
  let arguments = (ins
    StrAttr:$path,
    WMap_Loops:$loops,
    WMap_Alternatives:$hf,
    OptionalAttr<WMap_KeyAttr>:$mcore,
    UnitAttr:$stored,
    // wmap-prove
    OptionalAttr<TypeAttr>:$type,
    OptionalAttr<DenseI64ArrayAttr>:$domain,
    OptionalAttr<StrAttr>:$tie,
    // wmap-bind: the alternative, and for each of its parts the dtypes of its
    // tensors in loop order, as [name, count, name, count, ...]
    OptionalAttr<I64Attr>:$choice,
    OptionalAttr<ArrayAttr>:$dtypes,
    // wmap-resolve-placement: one #wmap.placed for each way of storing layers
    OptionalAttr<ArrayAttr>:$placed
  );
  let assemblyFormat = [{
    $path `loops` $loops `hf` $hf (`mcore` $mcore^)? (`stored` $stored^)?
    (`type` $type^)? (`domain` $domain^)? (`tie` $tie^)?
    (`choice` $choice^)? (`dtypes` $dtypes^)? (`placed` $placed^)? attr-dict
  }];
  let hasVerifier = 1;
}

def WMap_ExtraOp : WMap_Op<"extra", [HasParent<"MappingOp">]> {
  let summary = "a tensor that a folder may hold and Megatron does not; `drop` with a reason";
  let description = [{
    `wmap-bind` lists the tensors it `found`, each as [name, dtype, shape].
  }];
  let arguments = (ins WMap_NameAttr:$name, WMap_Loops:$loops,
                       OptionalAttr<StrAttr>:$because,
                       OptionalAttr<ArrayAttr>:$found);
  let assemblyFormat =
      "$name `loops` $loops (`drop` $because^)? (`found` $found^)? attr-dict";
}

//===----------------------------------------------------------------------===//
// Copy plans: 1:1 with runtime/schema/plan.fbs
//===----------------------------------------------------------------------===//

def WMap_PlanOp : WMap_Op<"plan", [Symbol, NoTerminator, SingleBlock]> {
  let summary = "a copy plan";
  let arguments = (ins SymbolNameAttr:$sym_name, UnitAttr:$indexed_layers,
                       I64Attr:$layers, I64Attr:$tp, I64Attr:$pp,
                       OptionalAttr<StrArrayAttr>:$notes);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name `layers` $layers (`indexed` $indexed_layers^)? `tp` $tp `pp` $pp
    (`notes` $notes^)? attr-dict-with-keyword $body
  }];
}

def WMap_CopyOp : WMap_Op<"copy", [HasParent<"PlanOp">]> {
  let summary = "a family of equal box copies";
  let description = [{
    `part` is the part of a sum axis that the box is: "slot.q".
    `loops` lists (index name, what it runs over, [first, count, step, ...]); holes of the two
    names are linear in the loop indices.
    `scaled`: the declaration lets the Hugging Face tensor be FP8, with scales under its name and this
    suffix; `blocks`: it is.
  }];
  let arguments = (ins StrAttr:$path, OptionalAttr<StrAttr>:$part, ArrayAttr:$loops,
    WMap_NameAttr:$hf, DenseI64ArrayAttr:$hf_shape, StrAttr:$hf_dtype,
    WMap_NameAttr:$mcore, DenseI64ArrayAttr:$mcore_shape, StrAttr:$mcore_dtype,
    UnitAttr:$mcore_padded,
    StrArrayAttr:$axes, DenseI64ArrayAttr:$extents,
    DenseI64ArrayAttr:$hf_strides, I64Attr:$hf_base, DenseI64ArrayAttr:$hf_loop_strides,
    DenseI64ArrayAttr:$mcore_strides, I64Attr:$mcore_base, DenseI64ArrayAttr:$mcore_loop_strides,
    OptionalAttr<StrAttr>:$hf_scale, OptionalAttr<DenseI64ArrayAttr>:$hf_block);
  let assemblyFormat = [{
    $path (`part` $part^)? `loops` $loops `box` $axes $extents
    `hf` $hf $hf_shape $hf_dtype `at` $hf_base `strides` $hf_strides $hf_loop_strides
    `mcore` $mcore $mcore_shape $mcore_dtype (`padded` $mcore_padded^)? `at` $mcore_base `strides` $mcore_strides $mcore_loop_strides
    (`scaled` $hf_scale^)? (`blocks` $hf_block^)? attr-dict
  }];
  let hasVerifier = 1;
}

def WMap_PlacementOp : WMap_Op<"placement", [HasParent<"PlanOp">]> {
  let summary = "how a Megatron tensor is cut into chunks";
  let arguments = (ins WMap_NameAttr:$mcore, ArrayAttr:$loops, I64Attr:$slab_dims,
    I64Attr:$axis, DenseI64ArrayAttr:$segments, DenseI64ArrayAttr:$ranks,
    StrAttr:$stack, I64Attr:$layer_loop);
  let assemblyFormat = [{
    $mcore `loops` $loops `slabs` $slab_dims `axis` $axis `segments` $segments
    `ranks` $ranks `stack` $stack `layer` $layer_loop attr-dict
  }];
}

def WMap_TieOp : WMap_Op<"tie", [HasParent<"PlanOp">]> {
  let summary = "a stored copy of a tied parameter";
  let arguments = (ins StrAttr:$copy, StrAttr:$original, StrAttr:$dtype,
                       DenseI64ArrayAttr:$shape);
  let assemblyFormat = "$copy `of` $original $dtype $shape attr-dict";
}

def WMap_ExtraTensorOp : WMap_Op<"extra_tensor", [HasParent<"PlanOp">]> {
  let summary = "a tensor that only the Hugging Face folder holds";
  let arguments = (ins StrAttr:$name, StrAttr:$dtype, DenseI64ArrayAttr:$shape);
  let assemblyFormat = "$name $dtype $shape attr-dict";
}

def WMap_ObjectOp : WMap_Op<"object", [HasParent<"PlanOp">]> {
  let summary = "bytes entries that loaders ask for";
  let arguments = (ins WMap_NameAttr:$name, ArrayAttr:$loops);
  let assemblyFormat = "$name `loops` $loops attr-dict";
}

#endif
