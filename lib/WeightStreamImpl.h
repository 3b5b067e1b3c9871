//===- WeightStreamImpl.h - What a WeightStream holds -----------*- C++ -*-===//
#pragma once

#include "mbc/WeightStream.h"
#include "runtime/io/TensorSet.h"

namespace mbc {

struct WeightStream::Impl {
  /// `tensors` keeps alive what it reads from.
  Impl(std::shared_ptr<const TensorSet> tensors, size_t chunkBytes)
      : tensors(std::move(tensors)), reader(*this->tensors),
        chunkBytes(chunkBytes) {}

  Expected<std::optional<WeightChunk>> next();
  Status read(size_t weight, int64_t begin, int64_t count,
              std::span<std::byte> bytes);

private:
  friend class WeightStream;
  std::shared_ptr<const TensorSet> tensors;
  ExtentReader reader;
  size_t chunkBytes;
  std::vector<std::byte> buffer;
  /// The element that comes next.
  size_t tensor = 0;
  int64_t element = 0;
};

} // namespace mbc
