//===- PictureFiles.h - Small picture files for tests -----------*- C++ -*-===//
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mbc::test {

/// [height, width, 3]: smooth, with something of each channel.
std::vector<uint8_t> gradient(int width, int height);

/// A PNG file of 8 bits a channel, with an EXIF orientation where it is not 0.
std::string pngFile(const std::vector<uint8_t> &pixels, int width, int height,
                    bool interlaced = false, int orientation = 0);
/// A JPEG file of quality 90; `channels` 1, 3 or 4 (inks as Adobe stores them)
/// bytes a pixel in `pixels`.
std::string jpegFile(const std::vector<uint8_t> &pixels, int width, int height,
                     int channels = 3, bool progressive = false,
                     int orientation = 0);

} // namespace mbc::test
