//===- NNPasses.td - From a declared model to a static one -*- tablegen -*-===//
#ifndef MBC_COMPILER_TRANSFORMS_NNPASSES
#define MBC_COMPILER_TRANSFORMS_NNPASSES

include "mlir/Pass/PassBase.td"

def NNElaborate : Pass<"nn-elaborate", "::mlir::ModuleOp"> {
  let summary = "evaluate a model for one config.json";
  let description = [{
    Picks the model by `architectures`, evaluates its configuration, refuses
    what the configuration does not allow (all of it at once), and makes sizes,
    conditions, ties and layers static. Numbers E.. are those of
    dialects/NN/README.md. Other models are left as they are.
  }];
  let options = [
    Option<"config", "config", "std::string", /*default=*/"\"\"",
           "config.json of the checkpoint">,
    Option<"strictConfig", "strict-config", "bool", /*default=*/"false",
           "refuse fields that the model does not know">,
    ListOption<"accept", "accept", "std::string",
               "unsupported fields to accept">
  ];
}

def NNVerifyElaborated : Pass<"verify-elaborated", "::mlir::ModuleOp"> {
  let summary = "refuse what `nn-elaborate` should have made static";
}

def NNPrintParameters : Pass<"nn-print-parameters", "::mlir::ModuleOp"> {
  let summary = "print the parameters of each model as a flat list";
  let description = [{
    Before elaboration with the condition on the layer, after it with the
    layers, and the count of all elements, tied parameters left out.
  }];
}

def NNInstantiate : Pass<"nn-instantiate", "::mlir::ModuleOp"> {
  let summary = "make entries over static rows of an elaborated model";
  let description = [{
    `NAME=ROWS` makes an entry of `forward` over ROWS packed tokens that gives
    the logits of every one; `NAME=ROWS:OUTPUTS` those of OUTPUTS rows, which an
    input `outputs` lists. `+draft` behind it adds the second result, `+hidden`
    the state that the stack of the second result begins with; `@hidden` makes
    the second result alone, of that state as an input, and the state after that
    stack. A model that sees is cut where features take the places of tokens:
    they are an input `features`, or none with `+text` behind an entry, and
    `NAME=PATCHES+seen` makes the entry that gives them. Blocks are inlined,
    ties followed, conditions on the
    layer resolved for each kind of layer, and what no result needs is left out.
    The `nn.model` is replaced by an `nn.graph`. Values have names: a stack's is
    what a layer leaves ("decoder"), a block's its result ("decoder.attn"), an
    operation's its own in order ("decoder.attn.linear", then "linear1").
  }];
  let options = [ListOption<"entries", "entries", "std::string",
                            "NAME=ROWS or NAME=ROWS:OUTPUTS, and +draft, +hidden "
                            "or @hidden, each an entry">,
                 ListOption<"taps", "taps", "std::string",
                            "values that become results: STACK, STACK.BLOCK, "
                            "STACK.BLOCK.OPERATION, or * for all of them">];
}

def NNVerifyInstantiated : Pass<"verify-instantiated", "::mlir::ModuleOp"> {
  let summary = "refuse what `nn-instantiate` should have resolved";
}

def NNPartition : Pass<"nn-partition", "::mlir::ModuleOp"> {
  let summary = "make the program of one rank of a mesh";
  let description = [{
    Weights are placed as their shards say, values by the rule of each operator.
    A mesh that the weights' sizes do not admit, or that a rule does not cover,
    is refused. Without `mesh` there is one rank, and the program is the whole.
  }];
  let options = [ListOption<"mesh", "mesh", "std::string",
                            "AXIS=RANKS of tp, cp, dp, pp, etp, ep">];
  let dependentDialects = ["::mbc::dist::DistDialect"];
}

def NNVerifyPartitioned : Pass<"verify-partitioned", "::mlir::ModuleOp"> {
  let summary = "refuse placements that the rules do not give";
}

def NNPrintCost : Pass<"nn-print-cost", "::mlir::ModuleOp"> {
  let summary = "print what each entry costs, by kind of layer";
  let description = [{
    For one call over all rows. Of an operator that can be computed in several
    ways the one counts that is cheapest where every row attends to `context`
    tokens.
  }];
  let options = [
    Option<"elementBytes", "element-bytes", "uint64_t", /*default=*/"4",
           "bytes of an element of weights and activations">,
    Option<"context", "context", "uint64_t", /*default=*/"0",
           "tokens that a row attends to">
  ];
}

def NNFuse : Pass<"nn-fuse", "::mlir::ModuleOp"> {
  let summary = "gather pointwise operations and row reductions in clusters";
  let description = [{
    Memory is what these cost: a residual sum and the norm after it, the norms
    of queries and keys and their rotation, a gate and its product each become
    one kernel that reads and writes every row once.
  }];
}

def NNVerifyFused : Pass<"verify-fused", "::mlir::ModuleOp"> {
  let summary = "refuse what `nn-fuse` should have gathered";
}

#endif
