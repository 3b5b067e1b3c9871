//===- LegacySource.cpp ---------------------------------------------------===//
#include "compiler/Bridge/LegacySource.h"

#include "compiler/Bridge/LegacyLayout.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

namespace mbc {

/// Folders along the `position`-th number of their names.
static uint32_t folderCount(const LegacyTorchFiles &files, size_t position) {
  uint32_t count = 1;
  for (const LegacyTorchFiles::Rank &rank : files.ranks())
    if (position < rank.numbers.size())
      count = std::max(count, rank.numbers[position] + 1);
  return count;
}

/// Pipeline and expert ranks. A name of two numbers has one of them.
static std::pair<uint32_t, uint32_t>
pipelineAndExperts(const LegacyTorchFiles &files) {
  auto pp = files.argument("pipeline_model_parallel_size"),
       ep = files.argument("expert_model_parallel_size");
  switch (files.ranks()[0].numbers.size()) {
  case 1:
    return {1, 1};
  case 2:
    return pp.value_or(0) <= 1 && ep.value_or(0) > 1
               ? std::pair(1u, folderCount(files, 1))
               : std::pair(folderCount(files, 1), 1u);
  default:
    return {folderCount(files, 1), folderCount(files, 2)};
  }
}

Expected<wmap::ParallelSizes> storedSizes(const LegacyTorchFiles &files,
                                          nn::ModelOp model) {
  auto [pp, ep] = pipelineAndExperts(files);
  wmap::ParallelSizes sizes;
  sizes.tp = folderCount(files, 0);
  sizes.ep = ep;
  struct {
    const char *argument;
    int64_t folders;
  } stated[] = {{"tensor_model_parallel_size", sizes.tp},
                {"pipeline_model_parallel_size", pp},
                {"expert_model_parallel_size", ep}};
  for (auto [argument, folders] : stated)
    if (auto size = files.argument(argument); size && *size != folders)
      return inputError(fmt::format(
          "{}: its arguments say {} = {}, its folders are those of {}; is an "
          "mp_rank folder missing, or from another run?",
          files.folder().string(), argument, *size, folders));
  if (wmap::cutsOver(model, "etp"))
    sizes.etp =
        files.argument("expert_tensor_parallel_size").value_or(sizes.tp);
  return sizes;
}

Expected<PipelineLayout> storedStages(const LegacyTorchFiles &files,
                                      uint32_t layers) {
  PipelineLayout stages;
  stages.pp = pipelineAndExperts(files).first;
  stages.vpp = files.ranks()[0].chunks;
  if (auto stated = files.argument("virtual_pipeline_model_parallel_size");
      stated && *stated > 1 && *stated != stages.vpp)
    return inputError(fmt::format(
        "{}: its arguments say virtual_pipeline_model_parallel_size = {}, its "
        "files hold {} model chunks",
        files.folder().string(), *stated, stages.vpp));
  stages.layers.assign(stages.pp * stages.vpp, 0);
  for (size_t r = 0; r < files.ranks().size(); ++r) {
    const LegacyTorchFiles::Rank &rank = files.ranks()[r];
    uint32_t stage = stages.pp > 1 ? rank.numbers[1] : 0;
    auto [first, last] = files.tensorsOf(r);
    for (size_t t = first; t < last; ++t) {
      // "mp_rank_00/model1/decoder.layers.3.": the last layer of its chunk?
      std::string_view name = files.tensors()[t].name;
      name.remove_prefix(rank.folder.size() + 1 +
                         std::string_view("model").size());
      uint32_t chunk = 0, layer = 0;
      std::from_chars(name.data(), name.data() + name.size(), chunk);
      constexpr std::string_view stack = "decoder.layers.";
      size_t at = name.find(stack);
      if (at == std::string_view::npos)
        continue;
      name.remove_prefix(at + stack.size());
      auto [end, error] =
          std::from_chars(name.data(), name.data() + name.size(), layer);
      int64_t &count = stages.layers[chunk * stages.pp + stage];
      if (error == std::errc() && layer < layers)
        count = std::max<int64_t>(count, int64_t(layer) + 1);
    }
  }
  int64_t total = 0;
  std::string text;
  for (int64_t count : stages.layers) {
    total += count;
    text += (text.empty() ? "" : " + ") + std::to_string(count);
  }
  if (total != layers)
    return inputError(fmt::format(
        "{}: its pipeline stages hold {} = {} layers, the configuration says "
        "{}",
        files.folder().string(), text, total, layers));
  return stages;
}

Expected<std::unique_ptr<MappedTensors>>
wholeTensors(const LegacyTorchFiles &files, const plan::PlanT &plan,
             const wmap::ParallelSizes &sizes) {
  MBC_ASSIGN(PipelineLayout stages, storedStages(files, plan.layers));
  MBC_ASSIGN(LegacyLayout layout,
             LegacyLayout::create(plan, sizes, std::move(stages)));
  MBC_ASSIGN(plan::PlanT whole, layout.wholeOf(files));
  return MappedTensors::create(whole, PlanSide::HuggingFace, files);
}

} // namespace mbc
