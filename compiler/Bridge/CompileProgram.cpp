//===- CompileProgram.cpp - From a proved model to a program --------------===//

#include "compiler/Bridge/ContinueProgram.h"
#include "compiler/Bridge/Counts.h"
#include "compiler/Bridge/ProvedModel.h"
#include "compiler/Frontend/Import.h"
#include "compiler/Phases.h"
#include "compiler/Target/ProgramTarget.h"
#include "compiler/Transforms/WMapScales.h"

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
                                          uint64_t vocab,
                                          const program::VisionT *vision) {
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
  if (vision)
    for (uint64_t patches : options.patches) {
      uint64_t square = uint64_t(vision->fold) * vision->fold;
      entries.push_back(fmt::format("see[{0}]={0}+seen",
                                    (patches + square - 1) / square * square));
    }
  if (options.sequences.empty())
    return entries;
  // A chunk that holds no more tokens than are asked for gives all logits.
  auto add = [&](const char *kind, uint64_t rows, uint64_t outputs,
                 const std::string &suffix) {
    std::string some = outputs < rows ? fmt::format(":{}", outputs) : "";
    std::string entry =
        fmt::format("{0}[{1}]={1}{2}{3}", kind, rows, some, suffix);
    if (!llvm::is_contained(entries, entry))
      entries.push_back(entry);
  };
  // Of each sequence the next token and what was drafted after it.
  uint64_t most = *llvm::max_element(options.sequences),
           tokens = 1 + options.drafts;
  for (uint64_t rows : options.chunks)
    add("prefill", rows, most * tokens, options.drafts ? "+hidden" : "");
  // What is continued has seen its pictures.
  std::string decoded = vision ? "+text" : "";
  if (options.drafts)
    decoded += "+hidden";
  for (uint64_t sequences : options.sequences)
    add("decode", sequences * tokens, sequences * tokens, decoded);
  if (options.drafts == 0)
    return entries;
  for (uint64_t rows : options.chunks)
    add("draft", rows, most, "@hidden");
  for (uint64_t sequences : options.sequences)
    add("draft", sequences * tokens, most, "@hidden");
  return entries;
}

PhaseOptions phaseOptionsOf(const CompileOptions &options,
                            DictionaryAttr values) {
  PhaseOptions what;
  auto vocab = values ? values.getAs<IntegerAttr>("vocab") : IntegerAttr();
  auto vision = values ? exec::visionOf(values) : nullptr;
  for (const std::string &entry :
       entriesOf(options, vocab ? vocab.getInt() : 1, vision.get()))
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

/// The plan of a folder in which all is FP8 that may be. What a folder holds as
/// wider floats is read as it is.
static void expectScaled(plan::PlanT &plan, const wmap::Scales &scales) {
  for (const auto &copy : plan.copies)
    if (!copy->hf_scale.empty() && copy->hf_shape.size() >= 2) {
      copy->hf_dtype = plan::DType::F8E4M3;
      copy->hf_block.assign(scales.blocks.begin(), scales.blocks.end());
    }
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
  std::string why;
  auto scales = wmap::Scales::of(model(), mapping(), why);
  if (!scales)
    return inputError(fmt::format("{}: {}", config.string(), why));
  MBC_ASSIGN(ImpliedTensors implied, impliedTensors(model(), mapping()));
  if (options.scaledWeights) {
    if (!scales->stored())
      return inputError(fmt::format(
          "{}: says of no weights that they are FP8 with block scales "
          "(quantization_config), which '--weight-dtype float8_e4m3fn' keeps "
          "as they are; leave it out",
          config.string()));
    for (const ImpliedFamily &family : implied.families)
      if (std::string path = wmap::EntryOp(family.entry).getPath().str();
          family.scaleShape && !llvm::is_contained(what.selection.scaled, path))
        what.selection.scaled.push_back(path);
    llvm::append_range(what.selection.block, scales->blocks);
  }
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
    if (scales->stored())
      expectScaled(source, *scales);
    result.sources.push_back(std::make_unique<plan::PlanT>(std::move(source)));
  }
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

bool ProvedModel::hasDraft() {
  auto function = model().lookupSymbol<nn::FuncOp>("forward");
  return function && nn::hasDraft(function);
}

} // namespace mbc
