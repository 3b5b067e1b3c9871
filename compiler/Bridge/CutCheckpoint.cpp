//===- CutCheckpoint.cpp --------------------------------------------------===//
//
// A cut is a copy plan between two Hugging Face folders: the same parameters,
// indices and axes, with other extents and strides.
//
//===----------------------------------------------------------------------===//
#include "compiler/Bridge/CutCheckpoint.h"

#include "compiler/Transforms/WMapGeometry.h"
#include "compiler/Transforms/WMapScales.h"
#include "dialects/NN/Expr.h"

#include "llvm/ADT/StringMap.h"

#include <fmt/format.h>

using namespace mlir;

namespace mbc {

using namespace wmap;

namespace {

class Cutter {
public:
  Cutter(ProvedModel &source, ProvedModel &target, const HfFolder &folder)
      : source(source), target(target), folder(folder) {}

  Expected<plan::PlanT> plan() {
    std::string why;
    auto clause = Scales::of(source.model(), source.mapping(), why);
    if (!clause)
      return inputError(why);
    scales = std::move(*clause);
    llvm::StringMap<EntryOp> entries;
    for (EntryOp entry : source.mapping().getOps<EntryOp>())
      entries[entry.getPath()] = entry;
    for (EntryOp entry : target.mapping().getOps<EntryOp>())
      if (!entry.getHf().empty()) {
        auto it = entries.find(entry.getPath());
        if (it == entries.end())
          return inputError(
              fmt::format("parameter '{}' of the cut is none of the source",
                          entry.getPath().str()));
        MBC_TRY(addEntry(it->second, entry));
      }
    for (auto [from, to] : llvm::zip(source.mapping().getOps<ExtraOp>(),
                                     target.mapping().getOps<ExtraOp>()))
      MBC_TRY(addExtra(from, to));
    return std::move(result);
  }

private:
  Status addEntry(EntryOp from, EntryOp to) {
    for (auto [a, b] : llvm::zip(from.getHf(), to.getHf())) {
      auto whole = cast<AlternativeAttr>(a), cut = cast<AlternativeAttr>(b);
      auto tuples = indexTuples(to, cut.getLoops());
      auto spellerOf = [](ProvedModel &model, EntryOp entry,
                          AlternativeAttr alternative, StoredAttr part) {
        return Speller(model.model(), part.getName().getSegments(),
                       loopsOf(entry, alternative.getLoops()));
      };
      if (tuples.empty())
        return {};
      auto first = spellerOf(source, from, whole, whole.getParts()[0]);
      if (folder.find(first(tuples.front())) < 0)
        continue; // stored in another way, or not at all
      for (auto [x, y] : llvm::zip(whole.getParts(), cut.getParts())) {
        Speller oldName = spellerOf(source, from, whole, x),
                newName = spellerOf(target, to, cut, y);
        SmallVector<StringRef> spelled;
        for (LoopAttr loop : cut.getLoops())
          spelled.push_back(loop.getOver());
        std::string why;
        auto layoutIn = [&](EntryOp entry, StoredAttr part) {
          return layoutOf(cast<nn::TensorType>(*entry.getType()),
                          part.getPart(), spelled, part.getView(), why);
        };
        auto large = layoutIn(from, x), small = layoutIn(to, y);
        if (!large || !small)
          return inputError(fmt::format("'{}': {}", to.getPath().str(), why));
        for (const auto &tuple : tuples)
          MBC_TRY(addCopy(to, oldName(tuple), newName(tuple), *large, *small));
      }
      return {};
    }
    // The stored copy of a tied parameter may be left out.
    if (to.getTie() && !to.getStored())
      return {};
    return inputError(fmt::format("{}: no tensor holds '{}'",
                                  folder.folder().string(),
                                  to.getPath().str()));
  }

  Status addCopy(EntryOp entry, const std::string &from, const std::string &to,
                 const StoredLayout &large, const StoredLayout &small) {
    int64_t index = folder.find(from);
    if (index < 0)
      return inputError(fmt::format("{}: tensor '{}' is missing",
                                    folder.folder().string(), from));
    std::vector<int64_t> extents(small.extents.begin(), small.extents.end());
    add(entry.getPath(), from, to, folder.tensors()[index].dtype,
        {large.shape.begin(), large.shape.end()},
        {small.shape.begin(), small.shape.end()}, extents,
        {large.strides.begin(), large.strides.end()},
        {small.strides.begin(), small.strides.end()});
    if (!scales.stored())
      return {};
    const std::string &suffix = scales.suffix;
    int64_t scale = folder.find(from + suffix);
    if (scale < 0)
      return {};
    // The blocks of the corner are the corner of the blocks.
    const std::vector<int64_t> &shape = folder.tensors()[scale].shape;
    std::vector<int64_t> corner = scales.shapeOf(small.shape);
    if (shape != scales.shapeOf(large.shape))
      return inputError(fmt::format(
          "{}: block scale '{}' has shape {}, which does not fit "
          "'{}'",
          folder.folder().string(), from + suffix, shapeText(shape), from));
    add(entry.getPath(), from + suffix, to + suffix,
        folder.tensors()[scale].dtype, shape, corner, corner, rowMajor(shape),
        rowMajor(corner));
    return {};
  }

  static std::vector<int64_t> rowMajor(const std::vector<int64_t> &shape) {
    std::vector<int64_t> strides(shape.size(), 1);
    for (size_t d = shape.size(); d-- > 1;)
      strides[d - 1] = strides[d] * shape[d];
    return strides;
  }

  void add(StringRef path, const std::string &from, const std::string &to,
           DType dtype, std::vector<int64_t> fromShape,
           std::vector<int64_t> toShape, std::vector<int64_t> extents,
           std::vector<int64_t> fromStrides, std::vector<int64_t> toStrides) {
    auto copy = std::make_unique<plan::CopyT>();
    copy->path = path.str();
    copy->hf = std::make_unique<plan::NameT>();
    copy->hf->literals = {to};
    copy->mcore = std::make_unique<plan::NameT>();
    copy->mcore->literals = {from};
    copy->hf_dtype = copy->mcore_dtype = static_cast<plan::DType>(dtype);
    copy->hf_shape = std::move(toShape);
    copy->mcore_shape = std::move(fromShape);
    copy->extents = std::move(extents);
    copy->hf_strides = std::move(toStrides);
    copy->mcore_strides = std::move(fromStrides);
    result.copies.push_back(std::move(copy));
  }

  Status addExtra(ExtraOp from, ExtraOp to) {
    SmallVector<LoopAttr> loops;
    for (Attribute loop : to.getLoops())
      loops.push_back(cast<LoopAttr>(loop));
    Speller oldName(source.model(), from.getName().getSegments(), loops),
        newName(target.model(), to.getName().getSegments(), loops);
    std::vector<SmallVector<int64_t>> tuples{{}};
    for (const IndexDomain &domain :
         stackDomains(target.model(), to.getLoops())) {
      std::vector<SmallVector<int64_t>> extended;
      int64_t count = domain.bound ? nn::asInt(domain.bound).value_or(0) : 0;
      for (const auto &tuple : tuples)
        for (int64_t i = 0; i < count; ++i) {
          extended.push_back(tuple);
          extended.back().push_back(i);
        }
      tuples = std::move(extended);
    }
    for (const auto &tuple : tuples) {
      std::string name = oldName(tuple);
      int64_t index = folder.find(name);
      if (index < 0)
        continue;
      const TensorInfo &info = folder.tensors()[index];
      add("", name, newName(tuple), info.dtype, info.shape, info.shape,
          info.shape, rowMajor(info.shape), rowMajor(info.shape));
    }
    return {};
  }

  ProvedModel &source, &target;
  const HfFolder &folder;
  Scales scales;
  plan::PlanT result;
};

} // namespace

Expected<std::unique_ptr<MappedTensors>>
cutTensors(ProvedModel &source, ProvedModel &target, const HfFolder &folder) {
  MBC_ASSIGN(plan::PlanT plan, Cutter(source, target, folder).plan());
  return MappedTensors::create(plan, PlanSide::HuggingFace, folder);
}

} // namespace mbc
