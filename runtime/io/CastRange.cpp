//===- CastRange.cpp ------------------------------------------------------===//
#include "runtime/io/CastRange.h"

#include "runtime/core/Fp8.h"
#include "runtime/core/Parallel.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <memory>

namespace mbc {

/// The least magnitude that rounds to infinity.
static double limitOf(DType dtype) {
  switch (dtype) {
  case DType::F16:
    return 65520;
  case DType::BF16:
    return 0x1.FFp127;
  case DType::F32:
    return 0x1.FFFFFFp127;
  default:
    return INFINITY;
  }
}

Expected<std::vector<Overflow>> findOverflow(const TensorSet &set,
                                             std::span<const DType> dtypes,
                                             unsigned threads) {
  constexpr int64_t step = 1 << 19;
  threads = threads ? threads : defaultThreads();
  const std::vector<TensorInfo> &tensors = set.tensors();
  std::vector<Overflow> all(tensors.size());
  struct Worker {
    std::unique_ptr<ExtentReader> reader;
    std::vector<Extent> extents;
    std::vector<double> wide;
    std::vector<float> single;
  };
  std::vector<Worker> workers(threads);
  MBC_TRY(parallelFor(
      threads, tensors.size(), [&](size_t index, unsigned number) -> Status {
        const TensorInfo &info = tensors[index];
        double limit = limitOf(dtypes[index]);
        if (!smallestCommonFloat(info.dtype, info.dtype) ||
            limit >= limitOf(info.dtype))
          return {};
        Worker &worker = workers[number];
        if (!worker.reader)
          worker.reader = std::make_unique<ExtentReader>(set);
        // F32 holds every magnitude of the narrower types.
        bool isDouble = info.dtype == DType::F64;
        Overflow &found = all[index];
        for (int64_t at = 0; at < info.elements(); at += step) {
          int64_t count = std::min(step, info.elements() - at);
          worker.extents.clear();
          set.locate(index, at, count, 0, worker.extents);
          auto look = [&](const auto *values) {
            for (int64_t i = 0; i < count; ++i)
              if (std::isfinite(values[i]) && std::fabs(values[i]) >= limit) {
                if (found.elements++ == 0) {
                  found.first = at + i;
                  found.value = values[i];
                }
              }
          };
          if (isDouble) {
            worker.wide.resize(count);
            MBC_TRY(worker.reader->gather(
                worker.extents, DType::F64,
                std::as_writable_bytes(std::span(worker.wide))));
            look(worker.wide.data());
            continue;
          }
          worker.single.resize(count);
          MBC_TRY(worker.reader->gather(
              worker.extents, DType::F32,
              std::as_writable_bytes(std::span(worker.single))));
          // Infinity and NaN are above every limit.
          if (!(largestMagnitude(worker.single.data(), count) < limit))
            look(worker.single.data());
        }
        found.name = info.name;
        found.dtype = dtypes[index];
        return {};
      }));
  std::erase_if(all, [](const Overflow &item) { return item.elements == 0; });
  return all;
}

Status refuseOverflow(const std::vector<Overflow> &found) {
  if (found.empty())
    return {};
  constexpr size_t most = 20;
  std::string text;
  for (size_t i = 0; i < std::min(found.size(), most); ++i)
    text += fmt::format(
        "tensor '{}' has {} values beyond the range of {}; the first is {} at "
        "element {}\n",
        found[i].name, found[i].elements, safetensorsName(found[i].dtype),
        found[i].value, found[i].first);
  if (found.size() > most)
    text += fmt::format("{} more tensors do not fit\n", found.size() - most);
  return inputError(text + "they would become infinity; choose bfloat16 or "
                           "float32 for '--dtype'");
}

} // namespace mbc
