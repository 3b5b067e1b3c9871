#include "runtime/vision/Patches.h"

#include <gtest/gtest.h>

using namespace mbc;

namespace {

using Numbers = std::vector<int32_t>;

constexpr int32_t image = 50, video = 51;

program::VisionT visionOf(uint32_t fold, uint32_t window) {
  program::VisionT vision;
  vision.image_token = image;
  vision.video_token = video;
  vision.channels = 3;
  vision.frames = 2;
  vision.patch = 14;
  vision.fold = fold;
  vision.window = window;
  return vision;
}

Numbers repeated(std::initializer_list<std::pair<int, int32_t>> runs) {
  Numbers all;
  for (auto [count, number] : runs)
    all.insert(all.end(), count, number);
  return all;
}

/// The error of positions that are refused; empty where they are not.
std::string refused(const Numbers &tokens,
                    const std::vector<PatchGrid> &grids) {
  auto positions = multimodalPositions(tokens, grids, visionOf(2, 4));
  return positions ? "" : positions.error().message;
}

} // namespace

// 2 x 3 tokens in windows of 2 x 2, the second of which is cut; then two frames
// of one token.
TEST(Patches, ComeWindowByWindow) {
  std::vector<PatchGrid> grids{{1, 4, 6}, {2, 2, 2}};
  PatchLayout layout = layoutPatches(grids, visionOf(2, 2));
  EXPECT_EQ(layout.rows, (Numbers{0,  1,  2,  3,  4,  5,  6,  7,  12, 13, 14,
                                  15, 16, 17, 18, 19, 8,  9,  10, 11, 20, 21,
                                  22, 23, 24, 25, 26, 27, 28, 29, 30, 31}));
  EXPECT_EQ(layout.windows, repeated({{16, 16}, {8, 24}, {4, 28}, {4, 32}}));
  EXPECT_EQ(layout.pictures, repeated({{24, 24}, {4, 28}, {4, 32}}));
  EXPECT_EQ(layout.order, (Numbers{0, 1, 4, 2, 3, 5, 6, 7}));
  Numbers grid(layout.grid.begin() + 8 * 2, layout.grid.begin() + 12 * 2);
  EXPECT_EQ(grid, (Numbers{2, 0, 2, 1, 3, 0, 3, 1})); // of token 3
  grid.assign(layout.grid.begin() + 28 * 2, layout.grid.end());
  EXPECT_EQ(grid, (Numbers{0, 0, 0, 1, 1, 0, 1, 1})); // each frame anew
}

TEST(Patches, MayBeTokensThemselves) {
  std::vector<PatchGrid> grids{{1, 1, 3}};
  PatchLayout layout = layoutPatches(grids, visionOf(1, 2));
  EXPECT_EQ(layout.rows, (Numbers{0, 1, 2}));
  EXPECT_EQ(layout.windows, (Numbers{2, 2, 3}));
  EXPECT_EQ(layout.order, (Numbers{0, 1, 2}));
}

TEST(Patches, OfPicturesThatAreNoneAreRefused) {
  program::VisionT vision = visionOf(2, 4);
  EXPECT_TRUE(checkGrid({1, 2, 4}, vision));
  for (PatchGrid grid : {PatchGrid{0, 2, 2},
                         {1, 0, 2},
                         {1, 2, -2},
                         {1, 3, 2},
                         {1, 2, 5},
                         {1, 1 << 20, 1 << 20},
                         {1 << 22, 4, 4}})
    EXPECT_FALSE(checkGrid(grid, vision))
        << grid.frames << " " << grid.rows << " " << grid.columns;
}

// A picture counts by rows and columns from where it begins, text behind it
// from the larger of both on.
TEST(MultimodalPositions, CountFramesRowsAndColumns) {
  Numbers tokens = repeated({{2, 1}, {6, image}, {1, 2}, {2, image}, {1, 3}});
  std::vector<PatchGrid> grids{{1, 4, 6}, {2, 2, 2}};
  auto found = multimodalPositions(tokens, grids, visionOf(2, 4));
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->numbers,
            (Numbers{0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2, 3, 2, 2, 4, 2, 3, 2,
                     2, 3, 3, 2, 3, 4, 5, 5, 5, 6, 6, 6, 7, 6, 6, 7, 7, 7}));
  EXPECT_EQ(found->next, 8);
}

TEST(MultimodalPositions, GoOnBehindAPictureAtTheEnd) {
  std::vector<PatchGrid> grids{{1, 2, 8}, {1, 2, 2}};
  auto found = multimodalPositions(repeated({{4, image}}),
                                   std::span(grids).first(1), visionOf(2, 4));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->next, 4);
  // Pictures may follow each other without a text.
  found = multimodalPositions(repeated({{5, image}}), grids, visionOf(2, 4));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->numbers.back(), 4);
  found = multimodalPositions(repeated({{3, 1}}), {}, visionOf(2, 4));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->numbers, repeated({{3, 0}, {3, 1}, {3, 2}}));
}

TEST(MultimodalPositions, OfOtherPicturesAreRefused) {
  EXPECT_EQ(refused({1, video}, {}),
            "token 1 is a video's (51); videos are not taken, pictures are");
  EXPECT_EQ(refused({image, 1}, {}),
            "1 image tokens (50) for 0 pictures, which are 0 tokens");
  EXPECT_EQ(refused({1, 1}, {{1, 2, 2}}),
            "0 image tokens (50) for 1 pictures, which are 1 tokens");
  // As many as all have, but a picture is cut in two.
  EXPECT_EQ(refused({image, 1, image, image}, {{1, 2, 4}, {1, 2, 2}}),
            "picture 1 is 2 tokens, and there are 1 image tokens (50) at "
            "token 0");
}
