//===- PlanTarget.cpp - A dumb walk in both directions --------------------===//
#include "compiler/Target/PlanTarget.h"

#include "compiler/Transforms/WMapNames.h"
#include "dialects/NN/Expr.h"
#include "runtime/core/DType.h"
#include "runtime/io/CopyPlan.h"

#include "mlir/Tools/mlir-translate/Translation.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace mbc::wmap {

//===----------------------------------------------------------------------===//
// Export
//===----------------------------------------------------------------------===//

static plan::DType dtypeOf(StringRef name) {
  return static_cast<plan::DType>(*dtypeFromSafetensors(name.str()));
}

static std::vector<int64_t> numbers(ArrayRef<int64_t> values) {
  return {values.begin(), values.end()};
}

/// [index name, over, first, count, step, first, count, step, ...] per loop.
static std::vector<std::unique_ptr<plan::LoopT>> exportLoops(ArrayAttr loops) {
  std::vector<std::unique_ptr<plan::LoopT>> result;
  for (Attribute attr : loops) {
    auto list = cast<ArrayAttr>(attr);
    auto loop = std::make_unique<plan::LoopT>();
    loop->index = cast<StringAttr>(list[0]).str();
    loop->over = cast<StringAttr>(list[1]).str();
    auto number = [&](size_t i) {
      return static_cast<uint32_t>(cast<IntegerAttr>(list[i]).getInt());
    };
    for (size_t i = 2; i + 2 < list.size(); i += 3)
      loop->values.emplace_back(number(i), number(i + 1), number(i + 2));
    result.push_back(std::move(loop));
  }
  return result;
}

static std::unique_ptr<plan::NameT> exportName(NameAttr name, ArrayAttr loops) {
  auto result = std::make_unique<plan::NameT>();
  result->literals.emplace_back();
  for (Attribute segment : name.getSegments()) {
    if (auto literal = dyn_cast<StringAttr>(segment)) {
      result->literals.back() += literal.str();
      continue;
    }
    // wmap-plan has replaced configuration names: one index at most is left.
    Affine form = *toAffine(segment);
    uint16_t loop = 0;
    int32_t scale = 0;
    for (auto [position, attr] : llvm::enumerate(loops)) {
      auto it =
          form.terms.find(cast<StringAttr>(cast<ArrayAttr>(attr)[0]).str());
      if (it != form.terms.end()) {
        loop = position;
        scale = it->second;
      }
    }
    if (form.terms.empty()) {
      result->literals.back() += std::to_string(form.constant);
      continue;
    }
    result->holes.emplace_back(loop, scale, form.constant);
    result->literals.emplace_back();
  }
  return result;
}

static std::unique_ptr<plan::CopyT> exportCopy(CopyOp op) {
  auto copy = std::make_unique<plan::CopyT>();
  copy->path = op.getPath().str();
  copy->part = op.getPart().value_or("").str();
  copy->loops = exportLoops(op.getLoops());
  copy->hf = exportName(op.getHf(), op.getLoops());
  copy->hf_shape = numbers(op.getHfShape());
  copy->hf_dtype = dtypeOf(op.getHfDtype());
  copy->mcore = exportName(op.getMcore(), op.getLoops());
  copy->mcore_shape = numbers(op.getMcoreShape());
  copy->mcore_dtype = dtypeOf(op.getMcoreDtype());
  copy->mcore_padded = op.getMcorePadded();
  for (Attribute axis : op.getAxes())
    copy->axes.push_back(cast<StringAttr>(axis).str());
  copy->extents = numbers(op.getExtents());
  copy->hf_strides = numbers(op.getHfStrides());
  copy->hf_base = op.getHfBase();
  copy->hf_loop_strides = numbers(op.getHfLoopStrides());
  copy->mcore_strides = numbers(op.getMcoreStrides());
  copy->mcore_base = op.getMcoreBase();
  copy->mcore_loop_strides = numbers(op.getMcoreLoopStrides());
  copy->hf_scale = op.getHfScale().value_or("").str();
  if (auto block = op.getHfBlock())
    copy->hf_block = numbers(*block);
  return copy;
}

static std::unique_ptr<plan::PlacementT> exportPlacement(PlacementOp op) {
  auto placement = std::make_unique<plan::PlacementT>();
  placement->mcore = exportName(op.getMcore(), op.getLoops());
  placement->loops = exportLoops(op.getLoops());
  placement->slab_dims = op.getSlabDims();
  placement->axis = op.getAxis();
  placement->segments = numbers(op.getSegments());
  for (int64_t rank : op.getRanks())
    placement->ranks.push_back(rank);
  placement->stack = op.getStack().str();
  placement->layer_loop = op.getLayerLoop();
  return placement;
}

plan::PlanT exportPlan(PlanOp op) {
  plan::PlanT plan;
  plan.version = kPlanVersion;
  plan.model = op.getSymName().str();
  plan.indexed_layers = op.getIndexedLayers();
  plan.layers = op.getLayers();
  plan.tp = op.getTp();
  plan.pp = op.getPp();
  if (auto notes = op.getNotes())
    for (Attribute note : *notes)
      plan.notes.push_back(cast<StringAttr>(note).str());
  for (Operation &child : op.getBody().front()) {
    if (auto copy = dyn_cast<CopyOp>(child)) {
      plan.copies.push_back(exportCopy(copy));
    } else if (auto placement = dyn_cast<PlacementOp>(child)) {
      plan.placements.push_back(exportPlacement(placement));
    } else if (auto tie = dyn_cast<TieOp>(child)) {
      auto item = std::make_unique<plan::TieT>();
      item->copy = tie.getCopy().str();
      item->original = tie.getOriginal().str();
      item->dtype = dtypeOf(tie.getDtype());
      item->shape = numbers(tie.getShape());
      plan.ties.push_back(std::move(item));
    } else if (auto extra = dyn_cast<ExtraTensorOp>(child)) {
      auto item = std::make_unique<plan::ExtraT>();
      item->name = extra.getName().str();
      item->dtype = dtypeOf(extra.getDtype());
      item->shape = numbers(extra.getShape());
      plan.extras.push_back(std::move(item));
    } else if (auto object = dyn_cast<ObjectOp>(child)) {
      auto item = std::make_unique<plan::ObjectT>();
      item->name = exportName(object.getName(), object.getLoops());
      item->loops = exportLoops(object.getLoops());
      plan.objects.push_back(std::move(item));
    }
  }
  return plan;
}

//===----------------------------------------------------------------------===//
// Import
//===----------------------------------------------------------------------===//

namespace {

class Importer {
public:
  Importer(MLIRContext *ctx) : builder(ctx), loc(builder.getUnknownLoc()) {}

  OwningOpRef<ModuleOp> import(const plan::PlanT &plan) {
    OwningOpRef<ModuleOp> module = ModuleOp::create(loc);
    builder.setInsertionPointToEnd(module->getBody());
    SmallVector<Attribute> notes;
    for (const std::string &note : plan.notes)
      notes.push_back(builder.getStringAttr(note));
    auto op = PlanOp::create(
        builder, loc, plan.model, plan.indexed_layers, plan.layers, plan.tp,
        plan.pp, notes.empty() ? ArrayAttr() : builder.getArrayAttr(notes));
    builder.createBlock(&op.getBody());
    for (const auto &copy : plan.copies)
      CopyOp::create(
          builder, loc, copy->path,
          copy->part.empty() ? StringAttr() : builder.getStringAttr(copy->part),
          loops(copy->loops), name(*copy->hf, copy->loops), copy->hf_shape,
          dtype(copy->hf_dtype), name(*copy->mcore, copy->loops),
          copy->mcore_shape, dtype(copy->mcore_dtype), copy->mcore_padded,
          builder.getStrArrayAttr(
              SmallVector<StringRef>(copy->axes.begin(), copy->axes.end())),
          copy->extents, copy->hf_strides, copy->hf_base, copy->hf_loop_strides,
          copy->mcore_strides, copy->mcore_base, copy->mcore_loop_strides,
          copy->hf_scale.empty() ? StringAttr()
                                 : builder.getStringAttr(copy->hf_scale),
          copy->hf_block.empty()
              ? DenseI64ArrayAttr()
              : builder.getDenseI64ArrayAttr(copy->hf_block));
    for (const auto &placement : plan.placements) {
      SmallVector<int64_t> ranks(placement->ranks.begin(),
                                 placement->ranks.end());
      PlacementOp::create(
          builder, loc, name(*placement->mcore, placement->loops),
          loops(placement->loops), placement->slab_dims, placement->axis,
          placement->segments, ranks, placement->stack, placement->layer_loop);
    }
    for (const auto &tie : plan.ties)
      TieOp::create(builder, loc, tie->copy, tie->original, dtype(tie->dtype),
                    tie->shape);
    for (const auto &extra : plan.extras)
      ExtraTensorOp::create(builder, loc, extra->name, dtype(extra->dtype),
                            extra->shape);
    for (const auto &object : plan.objects)
      ObjectOp::create(builder, loc, name(*object->name, object->loops),
                       loops(object->loops));
    return module;
  }

private:
  using Loops = std::vector<std::unique_ptr<plan::LoopT>>;

  static StringRef dtype(plan::DType dtype) {
    return safetensorsName(static_cast<DType>(dtype));
  }

  ArrayAttr loops(const Loops &list) {
    SmallVector<Attribute> result;
    for (const auto &loop : list) {
      SmallVector<Attribute> values{builder.getStringAttr(loop->index),
                                    builder.getStringAttr(loop->over)};
      for (const plan::IndexRun &run : loop->values)
        for (uint32_t number : {run.first(), run.count(), run.step()})
          values.push_back(builder.getI64IntegerAttr(number));
      result.push_back(builder.getArrayAttr(values));
    }
    return builder.getArrayAttr(result);
  }

  NameAttr name(const plan::NameT &name, const Loops &list) {
    MLIRContext *ctx = builder.getContext();
    SmallVector<Attribute> segments;
    auto text = [&](const std::string &literal) {
      if (!literal.empty())
        segments.push_back(builder.getStringAttr(literal));
    };
    text(name.literals[0]);
    for (auto [position, hole] : llvm::enumerate(name.holes)) {
      Attribute index = FlatSymbolRefAttr::get(ctx, list[hole.loop()]->index);
      segments.push_back(nn::buildExpr(
          ctx, "+",
          {nn::buildExpr(ctx, "*", {nn::intExpr(ctx, hole.scale()), index}),
           nn::intExpr(ctx, hole.offset())}));
      text(name.literals[position + 1]);
    }
    return NameAttr::get(ctx, segments);
  }

  OpBuilder builder;
  Location loc;
};

} // namespace

OwningOpRef<ModuleOp> importPlan(MLIRContext *ctx, const plan::PlanT &plan) {
  ctx->loadDialect<WMapDialect>();
  return Importer(ctx).import(plan);
}

//===----------------------------------------------------------------------===//
// mbc-translate
//===----------------------------------------------------------------------===//

void registerPlanTranslations() {
  static TranslateFromMLIRRegistration toPlan(
      "mlir-to-plan", "write the copy plan of a module as a flatbuffer",
      [](ModuleOp module, raw_ostream &output) -> LogicalResult {
        auto plans = module.getOps<PlanOp>();
        if (plans.empty())
          return module.emitError("holds no wmap.plan; run wmap-plan first");
        auto bytes = serializePlan(exportPlan(*plans.begin()));
        output.write(reinterpret_cast<const char *>(bytes.data()),
                     bytes.size());
        return success();
      },
      [](DialectRegistry &registry) {
        registry.insert<nn::NNDialect, WMapDialect>();
      });
  static TranslateToMLIRRegistration fromPlan(
      "plan-to-mlir", "read a copy plan",
      [](llvm::SourceMgr &sources, MLIRContext *ctx) -> OwningOpRef<ModuleOp> {
        StringRef text =
            sources.getMemoryBuffer(sources.getMainFileID())->getBuffer();
        auto plan = parsePlan(
            {reinterpret_cast<const uint8_t *>(text.data()), text.size()},
            sources.getMemoryBuffer(sources.getMainFileID())
                ->getBufferIdentifier()
                .str());
        if (!plan) {
          emitError(UnknownLoc::get(ctx)) << plan.error().message;
          return nullptr;
        }
        return importPlan(ctx, *plan);
      },
      [](DialectRegistry &registry) {
        registry.insert<nn::NNDialect, WMapDialect>();
      });
}

} // namespace mbc::wmap
