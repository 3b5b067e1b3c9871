//===- ProgramReport.cpp --------------------------------------------------===//
#include "runtime/program/ProgramReport.h"

#include "runtime/core/DType.h"
#include "runtime/program/Program.h"

#include <fmt/format.h>
#include <functional>
#include <map>
#include <set>

namespace mbc {

namespace {

/// Views of a command by what it does with them; -1: none.
struct Touched {
  std::vector<int64_t> reads, writes;
};

class Counter {
public:
  Counter(const program::ProgramT &program, const program::FunctionT &function)
      : program(program), function(function) {}

  std::vector<PartCost> parts();
  std::vector<BufferCost> largestBuffers(size_t count) const;

private:
  const std::vector<uint32_t> &dims(int64_t view) const {
    return function.views[view]->dims;
  }
  Touched touched(const program::OpUnion &op) const;
  uint64_t rowsPerToken(int64_t view) const;
  uint64_t rowBytes(int64_t view) const;
  void count(const program::BodyT &body, PartCost &part);
  void count(const program::OpUnion &op, PartCost &part,
             std::set<uint32_t> &weights);
  void findWrites(const program::BodyT &body,
                  std::map<int64_t, uint32_t> &writes) const;

  const program::ProgramT &program;
  const program::FunctionT &function;
  PartCost outside;
  /// Weights of no layer, wherever they are used.
  std::set<uint32_t> sharedWeights;
  std::vector<PartCost> kinds;
};

} // namespace

Touched Counter::touched(const program::OpUnion &op) const {
  if (const auto *embed = op.AsEmbed())
    return {{embed->ids, embed->table}, {embed->out}};
  if (const auto *gemm = op.AsGemm())
    return {{gemm->x, gemm->weight, gemm->bias}, {gemm->out}};
  if (const auto *angles = op.AsAngles())
    return {{angles->positions}, {angles->out}};
  if (const auto *attention = op.AsAttention())
    return {{attention->q, attention->k, attention->v, attention->ends},
            {attention->out}};
  if (const auto *copy = op.AsCopy())
    return {{copy->from}, {copy->to}};
  if (const auto *tap = op.AsTap())
    return {{tap->from}, {tap->from}};
  if (const auto *take = op.AsTake())
    return {{take->x, take->rows}, {take->out}};
  if (const auto *place = op.AsPlace())
    return {{place->features, place->places}, {place->out}};
  if (const auto *route = op.AsRoute())
    return {{route->logits, route->correction}, {route->weights, route->ids}};
  if (const auto *group = op.AsGroup())
    return {{group->ids}, {group->place, group->offsets}};
  if (const auto *scatter = op.AsScatter())
    return {{scatter->x, scatter->place}, {scatter->out}};
  if (const auto *gemm = op.AsGroupedGemm())
    return {{gemm->x, gemm->weight, gemm->offsets}, {gemm->out}};
  if (const auto *combine = op.AsCombine())
    return {{combine->y, combine->weights, combine->place}, {combine->out}};
  if (const auto *attention = op.AsLatentAttention())
    return {{attention->q_nope, attention->q_rope, attention->latent,
             attention->k_rope, attention->up},
            {attention->out}};
  Touched result;
  if (const auto *rows = op.AsRows())
    for (const auto &step : program.kernels[rows->kernel]->steps) {
      if (step->kind == program::RowKind::Load)
        result.reads.push_back(rows->operands[step->operand]);
      if (step->kind == program::RowKind::Store)
        result.writes.push_back(rows->operands[step->operand]);
    }
  return result;
}

/// Rows that a view has for each token: those of experts are several.
uint64_t Counter::rowsPerToken(int64_t view) const {
  uint64_t rows = dims(view)[0];
  return rows % function.rows == 0 ? rows / function.rows : 1;
}

/// Of one token of an activation; 0 of a weight, which is not of rows.
uint64_t Counter::rowBytes(int64_t number) const {
  if (number < 0 || function.views[number]->space == program::Space::Weight)
    return 0;
  const program::ViewT &view = *function.views[number];
  int64_t elements = 1;
  for (size_t i = 1; i < view.dims.size(); ++i)
    elements *= view.dims[i];
  return rowsPerToken(number) *
         bytesOf(static_cast<DType>(view.dtype), elements);
}

void Counter::count(const program::OpUnion &op, PartCost &part,
                    std::set<uint32_t> &weights) {
  if (const auto *repeat = op.AsRepeat()) {
    std::vector<uint64_t> layers(repeat->bodies.size());
    for (const program::Run &run : repeat->runs)
      layers[run.body()] += run.count();
    for (size_t i = 0; i < repeat->bodies.size(); ++i) {
      PartCost &kind = kinds.emplace_back();
      kind.name = repeat->bodies.size() == 1
                      ? repeat->stack
                      : fmt::format("{} kind {}", repeat->stack, i);
      kind.layers = layers[i];
      count(*repeat->bodies[i], kind);
    }
    return;
  }
  Touched views = touched(op);
  for (const auto *list : {&views.reads, &views.writes})
    for (int64_t number : *list) {
      part.movedBytes += rowBytes(number);
      if (number >= 0 &&
          function.views[number]->space == program::Space::Weight)
        weights.insert(function.views[number]->index);
    }
  if (const auto *gemm = op.AsGemm()) {
    part.flops += 2ull * dims(gemm->weight)[0] * dims(gemm->weight)[1];
  } else if (const auto *gemm = op.AsGroupedGemm()) {
    part.flops += 2ull * rowsPerToken(gemm->x) * dims(gemm->weight)[1] *
                  dims(gemm->weight)[2];
  } else if (const auto *attention = op.AsLatentAttention()) {
    uint64_t heads = dims(attention->q_nope)[1],
             nope = dims(attention->q_nope)[2],
             rope = dims(attention->q_rope)[2], v = dims(attention->out)[2],
             latent = dims(attention->latent)[1];
    // Once a token, whichever way `up` is gone through.
    part.flops += 2 * heads * (nope + v) * latent;
    part.attentionFlops +=
        2 * heads * (attention->absorbed ? 2 * latent + rope : nope + rope + v);
    part.stateBytes +=
        bytesOf(static_cast<DType>(program.states[attention->state]->dtype),
                latent + rope);
  } else if (const auto *attention = op.AsAttention()) {
    const auto &q = dims(attention->q), &v = dims(attention->v);
    part.attentionFlops += 2ull * q[1] * q[2] * (uint64_t(q[3]) + v[2]);
    if (attention->state >= 0) {
      const program::StateT &state = *program.states[attention->state];
      for (uint32_t width : state.widths)
        part.stateBytes += bytesOf(static_cast<DType>(state.dtype), width);
    }
  }
}

void Counter::count(const program::BodyT &body, PartCost &part) {
  std::set<uint32_t> weights;
  for (const auto &command : body.commands)
    count(command->op, part, weights);
  for (uint32_t index : weights) {
    const program::WeightT &weight = *program.weights[index];
    if (!weight.layers.empty())
      part.weightBytes += bytesOf(weight);
    else if (sharedWeights.insert(index).second)
      outside.weightBytes += bytesOf(weight);
  }
}

std::vector<PartCost> Counter::parts() {
  outside.name = "outside of layers";
  count(*function.body, outside);
  kinds.push_back(outside);
  return kinds;
}

/// Arena views that commands fill, and the place of the first that does.
void Counter::findWrites(const program::BodyT &body,
                         std::map<int64_t, uint32_t> &writes) const {
  for (const auto &command : body.commands) {
    if (const auto *repeat = command->op.AsRepeat())
      for (const auto &inner : repeat->bodies)
        findWrites(*inner, writes);
    for (int64_t number : touched(command->op).writes)
      if (function.views[number]->space == program::Space::Arena)
        writes.try_emplace(number, command->location);
  }
}

std::vector<BufferCost> Counter::largestBuffers(size_t count) const {
  std::map<int64_t, uint32_t> writes;
  findWrites(*function.body, writes);
  // Of equal sizes, the first one filled stays first.
  std::multimap<uint64_t, BufferCost, std::greater<>> bySize;
  for (auto [number, location] : writes) {
    const program::ViewT &view = *function.views[number];
    const program::LocationT &place = *program.locations[location];
    BufferCost buffer;
    buffer.bytes = view.dims[0] / rowsPerToken(number) * rowBytes(number);
    buffer.dtype = torchName(static_cast<DType>(view.dtype));
    buffer.dims = view.dims;
    if (!place.file.empty())
      buffer.origin =
          fmt::format("{}:{}:{}", place.file, place.line, place.column);
    bySize.emplace(buffer.bytes, std::move(buffer));
  }
  std::vector<BufferCost> buffers;
  for (auto &[bytes, buffer] : bySize)
    if (buffers.size() < count)
      buffers.push_back(std::move(buffer));
  return buffers;
}

ProgramCost costOf(const program::ProgramT &program) {
  ProgramCost cost;
  cost.slots = int64_t(program.length) * program.sequences;
  cost.memory = layoutMemory(program, cost.slots);
  if (!program.functions.empty())
    cost.parts = Counter(program, *program.functions.front()).parts();
  for (const auto &function : program.functions)
    cost.functions.push_back({function->name, function->rows, function->arena,
                              portBytes(*function),
                              Counter(program, *function).largestBuffers(3)});
  return cost;
}

} // namespace mbc
