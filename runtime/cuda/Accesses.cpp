//===- Accesses.cpp -------------------------------------------------------===//

#include "runtime/cuda/Accesses.h"

#include "runtime/core/DType.h"

#include <algorithm>

namespace mbc::cuda {

Accesses accessesOf(const program::ProgramT &program,
                    const program::OpUnion &op) {
  Accesses all;
  auto read = [&](std::initializer_list<int64_t> views) {
    for (int64_t view : views)
      if (view >= 0)
        all.reads.push_back(static_cast<uint32_t>(view));
  };
  auto fill = [&](std::initializer_list<uint32_t> views) {
    all.fills.insert(all.fills.end(), views);
  };
  if (const auto *gemm = op.AsGemm()) {
    read({gemm->x, gemm->weight, gemm->bias});
    fill({gemm->out});
  } else if (const auto *rows = op.AsRows()) {
    for (const auto &step : program.kernels[rows->kernel]->steps)
      if (step->kind == program::RowKind::Load)
        read({rows->operands[step->operand]});
      else if (step->kind == program::RowKind::Store)
        fill({rows->operands[step->operand]});
  } else if (const auto *attention = op.AsAttention()) {
    read({attention->q, attention->k, attention->v, attention->ends});
    fill({attention->out});
  } else if (const auto *latent = op.AsLatentAttention()) {
    read({latent->q_nope, latent->q_rope, latent->latent, latent->k_rope,
          latent->up});
    fill({latent->out});
  } else if (const auto *embed = op.AsEmbed()) {
    read({embed->ids, embed->table});
    fill({embed->out});
  } else if (const auto *angles = op.AsAngles()) {
    read({angles->positions});
    fill({angles->out});
  } else if (const auto *copy = op.AsCopy()) {
    read({copy->from});
    fill({copy->to});
  } else if (const auto *take = op.AsTake()) {
    read({take->x, take->rows});
    fill({take->out});
  } else if (const auto *tap = op.AsTap()) {
    read({tap->from});
  } else if (const auto *place = op.AsPlace()) {
    read({place->features, place->places});
  } else if (const auto *route = op.AsRoute()) {
    read({route->logits, route->correction});
    fill({route->weights, route->ids});
  } else if (const auto *group = op.AsGroup()) {
    read({group->ids});
    fill({group->place, group->offsets});
  } else if (const auto *scatter = op.AsScatter()) {
    read({scatter->x, scatter->place});
    fill({scatter->out});
  } else if (const auto *grouped = op.AsGroupedGemm()) {
    read({grouped->x, grouped->weight, grouped->offsets});
    fill({grouped->out});
  } else if (const auto *combine = op.AsCombine()) {
    read({combine->y, combine->weights, combine->place});
    fill({combine->out});
  }
  return all;
}

Region regionOf(const program::ViewT &view) {
  auto bytes = [&](uint64_t elements) {
    return mbc::bytesOf(static_cast<DType>(view.dtype),
                        static_cast<int64_t>(elements));
  };
  bool shared = view.space == program::Space::Weight;
  uint64_t count = 1, span = 1;
  for (size_t i = shared ? 0 : 1; i < view.dims.size(); ++i) {
    count *= view.dims[i];
    span += uint64_t(view.dims[i] - 1) * view.strides[i];
  }
  Region region{};
  region.space = view.space;
  region.index = view.index;
  region.begin = view.offset;
  region.rowBytes = bytes(span);
  region.rows = shared ? 1 : view.dims[0];
  region.rowStride = shared ? 0 : bytes(view.strides[0]);
  region.end =
      region.begin + (region.rows - 1) * region.rowStride + region.rowBytes;
  // Without gaps elements follow each other in their order.
  uint64_t next = 1;
  region.dense = count == span;
  for (size_t i = view.dims.size(); i-- > (shared ? 0 : 1);) {
    region.dense &= view.dims[i] == 1 || view.strides[i] == next;
    next *= view.dims[i];
  }
  return region;
}

static bool shareSpace(const Region &a, const Region &b) {
  return a.space == b.space &&
         (a.space == program::Space::Arena || a.index == b.index);
}

bool overlap(const Region &a, const Region &b) {
  return shareSpace(a, b) && a.begin < b.end && b.begin < a.end;
}

bool areSame(const program::ViewT &a, const program::ViewT &b) {
  Region x = regionOf(a), y = regionOf(b);
  return shareSpace(x, y) && a.dtype == b.dtype && x.begin == y.begin &&
         x.rowBytes == y.rowBytes && x.rows == y.rows && x.dense && y.dense &&
         (x.rows == 1 || x.rowStride == y.rowStride);
}

/// Whether every row of `part` lies in the same row of `whole`, which has no
/// gaps, however many rows a call has.
static bool covers(const Region &whole, const Region &part) {
  return shareSpace(whole, part) && whole.dense && whole.rows == part.rows &&
         (whole.rows == 1 || whole.rowStride == part.rowStride) &&
         whole.begin <= part.begin &&
         part.begin + part.rowBytes <= whole.begin + whole.rowBytes;
}

namespace {

/// Follows the commands behind one, and keeps in mind what they have filled.
class Reader {
public:
  Reader(const program::ProgramT &program, const program::FunctionT &function,
         Region value)
      : program(program), function(function), value(value) {}

  /// Whether none of the commands from `first` on reads the value. Layers of a
  /// repeat may come in any order, or not at all.
  bool pass(const program::BodyT &body, size_t first);
  /// Keeps in mind what a command fills.
  void fill(const program::OpUnion &op);

private:
  const program::ProgramT &program;
  const program::FunctionT &function;
  const Region value;
  std::vector<Region> filled;
};

} // namespace

bool Reader::pass(const program::BodyT &body, size_t first) {
  for (size_t i = first; i < body.commands.size(); ++i) {
    const program::OpUnion &op = body.commands[i]->op;
    if (const auto *repeat = op.AsRepeat()) {
      for (const auto &inner : repeat->bodies)
        if (!Reader(*this).pass(*inner, 0))
          return false;
      continue;
    }
    Accesses accesses = accessesOf(program, op);
    for (uint32_t number : accesses.reads) {
      Region read = regionOf(*function.views[number]);
      // What was filled since is another value.
      if (overlap(read, value) &&
          std::ranges::none_of(
              filled, [&](const Region &by) { return covers(by, read); }))
        return false;
    }
    fill(op);
  }
  return true;
}

void Reader::fill(const program::OpUnion &op) {
  for (uint32_t number : accessesOf(program, op).fills)
    filled.push_back(regionOf(*function.views[number]));
}

bool isDeadAfter(const program::ProgramT &program,
                 const program::FunctionT &function, const Position &from,
                 uint32_t view) {
  Region value = regionOf(*function.views[view]);
  if (value.space != program::Space::Arena)
    return false;
  Reader reader(program, function, value);
  reader.fill(from.body->commands[from.index]->op);
  if (!reader.pass(*from.body, from.index + 1))
    return false;
  if (from.repeat < 0)
    return true;
  // Any layer may come next, or what is behind the last. Whatever lies between
  // only fills more.
  const program::BodyT &body = *function.body;
  auto number = static_cast<size_t>(from.repeat);
  for (const auto &next : body.commands[number]->op.AsRepeat()->bodies)
    if (!Reader(reader).pass(*next, 0))
      return false;
  return reader.pass(body, number + 1);
}

} // namespace mbc::cuda
