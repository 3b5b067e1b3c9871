//===- Picture.h - PNG and JPEG files as pixels -----------------*- C++ -*-===//
//
// What Pillow's Image.open(FILE).convert("RGB") gives, and what transformers
// does before it: a picture stands as its EXIF orientation says. Transparency
// is dropped with its channel, 16 bits a channel are cut to 8, grey of 16 bits
// is clipped to 255, and colour profiles and gamma are not followed.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/core/Error.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>

namespace mbc::vision {

/// [height, width, 3] of red, green and blue.
struct Picture {
  Picture() = default;
  /// Pixels of which nothing is known yet, and no memory is touched.
  Picture(int64_t width, int64_t height);

  uint8_t *row(int64_t y) { return pixels.get() + y * width * 3; }
  const uint8_t *row(int64_t y) const { return pixels.get() + y * width * 3; }

  int64_t width = 0, height = 0;
  std::unique_ptr<uint8_t[]> pixels;
};

/// Pixels of the largest picture that is read, and bytes of the largest file.
/// Pillow refuses the same number of pixels.
constexpr int64_t mostPixels = 178'956'970;
constexpr uint64_t mostPictureBytes = uint64_t(256) << 20;

/// Reads a file. An Input error that starts with the path, for one that is no
/// PNG or JPEG, is damaged or cut off anywhere in what makes its pixels, or is
/// larger than `mostPixels`.
Expected<Picture> readPicture(const std::filesystem::path &path);
/// The same of a file in memory, which errors call `name`. `limit`: pixels at
/// most.
Expected<Picture> decodePicture(std::span<const std::byte> bytes,
                                std::string_view name,
                                int64_t limit = mostPixels);

} // namespace mbc::vision
