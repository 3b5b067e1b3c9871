//===- Orientation.h - Which way up a picture is ----------------*- C++ -*-===//
//
// Cameras store what the sensor saw and say in EXIF (CIPA DC-008, tag 0x0112)
// how it is to be held. Pillow's exif_transpose, which transformers calls on
// files, looks there, and for `tiff:Orientation` in XMP where EXIF says
// nothing.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/vision/Picture.h"

#include <optional>
#include <span>
#include <string_view>

namespace mbc::vision {

/// The numbers 1 to 8 of EXIF, as what is done to the stored picture: first
/// rows and columns are exchanged, then the result is mirrored.
struct Orientation {
  bool transposed = false, leftRight = false, topDown = false;

  /// Other numbers are as 1: nothing.
  static Orientation ofNumber(int64_t number);
  bool isUpright() const { return !transposed && !leftRight && !topDown; }
};

/// The number in the TIFF structure of an EXIF block, with or without
/// "Exif\0\0" before it; none where it has none or is damaged, which does not
/// matter for the pixels.
std::optional<int64_t> exifOrientation(std::span<const std::byte> exif);
/// The number in an XMP text.
std::optional<int64_t> xmpOrientation(std::string_view xmp);

/// The picture as it is to be held.
Picture oriented(Picture picture, Orientation orientation);

} // namespace mbc::vision
