#include "runtime/vision/Picture.h"
#include "runtime/vision/Resample.h"
#include "test/Unit/TempFolder.h"
#include "test/Unit/Vision/PictureFiles.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace mbc;
using namespace mbc::vision;
using namespace mbc::test;

namespace {

Expected<Picture> decode(std::string_view file) {
  return decodePicture(std::as_bytes(std::span(file)), "a.png");
}

std::vector<uint8_t> bytes(const Picture &picture) {
  return {picture.row(0), picture.row(picture.height)};
}

/// A number in a PNG's header, with the chunk's checksum made anew.
std::string withSize(std::string png, uint32_t width, uint32_t height) {
  for (int i = 0; i < 4; ++i) {
    png[16 + i] = static_cast<char>(width >> (24 - 8 * i));
    png[20 + i] = static_cast<char>(height >> (24 - 8 * i));
  }
  uint32_t crc = ~0u;
  for (unsigned char byte : png.substr(12, 17)) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit)
      crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
  }
  for (int i = 0; i < 4; ++i)
    png[29 + i] = static_cast<char>(~crc >> (24 - 8 * i));
  return png;
}

} // namespace

TEST(Picture, ReadsPng) {
  std::vector<uint8_t> pixels = gradient(13, 7);
  for (bool interlaced : {false, true}) {
    auto picture = decode(pngFile(pixels, 13, 7, interlaced));
    ASSERT_TRUE(picture) << messageOf(picture);
    EXPECT_EQ(picture->width, 13);
    EXPECT_EQ(picture->height, 7);
    EXPECT_EQ(bytes(*picture), pixels);
  }
}

TEST(Picture, ReadsJpeg) {
  std::vector<uint8_t> pixels = gradient(40, 30);
  for (bool progressive : {false, true}) {
    auto picture = decode(jpegFile(pixels, 40, 30, 3, progressive));
    ASSERT_TRUE(picture) << messageOf(picture);
    ASSERT_EQ(picture->width, 40);
    ASSERT_EQ(picture->height, 30);
    double sum = 0;
    for (size_t i = 0; i < pixels.size(); ++i)
      sum += std::abs(picture->row(0)[i] - pixels[i]);
    EXPECT_LT(sum / static_cast<double>(pixels.size()), 12);
  }
  std::vector<uint8_t> grey(12 * 9, 77);
  auto picture = decode(jpegFile(grey, 12, 9, 1));
  ASSERT_TRUE(picture) << messageOf(picture);
  EXPECT_EQ(bytes(*picture), std::vector<uint8_t>(12 * 9 * 3, 77));
  // No ink at all, which Adobe stores as 255, is white; all black is black.
  picture = decode(jpegFile(std::vector<uint8_t>(4 * 64, 255), 8, 8, 4));
  ASSERT_TRUE(picture) << messageOf(picture);
  EXPECT_EQ(bytes(*picture), std::vector<uint8_t>(3 * 64, 255));
  picture = decode(jpegFile(std::vector<uint8_t>(4 * 64, 0), 8, 8, 4));
  ASSERT_TRUE(picture) << messageOf(picture);
  EXPECT_EQ(bytes(*picture), std::vector<uint8_t>(3 * 64, 0));
}

TEST(Picture, StandsAsExifSays) {
  std::vector<uint8_t> pixels = gradient(5, 3);
  auto pixel = [&](int y, int x) {
    return std::vector<uint8_t>(pixels.begin() + 3 * (5 * y + x),
                                pixels.begin() + 3 * (5 * y + x) + 3);
  };
  // Where the first pixel comes to stand, and the last of the first row.
  struct Case {
    int number, width, y, x, lastY, lastX;
  };
  for (Case of :
       {Case{1, 5, 0, 0, 0, 4}, Case{2, 5, 0, 4, 0, 0}, Case{3, 5, 2, 4, 2, 0},
        Case{4, 5, 2, 0, 2, 4}, Case{5, 3, 0, 0, 4, 0}, Case{6, 3, 0, 2, 4, 2},
        Case{7, 3, 4, 2, 0, 2}, Case{8, 3, 4, 0, 0, 0},
        Case{9, 5, 0, 0, 0, 4}}) {
    auto picture = decode(pngFile(pixels, 5, 3, false, of.number));
    ASSERT_TRUE(picture) << messageOf(picture);
    ASSERT_EQ(picture->width, of.width) << of.number;
    auto at = [&](int y, int x) {
      const uint8_t *from = picture->row(y) + 3 * x;
      return std::vector<uint8_t>(from, from + 3);
    };
    EXPECT_EQ(at(of.y, of.x), pixel(0, 0)) << of.number;
    EXPECT_EQ(at(of.lastY, of.lastX), pixel(0, 4)) << of.number;
  }
  auto picture = decode(jpegFile(gradient(40, 30), 40, 30, 3, false, 6));
  ASSERT_TRUE(picture);
  EXPECT_EQ(picture->width, 30);
}

TEST(Picture, CutFilesAreRefused) {
  std::vector<uint8_t> pixels = gradient(20, 15);
  for (const std::string &file :
       {pngFile(pixels, 20, 15), pngFile(pixels, 20, 15, true),
        jpegFile(pixels, 20, 15), jpegFile(pixels, 20, 15, 3, true)})
    for (size_t size = 0; size < file.size(); ++size)
      EXPECT_REFUSED(decode(std::string_view(file).substr(0, size)), "a.png: ");
}

TEST(Picture, WrongBytesOfAPngAreSeen) {
  std::vector<uint8_t> pixels = gradient(20, 15);
  std::string file = pngFile(pixels, 20, 15);
  for (size_t at = 0; at < file.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = file;
      damaged[at] = static_cast<char>(damaged[at] ^ 1 << bit);
      auto picture = decode(damaged);
      if (picture)
        EXPECT_EQ(bytes(*picture), pixels) << at;
    }
}

TEST(Picture, WrongBytesOfAJpegDoNoHarm) {
  // A JPEG has no checksums: another picture may be what the bytes say.
  for (bool progressive : {false, true}) {
    std::string file = jpegFile(gradient(20, 15), 20, 15, 3, progressive);
    for (size_t at = 0; at < file.size(); ++at)
      for (int change : {1, 0x80, 0xff}) {
        std::string damaged = file;
        damaged[at] = static_cast<char>(damaged[at] ^ change);
        auto picture =
            decodePicture(std::as_bytes(std::span(damaged)), "a.jpg", 1 << 20);
        if (!picture)
          EXPECT_TRUE(picture.error().message.starts_with("a.jpg: "));
      }
  }
}

TEST(Picture, SizesAreChecked) {
  std::string file = pngFile(gradient(20, 15), 20, 15);
  EXPECT_REFUSED(decode(withSize(file, 100'000, 100'000)), "more than");
  EXPECT_REFUSED(decode(withSize(file, 10'000, 10'000)), "do not fit into");
  EXPECT_REFUSED(decode(withSize(file, 0, 5)), "damaged");
  EXPECT_REFUSED(decode(withSize(file, 20, 16)), "a.png: the PNG file");
  std::string jpeg = jpegFile(gradient(20, 15), 20, 15);
  size_t frame = jpeg.find("\xff\xc0") + 5;
  jpeg.replace(frame, 4, "\xff\x10\xff\x10");
  EXPECT_REFUSED(decode(jpeg), "more than");
  jpeg.replace(frame, 4, "\x10\x00\x10\x00", 4);
  EXPECT_REFUSED(decode(jpeg), "do not fit into");
  jpeg.replace(frame, 4, std::string_view("\0\0\0\x10", 4));
  EXPECT_REFUSED(decode(jpeg), "a.png: the JPEG file");
}

TEST(Picture, OtherFormatsAreNamed) {
  using namespace std::string_view_literals;
  EXPECT_REFUSED(decode(""), "is empty");
  EXPECT_REFUSED(decode("GIF89a......"), "is a GIF picture; expected");
  EXPECT_REFUSED(decode("RIFF\x10\0\0\0WEBPVP8 "sv), "is a WebP picture");
  EXPECT_REFUSED(decode("BM\x10\0\0\0"sv), "is a BMP picture");
  EXPECT_REFUSED(decode("\0\0\0\x18"
                        "ftypheic"sv),
                 "is a HEIC picture");
  EXPECT_REFUSED(decode("\0\0\0\x18"
                        "ftypisom"sv),
                 "is a video (MP4); videos are not supported");
  EXPECT_REFUSED(decode("\x1a\x45\xdf\xa3...."sv), "is a video (WebM");
  EXPECT_REFUSED(decode("version https://git-lfs.github.com/spec/v1"),
                 "Git LFS");
  EXPECT_REFUSED(decode("hello"), "neither a PNG nor a JPEG file");
  TempFolder folder;
  EXPECT_REFUSED(readPicture(folder / "none.png"), "none.png");
}

TEST(Resample, KeepsWhatIsEven) {
  for (auto [width, height] : {std::pair(56, 56), {13, 200}, {1, 1}}) {
    Picture picture(31, 17);
    std::fill_n(picture.row(0), 31 * 17 * 3, 200);
    auto resized = resampleBicubic(std::move(picture), width, height, 2);
    ASSERT_TRUE(resized);
    EXPECT_EQ(bytes(*resized),
              std::vector<uint8_t>(size_t(width) * height * 3, 200));
  }
}
