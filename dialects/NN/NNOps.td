//===- NNOps.td - Declarations and operators ---------------*- tablegen -*-===//
#ifndef MBC_DIALECTS_NN_NNOPS
#define MBC_DIALECTS_NN_NNOPS

include "dialects/NN/NNInterfaces.td"
include "dialects/NN/NNTypes.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/IR/RegionKindInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class NN_Op<string mnemonic, list<Trait> traits = []>
    : Op<NN_Dialect, mnemonic, traits>;

def NN_Shards : TypedArrayAttrBase<NN_ShardAttr, "shards">;

//===----------------------------------------------------------------------===//
// Declarations
//===----------------------------------------------------------------------===//

def NN_ModelOp : NN_Op<"model", [IsolatedFromAbove, Symbol, SymbolTable,
                                 NoTerminator, SingleBlock]> {
  let summary = "a model: configuration, parameters, blocks, stacks, functions";
  let description = [{
    Set by `nn-elaborate`: `values` (name -> value), `fields` (used, inert,
    neutral, accepted, unknown -> paths of config.json) and `obligations`
    (dictionaries of text, verdict, line: what had to hold, and did).
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrArrayAttr:$architectures,
                       OptionalAttr<DictionaryAttr>:$values,
                       OptionalAttr<DictionaryAttr>:$fields,
                       OptionalAttr<ArrayAttr>:$obligations);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name `for` $architectures attr-dict-with-keyword $body
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The value of a configuration name or dim once elaborated, or null.
    ::mlir::Attribute getValue(::llvm::StringRef name);
    bool isElaborated() { return getValuesAttr() != nullptr; }
  }];
}

def NN_ConfigOp : NN_Op<"config", [Symbol, HasParent<"ModelOp">]> {
  let summary = "a configuration name";
  let arguments = (ins SymbolNameAttr:$sym_name, AnyAttr:$expr,
                       OptionalAttr<AnyAttr>:$value);
  let assemblyFormat = "$sym_name `=` $expr (`value` $value^)? attr-dict";
}

def NN_VariantOp : NN_Op<"variant", [Symbol, HasParent<"ModelOp">]> {
  let summary = "a configuration name whose value is a tagged record";
  let description = [{
    `sources` are the "field" expressions of the record, the first that is
    there wins; `tags` the names under which the record may hold its tag.
    A case is [[tag, ...], [field], [field, default], ...]; the first of its
    tags is the `type` of the value.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, ArrayAttr:$sources,
                       StrArrayAttr:$tags, OptionalAttr<StrAttr>:$default_tag,
                       ArrayAttr:$cases, OptionalAttr<AnyAttr>:$value);
  let assemblyFormat = [{
    $sym_name `from` $sources `tag` $tags (`default` $default_tag^)?
    `cases` $cases (`value` $value^)? attr-dict
  }];
  let hasVerifier = 1;
}

def NN_RequireOp : NN_Op<"require", [HasParent<"ModelOp">]> {
  let summary = "a condition on the configuration";
  let arguments = (ins AnyAttr:$condition, OptionalAttr<StrAttr>:$message);
  let assemblyFormat = "$condition (`message` $message^)? attr-dict";
}

def NN_FieldsOp : NN_Op<"fields", [HasParent<"ModelOp">]> {
  let summary = "fields of config.json without meaning for the computation";
  let arguments = (ins ArrayAttr:$inert);
  let assemblyFormat = "`inert` $inert attr-dict";
}

def NN_UnsupportedOp : NN_Op<"unsupported", [HasParent<"ModelOp">]> {
  let summary = "a field that changes meaning, refused unless a condition holds";
  let arguments = (ins AnyAttr:$field, AnyAttr:$condition, StrAttr:$reason);
  let assemblyFormat = "$field `unless` $condition `because` $reason attr-dict";
}

def NN_DimOp : NN_Op<"dim", [Symbol]> {
  let summary = "a derived size; that of a block is named `Block.dim`";
  let arguments = (ins SymbolNameAttr:$sym_name, AnyAttr:$expr,
                       OptionalAttr<AnyAttr>:$when, OptionalAttr<AnyAttr>:$value);
  let assemblyFormat = [{
    $sym_name `=` $expr (`when` $when^)? (`value` $value^)? attr-dict
  }];
}

def NN_ParamOp : NN_Op<"param", [Symbol]> {
  let summary = "a logical parameter";
  let description = [{
    `tie` is the path of the parameter that this one is while `tie_when` holds
    (absent: always; elaborated: always or no `tie`). `dtype` is kept whatever
    the model's. The parameter exists only if `when` holds.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<NN_TensorType>:$type,
                       OptionalAttr<NN_Shards>:$shard,
                       OptionalAttr<StrArrayAttr>:$pad,
                       OptionalAttr<StrAttr>:$tie, OptionalAttr<AnyAttr>:$tie_when,
                       OptionalAttr<StrAttr>:$dtype, OptionalAttr<AnyAttr>:$when);
  let assemblyFormat = [{
    $sym_name `:` $type (`shard` $shard^)? (`pad` $pad^)? (`tie` $tie^)?
    (`tie_when` $tie_when^)? (`dtype` $dtype^)? (`when` $when^)? attr-dict
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Bodies
//===----------------------------------------------------------------------===//

class NN_BodyOp<string mnemonic, list<Trait> traits>
    : NN_Op<mnemonic, !listconcat([IsolatedFromAbove, Symbol, SingleBlock,
                                   HasParent<"ModelOp">], traits)> {
  let regions = (region SizedRegion<1>:$body);
  let hasVerifier = 1;
}

def NN_BlockOp : NN_BodyOp<"block", [SymbolTable]> {
  let summary = "a block for one set of dimension arguments";
  let arguments = (ins SymbolNameAttr:$sym_name);
  let assemblyFormat = [{
    $sym_name attr-dict-with-keyword custom<Signature>($body)
  }];
}

def NN_LayersOp : NN_BodyOp<"layers", [SymbolTable]> {
  let summary = "a stack: copies of one body, each with its own parameters";
  let description = [{
    The first argument is carried from layer to layer, the others are the same
    for each. `index` is the symbol that stands for the layer in conditions.
    Elaborated: `kinds` lists runs [kind, first, count] of equal layers.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, AnyAttr:$count,
                       OptionalAttr<StrAttr>:$index,
                       OptionalAttr<ArrayAttr>:$kinds);
  let assemblyFormat = [{
    $sym_name `of` $count (`index` $index^)? (`kinds` $kinds^)?
    attr-dict-with-keyword custom<Signature>($body)
  }];
}

def NN_FuncOp : NN_BodyOp<"func", []> {
  let summary = "an entry point: forward or loss";
  let description = [{
    `input_names` are those under which callers give the inputs.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name,
                       OptionalAttr<StrArrayAttr>:$input_names);
  let assemblyFormat = [{
    $sym_name ($input_names^)? attr-dict-with-keyword custom<Signature>($body)
  }];
}

def NN_YieldOp : NN_Op<"yield", [Terminator, Pure]> {
  let summary = "the values of a body or of a branch";
  let arguments = (ins Variadic<NN_TensorType>:$inputs);
  let assemblyFormat = "($inputs^ `:` type($inputs))? attr-dict";
}

def NN_GetOp : NN_Op<"get", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "a parameter as a value; of the body, else of the model";
  let arguments = (ins FlatSymbolRefAttr:$param);
  let results = (outs NN_TensorType:$result);
  let assemblyFormat = "$param attr-dict `:` type($result)";
}

def NN_NoneOp : NN_Op<"none", [Pure]> {
  let summary = "an optional operand that is not there";
  let description = [{
    For a branch of `nn.if` and for the operand of a block; elaboration drops it
    where an operator takes it.
  }];
  let results = (outs NN_TensorType:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
}

def NN_CallOp : NN_Op<"call", [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "an instance of a block, with parameters of its own";
  let arguments = (ins FlatSymbolRefAttr:$callee, Variadic<NN_TensorType>:$inputs,
                       StrAttr:$instance);
  let results = (outs Variadic<NN_TensorType>:$results);
  let assemblyFormat = [{
    $callee `(` $inputs `)` `as` $instance attr-dict `:`
    functional-type($inputs, $results)
  }];
}

def NN_RunOp : NN_Op<"run", [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "all layers of a stack, in order";
  let arguments = (ins FlatSymbolRefAttr:$stack, Variadic<NN_TensorType>:$inputs);
  let results = (outs NN_TensorType:$result);
  let assemblyFormat = [{
    $stack `(` $inputs `)` attr-dict `:` functional-type($inputs, $result)
  }];
}

def NN_IfOp : NN_Op<"if", [SingleBlock, NoRegionArguments]> {
  let summary = "one of two computations, by configuration or layer index";
  let description = [{
    Elaborated, only conditions on the layer index are left, and `then_layers`
    lists the layers in which they hold.
  }];
  let arguments = (ins AnyAttr:$condition,
                       OptionalAttr<DenseI64ArrayAttr>:$then_layers);
  let results = (outs Variadic<NN_TensorType>:$results);
  let regions = (region SizedRegion<1>:$then_body, SizedRegion<1>:$else_body);
  let assemblyFormat = [{
    $condition (`layers` $then_layers^)? attr-dict `->` `(` type($results) `)`
    $then_body `else` $else_body
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Operators: the table of compiler/Frontend/README.md, one rule each in
// AxisRules.h
//===----------------------------------------------------------------------===//

class NN_ComputeOp<string mnemonic, dag ins, bit many = false,
                   list<Trait> partition = [NN_PartitionOpInterface]>
    : NN_Op<mnemonic, !listconcat(
          [Pure, DeclareOpInterfaceMethods<NN_AxisRuleOpInterface>,
           DeclareOpInterfaceMethods<NN_CostOpInterface>], partition)> {
  let arguments = ins;
  let results = !if(many, (outs Variadic<NN_TensorType>:$results),
                          (outs NN_TensorType:$result));
  let assemblyFormat = "operands attr-dict `:` functional-type(operands, results)";
}

def NN_EmbeddingOp : NN_ComputeOp<"embedding",
    (ins NN_TensorType:$ids, NN_TensorType:$weight)> {
  let summary = "rows of a table";
}
def NN_LinearOp : NN_ComputeOp<"linear",
    (ins NN_TensorType:$x, NN_TensorType:$weight, Optional<NN_TensorType>:$bias)> {
  let summary = "contraction of the in axes of a weight";
}
def NN_RMSNormOp : NN_ComputeOp<"rms_norm",
    (ins NN_TensorType:$x, NN_TensorType:$weight, AnyAttr:$eps)> {
  let summary = "root mean square normalisation";
}
def NN_LayerNormOp : NN_ComputeOp<"layer_norm",
    (ins NN_TensorType:$x, NN_TensorType:$weight, NN_TensorType:$bias, AnyAttr:$eps)> {
  let summary = "layer normalisation";
}
def NN_SplitOp : NN_ComputeOp<"split", (ins NN_TensorType:$x, StrAttr:$axis), true> {
  let summary = "one value a part of a sum axis";
}
def NN_JoinOp : NN_ComputeOp<"join",
    (ins Variadic<NN_TensorType>:$parts, NN_AxisAttr:$axis)> {
  let summary = "inverse of split";
}
def NN_RopeOp : NN_ComputeOp<"rope",
    (ins NN_TensorType:$q, NN_TensorType:$k, Optional<NN_TensorType>:$positions,
         AnyAttr:$theta, AnyAttr:$scaling, OptionalAttr<AnyAttr>:$interleaved,
         OptionalAttr<AnyAttr>:$axial), true> {
  let summary = "rotary position embedding of two values";
}
def NN_AttentionOp : NN_ComputeOp<"attention",
    (ins NN_TensorType:$q, NN_TensorType:$k, NN_TensorType:$v,
         Optional<NN_TensorType>:$windows, AnyAttr:$causal, AnyAttr:$scale,
         OptionalAttr<AnyAttr>:$window)> {
  let summary = "softmax attention, grouped queries";
  let description = [{
    `window` is a number of tokens; `windows` the ends of the parts of the
    sequence that see each other.
  }];
}
def NN_MLAAttentionOp : NN_ComputeOp<"mla_attention",
    (ins NN_TensorType:$q_nope, NN_TensorType:$q_rope, NN_TensorType:$latent,
         NN_TensorType:$k_rope, NN_TensorType:$up, AnyAttr:$causal, AnyAttr:$scale)> {
  let summary = "attention over a latent of keys and values";
}
def NN_MapOp : NN_ComputeOp<"map",
    (ins Variadic<NN_TensorType>:$inputs, StrAttr:$kind, OptionalAttr<AnyAttr>:$scalar)> {
  let summary = "pointwise: silu, gelu, sigmoid, add, mul, sub";
}
def NN_RouteOp : NN_ComputeOp<"route",
    (ins NN_TensorType:$logits, Optional<NN_TensorType>:$correction, AnyAttr:$score,
         AnyAttr:$topk, AnyAttr:$renorm, AnyAttr:$groups, AnyAttr:$group_topk,
         AnyAttr:$scale, OptionalAttr<AnyAttr>:$method), true> {
  let summary = "experts of each token and their weights";
}
def NN_DispatchOp : NN_ComputeOp<"dispatch",
    (ins NN_TensorType:$x, NN_TensorType:$idx)> {
  let summary = "rows of tokens, one for each chosen expert";
}
def NN_GroupedLinearOp : NN_ComputeOp<"grouped_linear",
    (ins NN_TensorType:$x, NN_TensorType:$weight)> {
  let summary = "linear with the weight of each row's expert";
}
def NN_CombineOp : NN_ComputeOp<"combine",
    (ins NN_TensorType:$y, NN_TensorType:$weights, NN_TensorType:$idx)> {
  let summary = "weighted sum of the rows of each token";
}
def NN_MergeOp : NN_ComputeOp<"merge",
    (ins NN_TensorType:$x, AnyAttr:$count, StrAttr:$axis)> {
  let summary = "folds neighbouring tokens into an axis";
}
def NN_PlaceOp : NN_ComputeOp<"place",
    (ins NN_TensorType:$x, NN_TensorType:$features, NN_TensorType:$ids, AnyAttr:$token)> {
  let summary = "replaces the rows of a token by features, in order";
}
def NN_ShiftOp : NN_ComputeOp<"shift", (ins NN_TensorType:$ids, AnyAttr:$by)> {
  let summary = "ids of following tokens";
}
def NN_ReorderOp : NN_ComputeOp<"reorder",
    (ins NN_TensorType:$x, NN_TensorType:$order)> {
  let summary = "rows in another order";
}
def NN_CrossEntropyOp : NN_ComputeOp<"cross_entropy",
    (ins NN_TensorType:$logits, NN_TensorType:$labels), false,
    // A mean over the rows of all ranks: no rule yet.
    []> {
  let summary = "mean negative log likelihood of the labels";
}

//===----------------------------------------------------------------------===//
// Graphs: what `nn-instantiate` makes of an elaborated model
//===----------------------------------------------------------------------===//

def NN_GraphOp : NN_Op<"graph", [IsolatedFromAbove, Symbol, SymbolTable,
                                 NoTerminator, SingleBlock]> {
  let summary = "a model for given numbers of rows: weights and entries";
  let description = [{
    Blocks are inlined and conditions resolved: an entry holds one body for each
    kind of layer. `values` are the configuration's, as in `nn.model`.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, DictionaryAttr:$values);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name attr-dict-with-keyword $body";
}

def NN_WeightsOp : NN_Op<"weights", [Symbol, HasParent<"GraphOp">]> {
  let summary = "a logical parameter that an entry uses";
  let description = [{
    Named by its path ("decoder.attn.qkv"); of a stack, the copies in `layers`.
    `shard` and `pad` are the parameter's.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<NN_TensorType>:$type,
                       OptionalAttr<DenseI64ArrayAttr>:$layers,
                       OptionalAttr<StrAttr>:$dtype,
                       OptionalAttr<NN_Shards>:$shard,
                       OptionalAttr<StrArrayAttr>:$pad);
  let assemblyFormat = [{
    $sym_name `:` $type (`layers` $layers^)? (`dtype` $dtype^)?
    (`shard` $shard^)? (`pad` $pad^)? attr-dict
  }];
}

def NN_EntryOp : NN_Op<"entry", [IsolatedFromAbove, Symbol, SingleBlock,
                                 HasParent<"GraphOp">]> {
  let summary = "a function of a graph over static shapes";
  let arguments = (ins SymbolNameAttr:$sym_name, StrArrayAttr:$input_names,
                       StrArrayAttr:$result_names);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name $input_names `->` $result_names attr-dict-with-keyword
    custom<Signature>($body)
  }];
  let hasVerifier = 1;
}

def NN_WeightOp : NN_Op<"weight", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "a weight of the graph, in a stack that of the current layer";
  let arguments = (ins FlatSymbolRefAttr:$weight);
  let results = (outs NN_TensorType:$result);
  let assemblyFormat = "$weight attr-dict `:` type($result)";
}

def NN_RepeatOp : NN_Op<"repeat", [SingleBlock]> {
  let summary = "the layers of a stack: one body for each kind";
  let description = [{
    The first operand is carried from layer to layer, the others are the same
    for each. `runs` lists [kind, first layer, count].
  }];
  let arguments = (ins Variadic<NN_TensorType>:$inputs, StrAttr:$stack,
                       ArrayAttr:$runs);
  let results = (outs NN_TensorType:$result);
  let regions = (region VariadicRegion<SizedRegion<1>>:$kinds);
  let assemblyFormat = [{
    $stack `(` $inputs `)` `runs` $runs attr-dict `:`
    functional-type($inputs, $result) $kinds
  }];
  let hasVerifier = 1;
}

def NN_ClusterOp : NN_Op<"cluster", [IsolatedFromAbove, SingleBlock,
                                     DeclareOpInterfaceMethods<NN_CostOpInterface>]> {
  let summary = "pointwise operations and row reductions as one kernel";
  let description = [{
    All values have the rows of the first result; weights are the same for each.
  }];
  let arguments = (ins Variadic<NN_TensorType>:$inputs);
  let results = (outs Variadic<NN_TensorType>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    `(` $inputs `)` attr-dict `:` functional-type($inputs, $results) $body
  }];
  let hasVerifier = 1;
}

def NN_TakeOp : NN_ComputeOp<"take",
    (ins NN_TensorType:$x, NN_TensorType:$rows)> {
  let summary = "some rows of a value";
}

def NN_TapOp : NN_Op<"tap", [NN_PartitionOpInterface]> {
  let summary = "a value that a caller wants to see, under this name";
  let description = [{ In a stack that of every layer that has it. }];
  let arguments = (ins StrAttr:$name, NN_TensorType:$x);
  let assemblyFormat = "$name $x attr-dict `:` type($x)";
}

#endif
