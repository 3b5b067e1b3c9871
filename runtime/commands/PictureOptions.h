//===- PictureOptions.h - Pictures as their processor gives them -*- C++
//-*-===//
#pragma once

#include "runtime/execute/Score.h"
#include "runtime/vision/Patches.h"

#include <string>
#include <vector>

namespace mbc {

/// Options of commands that take pictures as patches: `pixel_values` and
/// `image_grid_thw` of a processor of transformers.
struct PictureOptions {
  std::string pixels;
  std::vector<std::string> grids;

  /// Declares --pixels and --grid of a command.
  template <typename Command> void declare(Command &command) {
    command
        .option(
            "--pixels", pixels, "FILE",
            "Pictures of a model that sees: a .npy file of float32 "
            "[patches, numbers of a patch], 'pixel_values' of its processor")
        .list("--grid", grids, "T,H,W|FILE",
              "The size of a picture in patches, once for each, or a .npy file "
              "of integers [pictures, 3]: 'image_grid_thw' of its processor. "
              "The image tokens of --tokens say where the pictures are");
  }
};

/// Pictures in the order of their tokens.
struct Pixels {
  std::vector<float> values; ///< [patches of all, width]
  int64_t width = 0;
  std::vector<PatchGrid> grids;

  int64_t patches() const;
};

/// Reads what the options name; no pictures where they are not given. An Input
/// error where the sizes and the file do not fit each other.
Expected<Pixels> readPixels(const PictureOptions &options);

} // namespace mbc
