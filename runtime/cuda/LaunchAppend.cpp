//===- LaunchAppend.cpp ---------------------------------------------------===//

#include "runtime/cuda/Launcher.h"

#include <algorithm>
#include <fmt/format.h>
#include <limits>
#include <optional>

namespace mbc::cuda {

static bool startsWhole(const void *data) {
  return reinterpret_cast<uintptr_t>(data) % 16 == 0;
}

bool inWholePieces(const View &view) {
  return startsWhole(view.data) && view.strides[view.rank - 1] == 1 &&
         std::all_of(view.strides, view.strides + view.rank - 1,
                     [&](int64_t stride) {
                       return stride * elemBytes(view.elem) % 16 == 0;
                     });
}

/// None where rows do not consist of pieces of 16 bytes.
static std::optional<AppendPart> inPieces(const View &from, void *to,
                                          Elem elem) {
  const int64_t piece = 16 / elemBytes(elem);
  int64_t run = from.dims[from.rank - 1];
  if (from.elem != elem || from.rank < 2 || from.rank > 3 ||
      !inWholePieces(from) || !startsWhole(to) || run % piece != 0)
    return std::nullopt;
  int64_t runs = from.rank == 3 ? from.dims[1] : 1;
  AppendPart part{};
  part.from = from.data;
  part.state = to;
  part.row = from.strides[0] / piece;
  part.runs = from.rank == 3 ? from.strides[1] / piece : 0;
  part.run = static_cast<uint32_t>(run / piece);
  part.pieces = static_cast<uint32_t>(runs * run / piece);
  return part;
}

Status Launcher::append(const View &keys, const View &values, size_t state,
                        uint32_t layer) {
  const program::StateT &table = *program.states[state];
  Elem elem = elemOf(table.dtype);
  const View *from[] = {&keys, &values};
  AppendArguments arguments{};
  arguments.places = places();
  int64_t most = 0;
  bool inWhole = true;
  for (size_t i = 0; i < 2; ++i) {
    std::optional<AppendPart> part =
        inPieces(*from[i], stateAt(state, i, layer), elem);
    inWhole &= part.has_value();
    if (part) {
      arguments.parts[i] = *part;
      most = std::max<int64_t>(most, part->pieces);
    }
  }
  Count count{counts(), 0, 1, 1};
  constexpr int64_t atOnce = int64_t(appendThreads) * appendPieces;
  if (inWhole && bound.rows * most <= std::numeric_limits<int32_t>::max())
    return session.kernels->launch(
        "mbc_append_pieces",
        {.x = (bound.rows * most + atOnce - 1) / atOnce,
         .y = 2,
         .threads = appendThreads,
         .overlaps = true},
        arguments, count);
  for (size_t i = 0; i < 2; ++i) {
    int64_t width = table.widths[i];
    void *to = stateAt(state, i, layer);
    MBC_TRY(session.kernels->launch(
        "mbc_append",
        {.x = bound.rows, .threads = threadsFor(width), .overlaps = true},
        *from[i], to, elem, width, arguments.places, count));
  }
  return {};
}

std::optional<HeadTurn> Launcher::headTurn(const HeadTurns &turns,
                                           Elem elem) const {
  View angles = view(turns.angles);
  if (angles.elem != Elem::F32 || !inWholePieces(angles))
    return std::nullopt;
  for (int32_t weight : {turns.qWeight, turns.kWeight})
    if (weight >= 0)
      if (View of = view(weight); of.elem != elem || !inWholePieces(of))
        return std::nullopt;
  HeadTurn turn{};
  turn.angles = static_cast<const float *>(angles.data);
  turn.angleRow = angles.strides[0];
  turn.qWeight = turns.qWeight < 0 ? nullptr : view(turns.qWeight).data;
  turn.kWeight = turns.kWeight < 0 ? nullptr : view(turns.kWeight).data;
  turn.qEpsilon = turns.qEpsilon;
  turn.kEpsilon = turns.kEpsilon;
  turn.pairs = turns.pairs;
  return turn;
}

Expected<bool> Launcher::turnAndAppend(const HeadTurns &turns, uint32_t layer) {
  const program::AttentionT &command = *turns.attention;
  const program::StateT &table = *program.states[command.state];
  DecodeArguments arguments{};
  arguments.q = view(turns.q);
  arguments.k = view(turns.k);
  arguments.v = view(command.v);
  arguments.out = view(command.q);
  Elem elem = elemOf(table.dtype);
  int64_t width = arguments.q.dims[3], kv = arguments.q.dims[1],
          group = arguments.q.dims[2];
  // Attention of few rows reads keys of the call where they were.
  if (isSmall() || elem == Elem::F32 || arguments.v.dims[2] != width ||
      (width != 64 && width != 128 && width != 256))
    return false;
  for (const View *of :
       {&arguments.q, &arguments.k, &arguments.v, &arguments.out})
    if (of->elem != elem || !inWholePieces(*of))
      return false;
  std::optional<HeadTurn> turn = headTurn(turns, elem);
  if (!turn)
    return false;
  arguments.turn = *turn;
  auto state = static_cast<size_t>(command.state);
  arguments.keys = stateAt(state, 0, layer);
  arguments.values = stateAt(state, 1, layer);
  arguments.places = places();
  arguments.keySlot = table.widths[0];
  arguments.valueSlot = table.widths[1];
  arguments.keyHead = arguments.valueHead = width;
  arguments.kv = static_cast<int32_t>(kv);
  arguments.group = static_cast<int32_t>(group);
  constexpr int64_t heads = appendThreads / 4;
  MBC_TRY(session.kernels->launch(
      fmt::format("mbc_turn_rows_{}_{}", elem == Elem::BF16 ? "bf16" : "f16",
                  width)
          .c_str(),
      {.x = (bound.rows * kv * (group + 2) + heads - 1) / heads,
       .threads = appendThreads,
       .overlaps = true},
      arguments, Count{counts(), 0, 1, 1}));
  ++session.turnedBefore;
  return true;
}

Expected<bool> Launcher::turned(const program::RowsT &command, uint32_t layer) {
  auto found = session.turns.find(&command);
  if (found == session.turns.end() || found->second.attention->state < 0)
    return false;
  const HeadTurns &turns = found->second;
  MBC_ASSIGN(bool done, decode(*turns.attention, layer, &turns));
  if (done) {
    attended = turns.attention;
    return true;
  }
  MBC_ASSIGN(done, turnAndAppend(turns, layer));
  if (done)
    appended = turns.attention;
  return done;
}

} // namespace mbc::cuda
