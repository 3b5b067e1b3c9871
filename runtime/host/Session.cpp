//===- Session.cpp --------------------------------------------------------===//

#include "runtime/host/Session.h"

#include "runtime/core/DType.h"
#include "runtime/host/LatentAttention.h"
#include "runtime/host/Routing.h"
#include "runtime/program/RopeFrequencies.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fmt/format.h>

namespace mbc::host {

namespace {

Elem elemOf(plan::DType dtype) {
  return dtype == plan::DType::BF16     ? Elem::BF16
         : dtype == plan::DType::F16    ? Elem::F16
         : dtype == plan::DType::F8E4M3 ? Elem::F8
                                        : Elem::F32;
}

} // namespace

Session::Session(const program::ProgramT &program,
                 const SessionOptions &options, Weights weights)
    : program(program), options(options), pool(std::max(1u, options.threads)),
      weights(std::move(weights)) {}
Session::~Session() = default;

Expected<std::unique_ptr<Session>>
Session::create(const program::ProgramT &program,
                const SessionOptions &options) {
  MBC_ASSIGN(Weights weights, Weights::create(program));
  std::unique_ptr<Session> session(
      new Session(program, options, std::move(weights)));
  session->layout = layoutMemory(program, options.slots);
  const MemoryLayout &layout = session->layout;
  MBC_ASSIGN(session->states, Memory::allocate(layout.states, "the state"));
  MBC_ASSIGN(session->arena, Memory::allocate(layout.arena, "scratch"));
  session->states.useLargePages(0, layout.states);
  session->arena.useLargePages(0, layout.arena);
  MBC_ASSIGN(session->code, NativeCode::load(program));
  session->ropeLengths.assign(program.ropes.size(), 0);
  return session;
}

Status Session::load(const WeightSource &source, Progress &progress) {
  return weights.load(source, std::max(1u, options.threads), progress);
}

//===----------------------------------------------------------------------===//
// Frames
//===----------------------------------------------------------------------===//

/// With room for all rows, as a program may read them; memory of rows that are
/// not given is never touched.
Status Session::bindFloats(Frame &frame) {
  for (size_t i = 0; i < frame.bound.floats.size(); ++i) {
    const program::PortT &port = *frame.function->inputs[i];
    Memory &memory = frame.floats.emplace_back();
    if (port.dtype == plan::DType::I32)
      continue;
    uint64_t elements = 1;
    for (uint32_t dim : port.dims)
      elements *= dim;
    MBC_ASSIGN(memory, Memory::allocate(elements * sizeof(float), "an input"));
    std::ranges::copy(std::as_bytes(frame.bound.floats[i]), memory.data);
  }
  return {};
}

void Session::bindWeight(Frame &frame, size_t view, size_t instance) {
  const program::ViewT &of = *frame.function->views[view];
  frame.rowsOf[view] = weights.rows(of.index, instance);
  // Weights are not written to.
  frame.views[view].data =
      const_cast<std::byte *>(frame.rowsOf[view].front().data) + of.offset;
}

Status Session::bindViews(Frame &frame) {
  frame.rowsOf.resize(frame.function->views.size());
  for (const auto &view : frame.function->views) {
    BoundView &bound = frame.views.emplace_back();
    bound.elem = elemOf(view->dtype);
    bound.dims.assign(view->dims.begin(), view->dims.end());
    bound.strides.assign(view->strides.begin(), view->strides.end());
    bound.shared = view->space == program::Space::Weight;
    frame.oneLayer.push_back(-1);
    switch (view->space) {
    case program::Space::Arena:
      bound.data = arena.data + view->offset;
      break;
    case program::Space::Weight:
      bindWeight(frame, frame.views.size() - 1, 0);
      break;
    case program::Space::Input:
      bound.data = (view->dtype == plan::DType::I32
                        ? reinterpret_cast<std::byte *>(
                              frame.bound.numbers[view->index].data())
                        : frame.floats[view->index].data) +
                   view->offset;
      break;
    case program::Space::Output: {
      const std::string &name = frame.function->outputs[view->index]->name;
      bound.data = reinterpret_cast<std::byte *>(
                       frame.call->outputs.find(name)->second.data()) +
                   view->offset;
      if (auto one = frame.call->oneLayer.find(name);
          one != frame.call->oneLayer.end()) {
        frame.oneLayer.back() = one->second;
        bound.strides[0] = bound.strides[1];
      }
      break;
    }
    }
  }
  return {};
}

/// Weights of a stack are those of the layer that runs.
Status Session::bindLayer(Frame &frame, uint32_t layer) {
  for (size_t i = 0; i < frame.views.size(); ++i) {
    const program::ViewT &view = *frame.function->views[i];
    if (view.space != program::Space::Weight)
      continue;
    const program::WeightT &weight = *program.weights[view.index];
    auto found =
        std::lower_bound(weight.layers.begin(), weight.layers.end(), layer);
    if (found != weight.layers.end() && *found == layer)
      bindWeight(frame, i, found - weight.layers.begin());
  }
  return {};
}

StateRows Session::state(size_t index, size_t part, uint32_t layer) const {
  const program::StateT &table = *program.states[index];
  StateRows rows;
  rows.width = table.widths[part];
  rows.elem = elemOf(table.dtype);
  size_t ordinal =
      std::lower_bound(table.layers.begin(), table.layers.end(), layer) -
      table.layers.begin();
  rows.data = states.data + layout.stateOffsets[index][part] +
              ordinal * layout.layerBytes[index][part];
  return rows;
}

//===----------------------------------------------------------------------===//
// Commands
//===----------------------------------------------------------------------===//

void Session::computeAngles(const Frame &frame,
                            const program::AnglesT &angles) {
  const program::RopeT &rope = *program.ropes[angles.rope];
  const BoundView &positions = frame.views[angles.positions];
  const BoundView &out = frame.views[angles.out];
  int64_t rows = rowsOf(frame, out);
  auto *numbers = reinterpret_cast<const int32_t *>(positions.data);
  int64_t stride = positions.strides[0];
  std::vector<float> frequencies(rope.inv_freq);
  if (rope.dynamic) {
    int64_t length = 0;
    for (int64_t row = 0; row < rows; ++row)
      length = std::max<int64_t>(length, numbers[row * stride] + 1);
    int64_t &longest = ropeLengths[angles.rope];
    longest = longestLength(rope, longest, length, frame.call->sequences);
    if (longest > rope.original)
      frequencies = dynamicFrequencies(rope, longest);
  }
  int64_t pairs = static_cast<int64_t>(frequencies.size());
  auto *to = reinterpret_cast<float *>(out.data);
  pool.run(rows, [&](size_t row, unsigned) {
    float *cosines = to + row * out.strides[0], *sines = cosines + pairs;
    for (int64_t i = 0; i < pairs; ++i) {
      int32_t position =
          numbers[row * stride + (rope.axis.empty() ? 0 : rope.axis[i])];
      // The product is rounded to float32 first, as everywhere.
      float angle = static_cast<float>(position) * frequencies[i];
      cosines[i] = static_cast<float>(std::cos(static_cast<double>(angle))) *
                   rope.attention_factor;
      sines[i] = static_cast<float>(std::sin(static_cast<double>(angle))) *
                 rope.attention_factor;
    }
  });
}

/// The product of x with a weight, whose rows may lie apart; else `whole` is
/// where they lie.
Product Session::productOf(const Frame &frame, uint32_t xView,
                           uint32_t weightView, uint32_t outView,
                           RowRun &whole) const {
  const BoundView &x = frame.views[xView], &w = frame.views[weightView],
                  &out = frame.views[outView];
  size_t last = w.dims.size() - 1;
  Product product{};
  product.m = rowsOf(frame, out);
  product.n = w.dims[last - 1];
  product.k = w.dims[last];
  product.x = x.data;
  product.ldx = x.strides[0];
  product.xElem = x.elem;
  whole = {0, product.n * (last > 1 ? w.dims[0] : 1), w.data};
  std::span<const RowRun> runs = frame.rowsOf[weightView];
  product.w =
      runs.size() > 1 || w.elem == Elem::F8 ? runs : std::span(&whole, 1);
  if (w.elem == Elem::F8) {
    const auto &block =
        program.weights[frame.function->views[weightView]->index]->block;
    product.blockRows = block[0];
    product.blockCols = block[1];
  }
  product.ldw = w.strides[last - 1];
  product.wElem = w.elem;
  product.out = out.data;
  product.ldo = out.strides[0];
  product.outElem = out.elem;
  return product;
}

Status Session::multiplyGroups(const Frame &frame,
                               const program::GroupedGemmT &gemm) {
  RowRun whole;
  Product product = productOf(frame, gemm.x, gemm.weight, gemm.out, whole);
  const BoundView &offsets = frame.views[gemm.offsets];
  product.groups = {reinterpret_cast<const int32_t *>(offsets.data),
                    static_cast<size_t>(offsets.dims[0])};
  if (product.groups.front() != 0 || product.groups.back() != product.m ||
      !std::ranges::is_sorted(product.groups))
    return inputError(
        fmt::format("the groups of {} rows of experts have a gap", product.m));
  multiply(product, pool, scratch);
  return {};
}

Status Session::placeFeatures(const Frame &frame,
                              const program::PlaceT &place) {
  const BoundView &features = frame.views[place.features],
                  &out = frame.views[place.out];
  const program::ViewT &from = *frame.function->views[place.features];
  int64_t given = from.space == program::Space::Input
                      ? frame.bound.given[from.index]
                      : rowsOf(frame, features);
  auto *places =
      reinterpret_cast<const int32_t *>(frame.views[place.places].data);
  int64_t width = out.dims[1];
  std::vector<float> values(width);
  for (int64_t row = 0; row < rowsOf(frame, out); ++row) {
    if (places[row] == noPlace)
      continue;
    if (places[row] < 0 || places[row] >= given)
      return inputError(
          fmt::format("row {} of {} features is placed", places[row], given));
    kernels().toFloat(features.elem,
                      features.data + places[row] * features.strides[0] *
                                          sizeOf(features.elem),
                      values.data(), width);
    kernels().fromFloat(out.elem, values.data(),
                        out.data + row * out.strides[0] * sizeOf(out.elem),
                        width);
  }
  return {};
}

Status Session::runCommand(Frame &frame, const program::OpUnion &op,
                           uint32_t layer) {
  std::vector<BoundView> &views = frame.views;
  if (const auto *gemm = op.AsGemm()) {
    // Apart where a checkpoint's tensors hold the parts of a weight.
    RowRun whole;
    Product product = productOf(frame, gemm->x, gemm->weight, gemm->out, whole);
    if (gemm->bias >= 0) {
      product.bias = views[gemm->bias].data;
      product.biasElem = views[gemm->bias].elem;
    }
    multiply(product, pool, scratch);
  } else if (const auto *grouped = op.AsGroupedGemm()) {
    return multiplyGroups(frame, *grouped);
  } else if (const auto *rows = op.AsRows()) {
    std::vector<const BoundView *> operands;
    int64_t count = frame.bound.rows;
    for (uint32_t operand : rows->operands) {
      operands.push_back(&views[operand]);
      if (!views[operand].shared)
        count = rowsOf(frame, views[operand]);
    }
    if (code && rows->code >= 0)
      code->runRows(rows->code, operands, count, pool);
    else
      runRows(*program.kernels[rows->kernel], operands, count, pool);
  } else if (const auto *attention = op.AsAttention()) {
    AttentionCall call{};
    call.q = &views[attention->q];
    call.k = &views[attention->k];
    call.v = &views[attention->v];
    call.out = &views[attention->out];
    call.scale = attention->scale;
    call.causal = attention->causal;
    call.window = attention->window;
    if (attention->state < 0)
      return attendParts(
          call, attention->ends < 0 ? nullptr : &views[attention->ends],
          rowsOf(frame, *call.q), pool);
    call.keys = state(attention->state, 0, layer);
    call.values = state(attention->state, 1, layer);
    attend(call, frame.call->sequences, pool);
  } else if (const auto *latent = op.AsLatentAttention()) {
    LatentCall call{};
    call.qNope = &views[latent->q_nope];
    call.qRope = &views[latent->q_rope];
    call.latent = &views[latent->latent];
    call.kRope = &views[latent->k_rope];
    call.up = &views[latent->up];
    call.out = &views[latent->out];
    call.latents = state(latent->state, 0, layer);
    call.ropes = state(latent->state, 1, layer);
    call.scale = latent->scale;
    call.absorbed = latent->absorbed;
    attend(call, frame.call->sequences, pool);
  } else if (const auto *how = op.AsRoute()) {
    route(*how, views[how->logits],
          how->correction < 0 ? nullptr : &views[how->correction],
          views[how->weights], views[how->ids],
          rowsOf(frame, views[how->logits]), pool);
  } else if (const auto *sorted = op.AsGroup()) {
    return group(views[sorted->ids], views[sorted->place],
                 views[sorted->offsets], rowsOf(frame, views[sorted->ids]));
  } else if (const auto *sent = op.AsScatter()) {
    return scatter(views[sent->x], views[sent->place], views[sent->out],
                   rowsOf(frame, views[sent->x]), pool);
  } else if (const auto *summed = op.AsCombine()) {
    return combine(views[summed->y], views[summed->weights],
                   views[summed->place], views[summed->out],
                   rowsOf(frame, views[summed->out]), pool);
  } else if (const auto *angles = op.AsAngles()) {
    computeAngles(frame, *angles);
  } else if (const auto *embed = op.AsEmbed()) {
    const BoundView &table = views[embed->table], &out = views[embed->out];
    auto *ids = reinterpret_cast<const int32_t *>(views[embed->ids].data);
    for (int64_t row = 0; row < rowsOf(frame, out); ++row) {
      if (ids[row] < 0 || ids[row] >= table.dims[0])
        return inputError(fmt::format("id {} is outside of a table of {} rows",
                                      ids[row], table.dims[0]));
      const std::byte *from =
          table.data + ids[row] * table.strides[0] * sizeOf(table.elem);
      std::byte *to = out.data + row * out.strides[0] * sizeOf(out.elem);
      if (table.elem == out.elem) {
        std::memcpy(to, from, out.dims[1] * sizeOf(out.elem));
      } else {
        std::vector<float> values(out.dims[1]);
        kernels().toFloat(table.elem, from, values.data(), out.dims[1]);
        kernels().fromFloat(out.elem, values.data(), to, out.dims[1]);
      }
    }
  } else if (const auto *take = op.AsTake()) {
    const BoundView &x = views[take->x], &out = views[take->out];
    auto *rows = reinterpret_cast<const int32_t *>(views[take->rows].data);
    int64_t count = rowsOf(frame, x);
    for (int64_t row = 0; row < rowsOf(frame, out); ++row) {
      if (rows[row] < 0 || rows[row] >= count)
        return inputError(
            fmt::format("row {} of {} is taken", rows[row], count));
      std::memcpy(out.data + row * out.strides[0] * sizeOf(out.elem),
                  x.data + rows[row] * x.strides[0] * sizeOf(x.elem),
                  out.dims[1] * sizeOf(out.elem));
    }
  } else if (const auto *place = op.AsPlace()) {
    return placeFeatures(frame, *place);
  } else if (const auto *tap = op.AsTap()) {
    BoundView to = views[tap->to];
    int64_t only = frame.oneLayer[tap->to];
    if (only >= 0 && only != layer)
      return {};
    if (only < 0)
      to.data += layer * to.strides[1] * sizeOf(to.elem);
    to.dims.erase(to.dims.begin() + 1);
    to.strides.erase(to.strides.begin() + 1);
    copyRows(views[tap->from], to, rowsOf(frame, views[tap->from]), pool,
             frame.function->views[tap->from]->dtype == plan::DType::I32);
  } else if (const auto *copy = op.AsCopy()) {
    copyRows(views[copy->from], views[copy->to], rowsOf(frame, views[copy->to]),
             pool);
  } else if (const auto *repeat = op.AsRepeat()) {
    for (const program::Run &run : repeat->runs)
      for (uint32_t i = 0; i < run.count(); ++i) {
        MBC_TRY(bindLayer(frame, run.first() + i));
        MBC_TRY(runBody(frame, *repeat->bodies[run.body()], run.first() + i));
      }
  }
  return {};
}

Status Session::runBody(Frame &frame, const program::BodyT &body,
                        uint32_t layer) {
  for (const auto &command : body.commands) {
    Status status = runCommand(frame, command->op, layer);
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

Status Session::run(const program::FunctionT &function, const Call &call) {
  if (!call.chosen.empty())
    return inputError("the host gives numbers, and chooses no tokens");
  MBC_ASSIGN(BoundCall bound, bindCall(program, function, call, options.slots));
  Frame frame{&function, &call, {}, {}, std::move(bound), {}, {}};
  MBC_TRY(bindFloats(frame));
  MBC_TRY(bindViews(frame));
  return runBody(frame, *function.body, 0);
}

} // namespace mbc::host
