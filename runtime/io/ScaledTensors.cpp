//===- ScaledTensors.cpp --------------------------------------------------===//
#include "runtime/io/ScaledTensors.h"

#include "runtime/core/Fp8.h"
#include "runtime/core/Parallel.h"

#include <cstring>
#include <fmt/format.h>
#include <unordered_set>

namespace mbc {

std::vector<ScaledName> scaledNames(const plan::PlanT &plan) {
  std::vector<ScaledName> names;
  std::unordered_set<std::string> seen;
  for (const auto &copy : plan.copies) {
    if (copy->hf_block.empty())
      continue;
    (void)forEachIndex(copy->loops, [&](std::span<const uint32_t> indices) {
      std::string name = spell(*copy->hf, indices);
      if (seen.insert(name).second)
        names.push_back({name, name + copy->hf_scale, copy->hf_block[0],
                         copy->hf_block[1],
                         static_cast<DType>(copy->mcore_dtype)});
      return Status();
    });
  }
  return names;
}

std::vector<size_t> withoutScales(const TensorSet &set,
                                  const std::vector<ScaledName> &names) {
  std::unordered_set<std::string_view> scales;
  for (const ScaledName &item : names)
    scales.insert(item.scale);
  std::vector<size_t> indices;
  for (size_t i = 0; i < set.tensors().size(); ++i)
    if (!scales.contains(set.tensors()[i].name))
      indices.push_back(i);
  return indices;
}

std::vector<int64_t> scaleShape(std::span<const int64_t> shape,
                                int64_t blockRows, int64_t blockCols) {
  std::vector<int64_t> result(shape.begin(), shape.end());
  size_t rank = result.size();
  if (rank >= 2)
    result[rank - 2] = (result[rank - 2] + blockRows - 1) / blockRows;
  if (rank >= 1)
    result[rank - 1] = (result[rank - 1] + blockCols - 1) / blockCols;
  return result;
}

ScaledTensors::ScaledTensors(const TensorSet &set) : set(set) {
  infos = set.tensors();
  sharePlaces(set);
  links.assign(infos.size(), -1);
  indexNames();
}

Status ScaledTensors::link(const std::vector<ScaledName> &names,
                           bool quantize) {
  std::vector<Extent> extents;
  for (const ScaledName &item : names) {
    int64_t tensor = find(item.name), scale = find(item.scale);
    if (tensor < 0 || scale < 0)
      return inputError(
          tensor < 0
              ? fmt::format("tensor '{}' is missing", item.name)
              : fmt::format("block scale '{}' is missing; it belongs to '{}'",
                            item.scale, item.name));
    TensorInfo &info = infos[tensor];
    const TensorInfo &grid = infos[scale];
    if (info.shape.size() < 2 ||
        grid.shape != scaleShape(info.shape, item.blockRows, item.blockCols))
      return inputError(fmt::format(
          "block scale '{}' has shape {}, which does not fit '{}' {} in blocks "
          "of {} x {}",
          item.scale, shapeText(grid.shape), item.name, shapeText(info.shape),
          item.blockRows, item.blockCols));
    extents.clear();
    if (grid.elements() > 0)
      set.locate(scale, 0, grid.elements(), 0, extents);
    if (extents.size() != 1)
      return systemError(fmt::format("internal error: block scale '{}' lies in "
                                     "{} pieces",
                                     item.scale, extents.size()));
    int64_t rows = info.shape[info.shape.size() - 2], cols = info.shape.back();
    links[tensor] = static_cast<int32_t>(scaleList.size());
    scaleList.push_back(
        {item.scale, extents[0].file, extents[0].offset, grid.dtype,
         info.elements() / (rows * cols), rows, cols, item.blockRows,
         item.blockCols,
         quantize ? std::make_shared<std::atomic<uint64_t>>(0) : nullptr});
    info.dtype = quantize ? DType::F8E4M3 : item.value;
  }
  return {};
}

Expected<std::unique_ptr<ScaledTensors>>
ScaledTensors::dequantized(const TensorSet &set,
                           const std::vector<ScaledName> &names) {
  std::unique_ptr<ScaledTensors> result(new ScaledTensors(set));
  MBC_TRY(result->link(names, /*quantize=*/false));
  return result;
}

Expected<std::unique_ptr<ScaledTensors>>
ScaledTensors::quantized(const TensorSet &set,
                         const std::vector<ScaledName> &names) {
  std::unique_ptr<ScaledTensors> result(new ScaledTensors(set));
  MBC_TRY(result->link(names, /*quantize=*/true));
  return result;
}

void ScaledTensors::locate(size_t index, int64_t begin, int64_t count,
                           int64_t dest, std::vector<Extent> &out) const {
  size_t first = out.size();
  set.locate(index, begin, count, dest, out);
  if (links[index] < 0)
    return;
  for (size_t e = first; e < out.size(); ++e) {
    out[e].scale = links[index];
    out[e].element = begin + (out[e].dest - dest);
  }
}

std::vector<ScaledTensors::Lost> ScaledTensors::lost() const {
  std::vector<Lost> result;
  for (size_t i = 0; i < infos.size(); ++i)
    if (links[i] >= 0 && scaleList[links[i]].lost)
      if (uint64_t elements = *scaleList[links[i]].lost)
        result.push_back({infos[i].name, elements});
  return result;
}

Expected<std::vector<ScaledTensors::Lost>>
findUnrestorable(const ScaledTensors &set, unsigned threads) {
  constexpr int64_t step = 1 << 20;
  if (threads == 0)
    threads = defaultThreads();
  const std::vector<TensorInfo> &tensors = set.tensors();
  std::vector<uint64_t> lost(tensors.size(), 0);
  std::vector<std::unique_ptr<ExtentReader>> readers(threads);
  MBC_TRY(parallelFor(
      threads, tensors.size(), [&](size_t index, unsigned worker) -> Status {
        std::vector<Extent> extents;
        if (tensors[index].elements() == 0)
          return {};
        set.locate(index, 0, 1, 0, extents);
        if (extents.empty() || extents[0].scale < 0)
          return {};
        if (!readers[worker])
          readers[worker] = std::make_unique<ExtentReader>(set);
        ExtentReader &reader = *readers[worker];
        int32_t scaleIndex = extents[0].scale;
        const BlockScale &scale = set.scales()[scaleIndex];
        DType value = tensors[index].dtype;
        MBC_ASSIGN(const float *stored, reader.scaleGrid(scaleIndex));
        std::vector<float> grid(stored, stored + scale.count());
        std::vector<bool> safe(grid.size());
        bool all = true;
        for (size_t i = 0; i < grid.size(); ++i)
          all &= safe[i] = restoresEveryByte(grid[i], value);
        if (all)
          return {};
        // Which of the bytes of those blocks are there?
        std::vector<std::byte> raw(step);
        std::vector<double> values(step);
        std::vector<uint8_t> back(step);
        for (int64_t at = 0; at < tensors[index].elements(); at += step) {
          int64_t count = std::min(step, tensors[index].elements() - at);
          extents.clear();
          set.locate(index, at, count, 0, extents);
          for (Extent &extent : extents)
            extent.scale = -1; // the bytes themselves
          MBC_TRY(reader.gather(extents, DType::F8E4M3,
                                std::span(raw).first(count)));
          scale.forEachRun(
              at, count, [&](int64_t block, int64_t first, int64_t length) {
                if (safe[block])
                  return;
                auto *bytes =
                    reinterpret_cast<const uint8_t *>(raw.data()) + first;
                dequantizeFp8(bytes, grid[block], value, values.data(), length);
                (void)quantizeFp8(value, values.data(), grid[block],
                                  back.data(), length);
                for (int64_t i = 0; i < length; ++i)
                  lost[index] += back[i] != bytes[i];
              });
        }
        return {};
      }));
  std::vector<ScaledTensors::Lost> result;
  for (size_t i = 0; i < lost.size(); ++i)
    if (lost[i])
      result.push_back({tensors[i].name, lost[i]});
  return result;
}

} // namespace mbc
