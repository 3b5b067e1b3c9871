//===- Patches.h - In which order patches and their tokens come -*- C++ -*-===//
//
// The arrays that a program of a model that sees is called with, besides the
// pixels. Source of the order and of the positions: the Qwen2.5-VL report
// (arXiv 2502.13923) and its model in transformers.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/core/Error.h"
#include "runtime/schema/program_generated.h"

#include <cstdint>
#include <span>
#include <vector>

namespace mbc {

/// A picture's size in patches: how many are behind, below and beside each
/// other. A picture that stands alone has one frame of patches.
struct PatchGrid {
  int32_t frames, rows, columns;
};

int64_t patchesOf(const PatchGrid &grid);
/// Tokens that the picture becomes.
int64_t tokensOf(const PatchGrid &grid, const program::VisionT &vision);

/// An Input error for a size that no picture has: not positive, no multiple of
/// the patches of a token, or more patches than a call may have.
Status checkGrid(const PatchGrid &grid, const program::VisionT &vision);

/// How the patches of some pictures are the rows of a call of `see`.
struct PatchLayout {
  /// Of each row of the call: which patch it is, in the order of a processor's
  /// pixel values. There, tokens are in reading order, picture after picture,
  /// and the patches of a token in reading order too.
  std::vector<int32_t> rows;
  std::vector<int32_t> grid; ///< [rows, 2]: row and column in the picture
  /// The numbers behind the last rows of a row's window and of its frame.
  std::vector<int32_t> windows, pictures;
  /// [tokens]: which of the call's tokens is each in reading order.
  std::vector<int32_t> order;
};

/// The layout of pictures of checked sizes. A window is `vision.window` tokens
/// wide and high, less at the right and lower edge; each picture has its own.
PatchLayout layoutPatches(std::span<const PatchGrid> grids,
                          const program::VisionT &vision);

/// Where tokens stand: time, row and column of each.
struct MultimodalPositions {
  std::vector<int32_t> numbers; ///< [tokens, 3]
  int32_t next = 0;             ///< all three, of a token that comes behind
};

/// Positions of a text with pictures in it, in order. Text counts on in all
/// three numbers; the tokens of a picture count from there by their frame, row
/// and column, and what follows goes on behind the larger of rows and columns.
/// An Input error for tokens of videos, and for more or fewer tokens of
/// pictures than `grids` have, all of them or in one place.
Expected<MultimodalPositions>
multimodalPositions(std::span<const int32_t> tokens,
                    std::span<const PatchGrid> grids,
                    const program::VisionT &vision);

/// How many tokens are an image's.
int64_t countImageTokens(std::span<const int32_t> tokens,
                         const program::VisionT &vision);

} // namespace mbc
