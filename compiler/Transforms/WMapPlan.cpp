//===- WMapPlan.cpp - wmap-plan -------------------------------------------===//
#include "compiler/Transforms/FormatProfile.h"
#include "compiler/Transforms/WMapEntries.h"
#include "compiler/Transforms/WMapGeometry.h"
#include "compiler/Transforms/WMapPasses.h"
#include "compiler/Transforms/WMapScales.h"
#include "dialects/NN/Expr.h"

#include <map>
#include <set>

using namespace mlir;

namespace mbc::wmap {

#define GEN_PASS_DEF_WMAPPLAN
#include "compiler/Transforms/WMapPasses.h.inc"

namespace {

/// Index values of one loop of a copy.
struct LoopValues {
  LoopAttr loop;
  SmallVector<int64_t> values;
};

class Planner {
public:
  Planner(nn::ModelOp model, MappingOp mapping)
      : model(model), mapping(mapping), ctx(mapping.getContext()), builder(ctx),
        parameters(nn::collectParameters(model)) {}

  LogicalResult plan() {
    builder.setInsertionPointAfter(mapping);
    auto indexed = mapping->getAttrOfType<BoolAttr>("indexed_layers");
    if (!indexed) {
      mapping.emitError("is not placed; run wmap-resolve-placement first");
      return failure();
    }
    std::string why;
    auto clause = Scales::of(model, mapping, why);
    if (!clause) {
      mapping.emitError(why);
      return failure();
    }
    scales = std::move(*clause);
    int64_t layers = 0;
    for (nn::LayersOp stack : model.getOps<nn::LayersOp>())
      if (stack.getSymName() == "decoder")
        layers = nn::asInt(stack.getCountAttr()).value_or(0);
    auto plan = PlanOp::create(
        builder, mapping.getLoc(), mapping.getModel().str() + "_plan",
        indexed.getValue(), layers,
        mapping->getAttrOfType<IntegerAttr>("tp").getInt(),
        mapping->getAttrOfType<IntegerAttr>("pp").getInt(), ArrayAttr());
    builder.createBlock(&plan.getBody());
    for (EntryOp entry : mapping.getOps<EntryOp>()) {
      if (entry.getPlaced())
        planEntry(entry);
      else if (entry.getTie() && entry.getChoice())
        if (failed(planTie(entry)))
          return failure();
    }
    for (ExtraOp extra : mapping.getOps<ExtraOp>())
      if (extra.getFound())
        for (Attribute attr : extra.getFoundAttr()) {
          auto tensor = cast<ArrayAttr>(attr);
          ExtraTensorOp::create(
              builder, extra.getLoc(), cast<StringAttr>(tensor[0]),
              cast<StringAttr>(tensor[1]), cast<DenseI64ArrayAttr>(tensor[2]));
        }
    return success();
  }

private:
  Attribute loopAttr(const LoopValues &loop) {
    SmallVector<Attribute> list{builder.getStringAttr(loop.loop.getIndex()),
                                builder.getStringAttr(loop.loop.getOver())};
    for (const IndexRange &range : toRanges(loop.values))
      for (int64_t number : {range.first, range.count, range.step})
        list.push_back(builder.getI64IntegerAttr(number));
    return builder.getArrayAttr(list);
  }

  ArrayAttr loopsAttr(ArrayRef<LoopValues> loops) {
    SmallVector<Attribute> list;
    for (const LoopValues &loop : loops)
      list.push_back(loopAttr(loop));
    return builder.getArrayAttr(list);
  }

  void planEntry(EntryOp entry) {
    auto alternative = cast<AlternativeAttr>(entry.getHf()[*entry.getChoice()]);
    for (Attribute attr : entry.getPlacedAttr()) {
      auto placed = cast<PlacedAttr>(attr);
      for (auto [part, runs] :
           llvm::zip(alternative.getParts(), entry.getDtypesAttr()))
        planPart(entry, alternative, part, cast<ArrayAttr>(runs), placed);
      planPlacement(entry, placed);
    }
  }

  /// Splits the family of one part by dtype, then emits a copy each.
  void planPart(EntryOp entry, AlternativeAttr alternative, StoredAttr part,
                ArrayAttr runs, PlacedAttr placed) {
    auto type = cast<nn::TensorType>(*entry.getType());
    SmallVector<LoopValues> inner;
    for (LoopAttr loop : alternative.getLoops()) {
      LoopValues values{loop, {}};
      int64_t size = *type.findAxis(loop.getOver()).getStaticSize();
      for (int64_t i = 0; i < size; ++i)
        values.values.push_back(i);
      inner.push_back(std::move(values));
    }
    int64_t perLayer = 1;
    for (const LoopValues &loop : inner)
      perLayer *= loop.values.size();

    if (entry.getLoops().empty()) {
      for (auto &[dtype, positions] : byDType(runs, 0, perLayer))
        emitCopies(entry, alternative, part, placed, {}, inner, dtype,
                   positions, perLayer);
      return;
    }
    // Layers of one dtype throughout are one copy; a layer of mixed dtypes
    // has copies of its own.
    auto layerLoop = cast<LoopAttr>(entry.getLoops()[0]);
    std::map<std::string, SmallVector<int64_t>> uniform;
    ArrayRef<int64_t> domain = *entry.getDomain();
    for (int64_t layer : placed.getLayers().asArrayRef()) {
      int64_t position = llvm::find(domain, layer) - domain.begin();
      auto groups = byDType(runs, position * perLayer, perLayer);
      if (groups.size() == 1) {
        uniform[groups.begin()->first].push_back(layer);
        continue;
      }
      for (auto &[dtype, positions] : groups)
        emitCopies(entry, alternative, part, placed, {{layerLoop, {layer}}},
                   inner, dtype, positions, perLayer);
    }
    SmallVector<int64_t> all;
    for (int64_t i = 0; i < perLayer; ++i)
      all.push_back(i);
    for (auto &[dtype, layers] : uniform)
      emitCopies(entry, alternative, part, placed, {{layerLoop, layers}}, inner,
                 dtype, all, perLayer);
  }

  /// dtype -> positions in [first, first + count) of the run-length list.
  std::map<std::string, SmallVector<int64_t>>
  byDType(ArrayAttr runs, int64_t first, int64_t count) {
    std::map<std::string, SmallVector<int64_t>> groups;
    int64_t at = 0;
    for (size_t r = 0; r < runs.size(); r += 2) {
      int64_t length = cast<IntegerAttr>(runs[r + 1]).getInt();
      for (int64_t i = std::max(at, first);
           i < std::min(at + length, first + count); ++i)
        groups[cast<StringAttr>(runs[r]).str()].push_back(i - first);
      at += length;
    }
    return groups;
  }

  void emitCopies(EntryOp entry, AlternativeAttr alternative, StoredAttr part,
                  PlacedAttr placed, ArrayRef<LoopValues> outer,
                  ArrayRef<LoopValues> inner, StringRef dtype,
                  ArrayRef<int64_t> positions, int64_t perLayer) {
    SmallVector<LoopValues> loops(outer);
    llvm::append_range(loops, inner);
    if (static_cast<int64_t>(positions.size()) == perLayer)
      return emitCopy(entry, alternative, part, placed, loops, dtype);
    if (inner.size() == 1) {
      loops.back().values.assign(positions.begin(), positions.end());
      return emitCopy(entry, alternative, part, placed, loops, dtype);
    }
    for (int64_t position : positions) {
      for (size_t i = inner.size(); i-- > 0;) {
        int64_t size = inner[i].values.size();
        loops[outer.size() + i].values = {position % size};
        position /= size;
      }
      emitCopy(entry, alternative, part, placed, loops, dtype);
    }
  }

  void emitCopy(EntryOp entry, AlternativeAttr alternative, StoredAttr part,
                PlacedAttr placed, ArrayRef<LoopValues> loops,
                StringRef dtype) {
    auto type = cast<nn::TensorType>(*entry.getType());
    SmallVector<StringRef> spelled;
    for (LoopAttr loop : alternative.getLoops())
      spelled.push_back(loop.getOver());
    std::string why;
    StoredLayout hf =
        *layoutOf(type, part.getPart(), spelled, part.getView(), why);
    StoredLayout mcore =
        *layoutOf(type, "", {}, entry.getMcoreAttr().getView(), why);

    SmallVector<StringRef> axisNames;
    SmallVector<int64_t> extents, hfStrides, mcoreStrides;
    SmallVector<int64_t> hfLoops,
        mcoreLoops(placed.getLoopStrides().asArrayRef());
    hfLoops.assign(mcoreLoops.size(), 0);
    int64_t mcoreBase = 0;
    SmallVector<nn::AxisAttr> axes = type.getAxes();
    for (LoopAttr loop : alternative.getLoops())
      for (auto [position, axis] : llvm::enumerate(type.getBatch()))
        if (axis.getName() == loop.getOver()) {
          hfLoops.push_back(0);
          mcoreLoops.push_back(mcore.strides[position]);
        }
    for (size_t position = 0; position < axes.size(); ++position) {
      mcoreBase += hf.partOffsets[position] * mcore.strides[position];
      if (hf.extents[position] == 1)
        continue;
      // A part goes by its own name: "slot.q".
      StringRef selector = part.getPart();
      bool isPart = selector.split('.').first == axes[position].getName();
      axisNames.push_back(isPart ? selector : axes[position].getName());
      extents.push_back(hf.extents[position]);
      hfStrides.push_back(hf.strides[position]);
      mcoreStrides.push_back(mcore.strides[position]);
    }
    SmallVector<LoopAttr> loopAttrs;
    for (const LoopValues &loop : loops)
      loopAttrs.push_back(loop.loop);
    CopyOp::create(
        builder, entry.getLoc(), entry.getPath(),
        part.getPart().empty() ? StringAttr()
                               : builder.getStringAttr(part.getPart()),
        loopsAttr(loops),
        Speller(model, part.getName().getSegments(), loopAttrs).withValues(ctx),
        ArrayRef<int64_t>(hf.shape), dtype,
        Speller(model, placed.getName().getSegments(), loopAttrs)
            .withValues(ctx),
        placed.getShape(), placed.getDtype(), isPadded(entry),
        builder.getStrArrayAttr(axisNames), extents, hfStrides, /*hf_base=*/0,
        hfLoops, mcoreStrides, mcoreBase, mcoreLoops,
        part.getScaled() ? builder.getStringAttr(scales.suffix) : StringAttr(),
        isScaledType(dtype) ? builder.getDenseI64ArrayAttr(scales.blocks)
                            : DenseI64ArrayAttr());
  }

  /// Megatron may store padding rows behind those of the vocabulary.
  bool isPadded(EntryOp entry) {
    nn::ParamOp op = findParameter(parameters, entry.getPath())->op;
    return op.getPadAttr() != nullptr;
  }

  void planPlacement(EntryOp entry, PlacedAttr placed) {
    SmallVector<LoopValues> loops;
    SmallVector<LoopAttr> loopAttrs;
    bool stacked = false;
    if (!entry.getLoops().empty()) {
      loops.push_back({cast<LoopAttr>(entry.getLoops()[0]),
                       SmallVector<int64_t>(placed.getLayers().asArrayRef())});
      loopAttrs.push_back(loops.back().loop);
      stacked = placed.getLoopStrides()[0] != 0;
    }
    KeyParts key = splitKey(entry.getMcoreAttr());
    NameAttr name = Speller(model, placed.getName().getSegments(), loopAttrs)
                        .withValues(ctx);
    // A stacked tensor is one name; its layers are slabs of it.
    StringRef stack = key.layer ? loops[0].loop.getOver() : StringRef();
    PlacementOp::create(
        builder, entry.getLoc(), name,
        loopsAttr(stacked ? ArrayRef<LoopValues>() : ArrayRef(loops)),
        placed.getSlabs(), placed.getAxis(), placed.getSegments(),
        placed.getRanks(), stack, key.layer && !stacked ? 0 : -1);
    planState(entry, placed, name, loops, stacked);
  }

  /// `_extra_state` entries of the modules saved with the tensor, once each.
  void planState(EntryOp entry, PlacedAttr placed, NameAttr name,
                 ArrayRef<LoopValues> loops, bool stacked) {
    SmallVector<Attribute> segments(name.getSegments());
    auto last = cast<StringAttr>(segments.back());
    segments.pop_back();
    for (const std::string &module : TorchDistTE::stateModules(last.str()))
      planState(entry, placed, module, segments, loops, stacked);
  }

  void planState(EntryOp entry, PlacedAttr placed, const std::string &module,
                 SmallVector<Attribute> segments, ArrayRef<LoopValues> loops,
                 bool stacked) {
    SmallVector<LoopValues> stateLoops;
    std::string offsets, sizes;
    SmallVector<Attribute> shard;
    auto text = [&](const Twine &t) {
      shard.push_back(builder.getStringAttr(t));
    };
    text(module + "._extra_state/shard_");
    auto axis = [&](LoopAttr loop, int64_t size) {
      if (!sizes.empty())
        text(".");
      shard.push_back(FlatSymbolRefAttr::get(ctx, loop.getIndex()));
      sizes += (sizes.empty() ? "" : ".") + std::to_string(size);
    };
    if (!loops.empty()) {
      stateLoops.push_back(loops[0]);
      if (stacked)
        axis(loops[0].loop, placed.getShape()[0]);
    }
    auto type = cast<nn::TensorType>(*entry.getType());
    for (LoopAttr loop : entry.getMcoreAttr().getLoops()) {
      int64_t size = *type.findAxis(loop.getOver()).getStaticSize();
      LoopValues values{loop, {}};
      for (int64_t i = 0; i < size; ++i)
        values.values.push_back(i);
      stateLoops.push_back(std::move(values));
      axis(loop, size);
    }
    if (sizes.empty()) {
      text("0");
      sizes = "1";
    }
    text("_" + sizes);
    llvm::append_range(segments, mergeText(shard));
    NameAttr state = NameAttr::get(ctx, mergeText(segments));
    // A module with several tensors has one state; layers that another entry
    // has seen to are left out.
    std::set<int64_t> &seen = states[state.str()];
    if (loops.empty()) {
      if (seen.insert(0).second)
        ObjectOp::create(builder, entry.getLoc(), state, loopsAttr(stateLoops));
      return;
    }
    llvm::erase_if(stateLoops[0].values,
                   [&](int64_t layer) { return !seen.insert(layer).second; });
    if (!stateLoops[0].values.empty())
      ObjectOp::create(builder, entry.getLoc(), state, loopsAttr(stateLoops));
  }

  SmallVector<Attribute> mergeText(ArrayRef<Attribute> segments) {
    SmallVector<Attribute> merged;
    for (Attribute segment : segments) {
      auto literal = dyn_cast<StringAttr>(segment);
      auto before =
          merged.empty() ? StringAttr() : dyn_cast<StringAttr>(merged.back());
      if (literal && before)
        merged.back() =
            builder.getStringAttr(before.getValue() + literal.getValue());
      else
        merged.push_back(segment);
    }
    return merged;
  }

  /// A stored copy of a tied parameter, tensor by tensor.
  LogicalResult planTie(EntryOp entry) {
    EntryOp original;
    for (EntryOp other : mapping.getOps<EntryOp>())
      if (other.getPath() == *entry.getTie())
        original = other;
    if (!original || !original.getChoice()) {
      entry.emitError("'") << entry.getPath() << "' is tied to '"
                           << *entry.getTie() << "', which is not stored";
      return failure();
    }
    auto copies = cast<AlternativeAttr>(entry.getHf()[*entry.getChoice()]);
    auto from = cast<AlternativeAttr>(original.getHf()[*original.getChoice()]);
    auto type = cast<nn::TensorType>(*entry.getType());
    std::string why;
    StoredLayout layout =
        *layoutOf(type, "", {}, copies.getParts()[0].getView(), why);
    std::string name =
        Speller(model, from.getParts()[0].getName().getSegments(), {})({});
    Speller speller(model, copies.getParts()[0].getName().getSegments(),
                    loopsOf(entry, {}));
    auto runs = cast<ArrayAttr>((*entry.getDtypes())[0]);
    for (const auto &tuple : indexTuples(entry, {}))
      TieOp::create(builder, entry.getLoc(), speller(tuple), name,
                    cast<StringAttr>(runs[0]).getValue(),
                    ArrayRef<int64_t>(layout.shape));
    return success();
  }

  nn::ModelOp model;
  MappingOp mapping;
  MLIRContext *ctx;
  OpBuilder builder;
  std::vector<nn::LogicalParameter> parameters;
  Scales scales;
  /// Layers for which a state has been planned, by its name with holes.
  std::map<std::string, std::set<int64_t>> states;
};

struct PlanPass : impl::WMapPlanBase<PlanPass> {
  void runOnOperation() override {
    for (MappingOp mapping :
         llvm::make_early_inc_range(getOperation().getOps<MappingOp>())) {
      nn::ModelOp model = findModel(mapping);
      if (!model || failed(Planner(model, mapping).plan()))
        return signalPassFailure();
    }
  }
};

} // namespace
} // namespace mbc::wmap
