#include "runtime/vision/PictureProcessor.h"
#include "test/Unit/TempFolder.h"

#include <gtest/gtest.h>

using namespace mbc;
using namespace mbc::vision;
using namespace mbc::test;

namespace {

Expected<PictureProcessor> read(std::string_view json) {
  return PictureProcessor::read(*Json::parse(json, "json"), "p.json");
}

} // namespace

TEST(PictureProcessor, SizesAreWholeSquares) {
  // smart_resize of transformers, by hand.
  PictureProcessor processor;
  struct Case {
    int64_t width, height, newWidth, newHeight;
  };
  for (Case of : {Case{56, 56, 56, 56}, Case{14, 14, 56, 56},
                  Case{70, 98, 56, 112}, // 2.5 and 3.5 squares: half to even
                  Case{1000, 1000, 980, 980}, Case{4000, 3000, 1148, 840},
                  Case{1, 200, 28, 812}}) {
    auto size = processor.sizeOf(of.width, of.height);
    ASSERT_TRUE(size) << messageOf(size);
    EXPECT_EQ(size->width, of.newWidth) << of.width;
    EXPECT_EQ(size->height, of.newHeight) << of.height;
  }
  EXPECT_REFUSED(processor.sizeOf(1, 201), "201 times the other");
  processor.resize = false;
  EXPECT_REFUSED(processor.sizeOf(56, 57), "takes multiples of 28");
  EXPECT_TRUE(processor.sizeOf(56, 84));
  processor.resize = true;
  processor.leastPixels = int64_t(1) << 39;
  EXPECT_REFUSED(processor.sizeOf(56, 56), "would be resized");
}

TEST(PictureProcessor, PatchesComeSquareBySquare) {
  PictureProcessor processor;
  processor.patch = 2;
  processor.resize = processor.normalize = false;
  processor.factor = 1;
  Picture picture(8, 4);
  for (int i = 0; i < 8 * 4 * 3; ++i)
    picture.row(0)[i] = static_cast<uint8_t>(i);
  auto prepared = processor.prepare(std::move(picture), "p", 2);
  ASSERT_TRUE(prepared) << messageOf(prepared);
  EXPECT_EQ(prepared->grid.frames, 1);
  EXPECT_EQ(prepared->grid.rows, 2);
  EXPECT_EQ(prepared->grid.columns, 4);
  EXPECT_EQ(prepared->tokens(), 2);
  auto patched = prepared->values(2);
  ASSERT_TRUE(patched);
  ASSERT_EQ(patched->count, 8u * 3 * 2 * 2 * 2);
  // Upper left corners of the patches, in order: red of the first frame.
  std::vector<float> corners, second;
  for (size_t i = 0; i < 8; ++i) {
    corners.push_back(patched->values[i * 24]);
    second.push_back(patched->values[i * 24 + 4]);
  }
  EXPECT_EQ(corners, (std::vector<float>{0, 6, 48, 54, 12, 18, 60, 66}));
  EXPECT_EQ(second, corners);
  EXPECT_EQ(patched->values[8], 1); // green behind two frames of red
}

TEST(PictureProcessor, DigestsTellPicturesApart) {
  PictureProcessor processor;
  auto digest = [&](int width, int height, uint8_t last) {
    Picture picture(width, height);
    std::fill_n(picture.row(0), width * height * 3, 9);
    picture.row(height)[-1] = last;
    return processor.prepare(std::move(picture), "p", 1)->digest;
  };
  EXPECT_EQ(digest(56, 112, 9), digest(56, 112, 9));
  EXPECT_NE(digest(56, 112, 9), digest(56, 112, 8));
  EXPECT_NE(digest(56, 112, 9), digest(112, 56, 9));
}

TEST(PictureProcessor, ReadsItsFile) {
  auto old = read(R"({"min_pixels": 100, "max_pixels": 200000, "patch_size": 16,
    "temporal_patch_size": 1, "merge_size": 3, "image_mean": [0.5, 0.25, 0],
    "image_std": 0.5, "do_rescale": false, "rescale_factor": 0.5,
    "image_processor_type": "Qwen2VLImageProcessor", "resample": 3,
    "processor_class": "Qwen2_5_VLProcessor", "do_convert_rgb": true})");
  ASSERT_TRUE(old) << messageOf(old);
  EXPECT_EQ(old->leastPixels, 100);
  EXPECT_EQ(old->mostPixels, 200000);
  EXPECT_EQ(old->patch, 16);
  EXPECT_EQ(old->frames, 1);
  EXPECT_EQ(old->merge, 3);
  EXPECT_EQ(old->mean[1], 0.25);
  EXPECT_EQ(old->deviation[2], 0.5);
  EXPECT_FALSE(old->rescale);
  EXPECT_EQ(old->factor, 0.5);
  auto edges =
      read(R"({"size": {"shortest_edge": 5, "longest_edge": 7, "height": null},
               "min_pixels": 6})");
  ASSERT_TRUE(edges) << messageOf(edges);
  EXPECT_EQ(edges->leastPixels, 6);
  EXPECT_EQ(edges->mostPixels, 7);
}

TEST(PictureProcessor, WhatItDoesNotFollowIsRefused) {
  EXPECT_REFUSED(read(R"([])"), "p.json: is no object");
  EXPECT_REFUSED(read(R"({"image_processor_type": "CLIPImageProcessor"})"),
                 "p.json: image_processor_type is 'CLIPImageProcessor'");
  EXPECT_REFUSED(read(R"({"resample": 2})"), "resample is '2'");
  EXPECT_REFUSED(read(R"({"do_center_crop": true})"), "do_center_crop is true");
  EXPECT_REFUSED(read(R"({"do_pad": true})"), "do_pad is true");
  EXPECT_REFUSED(read(R"({"size": {"height": 5}})"), "'height'");
  EXPECT_REFUSED(read(R"({"size": 5})"), "size is no object");
  EXPECT_REFUSED(read(R"({"min_pixels": 0})"), "min_pixels is '0'");
  EXPECT_REFUSED(read(R"({"patch_size": 1.5})"), "patch_size is '1.5'");
  EXPECT_REFUSED(read(R"({"merge_size": 1000000})"), "1 to 1024");
  EXPECT_REFUSED(read(R"({"image_mean": [1, 2]})"), "has 2 numbers");
  EXPECT_REFUSED(read(R"({"image_mean": ["a", 1, 2]})"), "image_mean[0]");
  EXPECT_REFUSED(read(R"({"image_std": [0, 1, 1]})"), "has a 0");
  EXPECT_REFUSED(read(R"({"do_resize": 1})"), "do_resize");
  EXPECT_TRUE(read(R"({"do_pad": false, "crop_size": null, "other": 1})"));
}

TEST(PictureProcessor, FilesOfNewerFoldersComeFirst) {
  TempFolder folder;
  EXPECT_REFUSED(PictureProcessor::open(folder.path()),
                 "has no preprocessor_config.json");
  writeText(folder / "preprocessor_config.json", R"({"min_pixels": 1})");
  EXPECT_EQ(PictureProcessor::open(folder.path())->leastPixels, 1);
  writeText(folder / "processor_config.json", R"({"processor_class": "a"})");
  EXPECT_EQ(PictureProcessor::open(folder.path())->leastPixels, 1);
  writeText(folder / "processor_config.json",
            R"({"image_processor": {"size": {"shortest_edge": 2}}})");
  EXPECT_EQ(PictureProcessor::open(folder.path())->leastPixels, 2);
}
