//===- PictureFormats.h - The readers of each format ------------*- C++ -*-===//
#pragma once

#include "runtime/vision/Orientation.h"
#include "runtime/vision/Picture.h"

#include <string>

namespace mbc::vision {

/// A picture as it is stored, and how it is to be held.
struct StoredPicture {
  Picture picture;
  Orientation orientation;
};

/// Errors are Input errors without the file's name: "is cut off".
Expected<StoredPicture> decodePng(std::span<const std::byte> bytes,
                                  int64_t limit);
Expected<StoredPicture> decodeJpeg(std::span<const std::byte> bytes,
                                   int64_t limit);

/// Refuses a size with no pixels, or more than `limit`.
Status checkSize(int64_t width, int64_t height, int64_t limit);

/// What a file is by its first bytes, where it is neither PNG nor JPEG: "a GIF
/// picture", "a video (MP4)"; empty: unknown.
std::string_view otherFormat(std::span<const std::byte> bytes);

} // namespace mbc::vision
