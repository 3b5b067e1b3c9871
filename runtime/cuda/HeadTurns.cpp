//===- HeadTurns.cpp ------------------------------------------------------===//

#include "runtime/cuda/HeadTurns.h"

#include "runtime/cuda/Accesses.h"

#include <optional>
#include <set>

namespace mbc::cuda {

namespace {

using program::RowKind;

/// From a stored value back to what is loaded for it.
struct Turn {
  uint32_t from, to, angles; ///< operands
  int32_t weight = -1;
  double epsilon = 0;
  bool pairs = false;
};

class Reader {
public:
  explicit Reader(const program::RowKernelT &kernel) : kernel(kernel) {}

  /// Of a step that stores heads of `width`.
  std::optional<Turn> turnOf(size_t store, uint32_t width);
  /// Steps that were a part of what was read.
  size_t used() const { return seen.size(); }

private:
  const program::RowStepT &step(size_t number) {
    seen.insert(number);
    return *kernel.steps[number];
  }
  /// The operand that a step loads, if it does.
  std::optional<uint32_t> loaded(size_t number) {
    const program::RowStepT &load = step(number);
    if (load.kind != RowKind::Load)
      return std::nullopt;
    return load.operand;
  }

  const program::RowKernelT &kernel;
  std::set<size_t> seen;
};

std::optional<Turn> Reader::turnOf(size_t store, uint32_t width) {
  Turn turn{};
  turn.to = step(store).operand;
  const program::RowStepT &rope = step(step(store).inputs[0]);
  if ((rope.kind != RowKind::Rope && rope.kind != RowKind::RopePairs) ||
      rope.width != width)
    return std::nullopt;
  turn.pairs = rope.kind == RowKind::RopePairs;
  size_t x = rope.inputs[0];
  if (const program::RowStepT &norm = step(x); norm.kind == RowKind::RMSNorm) {
    if (norm.width != width)
      return std::nullopt;
    std::optional<uint32_t> weight = loaded(norm.inputs[1]);
    if (!weight)
      return std::nullopt;
    turn.weight = static_cast<int32_t>(*weight);
    turn.epsilon = norm.scalar;
    x = norm.inputs[0];
  }
  std::optional<uint32_t> from = loaded(x), angles = loaded(rope.inputs[1]);
  if (!from || !angles)
    return std::nullopt;
  turn.from = *from;
  turn.angles = *angles;
  return turn;
}

/// Of command `at` and the one after it.
std::optional<HeadTurns> turnsOf(const program::ProgramT &program,
                                 const program::FunctionT &function,
                                 Position at) {
  if (at.index + 1 >= at.body->commands.size())
    return std::nullopt;
  const program::RowsT *rows = at.body->commands[at.index]->op.AsRows();
  const program::AttentionT *attention =
      at.body->commands[at.index + 1]->op.AsAttention();
  if (!rows || !attention)
    return std::nullopt;
  const program::RowKernelT &kernel = *program.kernels[rows->kernel];
  auto view = [&](uint32_t of) -> const program::ViewT & {
    return *function.views[of];
  };
  uint32_t width = view(attention->q).dims[3];
  Reader reader(kernel);
  std::optional<Turn> q, k;
  for (size_t i = 0; i < kernel.steps.size(); ++i) {
    if (kernel.steps[i]->kind != RowKind::Store)
      continue;
    std::optional<Turn> turn = reader.turnOf(i, width);
    if (!turn)
      return std::nullopt;
    const program::ViewT &to = view(rows->operands[turn->to]);
    if (!q && areSame(to, view(attention->q)))
      q = turn;
    else if (!k && areSame(to, view(attention->k)))
      k = turn;
    else
      return std::nullopt;
  }
  if (!q || !k || reader.used() != kernel.steps.size() ||
      q->pairs != k->pairs ||
      !areSame(view(rows->operands[q->angles]),
               view(rows->operands[k->angles])))
    return std::nullopt;

  auto operandOf = [&](uint32_t number) { return rows->operands[number]; };
  auto weightOf = [&](const Turn &turn) {
    return turn.weight < 0 ? -1 : static_cast<int32_t>(operandOf(turn.weight));
  };
  HeadTurns turns{attention, operandOf(q->from), operandOf(k->from)};
  turns.qWeight = weightOf(*q);
  turns.kWeight = weightOf(*k);
  turns.qEpsilon = static_cast<float>(q->epsilon);
  turns.kEpsilon = static_cast<float>(k->epsilon);
  turns.angles = operandOf(q->angles);
  turns.pairs = q->pairs;
  for (auto [from, to] :
       {std::pair(turns.q, attention->q), std::pair(turns.k, attention->k)})
    if (view(from).dims != view(to).dims || view(from).dtype != view(to).dtype)
      return std::nullopt;
  auto touch = [&](uint32_t a, uint32_t b) {
    return overlap(regionOf(view(a)), regionOf(view(b)));
  };
  // Blocks of the attention read these while others write.
  for (uint32_t from : {turns.q, turns.k, turns.angles})
    if (touch(from, attention->out))
      return std::nullopt;
  ++at.index;
  for (uint32_t to : {attention->q, attention->k})
    if (touch(to, attention->v) || !isDeadAfter(program, function, at, to))
      return std::nullopt;
  return turns;
}

} // namespace

TurnsOfRows headTurns(const program::ProgramT &program) {
  TurnsOfRows all;
  for (const auto &function : program.functions) {
    auto search = [&](const program::BodyT &body, int64_t repeat) {
      for (size_t i = 0; i < body.commands.size(); ++i)
        if (std::optional<HeadTurns> turns =
                turnsOf(program, *function, {&body, i, repeat}))
          all.emplace(body.commands[i]->op.AsRows(), *turns);
    };
    const program::BodyT &body = *function->body;
    search(body, -1);
    for (size_t i = 0; i < body.commands.size(); ++i)
      if (const auto *repeat = body.commands[i]->op.AsRepeat())
        for (const auto &layers : repeat->bodies)
          search(*layers, static_cast<int64_t>(i));
  }
  return all;
}

} // namespace mbc::cuda
