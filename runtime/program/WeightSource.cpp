//===- WeightSource.cpp ---------------------------------------------------===//
#include "runtime/program/WeightSource.h"

#include "runtime/core/Parallel.h"
#include "runtime/core/Text.h"
#include "runtime/io/CopyPlan.h"
#include "runtime/program/Program.h"
#include "runtime/program/ScaledWeights.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <unordered_set>

namespace mbc {

/// Elements that one task reads: a few megabytes.
constexpr int64_t blockElements = int64_t(1) << 21;

/// Whether the set holds every tensor that the plan names on that side.
static bool holdsAll(const plan::PlanT &plan, PlanSide side,
                     const TensorSet &set) {
  for (const auto &copy : plan.copies) {
    bool all = true;
    const plan::NameT &name =
        side == PlanSide::HuggingFace ? *copy->hf : *copy->mcore;
    (void)forEachIndex(copy->loops, [&](std::span<const uint32_t> indices) {
      all &= set.find(spell(name, indices)) >= 0;
      return Status();
    });
    if (!all)
      return false;
  }
  return true;
}

/// A copy of the plan whose Hugging Face side has the types of the set; a
/// family whose members differ has one that holds all.
static std::unique_ptr<plan::PlanT> withTypesOf(const plan::PlanT &plan,
                                                const TensorSet &set) {
  auto bound = std::make_unique<plan::PlanT>(plan);
  for (const auto &copy : bound->copies)
    (void)forEachIndex(copy->loops, [&](std::span<const uint32_t> indices) {
      int64_t tensor = set.find(spell(*copy->hf, indices));
      if (tensor >= 0)
        copy->hf_dtype = static_cast<plan::DType>(set.tensors()[tensor].dtype);
      return Status();
    });
  return bound;
}

/// Whether `name` is spelled by `pattern`, in which "{l}" is any number.
static bool spelledBy(std::string_view pattern, std::string_view name) {
  while (!pattern.empty()) {
    if (pattern.front() == '{') {
      size_t digits =
          std::min(name.find_first_not_of("0123456789"), name.size());
      if (digits == 0)
        return false;
      name.remove_prefix(digits);
      pattern.remove_prefix(std::min(pattern.find('}'), pattern.size() - 1) +
                            1);
    } else if (name.empty() || name.front() != pattern.front()) {
      return false;
    } else {
      name.remove_prefix(1);
      pattern.remove_prefix(1);
    }
  }
  return name.empty();
}

/// A tensor that the program does not know would be computed without.
static Status checkKnown(const program::ProgramT &program,
                         const plan::PlanT &plan, PlanSide format,
                         const TensorSet &set, const std::string &name) {
  bool folder = format == PlanSide::HuggingFace;
  std::unordered_set<std::string> known;
  for (const auto &copy : plan.copies)
    (void)forEachIndex(copy->loops, [&](std::span<const uint32_t> indices) {
      std::string tensor = spell(folder ? *copy->hf : *copy->mcore, indices);
      if (folder && !copy->hf_scale.empty())
        known.insert(tensor + copy->hf_scale);
      known.insert(std::move(tensor));
      return Status();
    });
  for (const TensorInfo &info : set.tensors()) {
    bool optional =
        folder && std::ranges::any_of(program.optional, [&](const auto &text) {
          return spelledBy(text, info.name);
        });
    if (!optional && !known.contains(info.name))
      return inputError(fmt::format(
          "{}: holds tensor {} {}, which the program for {} does not know: "
          "these are not the weights that it was compiled for",
          name, quote(info.name), shapeText(info.shape), program.model));
  }
  return {};
}

Expected<std::unique_ptr<WeightSource>>
WeightSource::create(const program::ProgramT &program, PlanSide format,
                     const TensorSet &set, const std::string &name) {
  const plan::PlanT *chosen = nullptr;
  for (const auto &plan : program.sources)
    if (!chosen && holdsAll(*plan, format, set))
      chosen = plan.get();
  if (!chosen && program.sources.empty())
    return inputError("the program does not say where its weights are");
  if (!chosen) {
    // The first plan's first missing tensor is as good a name as any.
    const plan::PlanT &plan = *program.sources.front();
    std::string missing;
    for (const auto &copy : plan.copies)
      (void)forEachIndex(copy->loops, [&](std::span<const uint32_t> indices) {
        std::string tensor =
            spell(format == PlanSide::HuggingFace ? *copy->hf : *copy->mcore,
                  indices);
        if (missing.empty() && set.find(tensor) < 0)
          missing = tensor;
        return Status();
      });
    return inputError(fmt::format(
        "{}: holds no tensor '{}', which the program for {} needs: these are "
        "not the weights that it was compiled for",
        name, missing, program.model));
  }
  std::unique_ptr<WeightSource> source(new WeightSource(program, set));
  source->bound = std::make_unique<plan::PlanT>(*chosen);
  if (format == PlanSide::HuggingFace) {
    MBC_ASSIGN(std::vector<ScaledName> scaled,
               scaledWeights(*chosen, set, name));
    if (!scaled.empty()) {
      auto values = ScaledTensors::dequantized(set, scaled);
      if (!values)
        return inputError(fmt::format("{}: {}", name, values.error().message));
      source->values = std::move(*values);
      source->set = source->values.get();
    }
    source->bound = withTypesOf(*chosen, *source->set);
  }
  // Shapes are checked where one side is seen as the other.
  auto mapped = MappedTensors::create(*source->bound,
                                      format == PlanSide::HuggingFace
                                          ? PlanSide::Megatron
                                          : PlanSide::HuggingFace,
                                      *source->set);
  if (!mapped)
    return Failure(Error{mapped.error().kind,
                         fmt::format("{}: {}, by the program for {}", name,
                                     mapped.error().message, program.model)});
  MBC_TRY(checkKnown(program, *chosen, format, set, name));
  if (format == PlanSide::HuggingFace) {
    source->mapped = std::move(*mapped);
    source->set = source->mapped.get();
  }
  MBC_TRY(source->locate(*chosen, name));
  return source;
}

/// Finds the interval of every instance through the plan's Megatron names.
Status WeightSource::locate(const plan::PlanT &plan, const std::string &name) {
  // Of each parameter, the tensors that hold it, by layer and then by the
  // other indices.
  using Key = std::pair<uint32_t, std::vector<uint32_t>>;
  std::map<std::string, std::map<Key, uint32_t>, std::less<>> tensors;
  for (const auto &copy : plan.copies) {
    // The layer is the loop that the weight's layers are values of: the first.
    MBC_TRY(forEachIndex(
        copy->loops, [&](std::span<const uint32_t> indices) -> Status {
          std::string tensor = spell(*copy->mcore, indices);
          int64_t index = set->find(tensor);
          if (index < 0)
            return inputError(
                fmt::format("{}: holds no tensor '{}'", name, tensor));
          Key key{indices.empty() ? 0 : indices[0],
                  {indices.begin() + (indices.empty() ? 0 : 1), indices.end()}};
          tensors[copy->path][key] = static_cast<uint32_t>(index);
          return {};
        }));
  }
  for (size_t w = 0; w < program.weights.size(); ++w) {
    const program::WeightT &weight = *program.weights[w];
    auto found = tensors.find(weight.path);
    if (found == tensors.end())
      return inputError(
          fmt::format("{}: nothing holds parameter '{}'", name, weight.path));
    uint64_t elements = elementsOf(weight), matrix = elements / weight.batch;
    for (size_t instance = 0; instance < instancesOf(weight); ++instance) {
      uint32_t layer = weight.layers.empty() ? 0 : weight.layers[instance];
      std::vector<uint32_t> holders;
      for (const auto &[key, tensor] : found->second)
        if ((weight.layers.empty() || key.first == layer) &&
            (holders.empty() || holders.back() != tensor))
          holders.push_back(tensor);
      auto sizeOf = [&](uint32_t tensor) {
        return static_cast<uint64_t>(set->tensors()[tensor].elements());
      };
      auto add = [&](uint32_t tensor, uint64_t offset, uint64_t begin,
                     uint64_t count) {
        pieces.push_back(
            {static_cast<uint32_t>(w), static_cast<uint32_t>(instance), offset,
             tensor, static_cast<int64_t>(begin), static_cast<int64_t>(count)});
      };
      bool padded = !set->tensors().empty() && holders.size() == 1 &&
                    sizeOf(holders[0]) > elements && weight.layers.empty();
      if (holders.size() == 1 && (sizeOf(holders[0]) == elements || padded)) {
        add(holders[0], 0, 0, elements);
      } else if (holders.size() == 1 &&
                 sizeOf(holders[0]) == elements * instancesOf(weight)) {
        add(holders[0], 0, instance * elements, elements);
      } else if (holders.size() == weight.batch &&
                 sizeOf(holders[0]) == matrix) {
        for (size_t i = 0; i < holders.size(); ++i)
          add(holders[i], i * matrix, 0, matrix);
      } else {
        return inputError(fmt::format(
            "{}: parameter '{}' of {} elements is held by {} tensors, the "
            "first {} of shape {}",
            name, weight.path, elements, holders.size(),
            holders.empty() ? "" : set->tensors()[holders[0]].name,
            holders.empty() ? ""
                            : shapeText(set->tensors()[holders[0]].shape)));
      }
    }
  }
  return {};
}

uint64_t WeightSource::bytes() const {
  uint64_t total = 0;
  for (const auto &weight : program.weights)
    total += bytesOf(*weight) * instancesOf(*weight);
  return total;
}

/// Whole rows of an FP8 tensor, of each of its matrices apart; false where the
/// extent is of something else.
bool WeightSource::appendScaled(std::vector<StoredRows> &rows,
                                const Extent &extent, int64_t dest,
                                const program::WeightT &weight) const {
  int64_t cols = weight.cols;
  if (extent.dtype != DType::F8E4M3 || extent.scale < 0 ||
      extent.dest != dest || extent.dest % cols != 0 ||
      extent.count % cols != 0 || extent.element % cols != 0)
    return false;
  const BlockScale &scale = blockScale(extent.scale);
  if (scale.cols != cols || scale.blockRows != weight.block[0] ||
      scale.blockCols != weight.block[1])
    return false;
  int64_t row = extent.element / cols, end = row + extent.count / cols;
  for (int64_t at = row; at < end;) {
    int64_t next = std::min(end, (at / scale.rows + 1) * scale.rows);
    rows.push_back(
        {extent.file, extent.offset + static_cast<uint64_t>((at - row) * cols),
         extent.dest / cols + at - row, next - at, extent.scale, at});
    at = next;
  }
  return true;
}

Expected<std::vector<float>> WeightSource::scales(int32_t scale) const {
  ExtentReader reader(*set);
  MBC_ASSIGN(const float *grid, reader.scaleGrid(scale));
  return std::vector<float>(grid, grid + blockScale(scale).count());
}

Expected<ScaledRows>
WeightSource::scalesOf(size_t weight,
                       const std::vector<StoredRows> &rows) const {
  const program::WeightT &of = *program.weights[weight];
  if (rows.empty())
    return inputError(fmt::format(
        "parameter '{}' is not stored as FP8 with block scales of {} x {}, "
        "which the program keeps as they are; one that was compiled without "
        "'--weight-dtype' takes other values",
        of.path, of.block[0], of.block[1]));
  ScaledRows result;
  std::map<int32_t, size_t> found; // where the scales of a tensor begin
  for (const StoredRows &run : rows) {
    auto [at, isNew] = found.try_emplace(run.scale, result.grids.size());
    if (isNew) {
      MBC_ASSIGN(std::vector<float> grids, scales(run.scale));
      result.grids.insert(result.grids.end(), grids.begin(), grids.end());
    }
    const BlockScale &scale = blockScale(run.scale);
    auto matrix = static_cast<size_t>(run.row / scale.rows);
    result.runs.push_back(
        {run.first, run.count,
         at->second + matrix * scale.gridRows() * scale.gridCols(),
         run.row % scale.rows});
  }
  return result;
}

std::vector<StoredRows> WeightSource::stored(size_t weight,
                                             size_t instance) const {
  const program::WeightT &of = *program.weights[weight];
  auto dtype = static_cast<DType>(of.dtype);
  int64_t cols = of.cols;
  std::vector<StoredRows> rows;
  std::vector<Extent> extents;
  auto key = [](const Piece &piece) {
    return std::pair(piece.weight, piece.instance);
  };
  auto piece = std::ranges::lower_bound(
      pieces, std::pair(uint32_t(weight), uint32_t(instance)), {}, key);
  for (; piece != pieces.end() && piece->weight == weight &&
         piece->instance == instance;
       ++piece)
    set->locate(piece->tensor, piece->begin, piece->count,
                static_cast<int64_t>(piece->offset), extents);
  std::ranges::sort(extents, {}, &Extent::dest);
  int64_t next = 0;
  bool scaled = dtype == DType::F8E4M3;
  for (const Extent &extent : extents) {
    if (scaled && !appendScaled(rows, extent, next, of))
      return {};
    if (scaled) {
      next += extent.count;
      continue;
    }
    if (extent.dtype != dtype || extent.scale >= 0 || extent.dest != next ||
        extent.dest % cols != 0 || extent.count % cols != 0 ||
        extent.offset % bytesOf(dtype, 1) != 0)
      return {};
    next += extent.count;
    if (!rows.empty() && rows.back().file == extent.file &&
        rows.back().offset + bytesOf(dtype, rows.back().count * cols) ==
            extent.offset)
      rows.back().count += extent.count / cols;
    else
      rows.push_back({extent.file, extent.offset, extent.dest / cols,
                      extent.count / cols});
  }
  if (next != static_cast<int64_t>(elementsOf(of)))
    return {};
  return rows;
}

Status
WeightSource::load(const std::function<std::byte *(size_t, size_t)> &place,
                   unsigned threads, Progress &progress) const {
  struct Task {
    const Piece *piece;
    int64_t begin, count;
  };
  std::vector<Task> tasks;
  for (const Piece &piece : pieces)
    if (place(piece.weight, piece.instance))
      for (int64_t at = 0; at < piece.count; at += blockElements)
        tasks.push_back(
            {&piece, at, std::min(blockElements, piece.count - at)});
  std::vector<std::unique_ptr<ExtentReader>> readers(threads);
  return parallelFor(
      threads, tasks.size(), [&](size_t index, unsigned worker) -> Status {
        const Task &task = tasks[index];
        const program::WeightT &weight = *program.weights[task.piece->weight];
        DType dtype = static_cast<DType>(weight.dtype);
        std::byte *to =
            place(task.piece->weight, task.piece->instance) +
            bytesOf(dtype,
                    static_cast<int64_t>(task.piece->offset) + task.begin);
        if (!readers[worker])
          readers[worker] = std::make_unique<ExtentReader>(*set);
        std::vector<Extent> extents;
        set->locate(task.piece->tensor, task.piece->begin + task.begin,
                    task.count, 0, extents);
        uint64_t bytes = bytesOf(dtype, task.count);
        MBC_TRY(readers[worker]->gather(extents, dtype, {to, bytes}));
        progress.advance(bytes);
        return {};
      });
}

} // namespace mbc
