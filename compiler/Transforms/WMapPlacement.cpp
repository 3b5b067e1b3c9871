//===- WMapPlacement.cpp - wmap-resolve-placement -------------------------===//
#include "compiler/Transforms/Admissible.h"
#include "compiler/Transforms/FormatProfile.h"
#include "compiler/Transforms/WMapEntries.h"
#include "compiler/Transforms/WMapGeometry.h"
#include "compiler/Transforms/WMapPasses.h"
#include "compiler/Transforms/WMapScales.h"
#include "dialects/NN/Expr.h"
#include "runtime/core/DType.h"

using namespace mlir;

namespace mbc::wmap {

#define GEN_PASS_DEF_WMAPRESOLVEPLACEMENT
#include "compiler/Transforms/WMapPasses.h.inc"

namespace {

class Placer {
public:
  Placer(nn::ModelOp model, MappingOp mapping, const ParallelSizes &sizes,
         std::optional<DType> dtype)
      : model(model), mapping(mapping), sizes(sizes), dtype(dtype),
        parameters(nn::collectParameters(model)) {
    for (nn::LogicalParameter &parameter : parameters)
      byPath[parameter.path] = &parameter;
  }

  LogicalResult place(StringRef layerKeys) {
    for (EntryOp entry : mapping.getOps<EntryOp>()) {
      if (!entry.getMcoreAttr() || entry.getTie())
        continue;
      if (!entry.getDtypes()) {
        entry.emitError("'")
            << entry.getPath() << "' is not bound; run wmap-bind first";
        return failure();
      }
      computeDTypes(entry);
      collectModules(entry);
    }
    bool mustIndex = false;
    bool indexed = decideIndexed(mustIndex);
    if (layerKeys == "stacked" && mustIndex) {
      mapping.emitError("layer keys cannot be stacked: layers differ in their "
                        "parameters or dtypes");
      return failure();
    }
    if (layerKeys == "stackable")
      indexed = mustIndex;
    else if (layerKeys != "auto")
      indexed = layerKeys == "indexed";
    mapping->setAttr("indexed_layers",
                     BoolAttr::get(mapping.getContext(), indexed));
    for (EntryOp entry : mapping.getOps<EntryOp>())
      if (dtypes.count(entry))
        placeEntry(entry, indexed);
    return success();
  }

private:
  /// The type of each of the entry's layers in Megatron: the smallest that
  /// holds all parts, or the one asked for.
  void computeDTypes(EntryOp entry) {
    size_t layers = entry.getLoops().empty() ? 1 : entry.getDomain()->size();
    std::vector<std::optional<DType>> common(layers);
    ArrayAttr parts = *entry.getDtypes();
    for (Attribute part : parts) {
      auto runs = cast<ArrayAttr>(part);
      int64_t total = 0;
      for (size_t r = 1; r < runs.size(); r += 2)
        total += cast<IntegerAttr>(runs[r]).getInt();
      int64_t perLayer = total / static_cast<int64_t>(layers), at = 0;
      for (size_t r = 0; r < runs.size(); r += 2) {
        StringRef name = cast<StringAttr>(runs[r]).getValue();
        // Megatron computes in BF16 what is stored as scaled FP8.
        auto type = isScaledType(name) ? std::optional(DType::BF16)
                                       : dtypeFromSafetensors(name);
        int64_t count = cast<IntegerAttr>(runs[r + 1]).getInt();
        for (int64_t layer = at / perLayer; layer * perLayer < at + count;
             ++layer) {
          auto &slot = common[layer];
          // wmap-bind lets only floats through that have a common type.
          slot = slot ? *smallestCommonFloat(*slot, *type) : *type;
        }
        at += count;
      }
    }
    bool pinned = isPinnedToF32(*byPath[entry.getPath()]);
    std::vector<DType> &result = dtypes[entry];
    for (auto slot : common)
      result.push_back(pinned  ? *smallestCommonFloat(*slot, DType::F32)
                       : dtype ? *dtype
                               : *slot);
  }

  void collectModules(EntryOp entry) {
    KeyParts key = splitKey(entry.getMcoreAttr());
    if (!key.layer)
      return;
    ArrayRef<int64_t> domain = *entry.getDomain();
    for (int64_t layer : domain)
      modules[key.root][layer].insert(key.module);
  }

  /// Layer keys carry their index when Megatron's configuration says how each
  /// layer looks, and must when the layers cannot be stacked.
  bool decideIndexed(bool &mustIndex) {
    mustIndex = false;
    for (auto &[entry, types] : dtypes) {
      KeyParts key = splitKey(EntryOp(entry).getMcoreAttr());
      if (!key.layer || !TorchDistTE::mayStack(key.root))
        continue;
      if (llvm::any_of(types, [&](DType type) { return type != types[0]; }))
        mustIndex = true;
    }
    for (auto &[root, layers] : modules) {
      if (!TorchDistTE::mayStack(root))
        continue;
      for (auto &[layer, names] : layers)
        if (names != layers.begin()->second)
          mustIndex = true;
    }
    bool listed = false;
    for (ConfigOp line : mapping.getOps<ConfigOp>())
      if (line.getField() == "moe_layer_freq") {
        std::string why;
        Attribute value = nn::evaluate(
            line.getValue(),
            {[&](StringRef name) { return configValue(model, name); },
             [](Attribute) { return Attribute(); }},
            why);
        listed |= isa_and_nonnull<ArrayAttr>(value);
      }
    return mustIndex || listed;
  }

  void placeEntry(EntryOp entry, bool indexed) {
    KeyParts key = splitKey(entry.getMcoreAttr());
    if (!key.layer)
      return setPlaced(entry, {onePlacement(entry, key, key.module, {}, false,
                                            dtypes[entry][0])});
    bool stacked = !indexed && TorchDistTE::mayStack(key.root);
    // Layers that spell the key alike and hold one dtype are placed together.
    std::map<std::pair<std::string, DType>, SmallVector<int64_t>> groups;
    ArrayRef<int64_t> domain = *entry.getDomain();
    for (auto [position, layer] : llvm::enumerate(domain)) {
      std::string module =
          TorchDistTE::fuseNorm(key.module, modules[key.root][layer]);
      groups[{module, dtypes[entry][position]}].push_back(layer);
    }
    SmallVector<PlacedAttr> placed;
    for (auto &[group, layers] : groups)
      placed.push_back(
          onePlacement(entry, key, group.first, layers, stacked, group.second));
    llvm::sort(placed, [](PlacedAttr a, PlacedAttr b) {
      return a.getLayers()[0] < b.getLayers()[0];
    });
    setPlaced(entry, placed);
  }

  void setPlaced(EntryOp entry, ArrayRef<PlacedAttr> placed) {
    entry.setPlacedAttr(
        ArrayAttr::get(entry.getContext(),
                       SmallVector<Attribute>(placed.begin(), placed.end())));
  }

  PlacedAttr onePlacement(EntryOp entry, const KeyParts &key,
                          const std::string &module, ArrayRef<int64_t> layers,
                          bool stacked, DType dtype) {
    MLIRContext *ctx = entry.getContext();
    SmallVector<Attribute> name;
    std::string text = key.root;
    if (key.layer && !stacked) {
      name.push_back(StringAttr::get(ctx, text + "."));
      name.push_back(key.layer);
      text.clear();
    }
    text += (text.empty() && name.empty() ? "" : ".") + module;
    if (key.expert)
      text += ".experts." + key.leaf;
    name.push_back(StringAttr::get(ctx, text));

    auto type = cast<nn::TensorType>(*entry.getType());
    std::string why;
    StoredLayout layout =
        *layoutOf(type, "", {}, entry.getMcoreAttr().getView(), why);
    SmallVector<int64_t> shape(layout.shape), loopStrides;
    int64_t slabs = type.getBatch().size();
    if (!entry.getLoops().empty()) {
      loopStrides.push_back(stacked ? layout.elements() : 0);
      if (stacked) {
        // Every layer of the stack is there, or it would not be stacked.
        shape.insert(shape.begin(), modules[key.root].size());
        ++slabs;
      }
    }
    Cut cut = cutOf(entry, type, slabs, shape);
    return PlacedAttr::get(
        ctx, NameAttr::get(ctx, name), DenseI64ArrayAttr::get(ctx, layers),
        shape, DenseI64ArrayAttr::get(ctx, loopStrides), slabs, cut.axis,
        cut.segments, cut.ranks, std::string(safetensorsName(dtype)));
  }

  struct Cut {
    int64_t axis;
    SmallVector<int64_t> segments, ranks;
  };

  /// The chunk boundaries that Megatron's ranks would write.
  Cut cutOf(EntryOp entry, nn::TensorType type, int64_t slabs,
            ArrayRef<int64_t> shape) {
    Cut cut{slabs, {shape[slabs]}, {0}};
    ArrayAttr shards = byPath[entry.getPath()]->op.getShardAttr();
    if (!shards || entry.getMcoreAttr().getView())
      return cut;
    for (Attribute attr : shards) {
      auto shard = cast<nn::ShardAttr>(attr);
      if (shard.getMesh() == "ep")
        continue; // every expert is a chunk already
      StringRef axisName =
          shard.getTargets().front().getValue().split('.').first;
      int64_t ranks = sizes.of(shard.getMesh()), before = 1;
      bool found = false;
      for (nn::AxisAttr axis : type.getOut()) {
        if (axis.getName() == axisName) {
          found = true;
          break;
        }
        before *= *axis.getStaticSize();
      }
      if (!found) {
        if (type.getIn().empty() || type.getIn()[0].getName() != axisName)
          continue;
        cut.axis = slabs + 1;
        before = 1;
      }
      // [half, ffn] cut over ffn: each half is cut; its rows stay contiguous.
      int64_t length = shape[cut.axis], block = length / before;
      int64_t piece = (block + ranks - 1) / ranks;
      cut.segments.clear();
      cut.ranks.clear();
      for (int64_t b = 0; b < before; ++b)
        for (int64_t rank = 0, at = 0; rank < ranks && at < block;
             ++rank, at += piece) {
          cut.segments.push_back(std::min(piece, block - at));
          cut.ranks.push_back(rank);
        }
    }
    return cut;
  }

  nn::ModelOp model;
  MappingOp mapping;
  const ParallelSizes &sizes;
  std::optional<DType> dtype;
  std::vector<nn::LogicalParameter> parameters;
  llvm::StringMap<nn::LogicalParameter *> byPath;
  /// Types of the layers of each placed entry.
  llvm::MapVector<Operation *, std::vector<DType>> dtypes;
  /// root -> layer -> modules with a parameter.
  std::map<std::string, std::map<int64_t, std::set<std::string>>> modules;
};

struct PlacementPass : impl::WMapResolvePlacementBase<PlacementPass> {
  using WMapResolvePlacementBase::WMapResolvePlacementBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto refuse = [&](const Twine &message) {
      module.emitError(message);
      signalPassFailure();
    };
    if (profile != "torch_dist")
      return refuse("unknown format profile '" + profile +
                    "'; expected torch_dist");
    if (layers != "auto" && layers != "stacked" && layers != "stackable" &&
        layers != "indexed")
      return refuse("unknown layer keys '" + layers +
                    "'; expected auto, stacked, stackable or indexed");
    std::optional<DType> type;
    if (!dtype.empty() && !(type = dtypeFromSafetensors(dtype.getValue())))
      return refuse("unknown dtype '" + dtype + "'");
    ParallelSizes sizes(mbc::ParallelSizes{tp, pp, vpp, cp, ep, etp,
                                           firstLayers, lastLayers,
                                           embeddingCounts, lossCounts});
    for (MappingOp mapping : module.getOps<MappingOp>()) {
      nn::ModelOp model = findModel(mapping);
      if (!model || !isElaborated(model))
        return refuse("the model is not elaborated; run nn-elaborate first");
      if (failed(checkAdmissible(model, sizes)) ||
          failed(Placer(model, mapping, sizes, type).place(layers)))
        return signalPassFailure();
      Builder builder(module);
      mapping->setAttr("tp", builder.getI64IntegerAttr(tp));
      mapping->setAttr("pp", builder.getI64IntegerAttr(pp));
    }
  }
};

} // namespace
} // namespace mbc::wmap
