//===- Launcher.cpp -------------------------------------------------------===//

#include "runtime/cuda/Launcher.h"

#include "runtime/core/DType.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <fmt/format.h>

namespace mbc::cuda {

Elem elemOf(plan::DType dtype) {
  return dtype == plan::DType::BF16     ? Elem::BF16
         : dtype == plan::DType::F16    ? Elem::F16
         : dtype == plan::DType::I32    ? Elem::I32
         : dtype == plan::DType::F8E4M3 ? Elem::F8
                                        : Elem::F32;
}

unsigned threadsFor(int64_t width) {
  return static_cast<unsigned>(
      std::clamp<int64_t>((width + 31) / 32 * 32, 32, 256));
}

static uint64_t bytesOf(const program::PortT &port) {
  int64_t elements = 1;
  for (uint32_t dim : port.dims)
    elements *= dim;
  return mbc::bytesOf(static_cast<DType>(port.dtype), elements);
}

Launcher::Launcher(Session &session, const program::FunctionT &function,
                   const Call &call, BoundCall bound, size_t lane, bool follows)
    : session(session), program(session.program), function(function),
      call(call), bound(std::move(bound)), lane(lane), follows(follows) {
  if (auto found = session.fusions.find(&function);
      found != session.fusions.end())
    fusions = &found->second;
  // What is copied at once comes first.
  uint64_t at = 0, floats = numberBytes(function);
  for (const auto &port : function.inputs) {
    uint64_t &next = port->dtype == plan::DType::I32 ? at : floats;
    inputOffsets.push_back(next);
    next += aligned(bytesOf(*port));
  }
  countsOffset = at;
  placesOffset = at + aligned(2 * sizeof(int32_t));
  drawingsOffset = placesOffset + aligned(function.rows * sizeof(RowPlace));
  at = floats;
  for (const auto &port : function.outputs) {
    outputOffsets.push_back(at);
    at += aligned(bytesOf(*port));
  }
  for (const Sequence &sequence : call.sequences)
    longest = std::max(longest, sequence.cached + sequence.count);
  for (const auto &port : function.outputs)
    bytesOfResults += aligned(wanted(*port).size());
  for (const auto &[name, ids] : call.chosen)
    chosen.insert(name);
  if (isSmall())
    longest =
        static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(longest)));
}

static uint64_t drawingBytes(const program::FunctionT &function) {
  uint64_t most = 0;
  for (const auto &port : function.outputs)
    most = std::max<uint64_t>(most, port->dims[0]);
  return aligned(most * sizeof(Drawing));
}

uint64_t Launcher::numberBytes(const program::FunctionT &function) {
  uint64_t bytes = aligned(2 * sizeof(int32_t)) +
                   aligned(function.rows * sizeof(RowPlace)) +
                   drawingBytes(function);
  for (const auto &port : function.inputs)
    if (port->dtype == plan::DType::I32)
      bytes += aligned(bytesOf(*port));
  return bytes;
}

uint64_t Launcher::portBytes(const program::FunctionT &function) {
  uint64_t bytes = numberBytes(function);
  for (const auto &port : function.inputs)
    if (port->dtype != plan::DType::I32)
      bytes += aligned(bytesOf(*port));
  for (const auto &port : function.outputs)
    bytes += aligned(bytesOf(*port));
  return bytes;
}

bool Launcher::isSmall() const {
  constexpr int64_t few = 64;
  return bound.rows <= few;
}

CallShape Launcher::shape() const {
  return {&function,     bound.rows,
          bound.outputs, static_cast<int64_t>(call.sequences.size()),
          longest,       call.oneLayer,
          chosen,        !call.drawings.empty(),
          lane,          follows};
}

void Launcher::stageInputs() {
  std::byte *to = session.buffers[lane].staging.data();
  for (size_t i = 0; i < bound.numbers.size(); ++i)
    std::memcpy(to + inputOffsets[i], bound.numbers[i].data(),
                bound.numbers[i].size() * sizeof(int32_t));
  int32_t counts[] = {static_cast<int32_t>(bound.rows),
                      static_cast<int32_t>(bound.outputs)};
  std::memcpy(to + countsOffset, counts, sizeof(counts));
  auto *places = reinterpret_cast<RowPlace *>(to + placesOffset);
  for (size_t s = 0; s < call.sequences.size(); ++s) {
    const Sequence &sequence = call.sequences[s];
    for (int64_t i = 0; i < sequence.count; ++i)
      places[sequence.begin + i] = {
          static_cast<int32_t>(sequence.slot),
          static_cast<int32_t>(sequence.cached + i),
          static_cast<int32_t>(sequence.cached + sequence.count),
          static_cast<int32_t>(s)};
  }
  std::ranges::copy(call.drawings,
                    reinterpret_cast<Drawing *>(to + drawingsOffset));
}

Status Launcher::sendInputs() {
  MBC_TRY(session.gpu->upload(
      session.ports.data(), session.buffers[lane].staging.data(),
      call.drawings.empty() ? drawingsOffset : numberBytes(function),
      "copying inputs"));
  // Floats are many; they leave from where the caller has them.
  for (size_t i = 0; i < bound.floats.size(); ++i) {
    repeats &= bound.floats[i].empty();
    MBC_TRY(session.gpu->upload(
        session.ports.data() + inputOffsets[i], bound.floats[i].data(),
        bound.floats[i].size_bytes(), "copying inputs"));
  }
  return {};
}

/// What the call before chose becomes this one's tokens.
Status Launcher::takeChosen() {
  for (size_t i = 0; i < function.inputs.size(); ++i)
    if (function.inputs[i]->name == "tokens")
      return session.kernels->launch(
          "mbc_take_chosen", {.x = 1, .threads = 128},
          reinterpret_cast<const ChosenToken *>(session.chosen.data()),
          reinterpret_cast<int32_t *>(session.ports.data() + inputOffsets[i]),
          Count{counts(), 0, 1, 1});
  return inputError(fmt::format("'{}' takes no tokens", function.name));
}

/// What the caller wants of an output.
std::span<std::byte> Launcher::wanted(const program::PortT &output) const {
  if (auto ids = call.chosen.find(output.name); ids != call.chosen.end())
    return std::as_writable_bytes(ids->second);
  return std::as_writable_bytes(call.outputs.find(output.name)->second);
}

Status Launcher::fetchOutputs() {
  const Memory &results = session.buffers[lane].results;
  bool pinned = bytesOfResults <= results.size();
  repeats &= pinned;
  uint64_t next = 0;
  for (size_t i = 0; i < function.outputs.size(); ++i) {
    const program::PortT &port = *function.outputs[i];
    std::span<std::byte> to = wanted(port);
    const std::byte *from = session.ports.data() + outputOffsets[i];
    if (call.chosen.contains(port.name)) {
      MBC_ASSIGN(from,
                 chooseTokens(port, from, to.size() / sizeof(ChosenToken)));
    }
    MBC_TRY(session.gpu->download(
        pinned ? results.data() + next : to.data(), from, to.size(),
        fmt::format("copying output '{}'", port.name)));
    next += aligned(to.size());
  }
  return {};
}

Expected<const std::byte *> Launcher::chooseTokens(const program::PortT &output,
                                                   const std::byte *logits,
                                                   int64_t rows) {
  int64_t width = 1;
  for (size_t i = 1; i < output.dims.size(); ++i)
    width *= output.dims[i];
  // As many stretches of a row as keep a GPU busy.
  constexpr int64_t stretch = 2048, mostParts = 64;
  auto parts = static_cast<int>(
      std::clamp<int64_t>((width + stretch - 1) / stretch, 1, mostParts));
  uint64_t partBytes = aligned(rows * parts * sizeof(LikeliestPart));
  MBC_ASSIGN(std::byte * work, session.scratch(partBytes));
  auto *some = reinterpret_cast<LikeliestPart *>(work);
  auto *all = reinterpret_cast<ChosenToken *>(session.chosen.data());
  auto *numbers = reinterpret_cast<const float *>(logits);
  static_assert(sizeof(ChosenToken) == sizeof(mbc::ChosenToken));
  MBC_TRY(session.kernels->launch(
      "mbc_likeliest_parts",
      {.x = parts, .y = rows, .threads = 256, .overlaps = true}, numbers, width,
      some));
  MBC_TRY(session.kernels->launch(
      "mbc_likeliest", {.x = rows, .threads = 32, .overlaps = true},
      static_cast<const LikeliestPart *>(some), parts, all));
  if (!call.drawings.empty())
    MBC_TRY(draw(numbers, width, rows));
  return session.chosen.data();
}

void Launcher::deliver() const {
  const Memory &results = session.buffers[lane].results;
  if (bytesOfResults > results.size())
    return;
  uint64_t next = 0;
  for (const auto &port : function.outputs) {
    std::span<std::byte> to = wanted(*port);
    std::memcpy(to.data(), results.data() + next, to.size());
    next += aligned(to.size());
  }
}

Expected<bool> Launcher::enqueue() {
  tablesMade.clear();
  MBC_TRY(sendInputs());
  if (follows)
    MBC_TRY(takeChosen());
  MBC_TRY(runBody(*function.body, 0));
  MBC_TRY(fetchOutputs());
  return repeats;
}

Status Launcher::runBody(const program::BodyT &body, uint32_t layer) {
  currentLayer = layer;
  for (const auto &command : body.commands) {
    Status status = runCommand(command->op, layer);
    if (status && session.waitsForEach)
      status = session.gpu->wait("a command");
    if (status)
      continue;
    const program::LocationT &place = *program.locations[command->location];
    if (place.file.empty())
      return status;
    return Failure(Error{status.error().kind,
                         fmt::format("{}:{}:{}: {}", place.file, place.line,
                                     place.column, status.error().message)});
  }
  return {};
}

Status Launcher::runCommand(const program::OpUnion &op, uint32_t layer) {
  if (const auto *command = op.AsGemm())
    return gemm(*command);
  if (const auto *command = op.AsGroupedGemm())
    return groupedGemm(*command);
  if (const auto *command = op.AsRows()) {
    MBC_ASSIGN(bool done, turned(*command, layer));
    return done ? Status() : rows(*command);
  }
  if (const auto *command = op.AsAttention())
    return attention(*command, layer);
  if (const auto *command = op.AsLatentAttention())
    return latentAttention(*command, layer);
  if (const auto *command = op.AsRoute())
    return route(*command);
  if (const auto *command = op.AsGroup())
    return group(*command);
  if (const auto *command = op.AsScatter())
    return scatter(*command);
  if (const auto *command = op.AsCombine())
    return combine(*command);
  if (const auto *command = op.AsAngles())
    return angles(*command);
  if (const auto *command = op.AsEmbed())
    return embed(*command);
  if (const auto *command = op.AsTake())
    return take(*command);
  if (const auto *command = op.AsPlace())
    return place(*command);
  if (const auto *command = op.AsTap())
    return tap(*command, layer);
  if (const auto *command = op.AsCopy()) {
    View to = view(command->to);
    return copy(view(command->from), to, countOf(to), rowsIn(to));
  }
  if (const auto *repeat = op.AsRepeat()) {
    for (const program::Run &run : repeat->runs)
      for (uint32_t i = 0; i < run.count(); ++i)
        MBC_TRY(runBody(*repeat->bodies[run.body()], run.first() + i));
    return {};
  }
  return inputError(fmt::format("the command '{}' does not run on GPUs yet",
                                program::EnumNameOp(op.type)));
}

//===----------------------------------------------------------------------===//
// Views
//===----------------------------------------------------------------------===//

size_t Launcher::instanceOf(uint32_t weight) const {
  const std::vector<uint32_t> &layers = program.weights[weight]->layers;
  auto found = std::ranges::lower_bound(layers, currentLayer);
  return found != layers.end() && *found == currentLayer
             ? found - layers.begin()
             : 0;
}

View Launcher::view(uint32_t index) const {
  const program::ViewT &of = *function.views[index];
  View view{};
  view.elem = elemOf(of.dtype);
  view.rank = static_cast<int32_t>(of.dims.size());
  view.shared = of.space == program::Space::Weight;
  std::ranges::copy(of.dims, view.dims);
  std::ranges::copy(of.strides, view.strides);
  std::byte *base = nullptr;
  switch (of.space) {
  case program::Space::Arena:
    base = session.arena.data();
    break;
  case program::Space::Weight:
    base = session.weightAt(of.index, instanceOf(of.index));
    break;
  case program::Space::Input:
    base = session.ports.data() + inputOffsets[of.index];
    break;
  case program::Space::Output:
    base = session.ports.data() + outputOffsets[of.index];
    if (call.oneLayer.contains(function.outputs[of.index]->name))
      view.strides[0] = view.strides[1];
    break;
  }
  view.data = base + of.offset;
  return view;
}

int64_t Launcher::rowsIn(const View &view) const {
  return rowsOf(function, bound, view.dims[0]);
}

const int32_t *Launcher::counts() const {
  return reinterpret_cast<const int32_t *>(session.ports.data() + countsOffset);
}
const RowPlace *Launcher::places() const {
  return reinterpret_cast<const RowPlace *>(session.ports.data() +
                                            placesOffset);
}

Count Launcher::countOf(const View &view) const {
  // As mbc::rowsOf counts them.
  int64_t most = view.dims[0], rows = function.rows;
  if (most % rows == 0)
    return {counts(), 0, static_cast<int32_t>(most / rows), 1};
  if (bound.outputs)
    return {counts(), 1, 1, 1};
  return {counts(), 0, 1, static_cast<int32_t>(rows / most)};
}

std::byte *Launcher::stateAt(size_t state, size_t part, uint32_t layer) const {
  const std::vector<uint32_t> &layers = program.states[state]->layers;
  size_t ordinal = std::ranges::lower_bound(layers, layer) - layers.begin();
  return session.states.data() + session.layout.stateOffsets[state][part] +
         ordinal * session.layout.layerBytes[state][part];
}

} // namespace mbc::cuda
