//===- Picture.cpp - PNG and JPEG files -----------------------------------===//

#include "runtime/vision/PictureProcessor.h"
#include "test/Fuzz/FuzzTarget.h"

#include <algorithm>
#include <zlib.h>

using namespace mbc;
using namespace mbc::vision;

// Sizes are what a header says, up to the limit that is given here.
constexpr int64_t mostFuzzedPixels = 1 << 18;
const fuzz::MemoryLimit fuzz::memoryLimit{100, 1 << 24};

/// With checksums that hold, so that more than the first chunk is looked at.
static std::string repaired(std::string png) {
  auto number = [&](size_t at) {
    uint32_t value = 0;
    for (size_t i = 0; i < 4; ++i)
      value = value << 8 | static_cast<unsigned char>(png[at + i]);
    return value;
  };
  for (size_t at = 8; png.size() - at >= 12;) {
    uint32_t length = number(at);
    if (length > png.size() - at - 12)
      break;
    auto crc = static_cast<uint32_t>(crc32(
        0, reinterpret_cast<const Bytef *>(png.data()) + at + 4, length + 4));
    at += 8 + length;
    for (int shift = 24; shift >= 0; shift -= 8)
      png[at++] = static_cast<char>(crc >> shift);
  }
  return png;
}

void fuzz::fuzz(std::string_view input) {
  std::string file(input);
  if (input.starts_with("\x89PNG\r\n\x1a\n"))
    file = repaired(std::move(file));
  auto decode = [&] {
    return decodePicture(std::as_bytes(std::span(file)), "input",
                         mostFuzzedPixels);
  };
  auto picture = decode(), again = decode();
  MBC_FUZZ_REQUIRE(picture.has_value() == again.has_value());
  if (!picture) {
    MBC_FUZZ_REQUIRE(picture.error().message.starts_with("input: "));
    MBC_FUZZ_REQUIRE(picture.error().kind == ErrorKind::Input);
    return;
  }
  MBC_FUZZ_REQUIRE(picture->width >= 1 && picture->height >= 1);
  MBC_FUZZ_REQUIRE(picture->width * picture->height <= mostFuzzedPixels);
  MBC_FUZZ_REQUIRE(std::equal(picture->row(0), picture->row(picture->height),
                              again->row(0)));
  static const PictureProcessor processor = [] {
    PictureProcessor small;
    small.leastPixels = 28 * 28;
    small.mostPixels = 56 * 56;
    return small;
  }();
  auto prepared = processor.prepare(std::move(*picture), "input", 1);
  if (!prepared) {
    MBC_FUZZ_REQUIRE(prepared.error().message.starts_with("input: "));
    return;
  }
  auto values = prepared->values(1);
  MBC_FUZZ_REQUIRE(values && values->count == size_t(prepared->tokens()) * 4 *
                                                  3 * 2 * 14 * 14);
}
