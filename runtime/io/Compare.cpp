//===- Compare.cpp - Two sets of tensors, bit for bit ---------------------===//

#include "runtime/io/Compare.h"

#include "runtime/core/Parallel.h"
#include "runtime/core/Text.h"
#include "runtime/io/NumberText.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <fmt/format.h>
#include <memory>
#include <mutex>
#include <optional>

namespace mbc {

namespace {

/// Bytes of one block of one side. A thread holds two of them, and two readers
/// of ExtentReader::stagingBytes.
constexpr uint64_t blockBytes = 1u << 20;

/// Tensors to compare, and what is known about them so far.
struct Pair {
  size_t a, b;
  DType dtype; ///< type in which they are compared
  std::atomic<int64_t> differing = 0;
  int64_t first = INT64_MAX; ///< guarded by Comparer::mutex
};

struct Block {
  uint32_t pair;
  int64_t begin, count;
};

/// Elements that fill whole bytes: 1, but for types below a byte.
int64_t granule(DType dtype) {
  return bitsOf(dtype) % 8 == 0 ? 1 : bitsOf(dtype) == 4 ? 2 : 4;
}

/// The readers and buffers of one thread.
struct Worker {
  Worker(const TensorSet &a, const TensorSet &b) : readerA(a), readerB(b) {}
  ExtentReader readerA, readerB;
  std::vector<std::byte> bufferA, bufferB;
  std::vector<Extent> extents;

  Status read(const TensorSet &set, ExtentReader &reader, size_t tensor,
              const Block &block, DType dtype, std::vector<std::byte> &buffer) {
    buffer.resize(bytesOf(dtype, block.count));
    extents.clear();
    set.locate(tensor, block.begin, block.count, 0, extents);
    return reader.gather(extents, dtype, buffer);
  }
};

class Comparer {
public:
  Comparer(const TensorSet &a, const TensorSet &b,
           const CompareOptions &options, Progress &progress)
      : a(a), b(b), options(options), progress(progress),
        start(std::chrono::steady_clock::now()) {}

  /// Notes a name that both sides have.
  void addPair(size_t indexA, size_t indexB) {
    const TensorInfo &infoA = a.tensors()[indexA], &infoB = b.tensors()[indexB];
    ++report.tensors;
    TensorComparison result = describe(&infoA, &infoB);
    std::optional<DType> common;
    if (infoA.dtype == infoB.dtype)
      common = infoA.dtype;
    else if (options.valuesOnly)
      common = smallestCommonFloat(infoA.dtype, infoB.dtype);
    if (infoA.shape != infoB.shape)
      result.verdict = Verdict::ShapeDiffers;
    else if (!common)
      result.verdict = Verdict::DTypeDiffers;
    if (result.verdict != Verdict::Equal) {
      results.push_back({std::move(result), nullptr});
      return;
    }
    auto pair = std::make_unique<Pair>();
    pair->a = indexA;
    pair->b = indexB;
    pair->dtype = *common;
    addBlocks(*pair, infoA.elements());
    report.elements += static_cast<uint64_t>(infoA.elements());
    report.bytes += infoA.bytes();
    results.push_back({std::move(result), pair.get()});
    pairs.push_back(std::move(pair));
  }

  /// Notes a name that one side has.
  void addSingle(const TensorInfo &info, Verdict side) {
    ++report.tensors;
    bool inA = side == Verdict::OnlyA;
    TensorComparison result =
        describe(inA ? &info : nullptr, inA ? nullptr : &info);
    result.verdict = side;
    results.push_back({std::move(result), nullptr});
  }

  Expected<CompareReport> run() {
    progress.setTotal(report.bytes);
    unsigned threads = options.threads ? options.threads : defaultThreads();
    std::vector<std::unique_ptr<Worker>> workers(std::max(threads, 1u));
    MBC_TRY(
        parallelFor(threads, blocks.size(), [&](size_t index, unsigned worker) {
          if (!workers[worker])
            workers[worker] = std::make_unique<Worker>(a, b);
          return compare(blocks[index], *workers[worker]);
        }));
    Worker worker(a, b);
    std::optional<PlanPlaces> places;
    std::vector<Suspect> suspects;
    for (const Result &result : results)
      if (result.pair && result.pair->differing)
        suspects.push_back(
            {result.pair->a, result.pair->b, result.pair->dtype});
    if (options.plan && !suspects.empty())
      places.emplace(*options.plan);
    const PlanPlaces *known = places ? &*places : nullptr;
    if (&a != &b) {
      MBC_ASSIGN(report.exchanges,
                 findExchanges(a, b, suspects, known, threads));
    }
    for (Result &result : results) {
      if (result.pair && result.pair->differing)
        MBC_TRY(explain(*result.pair, result.comparison, known, worker));
      if (result.comparison.verdict == Verdict::Equal)
        ++report.equal;
      else
        report.differences.push_back(std::move(result.comparison));
    }
    report.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
            .count();
    return std::move(report);
  }

private:
  struct Result {
    TensorComparison comparison;
    Pair *pair; ///< null when no element is compared
  };

  static TensorComparison describe(const TensorInfo *infoA,
                                   const TensorInfo *infoB) {
    TensorComparison result;
    result.name = (infoA ? infoA : infoB)->name;
    if (infoA) {
      result.dtypeA = infoA->dtype;
      result.shapeA = infoA->shape;
    }
    if (infoB) {
      result.dtypeB = infoB->dtype;
      result.shapeB = infoB->shape;
    }
    return result;
  }

  void addBlocks(const Pair &pair, int64_t elements) {
    auto step = static_cast<int64_t>(blockBytes * 8 / bitsOf(pair.dtype));
    step -= step % 8;
    for (int64_t begin = 0; begin < elements; begin += step)
      blocks.push_back({static_cast<uint32_t>(pairs.size()), begin,
                        std::min(step, elements - begin)});
  }

  Status compare(const Block &block, Worker &worker) {
    Pair &pair = *pairs[block.pair];
    MBC_TRY(worker.read(a, worker.readerA, pair.a, block, pair.dtype,
                        worker.bufferA));
    MBC_TRY(worker.read(b, worker.readerB, pair.b, block, pair.dtype,
                        worker.bufferB));
    if (std::memcmp(worker.bufferA.data(), worker.bufferB.data(),
                    worker.bufferA.size()) != 0)
      countDifferences(block, pair, worker);
    progress.advance(bytesOf(a.tensors()[pair.a].dtype, block.count));
    return {};
  }

  void countDifferences(const Block &block, Pair &pair, const Worker &worker) {
    int64_t step = granule(pair.dtype), count = 0, first = -1;
    size_t bytes = bytesOf(pair.dtype, step);
    for (int64_t i = 0; i < block.count / step; ++i) {
      if (std::memcmp(worker.bufferA.data() + i * bytes,
                      worker.bufferB.data() + i * bytes, bytes) == 0)
        continue;
      ++count;
      if (first < 0)
        first = block.begin + i * step;
    }
    pair.differing += count;
    std::lock_guard lock(mutex);
    pair.first = std::min(pair.first, first);
  }

  /// Fills in the first difference.
  Status explain(const Pair &pair, TensorComparison &result,
                 const PlanPlaces *places, Worker &worker) {
    const TensorInfo &info = a.tensors()[pair.a];
    result.verdict = Verdict::Differs;
    result.differing = pair.differing;
    result.firstElement = pair.first;
    result.index.resize(info.shape.size());
    int64_t rest = pair.first;
    for (size_t dim = info.shape.size(); dim-- > 0;) {
      result.index[dim] = rest % info.shape[dim];
      rest /= info.shape[dim];
    }
    if (places)
      result.logical = logicalIndex(*places, result.name, pair.first);
    MBC_TRY(value(a, worker.readerA, pair.a, pair, worker, result.a));
    return value(b, worker.readerB, pair.b, pair, worker, result.b);
  }

  /// One side's value, in the type in which it is stored.
  Status value(const TensorSet &set, ExtentReader &reader, size_t tensor,
               const Pair &pair, Worker &worker, ElementValue &out) {
    DType dtype = set.tensors()[tensor].dtype;
    Block block{0, pair.first, granule(pair.dtype)};
    MBC_TRY(worker.read(set, reader, tensor, block, dtype, worker.bufferA));
    ElementText text = elementText(dtype, worker.bufferA.data());
    out.bits = std::move(text.bits);
    out.decimal = std::move(text.decimal);
    worker.extents.clear();
    set.locate(tensor, block.begin, block.count, 0, worker.extents);
    if (!worker.extents.empty()) {
      out.file = set.files()[worker.extents.front().file];
      out.offset = worker.extents.front().offset;
    }
    return {};
  }

  const TensorSet &a, &b;
  const CompareOptions &options;
  Progress &progress;
  std::chrono::steady_clock::time_point start;
  std::vector<std::unique_ptr<Pair>> pairs;
  std::vector<Result> results;
  std::vector<Block> blocks;
  CompareReport report;
  std::mutex mutex;
};

std::string valueText(const ElementValue &value, DType dtype) {
  std::string text = fmt::format("{} ({} {})", value.decimal,
                                 safetensorsName(dtype), value.bits);
  return value.file.empty()
             ? text + " in no file"
             : fmt::format("{} at {}:{}", text, value.file, value.offset);
}

} // namespace

std::string_view verdictName(Verdict verdict) {
  switch (verdict) {
  case Verdict::Equal:
    return "equal";
  case Verdict::Differs:
    return "differs";
  case Verdict::DTypeDiffers:
    return "dtype_differs";
  case Verdict::ShapeDiffers:
    return "shape_differs";
  case Verdict::OnlyA:
    return "only_in_a";
  case Verdict::OnlyB:
    return "only_in_b";
  }
  return "unknown";
}

std::string TensorComparison::text() const {
  std::string shown = quote(name);
  switch (verdict) {
  case Verdict::Equal:
    return shown + ": equal";
  case Verdict::OnlyA:
    return fmt::format("{}: only in A ({} {})", shown, safetensorsName(dtypeA),
                       shapeText(shapeA));
  case Verdict::OnlyB:
    return fmt::format("{}: only in B ({} {})", shown, safetensorsName(dtypeB),
                       shapeText(shapeB));
  case Verdict::ShapeDiffers:
    return fmt::format("{}: shape {} in A, {} in B", shown, shapeText(shapeA),
                       shapeText(shapeB));
  case Verdict::DTypeDiffers:
    return fmt::format("{}: dtype {} in A, {} in B", shown,
                       safetensorsName(dtypeA), safetensorsName(dtypeB));
  case Verdict::Differs:
    break;
  }
  int64_t elements = 1;
  for (int64_t size : shapeA)
    elements *= size;
  return fmt::format("{}: {} of {} elements differ; first {}{}: A {}; B {}",
                     shown, groupedNumber(static_cast<uint64_t>(differing)),
                     groupedNumber(static_cast<uint64_t>(elements)),
                     shapeText(index),
                     logical.empty() ? "" : fmt::format(" = {}", logical),
                     valueText(a, dtypeA), valueText(b, dtypeB));
}

Expected<CompareReport> compareTensors(const TensorSet &a, const TensorSet &b,
                                       const CompareOptions &options,
                                       Progress &progress) {
  Comparer comparer(a, b, options, progress);
  for (size_t i = 0; i < a.tensors().size(); ++i) {
    int64_t other = b.find(a.tensors()[i].name);
    if (other >= 0)
      comparer.addPair(i, static_cast<size_t>(other));
    else
      comparer.addSingle(a.tensors()[i], Verdict::OnlyA);
  }
  for (const TensorInfo &info : b.tensors())
    if (a.find(info.name) < 0)
      comparer.addSingle(info, Verdict::OnlyB);
  return comparer.run();
}

Expected<CompareReport>
compareWithin(const TensorSet &set,
              std::span<const std::pair<size_t, size_t>> pairs,
              const CompareOptions &options, Progress &progress) {
  Comparer comparer(set, set, options, progress);
  for (auto [a, b] : pairs)
    comparer.addPair(a, b);
  return comparer.run();
}

} // namespace mbc
