//===- Counts.cpp ---------------------------------------------------------===//
#include "compiler/Bridge/Counts.h"

#include "compiler/Transforms/WMapGeometry.h"
#include "compiler/Transforms/WMapScales.h"
#include "dialects/NN/Expr.h"

#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/StringMap.h"

#include <fmt/format.h>

using namespace mlir;

namespace mbc {

using namespace wmap;

static int64_t productOf(ArrayRef<int64_t> shape) {
  int64_t product = 1;
  for (int64_t size : shape)
    product *= size;
  return product;
}

int64_t ImpliedFamily::elements() const { return productOf(shape); }

int64_t ImpliedFamily::scaleElements() const {
  return scaleShape ? productOf(*scaleShape) : 0;
}

void ImpliedFamily::forEachName(
    llvm::function_ref<void(std::string name, int64_t layer)> fn) const {
  EntryOp op = entry;
  Speller speller(findModel(op->getParentOfType<MappingOp>()), segments,
                  loopsOf(op, inner));
  for (const auto &tuple : indexTuples(op, inner))
    fn(speller(tuple), op.getLoops().empty() ? 0 : tuple.front());
}

namespace {

class Counter {
public:
  Counter(nn::ModelOp model, MappingOp mapping)
      : model(model), mapping(mapping) {}

  Expected<ImpliedTensors> count() {
    std::string why;
    auto clause = Scales::of(model, mapping, why);
    if (!clause)
      return inputError(
          fmt::format("mapping '{}': {}", mapping.getModel().str(), why));
    scales = std::move(*clause);
    for (nn::LogicalParameter &parameter : nn::collectParameters(model))
      if (auto dtype = parameter.op.getDtype())
        pinned[parameter.path] = *dtype == "f32"    ? DType::F32
                                 : *dtype == "bf16" ? DType::BF16
                                                    : DType::F16;
    for (EntryOp entry : mapping.getOps<EntryOp>())
      if (!entry.getHf().empty())
        MBC_TRY(addEntry(entry));
    for (ExtraOp extra : mapping.getOps<ExtraOp>())
      addExtra(extra);
    return std::move(result);
  }

private:
  Status addEntry(EntryOp entry) {
    auto alternative = cast<AlternativeAttr>(entry.getHf()[0]);
    auto type = cast<nn::TensorType>(*entry.getType());
    llvm::SmallVector<StringRef> spelled;
    uint64_t count = entry.getLoops().empty()
                         ? 1
                         : static_cast<uint64_t>(entry.getDomain()->size());
    for (LoopAttr loop : alternative.getLoops()) {
      spelled.push_back(loop.getOver());
      count *= *type.findAxis(loop.getOver()).getStaticSize();
    }
    for (StoredAttr stored : alternative.getParts()) {
      std::string why;
      auto layout =
          layoutOf(type, stored.getPart(), spelled, stored.getView(), why);
      if (!layout)
        return inputError(fmt::format("'{}': {}", entry.getPath().str(), why));
      ImpliedFamily family;
      family.entry = entry;
      family.segments.assign(stored.getName().getSegments().begin(),
                             stored.getName().getSegments().end());
      family.inner.assign(alternative.getLoops().begin(),
                          alternative.getLoops().end());
      family.pattern =
          Speller(model, family.segments, loopsOf(entry, family.inner))
              .withValues(entry.getContext())
              .str();
      family.part = stored.getPart().str();
      family.shape.assign(layout->shape.begin(), layout->shape.end());
      if (stored.getScaled() && scales.stored()) {
        family.scaleShape = scales.shapeOf(family.shape);
        family.scaleSuffix = scales.suffix;
      }
      family.pinned = pinned.lookup(entry.getPath());
      family.optional = entry.getTie() && !entry.getStored();
      family.count = count;
      addFamily(std::move(family));
    }
    return {};
  }

  void addFamily(ImpliedFamily family) {
    if (family.optional) {
      result.optional += family.count;
    } else {
      result.tensors += family.count;
      result.elements += family.count * family.elements();
      if (family.scaleShape) {
        result.tensors += family.count;
        result.scaleTensors += family.count;
        result.elements += family.count * family.scaleElements();
        result.scaleElements += family.count * family.scaleElements();
      }
    }
    result.families.push_back(std::move(family));
  }

  void addExtra(ExtraOp extra) {
    llvm::SmallVector<LoopAttr> loops;
    for (Attribute loop : extra.getLoops())
      loops.push_back(cast<LoopAttr>(loop));
    uint64_t count = 1;
    for (const IndexDomain &domain : stackDomains(model, extra.getLoops()))
      count *= domain.bound ? nn::asInt(domain.bound).value_or(0) : 0;
    std::string pattern = Speller(model, extra.getName().getSegments(), loops)
                              .withValues(extra.getContext())
                              .str();
    // An extra below several prefixes is declared once, and a folder uses one
    // of them.
    bool alternative = !seen.insert({extra.getLoc(), extra.getLoops()}).second;
    if (!alternative)
      result.optional += count;
    result.extras.push_back({std::move(pattern), count, alternative});
  }

  nn::ModelOp model;
  MappingOp mapping;
  Scales scales;
  /// Types that the declaration keeps, by path.
  llvm::StringMap<std::optional<DType>> pinned;
  llvm::DenseSet<std::pair<Location, ArrayAttr>> seen;
  ImpliedTensors result;
};

} // namespace

Expected<ImpliedTensors> impliedTensors(nn::ModelOp model, MappingOp mapping) {
  return Counter(model, mapping).count();
}

} // namespace mbc
