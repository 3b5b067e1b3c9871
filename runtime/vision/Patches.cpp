//===- Patches.cpp --------------------------------------------------------===//
#include "runtime/vision/Patches.h"

#include <algorithm>
#include <fmt/format.h>

namespace mbc {

int64_t patchesOf(const PatchGrid &grid) {
  return int64_t(grid.frames) * grid.rows * grid.columns;
}

int64_t tokensOf(const PatchGrid &grid, const program::VisionT &vision) {
  return patchesOf(grid) / vision.fold / vision.fold;
}

Status checkGrid(const PatchGrid &grid, const program::VisionT &vision) {
  constexpr int32_t most = 1 << 24;
  auto fold = static_cast<int32_t>(vision.fold);
  if (grid.frames <= 0 || grid.rows <= 0 || grid.columns <= 0 ||
      grid.rows % fold != 0 || grid.columns % fold != 0)
    return inputError(fmt::format(
        "a picture of {} x {} x {} patches: expected at least one frame, and "
        "rows and columns that are multiples of {}",
        grid.frames, grid.rows, grid.columns, fold));
  if (grid.rows > most / grid.columns ||
      grid.frames > most / (grid.rows * grid.columns))
    return inputError(fmt::format(
        "a picture of {} x {} x {} patches: expected {} patches at most",
        grid.frames, grid.rows, grid.columns, most));
  return {};
}

namespace {

/// Lays pictures out, one behind the other.
class Layouter {
public:
  explicit Layouter(const program::VisionT &vision)
      : fold(static_cast<int32_t>(vision.fold)),
        side(static_cast<int32_t>(vision.window)) {}

  void add(const PatchGrid &picture) {
    int32_t rows = picture.rows / fold, columns = picture.columns / fold;
    for (int32_t frame = 0; frame < picture.frames; ++frame) {
      auto first = static_cast<int32_t>(layout.order.size());
      layout.order.resize(first + rows * columns);
      for (int32_t top = 0; top < rows; top += side)
        for (int32_t left = 0; left < columns; left += side) {
          for (int32_t row = top; row < std::min(top + side, rows); ++row)
            for (int32_t column = left; column < std::min(left + side, columns);
                 ++column)
              addToken(first + row * columns + column, row, column);
          endParts(layout.windows);
        }
      endParts(layout.pictures);
    }
  }

  PatchLayout layout;

private:
  /// The token that is number `number` in reading order.
  void addToken(int32_t number, int32_t row, int32_t column) {
    int32_t square = fold * fold;
    layout.order[number] = static_cast<int32_t>(layout.rows.size()) / square;
    for (int32_t i = 0; i < square; ++i) {
      layout.rows.push_back(number * square + i);
      layout.grid.push_back(row * fold + i / fold);
      layout.grid.push_back(column * fold + i % fold);
    }
  }

  /// Rows that have no end yet end here.
  void endParts(std::vector<int32_t> &ends) {
    ends.resize(layout.rows.size(), static_cast<int32_t>(layout.rows.size()));
  }

  int32_t fold, side;
};

} // namespace

PatchLayout layoutPatches(std::span<const PatchGrid> grids,
                          const program::VisionT &vision) {
  Layouter layouter(vision);
  for (const PatchGrid &grid : grids)
    layouter.add(grid);
  return std::move(layouter.layout);
}

int64_t countImageTokens(std::span<const int32_t> tokens,
                         const program::VisionT &vision) {
  return std::ranges::count(tokens, vision.image_token);
}

Expected<MultimodalPositions>
multimodalPositions(std::span<const int32_t> tokens,
                    std::span<const PatchGrid> grids,
                    const program::VisionT &vision) {
  if (auto video = std::ranges::find(tokens, vision.video_token);
      video != tokens.end())
    return inputError(fmt::format(
        "token {} is a video's ({}); videos are not taken, pictures are",
        video - tokens.begin(), vision.video_token));
  int64_t expected = 0, found = countImageTokens(tokens, vision);
  for (const PatchGrid &grid : grids)
    expected += tokensOf(grid, vision);
  if (found != expected)
    return inputError(
        fmt::format("{} image tokens ({}) for {} pictures, which are {} tokens",
                    found, vision.image_token, grids.size(), expected));
  MultimodalPositions result;
  auto fold = static_cast<int32_t>(vision.fold);
  int32_t here = 0;
  size_t picture = 0;
  for (size_t at = 0; at < tokens.size();) {
    if (tokens[at] != vision.image_token) {
      result.numbers.insert(result.numbers.end(), 3, here++);
      ++at;
      continue;
    }
    const PatchGrid &grid = grids[picture++];
    int32_t rows = grid.rows / fold, columns = grid.columns / fold;
    auto count = static_cast<size_t>(tokensOf(grid, vision));
    for (size_t i = 0; i < count; ++i)
      if (at + i >= tokens.size() || tokens[at + i] != vision.image_token)
        return inputError(fmt::format(
            "picture {} is {} tokens, and there are {} image tokens ({}) at "
            "token {}",
            picture, count, i, vision.image_token, at));
    for (int32_t frame = 0; frame < grid.frames; ++frame)
      for (int32_t row = 0; row < rows; ++row)
        for (int32_t column = 0; column < columns; ++column)
          for (int32_t number : {frame, row, column})
            result.numbers.push_back(here + number);
    here += std::max(rows, columns);
    at += count;
  }
  for (int32_t number : result.numbers)
    result.next = std::max(result.next, number + 1);
  return result;
}

} // namespace mbc
