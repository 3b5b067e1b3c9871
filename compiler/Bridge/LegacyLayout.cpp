//===- LegacyLayout.cpp ---------------------------------------------------===//
#include "compiler/Bridge/LegacyLayout.h"

#include "runtime/core/Text.h"
#include "runtime/io/CopyPlan.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <numeric>
#include <set>
#include <tuple>
#include <unordered_map>

namespace mbc {

static constexpr std::string_view wordEmbeddings =
                                      "embedding.word_embeddings.weight",
                                  outputLayer = "output_layer.weight";

static int64_t product(std::span<const int64_t> sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t(1),
                         std::multiplies<>());
}

/// "model", or "model1" where a rank has several chunks.
static std::string chunkKey(uint32_t chunk, bool numbered) {
  return numbered ? fmt::format("model{}", chunk) : "model";
}

static std::unique_ptr<plan::NameT> plainName(const std::string &text) {
  auto name = std::make_unique<plan::NameT>();
  name->literals.push_back(text);
  return name;
}

//===----------------------------------------------------------------------===//
// Who has what
//===----------------------------------------------------------------------===//

Expected<LegacyLayout> LegacyLayout::create(const plan::PlanT &plan,
                                            const wmap::ParallelSizes &sizes,
                                            PipelineLayout stages) {
  LegacyLayout layout(sizes, std::move(stages));
  std::unordered_map<std::string, const plan::CopyT *> copies;
  for (const auto &copy : plan.copies)
    MBC_TRY(forEachIndex(copy->loops, [&](std::span<const uint32_t> indices) {
      copies.try_emplace(spell(*copy->mcore, indices), copy.get());
      return Status();
    }));
  for (const auto &placement : plan.placements) {
    MBC_TRY(forEachIndex(
        placement->loops, [&](std::span<const uint32_t> indices) -> Status {
          auto it = copies.find(spell(*placement->mcore, indices));
          if (it == copies.end())
            return inputError(fmt::format("copy plan has no copy of '{}'",
                                          spell(*placement->mcore, indices)));
          layout.addWhole(*placement, indices, it->second->mcore_shape,
                          it->second->mcore_padded);
          return layout.checkCut(*layout.wholes.back(), *placement);
        }));
  }
  for (size_t i = 0; i < layout.wholes.size(); ++i)
    layout.wholes[i]->order.second = i;
  std::ranges::sort(layout.wholes, {},
                    [](const auto &whole) { return whole->order; });
  MBC_TRY(layout.makeRanks());
  return layout;
}

void LegacyLayout::addWhole(const plan::PlacementT &placement,
                            std::span<const uint32_t> indices,
                            const std::vector<int64_t> &shape, bool padded) {
  auto whole = std::make_unique<Whole>();
  whole->name = spell(*placement.mcore, indices);
  whole->shape = shape;
  whole->padded = padded;
  // With indexed layers the one slab dimension that is left is the experts'.
  if (placement.slab_dims > 0) {
    whole->experts = shape[0];
    whole->shape.erase(whole->shape.begin());
    hasExperts = true;
  }
  whole->axis = placement.axis - placement.slab_dims;
  whole->blocks = std::ranges::count(placement.ranks, 0);
  whole->cut = placement.segments.size() > size_t(whole->blocks);

  uint32_t layer =
      placement.layer_loop >= 0 ? indices[placement.layer_loop] : 0;
  whole->chunk = pipeline.chunkOf(placement, whole->name, layer);
  std::vector<uint32_t> local(indices.begin(), indices.end());
  bool decoder = placement.stack == "decoder";
  if (decoder)
    local[placement.layer_loop] -= pipeline.firstLayer(whole->chunk);
  whole->local = spell(*placement.mcore, local);
  whole->order.first = decoder                         ? 1 + int64_t(layer)
                       : pipeline.isFirst(whole->name) ? 0
                                                       : INT64_MAX;
  hasMtp |= placement.stack == "mtp";
  hasOutput |= whole->name.ends_with(outputLayer);
  if (whole->name.ends_with(wordEmbeddings))
    embedding = whole.get();
  wholes.push_back(std::move(whole));
}

/// Ranks have equally much.
Status LegacyLayout::checkCut(const Whole &whole,
                              const plan::PlacementT &placement) const {
  int64_t ranks = whole.experts ? sizes.etp : sizes.tp;
  if (!whole.cut || whole.padded)
    return {};
  int64_t length = whole.shape[whole.axis] / whole.blocks;
  if (length % ranks == 0 &&
      int64_t(placement.segments.size()) == whole.blocks * ranks)
    return {};
  return inputError(fmt::format(
      "cannot cut {} of '{}' evenly over {} = {}, as the legacy torch format "
      "needs; expected a divisor",
      length, whole.name, whole.experts ? "etp" : "tp", ranks));
}

/// Rank r of a stage is (r mod tp, r / etp mod ep); the pairs repeat after the
/// least common multiple of tp and etp * ep.
Status LegacyLayout::makeRanks() {
  auto tp = static_cast<uint32_t>(sizes.tp),
       ep = static_cast<uint32_t>(sizes.ep),
       etp = static_cast<uint32_t>(sizes.etp);
  // Two ranks of one folder would overwrite each other.
  if (tp % etp != 0)
    return inputError(fmt::format(
        "the legacy torch format names folders by tp, pp and ep rank only: "
        "etp = {} must divide tp = {}",
        etp, tp));
  if (pipeline.vpp > 1 && pipeline.pp == 1)
    return inputError(fmt::format(
        "vpp = {} needs more than one pipeline stage; expected pp > 1",
        pipeline.vpp));
  std::set<std::tuple<uint32_t, uint32_t, uint32_t>> pairs;
  for (uint32_t r = 0, end = std::lcm(tp, etp * ep); r < end; ++r)
    pairs.emplace(r % tp, r / etp % ep, r % etp);
  for (auto [t, e, et] : pairs)
    for (uint32_t p = 0; p < pipeline.pp; ++p) {
      std::string folder = fmt::format("mp_rank_{:02}", t);
      if (pipeline.pp > 1)
        folder += fmt::format("_{:03}", p);
      if (ep > 1)
        folder += fmt::format("_{:03}", e);
      list.push_back({t, p, e, et, std::move(folder)});
    }
  std::ranges::sort(list, {}, &LegacyRank::folder);
  return {};
}

int64_t LegacyLayout::expertsPerRank(const Whole &whole) const {
  return whole.experts / sizes.ep;
}

/// `withOptional`: also what only some writers store.
std::vector<LegacyLayout::Held> LegacyLayout::heldBy(uint32_t stage,
                                                     bool withOptional) const {
  std::vector<Held> held;
  for (const auto &whole : wholes)
    if (whole->chunk % pipeline.pp == stage)
      held.push_back({whole.get(), whole->chunk / pipeline.pp, whole->local});
  if (!embedding || stage != pipeline.lastChunk() % pipeline.pp)
    return held;
  uint32_t chunk = pipeline.lastChunk() / pipeline.pp;
  std::string prefix = embedding->local.substr(0, embedding->local.size() -
                                                      wordEmbeddings.size());
  // The last stage of several computes the loss with the embedding, and MTP
  // layers embed their tokens again.
  bool apart = pipeline.lastChunk() > 0;
  if (hasMtp && apart)
    held.push_back({embedding, chunk, embedding->local, true});
  if (!hasOutput && (apart || withOptional))
    held.push_back({embedding, chunk, prefix + std::string(outputLayer), true});
  return held;
}

/// The tensors that stand for `held`: one, or one for each expert. `gathered`:
/// it is cut although the model declares it whole. `rows`: of the vocabulary
/// with its padding.
std::vector<LegacyLayout::Form>
LegacyLayout::formsOf(const Held &held, const wmap::ModuleNames &names,
                      bool gathered, int64_t rows) const {
  const Whole &whole = *held.whole;
  Form form;
  form.ranks = whole.cut  ? (whole.experts ? sizes.etp : sizes.tp)
               : gathered ? sizes.tp
                          : 1;
  int64_t length = whole.padded ? rows : whole.shape[whole.axis];
  form.piece = length / whole.blocks / form.ranks;
  form.shape = whole.shape;
  form.shape[whole.axis] = whole.blocks * form.piece;
  form.name = wmap::LegacyTorch::moduleName(held.local, 0, names);
  if (!whole.experts)
    return {form};

  int64_t count = expertsPerRank(whole);
  if (names.experts == ExpertModules::Fused && whole.shape.size() == 2) {
    form.transposed = true;
    form.experts = count;
    std::swap(form.shape[0], form.shape[1]);
    form.shape[1 - whole.axis] *= count;
    return {form};
  }
  std::vector<Form> forms;
  form.experts = 1;
  for (form.expert = 0; form.expert < count; ++form.expert) {
    form.name = wmap::LegacyTorch::moduleName(held.local, form.expert, names);
    forms.push_back(form);
  }
  return forms;
}

/// Appends the copies between `whole`, of shape `wholeShape`, and the tensor
/// that a rank stores under the name `stored`.
void LegacyLayout::addCopies(
    const Whole &whole, const Form &form, const LegacyRank &rank,
    const std::string &stored, DType dtype,
    const std::vector<int64_t> &wholeShape,
    std::vector<std::unique_ptr<plan::CopyT>> &copies) const {
  size_t axis = whole.axis;
  std::span<const int64_t> shape(whole.shape);
  int64_t outer = product(shape.first(axis)),
          inner = product(shape.subspan(axis + 1));
  int64_t length = wholeShape[axis + (whole.experts ? 1 : 0)];
  int64_t block = length / whole.blocks, piece = form.piece;
  int64_t at = form.ranks == 1 ? 0 : whole.experts ? rank.etp : rank.tp;
  // Rows of padding are in the rank's tensor alone.
  int64_t count = std::clamp<int64_t>(length - at * piece, 0, piece);
  if (whole.blocks > 1)
    count = piece;
  int64_t wholeSize = outer * length * inner,
          storedSize = outer * whole.blocks * piece * inner;

  for (int64_t i = 0; i < std::max<int64_t>(form.experts, 1); ++i) {
    auto copy = std::make_unique<plan::CopyT>();
    copy->path = whole.name;
    copy->hf = plainName(whole.name);
    copy->hf_shape = wholeShape;
    copy->mcore = plainName(stored);
    copy->mcore_shape = form.shape;
    copy->hf_dtype = copy->mcore_dtype = static_cast<plan::DType>(dtype);
    copy->axes = {"outer", "block", "piece", "inner"};
    copy->extents = {outer, whole.blocks, count, inner};
    copy->hf_strides = {length * inner, block * inner, inner, 1};
    copy->hf_base = at * piece * inner;
    if (whole.experts)
      copy->hf_base +=
          (rank.ep * expertsPerRank(whole) + form.expert + i) * wholeSize;
    if (!form.transposed)
      copy->mcore_strides = {whole.blocks * piece * inner, piece * inner, inner,
                             1};
    else if (axis == 0) // [in, blocks * piece], in row-major order
      copy->mcore_strides = {1, piece, 1, whole.blocks * piece};
    else // [piece, out]
      copy->mcore_strides = {1, 1, outer, 1};
    copy->mcore_base = i * storedSize;
    copies.push_back(std::move(copy));
  }
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

std::vector<LegacyLayout::Form>
LegacyLayout::formsToWrite(const Held &held, const wmap::ModuleNames &names,
                           int64_t vocabMultiple) const {
  int64_t multiple = vocabMultiple * sizes.tp;
  return formsOf(held, names,
                 wmap::LegacyTorch::isGathered(held.local, names.spec),
                 (held.whole->shape[0] + multiple - 1) / multiple * multiple);
}

uint64_t LegacyLayout::bytesOf(const LegacyRank &rank, const TensorSet &set,
                               const wmap::ModuleNames &names,
                               int64_t vocabMultiple) const {
  uint64_t total = 0;
  for (const Held &held : heldBy(rank.pp, false))
    if (int64_t index = set.find(held.whole->name); index >= 0)
      for (const Form &form : formsToWrite(held, names, vocabMultiple))
        total += mbc::bytesOf(set.tensors()[index].dtype, product(form.shape));
  return total;
}

Expected<LegacyLayout::RankFile>
LegacyLayout::fileOf(const LegacyRank &rank, const TensorSet &set,
                     const wmap::ModuleNames &names,
                     int64_t vocabMultiple) const {
  RankFile file;
  for (uint32_t v = 0; v < pipeline.vpp; ++v)
    file.models.push_back({chunkKey(v, pipeline.vpp > 1), {}});
  std::vector<std::set<std::string>> states(pipeline.vpp);
  auto addStates = [&](uint32_t chunk, std::string_view name) {
    for (const std::string &module :
         wmap::LegacyTorch::stateModules(name, names.spec))
      if (states[chunk].insert(module).second)
        file.models[chunk].entries.push_back({module + "._extra_state", -1});
  };

  int64_t count = 0;
  for (const Held &held : heldBy(rank.pp, false)) {
    const Whole &whole = *held.whole;
    int64_t index = set.find(whole.name);
    if (index < 0)
      return inputError(fmt::format("tensor '{}' is missing", whole.name));
    const TensorInfo &info = set.tensors()[index];
    if (wmap::LegacyTorch::isGathered(held.local, names.spec) &&
        whole.shape[0] % sizes.tp != 0)
      return inputError(fmt::format(
          "cannot cut the {} rows of '{}' evenly over tp = {}, as Megatron "
          "does; expected a divisor",
          whole.shape[0], whole.name, sizes.tp));
    for (const Form &form : formsToWrite(held, names, vocabMultiple)) {
      LegacyTorchSpec::Model &model = file.models[held.chunk];
      model.entries.push_back({form.name, count++});
      addCopies(whole, form, rank, model.key + "/" + form.name, info.dtype,
                info.shape, file.copies.copies);
      addStates(held.chunk, form.name);
    }
  }
  if (rank.pp == pipeline.lastChunk() % pipeline.pp && embedding)
    addStates(pipeline.lastChunk() / pipeline.pp,
              embedding->local.substr(0, embedding->local.size() -
                                             wordEmbeddings.size()) +
                  std::string(outputLayer));
  return file;
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

/// Every way in which Megatron may name the modules.
static std::vector<wmap::ModuleNames> allNames() {
  std::vector<wmap::ModuleNames> names;
  for (auto spec : {LayerSpec::TransformerEngine, LayerSpec::Local})
    for (auto experts : {ExpertModules::Grouped, ExpertModules::Sequential,
                         ExpertModules::Fused})
      for (bool oldMtp : {false, true})
        names.push_back({spec, experts, oldMtp});
  return names;
}

Expected<plan::PlanT>
LegacyLayout::wholeOf(const LegacyTorchFiles &files) const {
  std::string where = files.folder().string();
  std::map<std::string, size_t> folders;
  for (size_t r = 0; r < files.ranks().size(); ++r)
    folders[files.ranks()[r].folder] = r;
  for (const LegacyRank &rank : list)
    if (!folders.contains(rank.folder))
      return inputError(fmt::format(
          "{}: a rank is missing: there is no folder '{}', which tp = {}, pp = "
          "{}, ep = {} and etp = {} need",
          where, rank.folder, sizes.tp, pipeline.pp, sizes.ep, sizes.etp));
  for (const auto &[folder, index] : folders)
    if (std::ranges::find(list, folder, &LegacyRank::folder) == list.end())
      return inputError(fmt::format(
          "{}: there is a folder '{}', which tp = {}, pp = {}, ep = {} and etp "
          "= {} do not have",
          where, folder, sizes.tp, pipeline.pp, sizes.ep, sizes.etp));

  plan::PlanT plan;
  std::vector<bool> used(files.tensors().size());
  std::map<const Whole *, std::pair<DType, std::vector<int64_t>>> found;
  // What has been read: a tensor, its expert, its piece.
  std::map<std::tuple<const Whole *, int64_t, int64_t>, size_t> read;
  // The names that fitted last fit again, nearly always.
  std::vector<wmap::ModuleNames> candidates = allNames();

  for (const LegacyRank &rank : list) {
    bool numbered = files.ranks()[folders.at(rank.folder)].numbered;
    for (const Held &held : heldBy(rank.pp, true)) {
      const Whole &whole = *held.whole;
      std::string prefix =
          rank.folder + "/" + chunkKey(held.chunk, numbered) + "/";
      int64_t first = -1;
      size_t fits = 0;
      for (; fits < candidates.size() && first < 0; ++fits)
        first = files.find(prefix + wmap::LegacyTorch::moduleName(
                                        held.local, 0, candidates[fits]));
      if (first < 0 && held.copy)
        continue;
      if (first < 0)
        return inputError(
            fmt::format("{}: tensor '{}' is missing", where,
                        prefix + wmap::LegacyTorch::moduleName(held.local, 0,
                                                               candidates[0])));
      std::rotate(candidates.begin(), candidates.begin() + (fits - 1),
                  candidates.begin() + fits);

      const TensorInfo &sample = files.tensors()[first];
      bool mayGather =
          wmap::LegacyTorch::isGathered(held.local, LayerSpec::Local);
      bool gathered = mayGather && !sample.shape.empty() &&
                      sample.shape[0] != whole.shape[0];
      int64_t rows = whole.padded && !sample.shape.empty()
                         ? sample.shape[0] * (whole.cut ? sizes.tp : 1)
                         : 0;
      std::vector<int64_t> wholeShape = whole.shape;
      if (whole.padded)
        wholeShape[0] = rows;
      if (whole.experts)
        wholeShape.insert(wholeShape.begin(), whole.experts);
      auto &[dtype, shape] =
          found.try_emplace(&whole, sample.dtype, wholeShape).first->second;
      for (const Form &form : formsOf(held, candidates[0], gathered, rows)) {
        std::string name = prefix + form.name;
        int64_t tensor = files.find(name);
        if (tensor < 0)
          return inputError(
              fmt::format("{}: tensor '{}' is missing", where, name));
        const TensorInfo &info = files.tensors()[tensor];
        if (info.shape != form.shape || (whole.padded && rows < whole.shape[0]))
          return inputError(fmt::format(
              "{}: tensor '{}' has shape {}, expected {}{}", where, name,
              shapeText(info.shape), whole.padded ? "at least " : "",
              whole.padded ? fmt::format("{} rows on {} ranks", whole.shape[0],
                                         form.ranks)
                           : shapeText(form.shape)));
        if (info.dtype != dtype || wholeShape != shape)
          return inputError(fmt::format(
              "{}: ranks disagree: tensor '{}' is {} {}, other parts of '{}' "
              "are not",
              where, name, torchName(info.dtype), shapeText(info.shape),
              whole.name));
        used[tensor] = true;
        int64_t expert =
            whole.experts ? rank.ep * expertsPerRank(whole) + form.expert : 0;
        int64_t piece = form.ranks == 1 ? 0
                        : whole.experts ? rank.etp
                                        : rank.tp;
        auto [it, isNew] = read.try_emplace({&whole, expert, piece}, tensor);
        if (isNew)
          addCopies(whole, form, rank, name, dtype, wholeShape, plan.copies);
        else
          MBC_TRY(files.checkEqual(it->second, tensor));
      }
    }
  }
  for (size_t t = 0; t < used.size(); ++t)
    if (!used[t])
      return inputError(fmt::format(
          "{}: tensor '{}' {} is no parameter that this rank has", where,
          files.tensors()[t].name, shapeText(files.tensors()[t].shape)));
  return plan;
}

} // namespace mbc
