//===- PictureProcessor.h - Pictures as a model takes them ------*- C++ -*-===//
//
// The image processor of Qwen2-VL and Qwen2.5-VL in transformers
// (Qwen2VLImageProcessor, in its form on Pillow): a picture is resized so that
// it is cut into whole squares of patches, its values are rescaled and
// normalized, and patches are laid out square by square.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/core/Json.h"
#include "runtime/vision/PreparedPicture.h"

#include <array>
#include <filesystem>
#include <string_view>

namespace mbc::vision {

/// What preprocessor_config.json says; what it leaves out is the class's.
struct PictureProcessor {
  int64_t patch = 14, frames = 2, merge = 2;
  int64_t leastPixels = 56 * 56, mostPixels = 28 * 28 * 1280;
  bool resize = true, rescale = true, normalize = true;
  double factor = 1 / 255.0; ///< of rescaling
  std::array<double, 3> mean = {0.48145466, 0.4578275, 0.40821073},
                        deviation = {0.26862954, 0.26130258, 0.27577711};

  /// Of a folder: the member image_processor of processor_config.json, as
  /// transformers 5 writes it, else preprocessor_config.json. An Input error
  /// where there is none, for another processor's, and for a field that changes
  /// the values and is not followed.
  static Expected<PictureProcessor> open(const std::filesystem::path &folder);
  /// `name` is what errors start with.
  static Expected<PictureProcessor> read(const Json &json,
                                         std::string_view name);

  struct Size {
    int64_t width = 0, height = 0;
  };
  /// The size that a picture gets: multiples of `patch * merge`, from
  /// `leastPixels` to `mostPixels`, and of nearly the same shape. An Input
  /// error for a side that is more than 200 times the other, and, where
  /// pictures are not resized, for one that is no multiple.
  Expected<Size> sizeOf(int64_t width, int64_t height) const;

  /// Errors start with `name`, the picture's.
  Expected<PreparedPicture> prepare(Picture picture, std::string_view name,
                                    unsigned threads) const;
};

} // namespace mbc::vision
