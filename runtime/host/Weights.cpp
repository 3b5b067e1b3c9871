//===- Weights.cpp --------------------------------------------------------===//

#include "runtime/host/Weights.h"

#include "runtime/core/Parallel.h"
#include "runtime/program/Program.h"

#include <fmt/format.h>

namespace mbc::host {

/// Fewer rows in a run are not worth a product of their own.
constexpr int64_t leastRows = 16;
/// Of a file that is mapped, what one task waits for.
constexpr uint64_t prefetchBytes = 8u << 20;
constexpr uint64_t largePage = 2u << 20;

/// Sizes and strides of a weight as it lies in memory, without a batch of one.
using Shape = std::pair<std::vector<uint32_t>, std::vector<uint32_t>>;
static Shape shapeOf(const program::WeightT &weight) {
  Shape shape{{weight.rows, weight.cols}, {weight.cols, 1}};
  if (weight.batch > 1) {
    shape.first.insert(shape.first.begin(), weight.batch);
    shape.second.insert(shape.second.begin(), weight.rows * weight.cols);
  }
  return shape;
}
static Shape shapeOf(const program::ViewT &view) {
  return {view.dims, view.strides};
}

/// For each weight, whether products alone use it, and whole: their rows may
/// lie apart.
static std::vector<bool> usedByProductsAlone(const program::ProgramT &program) {
  std::vector<bool> result(program.weights.size(), true);
  for (const auto &function : program.functions) {
    std::vector<bool> multiplied(function->views.size(), false),
        other = multiplied;
    auto visit = [&](auto &self, const program::BodyT &body) -> void {
      for (const auto &command : body.commands) {
        if (const auto *gemm = command->op.AsGemm()) {
          multiplied[gemm->weight] = true;
          if (gemm->bias >= 0)
            other[gemm->bias] = true;
        } else if (const auto *grouped = command->op.AsGroupedGemm()) {
          multiplied[grouped->weight] = true;
        } else if (const auto *latent = command->op.AsLatentAttention()) {
          other[latent->up] = true;
        } else if (const auto *route = command->op.AsRoute()) {
          if (route->correction >= 0)
            other[route->correction] = true;
        } else if (const auto *embed = command->op.AsEmbed()) {
          other[embed->table] = true;
        } else if (const auto *rows = command->op.AsRows()) {
          for (uint32_t view : rows->operands)
            other[view] = true;
        } else if (const auto *copy = command->op.AsCopy()) {
          other[copy->from] = true;
        } else if (const auto *take = command->op.AsTake()) {
          other[take->x] = true;
        } else if (const auto *repeat = command->op.AsRepeat()) {
          for (const auto &inner : repeat->bodies)
            self(self, *inner);
        }
      }
    };
    visit(visit, *function->body);
    for (size_t i = 0; i < function->views.size(); ++i) {
      const program::ViewT &view = *function->views[i];
      if (view.space != program::Space::Weight)
        continue;
      const program::WeightT &weight = *program.weights[view.index];
      bool whole = multiplied[i] && !other[i] && view.offset == 0 &&
                   shapeOf(view) == shapeOf(weight);
      if (!whole)
        result[view.index] = false;
    }
  }
  return result;
}

static int64_t blocksOf(int64_t size, int64_t block) {
  return (size + block - 1) / block;
}

Weights::Weights(const program::ProgramT &program)
    : program(&program), layout(layoutMemory(program, 0)) {
  for (size_t weight = 0; weight < program.weights.size(); ++weight) {
    starts.push_back(runs.size());
    runs.resize(runs.size() + instancesOf(*program.weights[weight]));
  }
  grids.resize(runs.size());
}

Expected<Weights> Weights::create(const program::ProgramT &program) {
  Weights weights(program);
  MBC_ASSIGN(weights.memory,
             Memory::allocate(weights.layout.weights, "weights"));
  for (size_t weight = 0; weight < program.weights.size(); ++weight) {
    const program::WeightT &of = *program.weights[weight];
    for (size_t i = 0; i < instancesOf(of); ++i) {
      std::vector<RowRun> &into = weights.runs[weights.starts[weight] + i];
      into = {{0, int64_t(of.batch) * of.rows, weights.at(weight, i)}};
      if (of.block.empty())
        continue;
      int64_t grid =
          blocksOf(of.rows, of.block[0]) * blocksOf(of.cols, of.block[1]);
      std::vector<float> &scales = weights.grids[weights.starts[weight] + i];
      scales.resize(of.batch * grid);
      into.clear();
      for (int64_t e = 0; e < of.batch; ++e)
        into.push_back({e * of.rows, of.rows,
                        weights.at(weight, i) + e * of.rows * of.cols,
                        scales.data() + e * grid, 0});
    }
  }
  return weights;
}

Expected<const MappedFile *> Weights::file(const std::string &path) {
  auto found = files.find(path);
  if (found == files.end()) {
    MBC_ASSIGN(MappedFile mapped, MappedFile::open(path));
    found = files.emplace(path, std::move(mapped)).first;
  }
  return &found->second;
}

Status Weights::loadScaled(const WeightSource &source, size_t weight,
                           size_t instance,
                           const std::vector<StoredRows> &stored) {
  size_t at = starts[weight] + instance;
  MBC_ASSIGN(ScaledRows scales, source.scalesOf(weight, stored));
  grids[at] = std::move(scales.grids);
  for (size_t i = 0; i < stored.size(); ++i) {
    runs[at][i].scales = grids[at].data() + scales.runs[i].grid;
    runs[at][i].row = scales.runs[i].row;
  }
  return {};
}

Status Weights::load(const WeightSource &source, unsigned threads,
                     Progress &progress) {
  struct Stretch {
    const MappedFile *file;
    uint64_t offset, bytes;
  };
  std::vector<Stretch> stretches;
  std::vector<bool> apart = usedByProductsAlone(*program);
  std::vector<std::vector<bool>> inPlace;
  for (size_t weight = 0; weight < program->weights.size(); ++weight) {
    const program::WeightT &of = *program->weights[weight];
    std::vector<bool> &mapped = inPlace.emplace_back(instancesOf(of));
    uint64_t copied = 0,
             rowBytes = bytesOf(of) / (uint64_t(of.batch) * of.rows);
    for (size_t i = 0; i < mapped.size(); ++i) {
      std::vector<StoredRows> stored = source.stored(weight, i);
      bool scaled = !of.block.empty();
      bool fits =
          scaled || (!stored.empty() && (stored.size() == 1 || apart[weight]));
      for (const StoredRows &rows : stored)
        fits &= stored.size() == 1 || scaled || rows.count >= leastRows;
      if (!fits) {
        copied += layout.instanceBytes[weight];
        continue;
      }
      std::vector<RowRun> &into = runs[starts[weight] + i];
      into.clear();
      for (const StoredRows &rows : stored) {
        MBC_ASSIGN(const MappedFile *from, file(source.path(rows.file)));
        uint64_t bytes = rows.count * rowBytes;
        if (rows.offset + bytes > from->size())
          return inputError(fmt::format(
              "{}: ends at {}, expected {} bytes of parameter '{}' at {}",
              source.path(rows.file), from->size(), bytes, of.path,
              rows.offset));
        into.push_back({rows.first, rows.count, from->data() + rows.offset});
        for (uint64_t at = 0; at < bytes; at += prefetchBytes)
          stretches.push_back(
              {from, rows.offset + at, std::min(prefetchBytes, bytes - at)});
      }
      if (scaled)
        MBC_TRY(loadScaled(source, weight, i, stored));
      mapped[i] = true;
    }
    if (copied >= largePage)
      memory.useLargePages(layout.weightOffsets[weight],
                           layout.instanceBytes[weight] * mapped.size());
  }
  MBC_TRY(parallelFor(threads, stretches.size(),
                      [&](size_t index, unsigned) -> Status {
                        const Stretch &of = stretches[index];
                        MBC_TRY(of.file->prefetch(of.offset, of.bytes));
                        progress.advance(of.bytes);
                        return {};
                      }));
  return source.load(
      [&](size_t weight, size_t instance) {
        return inPlace[weight][instance] ? nullptr : at(weight, instance);
      },
      threads, progress);
}

} // namespace mbc::host
