//===- Orientation.cpp ----------------------------------------------------===//
#include "runtime/vision/Orientation.h"

#include <algorithm>

namespace mbc::vision {

Orientation Orientation::ofNumber(int64_t number) {
  switch (number) {
  case 2:
    return {false, true, false};
  case 3:
    return {false, true, true};
  case 4:
    return {false, false, true};
  case 5:
    return {true, false, false};
  case 6:
    return {true, true, false};
  case 7:
    return {true, true, true};
  case 8:
    return {true, false, true};
  default:
    return {};
  }
}

namespace {

/// Numbers of a TIFF structure, in its byte order; none beyond its end.
class Tiff {
public:
  explicit Tiff(std::span<const std::byte> bytes)
      : bytes(bytes), little(bytes[0] == std::byte('I')) {}

  std::optional<uint64_t> number(uint64_t at, unsigned size) const {
    if (at > bytes.size() || bytes.size() - at < size)
      return std::nullopt;
    uint64_t value = 0;
    for (unsigned i = 0; i < size; ++i)
      value = value << 8 |
              static_cast<uint8_t>(bytes[at + (little ? size - 1 - i : i)]);
    return value;
  }

private:
  std::span<const std::byte> bytes;
  bool little;
};

} // namespace

std::optional<int64_t> exifOrientation(std::span<const std::byte> exif) {
  std::string_view text(reinterpret_cast<const char *>(exif.data()),
                        exif.size());
  using namespace std::string_view_literals;
  if (text.starts_with("Exif\0\0"sv)) {
    text.remove_prefix(6);
    exif = exif.subspan(6);
  }
  if (!text.starts_with("II*\0"sv) && !text.starts_with("MM\0*"sv))
    return std::nullopt;
  // Entries of 12 bytes: tag, type, count, value.
  constexpr uint64_t orientationTag = 0x0112, shortType = 3, longType = 4;
  Tiff tiff(exif);
  uint64_t first = tiff.number(4, 4).value_or(UINT32_MAX);
  uint64_t entries = tiff.number(first, 2).value_or(0);
  for (uint64_t i = 0; i < entries; ++i) {
    uint64_t at = first + 2 + 12 * i;
    auto tag = tiff.number(at, 2), type = tiff.number(at + 2, 2);
    if (!tag || !type)
      return std::nullopt;
    if (tag != orientationTag)
      continue;
    if (type != shortType && type != longType)
      return std::nullopt;
    return tiff.number(at + 8, type == shortType ? 2 : 4);
  }
  return std::nullopt;
}

std::optional<int64_t> xmpOrientation(std::string_view xmp) {
  constexpr std::string_view name = "tiff:Orientation";
  for (size_t at = 0; (at = xmp.find(name, at)) != std::string_view::npos;) {
    at += name.size();
    std::string_view rest = xmp.substr(at);
    rest.remove_prefix(rest.starts_with("=\"") ? 2 : rest.starts_with('>'));
    if (rest.data() != xmp.data() + at && !rest.empty() && rest[0] >= '0' &&
        rest[0] <= '9')
      return rest[0] - '0';
  }
  return std::nullopt;
}

Picture oriented(Picture picture, Orientation orientation) {
  if (orientation.isUpright())
    return picture;
  int64_t width = picture.width, height = picture.height;
  if (orientation.transposed)
    std::swap(width, height);
  Picture result(width, height);
  // Bytes from a pixel of the result's row to the next one in `picture`.
  int64_t across = orientation.transposed ? picture.width * 3 : 3;
  if (orientation.leftRight)
    across = -across;
  for (int64_t y = 0; y < height; ++y) {
    int64_t line = orientation.topDown ? height - 1 - y : y;
    int64_t column = orientation.leftRight ? width - 1 : 0;
    const uint8_t *from = orientation.transposed
                              ? picture.row(column) + line * 3
                              : picture.row(line) + column * 3;
    uint8_t *to = result.row(y);
    for (int64_t x = 0; x < width; ++x, to += 3, from += across)
      std::copy_n(from, 3, to);
  }
  return result;
}

} // namespace mbc::vision
