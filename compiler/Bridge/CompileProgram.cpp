//===- CompileProgram.cpp - From a proved model to a program --------------===//

#include "compiler/Bridge/ContinueProgram.h"
#include "compiler/Bridge/Counts.h"
#include "compiler/Bridge/ProvedModel.h"
#include "compiler/Frontend/Import.h"
#include "compiler/Phases.h"
#include "compiler/Target/ProgramTarget.h"

#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/StringExtras.h"

#include <bit>
#include <fmt/format.h>

using namespace mlir;

namespace mbc {

/// Of the logits that one call of `score` gives: with large vocabularies they
/// would be most of a process's memory.
constexpr uint64_t scoredBytes = 64u << 20;

/// The functions that are asked for, as nn-instantiate takes them.
static std::vector<std::string> entriesOf(const CompileOptions &options,
                                          uint64_t vocab) {
  std::vector<std::string> entries;
  for (uint64_t rows : options.chunks) {
    if (rows * vocab * sizeof(float) > scoredBytes)
      rows = std::bit_floor(
          std::max<uint64_t>(1, scoredBytes / (vocab * sizeof(float))));
    std::string entry =
        fmt::format("score[{0}]={0}{1}", rows, options.draft ? "+draft" : "");
    if (!llvm::is_contained(entries, entry))
      entries.push_back(entry);
  }
  if (options.sequences.empty())
    return entries;
  uint64_t most = *llvm::max_element(options.sequences);
  for (uint64_t rows : options.chunks)
    // A chunk that holds no more tokens than sequences gives all logits.
    entries.push_back(most < rows
                          ? fmt::format("prefill[{0}]={0}:{1}", rows, most)
                          : fmt::format("prefill[{0}]={0}", rows));
  for (uint64_t rows : options.sequences)
    entries.push_back(fmt::format("decode[{0}]={0}", rows));
  return entries;
}

PhaseOptions phaseOptionsOf(const CompileOptions &options,
                            DictionaryAttr values) {
  PhaseOptions what;
  auto vocab = values ? values.getAs<IntegerAttr>("vocab") : IntegerAttr();
  for (const std::string &entry :
       entriesOf(options, vocab ? vocab.getInt() : 1))
    what.entries.entries.push_back(entry);
  what.selection.dtype = options.dtype == DType::BF16  ? "bf16"
                         : options.dtype == DType::F16 ? "f16"
                                                       : "f32";
  llvm::append_range(what.entries.taps, options.taps);
  llvm::append_range(what.code.targets, options.targets);
  return what;
}

LogicalResult runPhase(const Phase &phase, const PhaseOptions &what,
                       ModuleOp module) {
  // A mapping is about weights, which no program holds.
  for (wmap::MappingOp mapping :
       llvm::make_early_inc_range(module.getOps<wmap::MappingOp>()))
    mapping.erase();
  PassManager passes(module.getContext());
  passes.enableVerifier(false);
  phase.build(passes, what);
  if (phase.check)
    phase.check(passes);
  return passes.run(module);
}

Expected<bool> showPhase(const CompileOptions &options, ModuleOp module,
                         size_t number, std::string_view phase) {
  if (!options.seen)
    return true;
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream);
  text += '\n';
  return options.seen(number + 1, phase, text);
}

/// What the configuration said where the model reads it, by path.
static Json usedFields(nn::ModelOp model, const Json &config) {
  Json result = Json::object();
  DictionaryAttr fields = model.getFieldsAttr();
  auto used =
      dyn_cast_or_null<ArrayAttr>(fields ? fields.get("used") : Attribute());
  if (!used)
    return result;
  for (auto path : used.getAsValueRange<StringAttr>()) {
    const Json *value = &config;
    for (StringRef key : llvm::split(path, '.'))
      value = value ? value->find(std::string_view(key)) : nullptr;
    if (value && path != "architectures")
      result.set(std::string_view(path), *value);
  }
  return result;
}

Expected<program::ProgramT>
ProvedModel::compile(const CompileOptions &options) {
  auto seen = [&](ModuleOp at, size_t number, std::string_view phase,
                  bool &on) -> Status {
    MBC_ASSIGN(on, showPhase(options, at, number, phase));
    return {};
  };
  OwningOpRef<ModuleOp> copy = cast<ModuleOp>((*module)->clone());
  PhaseOptions what = phaseOptionsOf(options, model().getValuesAttr());
  bool on = true;
  for (auto [number, phase] : llvm::enumerate(phases())) {
    if (phase.build) {
      MBC_TRY(captured([&] { return runPhase(phase, what, *copy); }));
    } else if (options.seen && phase.name == "parse") {
      // As it was before the elaboration, which changes the module itself.
      OwningOpRef<ModuleOp> declared;
      MBC_TRY(captured([&] {
        declared =
            importFiles(context, sources, {which.modelFile, which.mappingFile});
        return success(bool(declared));
      }));
      MBC_TRY(seen(*declared, number, phase.name, on));
      if (!on)
        return program::ProgramT();
      continue;
    }
    MBC_TRY(seen(*copy, number, phase.name, on));
    if (!on)
      return program::ProgramT();
  }
  program::ProgramT result =
      exec::exportProgram(*copy->getOps<exec::ProgramOp>().begin());
  result.length = options.length ? options.length : result.positions;
  if (result.length == 0)
    return inputError(fmt::format("{}: does not say how long sequences are; "
                                  "option '--length' does",
                                  config.string()));
  if (!options.sequences.empty())
    result.sequences = *llvm::max_element(options.sequences);
  result.architectures = which.architectures;
  result.config = usedFields(model(), values).dumpCompact();
  // Layer keys of Megatron checkpoints carry their index or, where layers are
  // alike, are stacked; a Hugging Face folder is read through the first.
  for (const char *keys : {"indexed", "stackable"}) {
    PlacementOptions placement;
    placement.layerKeys = keys;
    MBC_ASSIGN(plan::PlanT source, plan(nullptr, placement));
    if (!result.sources.empty() && source.indexed_layers)
      break;
    result.sources.push_back(std::make_unique<plan::PlanT>(std::move(source)));
  }
  MBC_ASSIGN(ImpliedTensors implied, impliedTensors(model(), mapping()));
  for (const ImpliedFamily &family : implied.families)
    // A copy of a tied parameter: its original is the one that is read.
    if (wmap::EntryOp(family.entry).getTie())
      result.optional.push_back(family.pattern);
  for (const ExtraFamily &extra : implied.extras)
    result.optional.push_back(extra.pattern);
  return result;
}

Expected<OwningOpRef<ModuleOp>>
ProvedModel::graph(const CompileOptions &options) {
  OwningOpRef<ModuleOp> copy = cast<ModuleOp>((*module)->clone());
  PhaseOptions what = phaseOptionsOf(options, model().getValuesAttr());
  what.entries.taps.clear();
  what.entries.taps.push_back("*");
  MBC_TRY(captured(
      [&] { return runPhase(*findPhase("instantiate"), what, *copy); }));
  return copy;
}

} // namespace mbc
