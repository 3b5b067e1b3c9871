//===- Launcher.cpp -------------------------------------------------------===//

#include "runtime/cuda/Launcher.h"

#include "runtime/core/DType.h"
#include "runtime/program/RopeFrequencies.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

namespace mbc::cuda {

namespace {

Elem elemOf(plan::DType dtype) {
  return dtype == plan::DType::BF16  ? Elem::BF16
         : dtype == plan::DType::F16 ? Elem::F16
         : dtype == plan::DType::I32 ? Elem::I32
                                     : Elem::F32;
}

uint64_t bytesOf(Elem elem) {
  return elem == Elem::BF16 || elem == Elem::F16 ? 2 : 4;
}

uint64_t aligned(uint64_t bytes) { return (bytes + 255) / 256 * 256; }

uint64_t bytesOf(const program::PortT &port) {
  int64_t elements = 1;
  for (uint32_t dim : port.dims)
    elements *= dim;
  return mbc::bytesOf(static_cast<DType>(port.dtype), elements);
}

unsigned threadsFor(int64_t width) {
  return static_cast<unsigned>(
      std::clamp<int64_t>((width + 31) / 32 * 32, 32, 256));
}

View asElements(View view, std::byte *data) {
  view.data = data;
  return view;
}

} // namespace

Launcher::Launcher(Session &session, const program::FunctionT &function,
                   const Call &call, BoundCall bound)
    : session(session), program(session.program), function(function),
      call(call), bound(std::move(bound)) {
  // What is copied at once comes first.
  uint64_t at = 0, floats = numberBytes(function);
  for (const auto &port : function.inputs) {
    uint64_t &next = port->dtype == plan::DType::I32 ? at : floats;
    inputOffsets.push_back(next);
    next += aligned(bytesOf(*port));
  }
  countsOffset = at;
  placesOffset = at + aligned(2 * sizeof(int32_t));
  at = floats;
  for (const auto &port : function.outputs) {
    outputOffsets.push_back(at);
    at += aligned(bytesOf(*port));
  }
  for (const Sequence &sequence : call.sequences)
    longest = std::max(longest, sequence.cached + sequence.count);
}

uint64_t Launcher::numberBytes(const program::FunctionT &function) {
  uint64_t bytes =
      aligned(2 * sizeof(int32_t)) + aligned(function.rows * sizeof(RowPlace));
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

Status Launcher::sendInputs() {
  std::byte *to = session.staging.data();
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
  MBC_TRY(session.gpu->upload(session.ports.data(), to, numberBytes(function),
                              "copying inputs"));
  // Floats are many; they leave from where the caller has them.
  for (size_t i = 0; i < bound.floats.size(); ++i)
    MBC_TRY(session.gpu->upload(
        session.ports.data() + inputOffsets[i], bound.floats[i].data(),
        bound.floats[i].size_bytes(), "copying inputs"));
  return {};
}

Status Launcher::fetchOutputs() {
  for (size_t i = 0; i < function.outputs.size(); ++i) {
    std::span<float> to = call.outputs.find(function.outputs[i]->name)->second;
    MBC_TRY(session.gpu->download(
        to.data(), session.ports.data() + outputOffsets[i], to.size_bytes(),
        fmt::format("copying output '{}'", function.outputs[i]->name)));
  }
  return session.gpu->wait(fmt::format("running '{}'", function.name));
}

Status Launcher::run() {
  MBC_TRY(sendInputs());
  MBC_TRY(runBody(*function.body, 0));
  return fetchOutputs();
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
  if (const auto *command = op.AsRows())
    return rows(*command);
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
  case program::Space::Weight: {
    // Of a stack the current layer's.
    const std::vector<uint32_t> &layers = program.weights[of.index]->layers;
    auto found = std::ranges::lower_bound(layers, currentLayer);
    size_t instance = found != layers.end() && *found == currentLayer
                          ? found - layers.begin()
                          : 0;
    base = session.weightAt(of.index, instance);
    break;
  }
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

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

Status Launcher::embed(const program::EmbedT &command) {
  View out = view(command.out), table = view(command.table);
  auto *ids = static_cast<const int32_t *>(view(command.ids).data);
  return session.kernels->launch(
      "mbc_embed", {.x = rowsIn(out), .threads = threadsFor(out.dims[1])}, ids,
      table, out, countOf(out));
}

Status Launcher::take(const program::TakeT &command) {
  View out = view(command.out), x = view(command.x);
  auto *rows = static_cast<const int32_t *>(view(command.rows).data);
  return session.kernels->launch(
      "mbc_take", {.x = rowsIn(out), .threads = threadsFor(out.dims[1])}, x,
      rows, out, countOf(out));
}

Status Launcher::place(const program::PlaceT &command) {
  View out = view(command.out), features = view(command.features);
  const program::ViewT &from = *function.views[command.features],
                       &list = *function.views[command.places];
  // The caller says which; what he did not give is not read.
  if (from.space == program::Space::Input &&
      list.space == program::Space::Input) {
    int64_t given = bound.given[from.index];
    auto rows = static_cast<size_t>(bound.rows);
    for (int32_t row :
         std::span<const int32_t>(bound.numbers[list.index]).first(rows))
      if (row != noPlace && (row < 0 || row >= given))
        return inputError(
            fmt::format("row {} of {} features is placed", row, given));
  }
  auto *places = static_cast<const int32_t *>(view(command.places).data);
  return session.kernels->launch(
      "mbc_place", {.x = rowsIn(out), .threads = threadsFor(out.dims[1])},
      features, places, out, countOf(out));
}

Status Launcher::copy(const View &from, const View &to, Count count,
                      int64_t rows) {
  int64_t width = 1;
  for (int i = 1; i < to.rank; ++i)
    width *= to.dims[i];
  return session.kernels->launch(
      "mbc_copy", {.x = rows, .threads = threadsFor(width)}, from, to, count);
}

Status Launcher::tap(const program::TapT &command, uint32_t layer) {
  View from = view(command.from), to = view(command.to);
  const program::ViewT &table = *function.views[command.to];
  auto only = call.oneLayer.find(function.outputs[table.index]->name);
  if (only == call.oneLayer.end())
    to.data = static_cast<std::byte *>(to.data) +
              layer * to.strides[1] * bytesOf(to.elem);
  else if (only->second != layer)
    return {};
  // The layer's dimension goes.
  for (int i = 1; i + 1 < to.rank; ++i) {
    to.dims[i] = to.dims[i + 1];
    to.strides[i] = to.strides[i + 1];
  }
  --to.rank;
  return copy(from, to, countOf(from), rowsIn(from));
}

Status Launcher::angles(const program::AnglesT &command) {
  const program::RopeT &rope = *program.ropes[command.rope];
  View positions = view(command.positions), out = view(command.out);
  Memory &memory = session.ropes[command.rope];
  if (rope.dynamic) {
    const program::ViewT &table = *function.views[command.positions];
    const std::vector<int32_t> &numbers = bound.numbers[table.index];
    int64_t length =
        1 +
        *std::max_element(numbers.begin(),
                          numbers.begin() + bound.rows * positions.strides[0]);
    int64_t &known = session.ropeLengths[command.rope];
    known = longestLength(rope, known, length, call.sequences);
    std::vector<float> grown =
        known > rope.original ? dynamicFrequencies(rope, known) : rope.inv_freq;
    MBC_TRY(session.gpu->upload(memory.data(), grown.data(), grown.size() * 4,
                                "copying frequencies"));
    // They leave pageable memory, which goes.
    MBC_TRY(session.gpu->wait("copying frequencies"));
  }
  auto *frequencies = reinterpret_cast<const float *>(memory.data());
  auto pairs = static_cast<int>(rope.inv_freq.size());
  auto *axis = rope.axis.empty()
                   ? nullptr
                   : reinterpret_cast<const uint8_t *>(frequencies + pairs);
  return session.kernels->launch(
      "mbc_angles", {.x = rowsIn(out), .threads = threadsFor(pairs)},
      frequencies, axis, pairs, rope.attention_factor, positions, out,
      countOf(out));
}

Status Launcher::rows(const program::RowsT &command) {
  RowArguments arguments{};
  if (command.operands.size() > RowArguments::maxOperands)
    return inputError(
        fmt::format("a fused operation has {} operands, of which a GPU takes "
                    "at most {}",
                    command.operands.size(), RowArguments::maxOperands));
  const program::RowKernelT &kernel = *program.kernels[command.kernel];
  Count count{counts(), 0, 1, 1};
  int64_t rows = bound.rows;
  for (size_t i = 0; i < command.operands.size(); ++i) {
    View &operand = arguments.operands[i] = view(command.operands[i]);
    if (!operand.shared) {
      count = countOf(operand);
      rows = rowsIn(operand);
    }
  }
  arguments.steps =
      reinterpret_cast<const RowStep *>(session.steps[command.kernel].data());
  arguments.count = static_cast<int32_t>(kernel.steps.size());
  arguments.total = session.stepFloats[command.kernel];
  // A block a row, as long as they all fit at once.
  constexpr int64_t mostBlocks = 1024;
  constexpr unsigned mostShared = 96 * 1024;
  Shape shape{.x = std::min(rows, mostBlocks), .threads = 256};
  uint64_t bytes = uint64_t(arguments.total) * sizeof(float);
  if (bytes <= mostShared) {
    shape.shared = static_cast<unsigned>(bytes);
  } else {
    MBC_ASSIGN(std::byte * work, session.scratch(bytes * shape.x));
    arguments.scratch = reinterpret_cast<float *>(work);
  }
  return session.kernels->launch("mbc_rows", shape, arguments, count);
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

static ProductArguments productOf(const View &x, const View &weight,
                                  const View &out) {
  int last = weight.rank - 1;
  ProductArguments product{};
  product.x = x.data;
  product.weight = weight.data;
  product.out = out.data;
  product.ldx = x.strides[0];
  product.ldw = weight.strides[last - 1];
  product.ldo = out.strides[0];
  product.n = static_cast<int32_t>(weight.dims[last - 1]);
  product.k = static_cast<int32_t>(weight.dims[last]);
  product.groups = 1;
  product.xElem = x.elem;
  product.weightElem = weight.elem;
  product.outElem = out.elem;
  return product;
}

/// Whether every row of both sides can be read in pieces of 16 bytes.
static bool inWholePieces(const ProductArguments &product) {
  auto piece = static_cast<int64_t>(16 / bytesOf(product.weightElem));
  auto whole = [&](const void *data, int64_t stride) {
    return reinterpret_cast<uintptr_t>(data) % 16 == 0 && stride % piece == 0;
  };
  return product.xElem == product.weightElem && product.k % piece == 0 &&
         whole(product.x, product.ldx) && whole(product.weight, product.ldw);
}

Status Launcher::multiply(const ProductArguments &product, int64_t m,
                          Count count) {
  constexpr int64_t fewRows = 8, warps = 4, tile = 64;
  if (m <= fewRows && inWholePieces(product)) {
    int64_t variant = m <= 1 ? 1 : m <= 2 ? 2 : m <= 4 ? 4 : 8;
    const char *type = product.weightElem == Elem::BF16  ? "bf16"
                       : product.weightElem == Elem::F16 ? "f16"
                                                         : "f32";
    return session.kernels->launch(
        fmt::format("mbc_row_products_{}_{}", type, variant).c_str(),
        {.x = (product.n + warps - 1) / warps, .threads = 32 * warps}, product,
        count);
  }
  if (session.products) {
    MBC_ASSIGN(bool done, session.products->multiply(product, m));
    if (done)
      return {};
  }
  return session.kernels->launch("mbc_product",
                                 {.x = (product.n + tile - 1) / tile,
                                  .y = (m + tile - 1) / tile,
                                  .threads = 256},
                                 product, count);
}

Status Launcher::gemm(const program::GemmT &command) {
  View out = view(command.out);
  ProductArguments product =
      productOf(view(command.x), view(command.weight), out);
  if (command.bias >= 0) {
    View bias = view(static_cast<uint32_t>(command.bias));
    product.bias = bias.data;
    product.biasElem = bias.elem;
  }
  return multiply(product, rowsIn(out), countOf(out));
}

Status Launcher::groupedGemm(const program::GroupedGemmT &command) {
  View out = view(command.out), weight = view(command.weight),
       offsets = view(command.offsets);
  ProductArguments product = productOf(view(command.x), weight, out);
  product.offsets = static_cast<const int32_t *>(offsets.data);
  product.groups = static_cast<int32_t>(weight.dims[0]);
  product.groupStride = weight.strides[0];
  constexpr int64_t tile = 64;
  // As many tiles as there can be: every group may end with a part of one.
  int64_t tiles =
      rowsIn(out) / tile + std::min<int64_t>(product.groups, rowsIn(out));
  return session.kernels->launch(
      "mbc_product",
      {.x = (product.n + tile - 1) / tile, .y = tiles, .threads = 256}, product,
      countOf(out));
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

Status Launcher::append(const View &from, size_t state, size_t part,
                        uint32_t layer) {
  const program::StateT &table = *program.states[state];
  int64_t width = table.widths[part];
  void *to = stateAt(state, part, layer);
  return session.kernels->launch(
      "mbc_append", {.x = rowsIn(from), .threads = threadsFor(width)}, from, to,
      elemOf(table.dtype), width, places(), countOf(from));
}

/// Keys of a part. Long sequences with few rows are cut, so that there is work
/// for every processor.
constexpr int32_t partKeys = 256;
constexpr int64_t fewRows = 64;

static int32_t partsOf(int64_t rows, int64_t longest) {
  return rows > fewRows
             ? 1
             : static_cast<int32_t>((longest + partKeys - 1) / partKeys);
}

uint64_t Launcher::partialBytes(const AttentionArguments &arguments) const {
  int64_t parts = partsOf(bound.rows, longest);
  return parts == 1 ? 0
                    : uint64_t(bound.rows) * arguments.kv * arguments.group *
                          parts * (arguments.width + 2) * sizeof(float);
}

Status Launcher::attend(AttentionArguments arguments, std::byte *work) {
  struct Size {
    int keys, values, queries; ///< 32 elements each; queries of a block
  };
  constexpr Size sizes[] = {{2, 2, 8}, {4, 4, 8}, {8, 8, 4}, {18, 16, 2}};
  const Size *size = std::ranges::find_if(sizes, [&](const Size &of) {
    return arguments.first + arguments.second <= 32 * of.keys &&
           arguments.width <= 32 * of.values;
  });
  if (size == std::end(sizes))
    return inputError(fmt::format(
        "attention with keys of {} and values of {} elements does not run on "
        "GPUs; at most 576 and 512",
        arguments.first + arguments.second, arguments.width));
  arguments.part = partKeys;
  arguments.parts = partsOf(bound.rows, longest);
  arguments.partial = reinterpret_cast<float *>(work);
  const char *type = arguments.elem == Elem::BF16  ? "bf16"
                     : arguments.elem == Elem::F16 ? "f16"
                                                   : "f32";
  int64_t chunks = (arguments.group + size->queries - 1) / size->queries;
  Count count{counts(), 0, 1, 1};
  MBC_TRY(session.kernels->launch(
      fmt::format("mbc_attend_{}_{}", type, size->keys).c_str(),
      {.x = bound.rows,
       .y = arguments.kv * chunks,
       .z = arguments.parts,
       .threads = 128},
      arguments, count));
  if (arguments.parts == 1)
    return {};
  return session.kernels->launch("mbc_attend_parts",
                                 {.x = bound.rows,
                                  .y = int64_t(arguments.kv) * arguments.group,
                                  .threads = threadsFor(arguments.width)},
                                 arguments, count);
}

/// What of an attention does not depend on where keys and values lie.
static AttentionArguments argumentsOf(const program::AttentionT &command,
                                      const View &q, const View &out) {
  AttentionArguments arguments{};
  arguments.q = q;
  arguments.out = out;
  arguments.kv = static_cast<int32_t>(q.dims[1]);
  arguments.group = static_cast<int32_t>(q.dims[2]);
  arguments.first = static_cast<int32_t>(q.dims[3]);
  arguments.width = static_cast<int32_t>(out.dims[3]);
  arguments.causal = command.causal;
  arguments.window = static_cast<int32_t>(command.window);
  arguments.scale = static_cast<float>(command.scale);
  return arguments;
}

Status Launcher::attention(const program::AttentionT &command, uint32_t layer) {
  if (command.state < 0)
    return attentionOfParts(command);
  auto state = static_cast<size_t>(command.state);
  MBC_TRY(append(view(command.k), state, 0, layer));
  MBC_TRY(append(view(command.v), state, 1, layer));
  const program::StateT &table = *program.states[state];
  AttentionArguments arguments =
      argumentsOf(command, view(command.q), view(command.out));
  arguments.keys = stateAt(state, 0, layer);
  arguments.values = stateAt(state, 1, layer);
  arguments.places = places();
  arguments.keySlot = table.widths[0];
  arguments.valueSlot = table.widths[1];
  arguments.keyHead = arguments.first;
  arguments.valueHead = arguments.width;
  arguments.elem = elemOf(table.dtype);
  MBC_ASSIGN(std::byte * work, session.scratch(partialBytes(arguments)));
  return attend(arguments, work);
}

/// The rows of the call are the state: nothing is remembered.
Status Launcher::attentionOfParts(const program::AttentionT &command) {
  View k = view(command.k), v = view(command.v);
  if (k.elem != v.elem)
    return inputError("attention with keys and values of two types does not "
                      "run on GPUs");
  const int32_t *ends = nullptr;
  if (command.ends >= 0) {
    auto index = static_cast<uint32_t>(command.ends);
    const program::ViewT &table = *function.views[index];
    auto rows = static_cast<size_t>(bound.rows);
    if (table.space == program::Space::Input)
      MBC_TRY(checkParts(
          std::span<const int32_t>(bound.numbers[table.index]).first(rows)));
    ends = static_cast<const int32_t *>(view(index).data);
  }
  AttentionArguments arguments =
      argumentsOf(command, view(command.q), view(command.out));
  arguments.keys = k.data;
  arguments.values = v.data;
  arguments.keySlot = k.strides[0];
  arguments.valueSlot = v.strides[0];
  arguments.keyHead = k.strides[1];
  arguments.valueHead = v.strides[1];
  arguments.elem = k.elem;
  // A part has as many rows as the call at most.
  longest = bound.rows;
  uint64_t bytes = aligned(uint64_t(bound.rows) * sizeof(RowPlace));
  MBC_ASSIGN(std::byte * work,
             session.scratch(bytes + partialBytes(arguments)));
  auto *standing = reinterpret_cast<RowPlace *>(work);
  arguments.places = standing;
  constexpr unsigned threads = 128;
  MBC_TRY(session.kernels->launch(
      "mbc_part_places",
      {.x = (bound.rows + threads - 1) / threads, .threads = threads}, ends,
      standing, Count{counts(), 0, 1, 1}));
  return attend(arguments, work + bytes);
}

/// [rows, heads, width] as [rows, 1, heads, width]: every head has the one key.
static View withOneKey(const View &from) {
  View view = from;
  view.rank = 4;
  view.dims[3] = from.dims[2];
  view.strides[3] = from.strides[2];
  view.dims[2] = from.dims[1];
  view.strides[2] = from.strides[1];
  view.dims[1] = 1;
  view.strides[1] = 0;
  return view;
}

Status Launcher::latentAttention(const program::LatentAttentionT &command,
                                 uint32_t layer) {
  View latent = view(command.latent), rope = view(command.k_rope);
  MBC_TRY(append(latent, command.state, 0, layer));
  MBC_TRY(append(rope, command.state, 1, layer));
  const program::StateT &table = *program.states[command.state];
  View q = view(command.q_nope), up = view(command.up), out = view(command.out);
  int64_t heads = q.dims[1], width = latent.dims[1];
  // Queries against latents, and what they see: float32 [rows, heads, latent].
  View turned{};
  turned.elem = Elem::F32;
  turned.rank = 3;
  turned.dims[0] = bound.rows;
  turned.dims[1] = heads;
  turned.dims[2] = width;
  turned.strides[0] = heads * width;
  turned.strides[1] = width;
  turned.strides[2] = 1;
  uint64_t bytes = aligned(uint64_t(bound.rows) * heads * width * 4);

  AttentionArguments arguments{};
  arguments.moreQ = withOneKey(view(command.q_rope));
  arguments.keys = arguments.values = stateAt(command.state, 0, layer);
  arguments.moreKeys = stateAt(command.state, 1, layer);
  arguments.places = places();
  arguments.keySlot = arguments.valueSlot = table.widths[0];
  arguments.moreKeySlot = table.widths[1];
  arguments.elem = elemOf(table.dtype);
  arguments.kv = 1;
  arguments.group = static_cast<int32_t>(heads);
  arguments.first = arguments.width = static_cast<int32_t>(width);
  arguments.second = static_cast<int32_t>(rope.dims[1]);
  arguments.causal = 1;
  arguments.scale = static_cast<float>(command.scale);
  MBC_ASSIGN(std::byte * work,
             session.scratch(2 * bytes + partialBytes(arguments)));
  arguments.q = withOneKey(asElements(turned, work));
  arguments.out = withOneKey(asElements(turned, work + bytes));
  Count count{counts(), 0, 1, 1};
  auto *queries = reinterpret_cast<float *>(work);
  auto *seen = reinterpret_cast<const float *>(work + bytes);
  MBC_TRY(session.kernels->launch(
      "mbc_latent_queries",
      {.x = bound.rows,
       .y = heads,
       .threads = threadsFor(width),
       .shared = static_cast<unsigned>(q.dims[2] * sizeof(float))},
      q, up, queries, count));
  MBC_TRY(attend(arguments, work + 2 * bytes));
  auto nope = static_cast<int>(q.dims[2]);
  return session.kernels->launch("mbc_latent_values",
                                 {.x = bound.rows, .y = heads, .threads = 128},
                                 seen, up, nope, out, count);
}

//===----------------------------------------------------------------------===//
// Experts
//===----------------------------------------------------------------------===//

Status Launcher::route(const program::RouteT &command) {
  View logits = view(command.logits), weights = view(command.weights),
       ids = view(command.ids);
  RouteArguments arguments{};
  arguments.logits = static_cast<const float *>(logits.data);
  if (command.correction >= 0)
    arguments.correction = static_cast<const float *>(
        view(static_cast<uint32_t>(command.correction)).data);
  arguments.weights = static_cast<float *>(weights.data);
  arguments.ids = static_cast<int32_t *>(ids.data);
  arguments.logitsRow = logits.strides[0];
  arguments.weightsRow = weights.strides[0];
  arguments.idsRow = ids.strides[0];
  arguments.experts = static_cast<int32_t>(logits.dims[1]);
  arguments.topk = static_cast<int32_t>(ids.dims[1]);
  arguments.groups = static_cast<int32_t>(command.groups);
  arguments.groupTopk = static_cast<int32_t>(command.group_topk);
  arguments.sigmoid = command.score == program::Score::Sigmoid;
  arguments.method = static_cast<int32_t>(command.method);
  arguments.renorm = command.renorm;
  arguments.scale = static_cast<float>(command.scale);
  // Scores, choices, those of groups, and what is taken of both.
  auto shared =
      static_cast<unsigned>(arguments.experts * 9 + arguments.groups * 5);
  return session.kernels->launch(
      "mbc_route", {.x = rowsIn(logits), .threads = 32, .shared = shared},
      arguments, countOf(logits));
}

Status Launcher::group(const program::GroupT &command) {
  View ids = view(command.ids), place = view(command.place),
       offsets = view(command.offsets);
  return session.kernels->launch(
      "mbc_group", {.x = offsets.dims[0] - 1, .threads = 256},
      static_cast<const int32_t *>(ids.data), ids.strides[0],
      static_cast<int32_t *>(place.data), place.strides[0],
      static_cast<int32_t *>(offsets.data), static_cast<int>(ids.dims[1]),
      countOf(ids));
}

Status Launcher::scatter(const program::ScatterT &command) {
  View x = view(command.x), place = view(command.place),
       out = view(command.out);
  return session.kernels->launch(
      "mbc_scatter", {.x = rowsIn(x), .threads = threadsFor(x.dims[1])}, x,
      place, out, countOf(x));
}

Status Launcher::combine(const program::CombineT &command) {
  View y = view(command.y), weights = view(command.weights),
       place = view(command.place), out = view(command.out);
  return session.kernels->launch(
      "mbc_combine", {.x = rowsIn(out), .threads = threadsFor(out.dims[1])}, y,
      weights, place, out, countOf(out));
}

} // namespace mbc::cuda
