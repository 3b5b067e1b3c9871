//===- QuantizeScales.cpp -------------------------------------------------===//
#include "runtime/io/QuantizeScales.h"

#include "runtime/core/Fp8.h"
#include "runtime/core/Parallel.h"
#include "runtime/io/TensorViews.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace mbc {

static float scaleOf(float largest, ScaleFormat format) {
  if (largest == 0)
    return 1.0f;
  float scale = std::max(largest / kFp8Max, 0x1p-126f);
  if (format == ScaleFormat::F32)
    return scale;
  int exponent;
  float fraction = std::frexp(scale, &exponent);
  return std::ldexp(1.0f, fraction == 0.5f ? exponent - 1 : exponent);
}

Expected<std::unique_ptr<TensorSet>>
writeScales(const TensorSet &set, const std::vector<ScaledName> &names,
            ScaleFormat format, const std::filesystem::path &file,
            unsigned threads, Progress &progress) {
  constexpr int64_t step = 1 << 19;
  threads = threads ? threads : defaultThreads();
  std::vector<TensorInfo> infos;
  std::vector<uint64_t> offsets;
  uint64_t size = 0, elements = 0;
  for (const ScaledName &item : names) {
    const TensorInfo &info = set.tensors()[set.find(item.name)];
    infos.push_back({item.scale, DType::F32,
                     scaleShape(info.shape, item.blockRows, item.blockCols)});
    offsets.push_back(size);
    size += infos.back().bytes();
    elements += info.elements();
  }
  progress.setTotal(elements);
  MBC_ASSIGN(File out, File::create(file, size));
  std::vector<std::unique_ptr<ExtentReader>> readers(threads);
  std::vector<std::vector<float>> buffers(threads);
  MBC_TRY(parallelFor(
      threads, names.size(), [&](size_t number, unsigned worker) -> Status {
        if (!readers[worker])
          readers[worker] = std::make_unique<ExtentReader>(set);
        std::vector<float> &values = buffers[worker];
        size_t index = set.find(names[number].name);
        const TensorInfo &info = set.tensors()[index];
        BlockScale grid{};
        grid.rows = info.shape[info.shape.size() - 2];
        grid.cols = info.shape.back();
        grid.blockRows = names[number].blockRows;
        grid.blockCols = names[number].blockCols;
        // One row of blocks at a time is open: the scales before it are done.
        std::vector<float> largest(grid.gridCols(), 0.0f);
        int64_t open = 0;
        auto flush = [&]() -> Status {
          for (float &magnitude : largest)
            magnitude = scaleOf(magnitude, format);
          MBC_TRY(out.writeAt(offsets[number] + 4 * open * grid.gridCols(),
                              std::as_bytes(std::span(largest))));
          std::ranges::fill(largest, 0.0f);
          ++open;
          return {};
        };
        std::vector<Extent> extents;
        for (int64_t at = 0; at < info.elements(); at += step) {
          int64_t count = std::min(step, info.elements() - at);
          values.resize(count);
          extents.clear();
          set.locate(index, at, count, 0, extents);
          MBC_TRY(readers[worker]->gather(
              extents, DType::F32, std::as_writable_bytes(std::span(values))));
          Status failed;
          grid.forEachRun(
              at, count, [&](int64_t block, int64_t first, int64_t length) {
                float magnitude = largestMagnitude(&values[first], length);
                if (!failed)
                  return;
                if (!std::isfinite(magnitude)) {
                  failed = inputError(fmt::format(
                      "tensor '{}' holds {} in elements {} to {}, which FP8 "
                      "with a "
                      "block scale cannot; export it with --dtype bfloat16",
                      info.name, magnitude, at + first,
                      at + first + length - 1));
                  return;
                }
                while (open < block / grid.gridCols() && failed)
                  failed = flush();
                float &slot = largest[block % grid.gridCols()];
                slot = std::max(slot, magnitude);
              });
          MBC_TRY(failed);
          progress.advance(count);
        }
        return info.elements() ? flush() : Status();
      }));
  return std::unique_ptr<TensorSet>(std::make_unique<FileTensors>(
      file, std::move(infos), std::move(offsets)));
}

} // namespace mbc
