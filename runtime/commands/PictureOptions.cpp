//===- PictureOptions.cpp -------------------------------------------------===//
#include "runtime/commands/PictureOptions.h"

#include "runtime/io/Npy.h"
#include "runtime/io/TensorSet.h"

#include <charconv>
#include <fmt/format.h>

namespace mbc {

int64_t Pixels::patches() const {
  int64_t count = 0;
  for (const PatchGrid &grid : grids)
    count += patchesOf(grid);
  return count;
}

/// "1,4,6"; false: something else.
static bool parseGrid(const std::string &text, int64_t (&sizes)[3]) {
  const char *at = text.data(), *end = at + text.size();
  for (int i = 0; i < 3; ++i) {
    auto [stop, error] = std::from_chars(at, end, sizes[i]);
    if (error != std::errc() ||
        (i < 2 ? stop == end || *stop != ',' : stop != end))
      return false;
    at = stop + 1;
  }
  return true;
}

static Status addGrid(std::vector<PatchGrid> &grids,
                      const int64_t (&sizes)[3]) {
  constexpr int64_t most = 1 << 24;
  for (int64_t size : sizes)
    if (size <= 0 || size > most)
      return inputError(fmt::format(
          "option '--grid': {},{},{} is no size of a picture; expected frames, "
          "rows and columns of patches, each from 1 to {}",
          sizes[0], sizes[1], sizes[2], most));
  auto narrow = [&](int i) { return static_cast<int32_t>(sizes[i]); };
  grids.push_back({narrow(0), narrow(1), narrow(2)});
  return {};
}

static Status readGrids(const std::string &text,
                        std::vector<PatchGrid> &grids) {
  int64_t sizes[3];
  if (parseGrid(text, sizes))
    return addGrid(grids, sizes);
  if (text.find_first_not_of("0123456789,- ") == std::string::npos)
    return inputError(
        fmt::format("option '--grid' is '{}', expected T,H,W such "
                    "as 1,16,24, or a .npy file",
                    text));
  MBC_ASSIGN(IntegerArray array, readIntegerNpy(text, uint64_t(1) << 24));
  if (array.shape.size() != 2 || array.shape[1] != 3)
    return inputError(
        fmt::format("option '--grid': has shape {}, expected [pictures, 3]",
                    shapeText(array.shape)));
  for (size_t i = 0; i < array.values.size(); i += 3) {
    std::copy_n(array.values.begin() + i, 3, sizes);
    MBC_TRY(addGrid(grids, sizes));
  }
  return {};
}

Expected<Pixels> readPixels(const PictureOptions &options) {
  Pixels pixels;
  if (options.pixels.empty() != options.grids.empty())
    return inputError("options '--pixels' and '--grid' come together: the "
                      "pictures' patches, and the size of each picture");
  for (const std::string &text : options.grids)
    MBC_TRY(readGrids(text, pixels.grids));
  if (options.pixels.empty())
    return pixels;
  MBC_ASSIGN(FloatArray array, readFloatNpy(options.pixels, uint64_t(1) << 36));
  if (array.shape.size() != 2 || array.shape[0] != pixels.patches())
    return inputError(fmt::format("option '--pixels': has shape {}, expected "
                                  "[{}, numbers of a patch] for "
                                  "the {} pictures of --grid",
                                  shapeText(array.shape), pixels.patches(),
                                  pixels.grids.size()));
  pixels.width = array.shape[1];
  pixels.values = std::move(array.values);
  return pixels;
}

} // namespace mbc
