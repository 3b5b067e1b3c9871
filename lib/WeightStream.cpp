//===- WeightStream.cpp ---------------------------------------------------===//
#include "lib/WeightStreamImpl.h"

#include "runtime/core/Guarded.h"
#include "runtime/core/Text.h"

#include <algorithm>
#include <fmt/format.h>

namespace mbc {

WeightStream::WeightStream(std::unique_ptr<Impl> impl)
    : impl(std::move(impl)) {}
WeightStream::WeightStream(WeightStream &&) noexcept = default;
WeightStream &WeightStream::operator=(WeightStream &&) noexcept = default;
WeightStream::~WeightStream() = default;

const std::vector<TensorInfo> &WeightStream::weights() const noexcept {
  return impl->tensors->tensors();
}

Expected<std::optional<WeightChunk>> WeightStream::next() noexcept {
  return guarded([&] { return impl->next(); });
}

Status WeightStream::read(size_t weight, int64_t begin, int64_t count,
                          std::span<std::byte> bytes) noexcept {
  return guarded([&] { return impl->read(weight, begin, count, bytes); });
}

Expected<std::optional<WeightChunk>> WeightStream::Impl::next() {
  if (tensor == tensors->tensors().size())
    return std::optional<WeightChunk>();
  const TensorInfo &info = tensors->tensors()[tensor];
  // Eight elements fill whole bytes, also of types of less than one.
  int64_t most = std::max<int64_t>(
      static_cast<int64_t>(chunkBytes * 8 / bitsOf(info.dtype)) / 8 * 8, 8);
  int64_t count = std::min(most, info.elements() - element);
  buffer.resize(bytesOf(info.dtype, count));
  MBC_TRY(reader.read(tensor, element, count, buffer));
  WeightChunk chunk{info.name,
                    info.dtype,
                    info.shape,
                    element,
                    count,
                    buffer,
                    element + count == info.elements()};
  element += count;
  if (chunk.last) {
    ++tensor;
    element = 0;
  }
  return chunk;
}

Status WeightStream::Impl::read(size_t weight, int64_t begin, int64_t count,
                                std::span<std::byte> bytes) {
  if (weight >= tensors->tensors().size())
    return inputError(fmt::format("weight {} is asked for, there are {}",
                                  weight, tensors->tensors().size()));
  const TensorInfo &info = tensors->tensors()[weight];
  if (begin < 0 || count < 0 || begin > info.elements() ||
      count > info.elements() - begin)
    return inputError(
        fmt::format("elements {} to {} of {} are asked for, which has {}",
                    begin, begin + count, quote(info.name), info.elements()));
  if (bytes.size() != bytesOf(info.dtype, count))
    return inputError(
        fmt::format("{}: {} elements of {} take {} bytes, the buffer has {}",
                    quote(info.name), count, safetensorsName(info.dtype),
                    bytesOf(info.dtype, count), bytes.size()));
  return reader.read(weight, begin, count, bytes);
}

} // namespace mbc
