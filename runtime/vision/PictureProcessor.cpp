//===- PictureProcessor.cpp -----------------------------------------------===//
#include "runtime/vision/PictureProcessor.h"

#include "runtime/core/Parallel.h"
#include "runtime/io/Digest.h"
#include "runtime/vision/Resample.h"

#include <cmath>
#include <fmt/format.h>

namespace mbc::vision {

/// A picture's longer side is at most so many times the other.
constexpr double mostRatio = 200;

//===----------------------------------------------------------------------===//
// The size
//===----------------------------------------------------------------------===//

Expected<PictureProcessor::Size>
PictureProcessor::sizeOf(int64_t width, int64_t height) const {
  int64_t unit = patch * merge;
  if (!resize) {
    if (width % unit != 0 || height % unit != 0)
      return inputError(fmt::format(
          "the picture has {} x {} pixels; the model's processor does not "
          "resize (do_resize is false), and takes multiples of {}",
          width, height, unit));
    return Size{width, height};
  }
  auto w = static_cast<double>(width), h = static_cast<double>(height),
       u = static_cast<double>(unit);
  if (double ratio = std::max(w, h) / std::min(w, h); ratio > mostRatio)
    return inputError(fmt::format("the picture has {} x {} pixels: one side is "
                                  "{:.0f} times the other, and may be {:.0f} "
                                  "times at most",
                                  width, height, ratio, mostRatio));
  // Rounded half to even.
  double newH = std::nearbyint(h / u) * u, newW = std::nearbyint(w / u) * u;
  auto most = static_cast<double>(mostPixels),
       least = static_cast<double>(leastPixels);
  if (newH * newW > most) {
    double shrink = std::sqrt(h * w / most);
    newH = std::max(u, std::floor(h / shrink / u) * u);
    newW = std::max(u, std::floor(w / shrink / u) * u);
  } else if (newH * newW < least) {
    double grow = std::sqrt(least / (h * w));
    newH = std::ceil(h * grow / u) * u;
    newW = std::ceil(w * grow / u) * u;
  }
  if (newH * newW > static_cast<double>(vision::mostPixels))
    return inputError(fmt::format(
        "the picture would be resized to {:.0f} x {:.0f} pixels, more than {}",
        newW, newH, vision::mostPixels));
  return Size{static_cast<int64_t>(newW), static_cast<int64_t>(newH)};
}

//===----------------------------------------------------------------------===//
// The values
//===----------------------------------------------------------------------===//

/// Rescaled in float64 and normalized in float32, as the processor does.
static std::shared_ptr<const ValueTables>
makeTables(const PictureProcessor &processor) {
  auto tables = std::make_shared<ValueTables>();
  for (int c = 0; c < 3; ++c)
    for (int i = 0; i < 256; ++i) {
      auto value = static_cast<float>(processor.rescale ? i * processor.factor
                                                        : double(i));
      if (processor.normalize)
        value = (value - static_cast<float>(processor.mean[c])) /
                static_cast<float>(processor.deviation[c]);
      tables->channels[c][i] = value;
    }
  return tables;
}

Expected<PreparedPicture> PictureProcessor::prepare(Picture picture,
                                                    std::string_view name,
                                                    unsigned threads) const {
  auto size = sizeOf(picture.width, picture.height);
  if (!size)
    return Failure(Error{size.error().kind,
                         fmt::format("{}: {}", name, size.error().message)});
  MBC_ASSIGN(picture, resampleBicubic(std::move(picture), size->width,
                                      size->height, threads));
  std::string_view bytes(reinterpret_cast<const char *>(picture.pixels.get()),
                         picture.width * picture.height * 3);
  std::string digest =
      fmt::format("{}x{}:{}", picture.width, picture.height, digestText(bytes));
  PatchGrid grid = {1, static_cast<int32_t>(size->height / patch),
                    static_cast<int32_t>(size->width / patch)};
  return PreparedPicture{grid,
                         patch,
                         merge,
                         frames,
                         std::move(picture),
                         makeTables(*this),
                         std::move(digest)};
}

/// The patch with its upper left corner at (y, x): [channels, frames, rows,
/// columns].
static void writePatch(const PreparedPicture &picture, int64_t y, int64_t x,
                       float *to) {
  int64_t side = picture.patch, area = side * side;
  for (int c = 0; c < 3; ++c) {
    const float *table = picture.tables->channels[c];
    float *plane = to + c * picture.frames * area;
    for (int64_t i = 0; i < side; ++i) {
      const uint8_t *from = picture.pixels.row(y + i) + x * 3 + c;
      for (int64_t j = 0; j < side; ++j)
        plane[i * side + j] = table[from[j * 3]];
    }
    // A picture is the same at any time.
    for (int64_t frame = 1; frame < picture.frames; ++frame)
      std::copy_n(plane, area, plane + frame * area);
  }
}

Expected<PatchValues> PreparedPicture::values(unsigned threads) const {
  int64_t patchValues = 3 * frames * patch * patch;
  PatchValues result;
  result.count =
      static_cast<size_t>(int64_t(grid.rows) * grid.columns * patchValues);
  result.values = std::make_unique_for_overwrite<float[]>(result.count);
  // A band of squares is `merge` rows of patches.
  MBC_TRY(parallelFor(threads, grid.rows / merge, [&](size_t band, unsigned) {
    int64_t top = static_cast<int64_t>(band) * merge;
    float *to = result.values.get() + top * grid.columns * patchValues;
    for (int64_t square = 0; square < grid.columns; square += merge)
      for (int64_t i = 0; i < merge * merge; ++i, to += patchValues)
        writePatch(*this, (top + i / merge) * patch,
                   (square + i % merge) * patch, to);
    return Status();
  }));
  return result;
}

} // namespace mbc::vision
