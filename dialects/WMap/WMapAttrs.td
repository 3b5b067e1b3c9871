//===- WMapAttrs.td - Names, keys and views ----------------*- tablegen -*-===//
#ifndef MBC_DIALECTS_WMAP_WMAPATTRS
#define MBC_DIALECTS_WMAP_WMAPATTRS

include "dialects/WMap/WMapDialect.td"

class WMap_Attr<string name, string attrMnemonic> : AttrDef<WMap_Dialect, name> {
  let mnemonic = attrMnemonic;
}

def WMap_NameAttr : WMap_Attr<"Name", "name"> {
  let summary = "a tensor name with holes";
  let description = [{
    Literal strings and holes in any order; a hole is an expression over loop
    indices and configuration names, printed as a canonical decimal.

        #wmap.name<"model.layers.", @l, ".mlp.down_proj.weight">
  }];
  let parameters = (ins ArrayRefParameter<"::mlir::Attribute">:$segments);
  let assemblyFormat = "`<` $segments `>`";
  let extraClassDeclaration = [{
    /// "model.layers.{l}.mlp.down_proj.weight".
    std::string str() const;
  }];
}

def WMap_LoopAttr : WMap_Attr<"Loop", "loop"> {
  let summary = "an index that runs over a stack of layers or a batch axis";
  let parameters = (ins StringRefParameter<"index name">:$index,
                        StringRefParameter<"stack path or axis name">:$over,
                        "bool":$stack);
  let assemblyFormat = "`<` $index `in` $over `,` `stack` `=` $stack `>`";
}

def WMap_StoredAttr : WMap_Attr<"Stored", "stored"> {
  let summary = "one stored tensor (a family of them, over the loops)";
  let description = [{
    `part` is "axis.part" when the tensor holds one part of a sum axis, else
    empty. `view` lists the stored dimensions, each a product of axes; without
    it: batch axes one dimension each, then (out) x (in).
  }];
  let parameters = (ins "::mbc::wmap::NameAttr":$name,
                        StringRefParameter<"axis.part or empty">:$part,
                        "bool":$scaled,
                        OptionalParameter<"::mlir::ArrayAttr">:$view);
  let assemblyFormat =
      "`<` $name `,` `part` `=` $part `,` `scaled` `=` $scaled (`,` `view` `=` $view^)? `>`";
}

def WMap_AlternativeAttr : WMap_Attr<"Alternative", "alternative"> {
  let summary = "one way in which a folder may store a parameter";
  let description = [{
    `loops` are the batch axes that are spelled in the name instead of stored.
  }];
  let parameters = (ins OptionalArrayRefParameter<"::mbc::wmap::LoopAttr">:$loops,
                        ArrayRefParameter<"::mbc::wmap::StoredAttr">:$parts);
  let assemblyFormat = "`<` (`loops` `(` $loops^ `)` `,`)? $parts `>`";
}

def WMap_KeyAttr : WMap_Attr<"Key", "key"> {
  let summary = "a Megatron Core module path";
  let description = [{
    Like a name, but structured: a string segment is a dotted path without
    indices, an expression the index of the module before it.

        #wmap.key<"decoder.layers", @l, "self_attention.linear_qkv.weight">

    Spelled by a format profile, never by the mapping.
  }];
  let parameters = (ins ArrayRefParameter<"::mlir::Attribute">:$segments,
                        OptionalArrayRefParameter<"::mbc::wmap::LoopAttr">:$loops,
                        OptionalParameter<"::mlir::ArrayAttr">:$view);
  let assemblyFormat =
      "`<` `[` $segments `]` (`,` `loops` `(` $loops^ `)`)? (`,` `view` `=` $view^)? `>`";
  let extraClassDeclaration = [{
    /// "decoder.layers[l].self_attention.linear_qkv.weight".
    std::string str() const;
  }];
}

def WMap_PlacedAttr : WMap_Attr<"Placed", "placed"> {
  let summary = "what a format profile makes of a key";
  let description = [{
    For the `layers` of the entry's domain that are stored in this way (empty
    outside of stacks). `shape` is that of one stored tensor; `loopStrides` (elements a step, one
    for each loop of the entry) are zero for loops that are spelled in the name. Chunks: `slabs` leading
    dimensions one index each, then `segments` along dimension `axis`, of the
    tensor-parallel ranks `ranks`.
  }];
  let parameters = (ins "::mbc::wmap::NameAttr":$name,
                        "::mlir::DenseI64ArrayAttr":$layers,
                        ArrayRefParameter<"int64_t">:$shape,
                        "::mlir::DenseI64ArrayAttr":$loopStrides,
                        "int64_t":$slabs, "int64_t":$axis,
                        ArrayRefParameter<"int64_t">:$segments,
                        ArrayRefParameter<"int64_t">:$ranks,
                        StringRefParameter<"dtype">:$dtype);
  let assemblyFormat =
      "`<` $name `,` `layers` `=` $layers `,` `shape` `=` `[` $shape `]` `,` `strides` `=` $loopStrides `,` `slabs` `=` $slabs `,` `axis` `=` $axis `,` `segments` `=` `[` $segments `]` `,` `ranks` `=` `[` $ranks `]` `,` $dtype `>`";
}

#endif
