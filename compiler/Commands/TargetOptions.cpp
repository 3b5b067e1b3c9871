//===- TargetOptions.cpp --------------------------------------------------===//
#include "compiler/Commands/TargetOptions.h"

#include "runtime/core/Text.h"

#include <fmt/format.h>
#include <tuple>

namespace mbc {

void TargetOptions::declare(Command &command, bool withRank) {
  command
      .option("--format", format, "FORMAT",
              "torch_dist (default), or torch: the legacy format, a folder "
              "mp_rank_* for each rank")
      .sizes(sizes, "proved admissible, recorded; sets the chunks of a "
                    "torch_dist checkpoint and the ranks of a torch one")
      .option("--decoder-first-pipeline-num-layers", firstLayers, "N",
              "Layers of the first pipeline stage (default: as the others)")
      .option("--decoder-last-pipeline-num-layers", lastLayers, "N",
              "Layers of the last pipeline stage (default: as the others)")
      .flag("--account-for-embedding-in-pipeline-split", embeddingCounts,
            "The embedding counts as a layer of the first stage")
      .flag("--account-for-loss-in-pipeline-split", lossCounts,
            "The output layer counts as a layer of the last stage")
      .option("--layer-spec", layerSpec, "SPEC",
              "torch: names of the modules of te (Transformer Engine, default) "
              "or local layers")
      .option("--experts", experts, "MODULE",
              "torch: grouped (TEGroupedMLP, default), sequential "
              "(SequentialMLP) or fused (GroupedMLP of mcore up to 0.16)")
      .option("--mcore", mcore, "VERSION",
              "torch: the Megatron Core, such as 0.16, whose names are meant; "
              "they changed for MTP layers (default: 0.17 and later)")
      .option("--make-vocab-size-divisible-by", vocabMultiple, "N",
              "torch: pad the vocabulary to a multiple of N * tp rows "
              "(default: 128, as Megatron-LM does)");
  if (withRank)
    command.option("--rank", rank, "tp=N,pp=N,ep=N",
                   "torch: write only the files of these ranks, any number of "
                   "the three given; reads only their weights");
}

/// "tp=3,pp=1".
static Status parseRank(std::string_view text, RankChoice &rank) {
  std::tuple<std::string_view, std::optional<uint32_t> &> all[] = {
      {"tp=", rank.tp}, {"pp=", rank.pp}, {"ep=", rank.ep}};
  while (!text.empty()) {
    std::string_view item = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), item.size() + 1));
    bool known = false;
    for (auto &[name, value] : all)
      if (item.starts_with(name) && !value) {
        MBC_ASSIGN(uint64_t number,
                   parseCount("--rank", item.substr(name.size()), 0, 65535));
        value = static_cast<uint32_t>(number);
        known = true;
      }
    if (!known)
      return inputError(fmt::format(
          "option '--rank': found {}, expected tp=N, pp=N and ep=N, each at "
          "most once",
          quote(item)));
  }
  return {};
}

/// True of Megatron Core up to 0.16.
static Expected<bool> isBefore017(std::string_view version) {
  unsigned minor = 0;
  size_t digits = 0;
  std::string_view rest = version;
  if (rest.starts_with("0.")) {
    rest.remove_prefix(2);
    for (; digits < rest.size() && digits < 4 && rest[digits] >= '0' &&
           rest[digits] <= '9';
         ++digits)
      minor = minor * 10 + unsigned(rest[digits] - '0');
  }
  if (digits == 0 || (digits < rest.size() && rest[digits] != '.'))
    return inputError(fmt::format(
        "option '--mcore': found {}, expected a version such as 0.16",
        quote(version)));
  return minor < 17;
}

Expected<MegatronLayout> TargetOptions::parse() const {
  MegatronLayout layout;
  if (format == "torch")
    layout.format = MegatronFormat::LegacyTorch;
  else if (!format.empty() && format != "torch_dist")
    return inputError(
        fmt::format("option '--format': found {}, expected torch_dist or torch",
                    quote(format)));
  std::pair<const char *, const std::string &> legacyOnly[] = {
      {"--layer-spec", layerSpec},
      {"--experts", experts},
      {"--mcore", mcore},
      {"--make-vocab-size-divisible-by", vocabMultiple},
      {"--rank", rank}};
  for (auto &[option, text] : legacyOnly)
    if (layout.format != MegatronFormat::LegacyTorch && !text.empty())
      return inputError(fmt::format(
          "option '{}' goes with --format torch: a torch_dist checkpoint is "
          "the same for all",
          option));

  MBC_ASSIGN(layout.sizes, sizes.parse());
  for (auto &[option, text, value] :
       {std::tuple<const char *, const std::string &, int64_t &>(
            "--decoder-first-pipeline-num-layers", firstLayers,
            layout.sizes.firstLayers),
        {"--decoder-last-pipeline-num-layers", lastLayers,
         layout.sizes.lastLayers},
        {"--make-vocab-size-divisible-by", vocabMultiple,
         layout.vocabMultiple}})
    if (!text.empty()) {
      MBC_ASSIGN(uint64_t number, parseCount(option, text, 1, 1 << 20));
      value = static_cast<int64_t>(number);
    }
  layout.sizes.embeddingCounts = embeddingCounts;
  layout.sizes.lossCounts = lossCounts;

  if (layerSpec == "local")
    layout.layerSpec = LayerSpec::Local;
  else if (!layerSpec.empty() && layerSpec != "te")
    return inputError(
        fmt::format("option '--layer-spec': found {}, expected te or local",
                    quote(layerSpec)));
  if (experts == "sequential")
    layout.experts = ExpertModules::Sequential;
  else if (experts == "fused")
    layout.experts = ExpertModules::Fused;
  else if (!experts.empty() && experts != "grouped")
    return inputError(fmt::format(
        "option '--experts': found {}, expected grouped, sequential or fused",
        quote(experts)));
  if (!mcore.empty()) {
    MBC_ASSIGN(layout.oldMtp, isBefore017(mcore));
  }
  MBC_TRY(parseRank(rank, layout.rank));
  return layout;
}

} // namespace mbc
