//===- WMapDialect.td - The weight-mapping dialect ---------*- tablegen -*-===//
#ifndef MBC_DIALECTS_WMAP_WMAPDIALECT
#define MBC_DIALECTS_WMAP_WMAPDIALECT

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"

def WMap_Dialect : Dialect {
  let name = "wmap";
  let cppNamespace = "::mbc::wmap";
  let summary = "how Hugging Face and Megatron Core spell the parameters of a model";
  let description = [{
    A mapping is a set of entries; each says how the two sides name and view one
    logical parameter of an `nn.model`. Passes add what they find to the entry,
    and the last one writes the copy plan:

        wmap.entry                      path, loops, hf alternatives, mcore key
          | wmap-prove                  + type, domain      (every W constraint)
          | wmap-bind{source=DIR}       + choice, dtypes    (headers only)
          | wmap-resolve-placement{..}  + placed            (format profile)
          v wmap-plan
        wmap.plan { wmap.copy ... }     1:1 with runtime/schema/plan.fbs

    What is not decided here: how weights are distributed while computing
    (`shard` of nn.param), and anything about time or buffers.
  }];
  let dependentDialects = ["::mbc::nn::NNDialect"];
  let useDefaultAttributePrinterParser = 1;
  let usePropertiesForAttributes = 1;
}

#endif
