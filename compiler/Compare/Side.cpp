//===- Side.cpp -----------------------------------------------------------===//
#include "compiler/Compare/Side.h"

#include "compiler/Compare/ModelGraph.h"
#include "runtime/compare/Experts.h"
#include "runtime/core/Parallel.h"
#include "runtime/execute/Devices.h"
#include "runtime/execute/Score.h"
#include "runtime/host/NativeCode.h"
#include "runtime/program/WeightSource.h"

#include <algorithm>
#include <bit>
#include <fmt/format.h>
#include <map>

namespace mbc {

/// "BF16, F32": what most elements have first.
static std::string typesOf(const TensorSet &set) {
  std::map<std::string, int64_t> elements;
  for (const TensorInfo &info : set.tensors())
    elements[std::string(safetensorsName(info.dtype))] += info.elements();
  std::vector<std::pair<int64_t, std::string>> order;
  for (const auto &[name, count] : elements)
    order.emplace_back(-count, name);
  std::ranges::sort(order);
  std::string text;
  for (const auto &[count, name] : order)
    text += (text.empty() ? "" : ", ") + name;
  return text;
}

static std::string formatOf(CheckpointKind kind) {
  switch (kind) {
  case CheckpointKind::HuggingFace:
    return "Hugging Face folder";
  case CheckpointKind::LegacyTorch:
    return "Megatron torch";
  default:
    return "Megatron torch_dist";
  }
}

static CompileOptions compileOptions(const RunOptions &run, uint64_t tokens) {
  CompileOptions options;
  options.dtype = run.dtype;
  // Both sides in the same chunks: their bits are the same in any case.
  options.chunks = {std::bit_ceil(tokens)};
  options.length = std::bit_ceil(tokens);
  options.draft = run.draft;
  if (std::string_view target = host::codeTarget(); !target.empty())
    options.targets.emplace_back(target);
  return options;
}

Expected<std::unique_ptr<Side>> Side::open(const ModelLibrary &library,
                                           const std::string &path,
                                           const OpenOptions &options,
                                           const RunOptions &run,
                                           std::string label) {
  std::unique_ptr<Side> side(new Side());
  side->label = std::move(label);
  side->options = run;
  MBC_ASSIGN(side->source, Checkpoint::open(library, path, options));
  Checkpoint &checkpoint = *side->source;
  side->about = {path, formatOf(checkpoint.kind()),
                 checkpoint.proved().declared().name,
                 typesOf(checkpoint.tensors())};
  MBC_ASSIGN(side->operations,
             modelGraph(checkpoint.proved(), compileOptions(run, 1)));
  return side;
}

Status Side::addDraft() {
  options.draft = true;
  MBC_ASSIGN(operations,
             modelGraph(source->proved(), compileOptions(options, 1)));
  return {};
}

std::optional<int64_t> Side::value(const char *name) const {
  auto values = source->proved().model().getValuesAttr();
  auto number =
      values ? values.getAs<mlir::IntegerAttr>(name) : mlir::IntegerAttr();
  return number ? std::optional(number.getInt()) : std::nullopt;
}

/// The program's bytes without what it is called and where it comes from.
static std::vector<uint8_t> commandsOf(const program::ProgramT &program) {
  program::ProgramT bare(program);
  bare.model.clear();
  bare.config.clear();
  bare.architectures.clear();
  bare.optional.clear();
  bare.sources.clear();
  for (auto &place : bare.locations)
    *place = program::LocationT();
  bare.positions = 0;
  return serializeProgram(bare);
}

/// What a program gives without a tap.
static bool isOutput(const std::string &name) {
  return name == "logits" || name == execute::draftOutput;
}

Expected<compare::Values> Side::run(std::span<const int32_t> tokens,
                                    const std::vector<std::string> &taps,
                                    std::optional<int64_t> layer) {
  CompileOptions compile = compileOptions(options, tokens.size());
  for (const std::string &tap : taps)
    if (!isOutput(tap))
      compile.taps.push_back(tap);
  MBC_ASSIGN(program::ProgramT made, source->proved().compile(compile));
  configText = made.config;
  // Through its bytes, as mbc-run would have it.
  MBC_ASSIGN(std::unique_ptr<program::ProgramT> program,
             parseProgram(serializeProgram(made), "the program"));
  commandBytes = commandsOf(*program);
  const TensorSet *megatron = source->megatronTensors();
  MBC_ASSIGN(
      std::unique_ptr<WeightSource> weights,
      WeightSource::create(
          *program, megatron ? PlanSide::Megatron : PlanSide::HuggingFace,
          megatron ? *megatron : source->tensors(), source->folder().string()));
  unsigned threads = options.threads ? options.threads : defaultThreads();
  int64_t length = static_cast<int64_t>(tokens.size());
  MBC_ASSIGN(
      std::unique_ptr<Session> session,
      execute::openSession(
          *program, {}, {threads, execute::scoreSlots(*program, 1, length)}));
  Progress loading("loading " + label, weights->bytes(), options.progress);
  MBC_TRY(session->load(*weights, loading));
  loading.finish();

  decltype(Call::oneLayer) oneLayer;
  if (layer)
    for (const std::string &tap : compile.taps)
      oneLayer[tap] = static_cast<uint32_t>(*layer);
  compare::Values values;
  const program::FunctionT *function =
      findFunction(*program, execute::scoreFunction);
  for (const auto &port : function->outputs) {
    compare::Array &array = values[port->name];
    array.rows = length;
    array.width = 1;
    for (size_t i = 1; i < port->dims.size(); ++i)
      array.width *= port->dims[i];
    // Slots of layers come second, but in the results themselves.
    if (!isOutput(port->name) && port->dims.size() > 1) {
      array.width /= port->dims[1];
      array.layers = oneLayer.count(port->name) ? 1 : port->dims[1];
    }
    array.data.reserve(array.rows * array.layers * array.width);
  }
  uint64_t bytes = 0;
  for (const auto &[name, array] : values)
    bytes += array.data.capacity() * sizeof(float);
  Progress computing("computing " + label, bytes, options.progress);
  MBC_TRY(execute::score(
      *session, *program, tokens, 1, length,
      [&](int64_t, const execute::Outputs &outputs) -> Status {
        for (auto &[name, array] : values) {
          std::span<const float> some = outputs.find(name)->second;
          array.data.insert(array.data.end(), some.begin(), some.end());
          computing.advance(some.size_bytes());
        }
        return {};
      },
      oneLayer));
  computing.finish();
  compare::sortByExpert(operations, values);
  return values;
}

} // namespace mbc
