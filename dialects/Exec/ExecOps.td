//===- ExecOps.td - Programs and their commands ------------*- tablegen -*-===//
#ifndef MBC_DIALECTS_EXEC_EXECOPS
#define MBC_DIALECTS_EXEC_EXECOPS

include "dialects/Exec/ExecAttrs.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/BuiltinTypes.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Exec_Op<string mnemonic, list<Trait> traits = []>
    : Op<Exec_Dialect, mnemonic, traits>;

/// (X15) What the runtime can follow: sizes and strides are numbers.
def Exec_View : Type<
    And<[MemRefOf<[F32, BF16, F16, I32]>.predicate,
         CPred<"::mbc::exec::isView(::llvm::cast<::mlir::MemRefType>($_self))">]>,
    "memref of f32, bf16, f16 or i32 with static sizes and strides",
    "::mlir::MemRefType">;

/// A weight may be FP8 with block scales too, for products alone (X30).
def Exec_WeightView : Type<
    And<[MemRefOf<[F32, BF16, F16, F8E4M3FN]>.predicate,
         CPred<"::mbc::exec::isView(::llvm::cast<::mlir::MemRefType>($_self))">]>,
    "memref of f32, bf16, f16 or f8E4M3FN with static sizes and strides",
    "::mlir::MemRefType">;
/// What commands read: i32 views, and weights.
def Exec_Factor : Type<Or<[Exec_View.predicate, Exec_WeightView.predicate]>,
    "memref of f32, bf16, f16, i32 or f8E4M3FN with static sizes and strides",
    "::mlir::MemRefType">;

//===----------------------------------------------------------------------===//
// Declarations
//===----------------------------------------------------------------------===//

def Exec_ProgramOp : Exec_Op<"program", [IsolatedFromAbove, Symbol, SymbolTable,
                                         NoTerminator, SingleBlock]> {
  let summary = "functions that share weights and state";
  let description = [{
    `dtype` is the type of activations, `values` are the configuration's.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttr:$dtype,
                       DictionaryAttr:$values);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name $dtype attr-dict-with-keyword $body";
}

def Exec_WeightOp : Exec_Op<"weight", [Symbol, HasParent<"ProgramOp">]> {
  let summary = "a logical parameter: [batch x] rows x cols, or a vector";
  let description = [{
    `layers`: of a stack, those that have it. `block`: rows and columns of the
    blocks that have a scale, of an FP8 weight.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name,
                       TypeAttrOf<Exec_WeightView>:$type,
                       OptionalAttr<DenseI64ArrayAttr>:$layers,
                       OptionalAttr<DenseI64ArrayAttr>:$block);
  let assemblyFormat = [{
    $sym_name $type (`layers` $layers^)? (`block` $block^)? attr-dict
  }];
  let hasVerifier = 1;
}

def Exec_StateOp : Exec_Op<"state", [Symbol, HasParent<"ProgramOp">]> {
  let summary = "rows that an attention keeps for every token and layer";
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttr:$dtype,
                       DenseI64ArrayAttr:$widths, DenseI64ArrayAttr:$layers);
  let assemblyFormat = "$sym_name $dtype `widths` $widths `layers` $layers attr-dict";
}

def Exec_RopeOp : Exec_Op<"rope", [Symbol, HasParent<"ProgramOp">]> {
  let summary = "how positions turn into angles";
  let description = [{
    `inv_freq`: radians a position, of each rotated pair. `dynamic`: theta,
    factor and the length up to which `inv_freq` holds; beyond it the base
    grows with the length. `axis`: of the position's numbers, the one that
    turns each pair; absent where a position is one number.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, DenseF32ArrayAttr:$inv_freq,
                       F64Attr:$attention_factor,
                       OptionalAttr<DenseF64ArrayAttr>:$dynamic,
                       OptionalAttr<DenseI64ArrayAttr>:$axis);
  let assemblyFormat = [{
    $sym_name custom<Numbers>($inv_freq) `times` $attention_factor
    (`dynamic` custom<Numbers>($dynamic)^)?
    (`axis` $axis^)? attr-dict
  }];
  let hasVerifier = 1;
}

def Exec_KernelOp : Exec_Op<"kernel", [Symbol, HasParent<"ProgramOp">]> {
  let summary = "a fused cluster of row operations";
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$operands,
                       TypedArrayAttrBase<Exec_StepAttr, "steps">:$steps);
  let assemblyFormat = "$sym_name `operands` $operands $steps attr-dict";
  let hasVerifier = 1;
}

def Exec_EntryOp : Exec_Op<"entry", [Symbol, HasParent<"ProgramOp">]> {
  let summary = "native code of a row kernel for operands of one layout";
  let description = [{ `scratch`: bytes that a call needs for itself. }];
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$scratch);
  let assemblyFormat = "$sym_name `scratch` $scratch attr-dict";
}

def Exec_ImageOp : Exec_Op<"image", [HasParent<"ProgramOp">]> {
  let summary = "a shared object with every entry, for a processor";
  let arguments = (ins StrAttr:$target, DenseI8ArrayAttr:$bytes);
  let assemblyFormat = "$target $bytes attr-dict";
  let hasVerifier = 1;
}

def Exec_GpuEntryOp : Exec_Op<"gpu_entry", [Symbol, HasParent<"ProgramOp">]> {
  let summary = "a row kernel for GPUs, for operands of one layout";
  let description = [{
    A launch has blocks of `threads`, and `shared` bytes beyond those that the
    kernel has itself: for each task `parts` blocks for so many times `rows`
    rows as cover all of them.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$threads,
                       I64Attr:$shared, DenseI64ArrayAttr:$rows,
                       DenseI64ArrayAttr:$parts);
  let assemblyFormat = [{
    $sym_name `threads` $threads `shared` $shared `rows` $rows `parts` $parts
    attr-dict
  }];
  let hasVerifier = 1;
}

def Exec_GpuImageOp : Exec_Op<"gpu_image", [HasParent<"ProgramOp">]> {
  let summary = "every kernel for GPUs, for an architecture";
  let description = [{
    `ptx` is assembled by the driver; `cubin` is what an assembler made of it
    for this architecture, where there was one.
  }];
  let arguments = (ins StrAttr:$target, StrAttr:$ptx,
                       DenseI8ArrayAttr:$cubin);
  let assemblyFormat = "$target $ptx `cubin` $cubin attr-dict";
  let hasVerifier = 1;
}

def Exec_FuncOp : Exec_Op<"func", [IsolatedFromAbove, Symbol, NoTerminator,
                                   SingleBlock, HasParent<"ProgramOp">]> {
  let summary = "a function over at most `rows` packed tokens";
  let description = [{
    The block's arguments are the caller's arrays: inputs, then outputs.
    `arena` is set by `exec-plan-memory`.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$rows,
                       StrArrayAttr:$input_names, StrArrayAttr:$output_names,
                       OptionalAttr<I64Attr>:$arena);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name `rows` $rows $input_names `->` $output_names (`arena` $arena^)?
    attr-dict-with-keyword custom<Signature>($body)
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Views
//===----------------------------------------------------------------------===//

def Exec_BufferOp : Exec_Op<"buffer"> {
  let summary = "memory of the arena; `offset` bytes once planned";
  let arguments = (ins OptionalAttr<I64Attr>:$offset);
  let results = (outs Exec_View:$result);
  let assemblyFormat = "(`at` $offset^)? attr-dict `:` type($result)";
}

def Exec_UseOp : Exec_Op<"use", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "a weight, in a stack that of the current layer";
  let arguments = (ins FlatSymbolRefAttr:$weight);
  let results = (outs Exec_Factor:$result);
  let assemblyFormat = "$weight attr-dict `:` type($result)";
}

def Exec_SubviewOp : Exec_Op<"subview", [Pure]> {
  let summary = "the same memory from `offset` elements on, in another shape";
  let arguments = (ins Exec_View:$source, I64Attr:$offset);
  let results = (outs Exec_View:$result);
  let assemblyFormat = [{
    $source `from` $offset attr-dict `:` type($source) `->` type($result)
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Commands
//===----------------------------------------------------------------------===//

class Exec_Command<string mnemonic, dag ins> : Exec_Op<mnemonic> {
  let arguments = ins;
  let assemblyFormat = "operands attr-dict `:` type(operands)";
  let hasVerifier = 1;
}

def Exec_EmbedOp : Exec_Command<"embed",
    (ins Exec_View:$ids, Exec_View:$table, Exec_View:$out)> {
  let summary = "out[row] = table[ids[row]]";
}
def Exec_GemmOp : Exec_Command<"gemm",
    (ins Exec_View:$x, Exec_Factor:$weight, Optional<Exec_View>:$bias, Exec_View:$out)> {
  let summary = "out[row, n] = sum over k of x[row, k] * weight[n, k], + bias[n]";
}
def Exec_CopyOp : Exec_Command<"copy", (ins Exec_View:$from, Exec_View:$to)> {
  let summary = "to = from, element by element";
}
def Exec_TapOp : Exec_Command<"tap", (ins Exec_View:$from, Exec_View:$to)> {
  let summary = "to[row, layer] = from[row]; outside of layers to[row, 0]";
  let description = [{ `to` is an output of the function. }];
}
def Exec_TakeOp : Exec_Command<"take",
    (ins Exec_View:$x, Exec_View:$rows, Exec_View:$out)> {
  let summary = "out[row] = x[rows[row]]";
}
def Exec_PlaceOp : Exec_Command<"place",
    (ins Exec_View:$features, Exec_View:$places, Exec_View:$out)> {
  let summary = "out[row] = features[places[row]] where that is no -1";
  let description = [{
    Other rows of `out` stay as they are. `features` [at most rows, width].
  }];
}
def Exec_RowsOp : Exec_Op<"rows", [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "a row kernel over every row";
  let description = [{
    `code`: the entry that does the same for these views, `gpu`: that for GPUs.
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, Variadic<Exec_View>:$views,
                       OptionalAttr<FlatSymbolRefAttr>:$code,
                       OptionalAttr<FlatSymbolRefAttr>:$gpu);
  let assemblyFormat = [{
    $kernel `(` $views `)` (`code` $code^)? (`gpu` $gpu^)? attr-dict `:` type($views)
  }];
}
def Exec_AnglesOp : Exec_Op<"angles", [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "cosines, then sines, of the rows' positions";
  let arguments = (ins FlatSymbolRefAttr:$rope, Exec_View:$positions, Exec_View:$out);
  let assemblyFormat = "$rope `(` $positions `,` $out `)` attr-dict `:` type($positions) `,` type($out)";
}
def Exec_AttentionOp : Exec_Op<"attention",
    [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "appends keys and values to the state, and attends over it";
  let description = [{
    q and out [rows, kv, group, d], k and v [rows, kv, d]. Without a state the
    rows of one call see each other; `ends` cuts them into parts: the number
    behind the last row of each row's part. `window` > 0:
    each row sees that many last ones.
  }];
  let arguments = (ins Exec_View:$q, Exec_View:$k, Exec_View:$v,
                       Optional<Exec_View>:$ends, Exec_View:$out,
                       OptionalAttr<FlatSymbolRefAttr>:$state, F64Attr:$scale,
                       BoolAttr:$causal, I64Attr:$window);
  let assemblyFormat = [{
    `(` $q `,` $k `,` $v `)` (`ends` $ends^)? `->` $out (`state` $state^)?
    `scale` $scale `causal` $causal `window` $window attr-dict `:`
    type($q) `,` type($k) `,` type($v) (`,` type($ends)^)? `->` type($out)
  }];
}
def Exec_RouteOp : Exec_Command<"route",
    (ins Exec_View:$logits, Optional<Exec_View>:$correction, Exec_View:$weights,
         Exec_View:$ids, StrAttr:$score, StrAttr:$method, BoolAttr:$renorm,
         I64Attr:$groups, I64Attr:$group_topk, F64Attr:$scale)> {
  let summary = "the experts of each row, best first, and their weights";
  let description = [{
    Scores of the logits, all over experts. `GroupLimitedGreedy` and `NoauxTc`
    choose among the `group_topk` best of `groups` equal groups: by its best
    score, and by the sum of its two best. `correction` counts for the choice
    alone. Ties go to the lower index. `renorm`: weights add up to `scale`.
  }];
}
def Exec_GroupOp : Exec_Command<"group",
    (ins Exec_View:$ids, Exec_View:$place, Exec_View:$offsets)> {
  let summary = "where rows lie once they are sorted by expert";
  let description = [{
    ids [rows, topk]. Row place[row, j] of the sorted ones is that of the pair
    (row, j); those of expert e are [offsets[e], offsets[e + 1]).
  }];
}
def Exec_ScatterOp : Exec_Command<"scatter",
    (ins Exec_View:$x, Exec_View:$place, Exec_View:$out)> {
  let summary = "out[place[row, j]] = x[row], for every j";
}
def Exec_GroupedGemmOp : Exec_Command<"grouped_gemm",
    (ins Exec_View:$x, Exec_Factor:$weight, Exec_View:$offsets, Exec_View:$out)> {
  let summary = "gemm of each group of rows with the matrix of its expert";
}
def Exec_CombineOp : Exec_Command<"combine",
    (ins Exec_View:$y, Exec_View:$weights, Exec_View:$place, Exec_View:$out)> {
  let summary = "out[row] = sum over j of weights[row, j] * y[place[row, j]]";
}
def Exec_LatentAttentionOp : Exec_Op<"latent_attention",
    [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "appends latents to the state, and attends over it";
  let description = [{
    q_nope [rows, heads, nope], q_rope [rows, heads, rope], latent [rows, c],
    k_rope [rows, rope], up [heads, nope + v, c], out [rows, heads, v]. A head's
    key is its part of `up` times the latent, and the rope key of all heads; its
    value the other part times the latent. `absorbed`: queries and results go
    through `up` instead of every latent.
  }];
  let arguments = (ins Exec_View:$q_nope, Exec_View:$q_rope, Exec_View:$latent,
                       Exec_View:$k_rope, Exec_View:$up, Exec_View:$out,
                       FlatSymbolRefAttr:$state, F64Attr:$scale,
                       BoolAttr:$absorbed);
  let assemblyFormat = [{
    `(` $q_nope `,` $q_rope `,` $latent `,` $k_rope `,` $up `)` `->` $out
    `state` $state `scale` $scale `absorbed` $absorbed attr-dict `:`
    type($q_nope) `,` type($q_rope) `,` type($latent) `,` type($k_rope) `,`
    type($up) `->` type($out)
  }];
}
def Exec_RepeatOp : Exec_Op<"repeat", [NoTerminator, NoRegionArguments]> {
  let summary = "the layers of a stack: `runs` lists [body, first, count]";
  let arguments = (ins StrAttr:$stack, ArrayAttr:$runs);
  let regions = (region VariadicRegion<SizedRegion<1>>:$bodies);
  let assemblyFormat = "$stack `runs` $runs attr-dict-with-keyword $bodies";
  let hasVerifier = 1;
}

#endif
