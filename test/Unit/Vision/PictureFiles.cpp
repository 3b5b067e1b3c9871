#include "test/Unit/Vision/PictureFiles.h"

#include <cstdio>
#include <cstdlib>
#include <string>

#include <jpeglib.h>
#include <png.h>

namespace mbc::test {

std::vector<uint8_t> gradient(int width, int height) {
  std::vector<uint8_t> pixels;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int value : {x * 255 / width, y * 255 / height, (x + y) * 3 % 256})
        pixels.push_back(static_cast<uint8_t>(value));
  return pixels;
}

/// A TIFF structure with one entry, the orientation.
static std::string exifBlock(int orientation) {
  std::string block("MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0", 19);
  block += static_cast<char>(orientation);
  return block + std::string(6, '\0');
}

std::string pngFile(const std::vector<uint8_t> &pixels, int width, int height,
                    bool interlaced, int orientation) {
  std::string file;
  png_structp png =
      png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(
      png, &file,
      [](png_structp writer, png_bytep bytes, size_t count) {
        static_cast<std::string *>(png_get_io_ptr(writer))
            ->append(reinterpret_cast<char *>(bytes), count);
      },
      nullptr);
  png_set_IHDR(png, info, width, height, 8, PNG_COLOR_TYPE_RGB,
               interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  std::string exif = exifBlock(orientation);
  if (orientation)
    png_set_eXIf_1(png, info, exif.size(),
                   reinterpret_cast<png_bytep>(exif.data()));
  png_write_info(png, info);
  std::vector<png_bytep> rows;
  for (int y = 0; y < height; ++y)
    rows.push_back(const_cast<uint8_t *>(pixels.data()) + 3 * width * y);
  png_write_image(png, rows.data());
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return file;
}

std::string jpegFile(const std::vector<uint8_t> &pixels, int width, int height,
                     int channels, bool progressive, int orientation) {
  jpeg_compress_struct jpeg;
  jpeg_error_mgr errors;
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char *bytes = nullptr;
  unsigned long count = 0;
  jpeg_mem_dest(&jpeg, &bytes, &count);
  jpeg.image_width = width;
  jpeg.image_height = height;
  jpeg.input_components = channels;
  jpeg.in_color_space = channels == 1   ? JCS_GRAYSCALE
                        : channels == 3 ? JCS_RGB
                                        : JCS_CMYK;
  jpeg_set_defaults(&jpeg);
  if (channels == 4)
    jpeg_set_colorspace(&jpeg, JCS_YCCK);
  jpeg_set_quality(&jpeg, 90, TRUE);
  if (progressive)
    jpeg_simple_progression(&jpeg);
  jpeg_start_compress(&jpeg, TRUE);
  std::string exif = std::string("Exif\0\0", 6) + exifBlock(orientation);
  if (orientation)
    jpeg_write_marker(&jpeg, JPEG_APP0 + 1,
                      reinterpret_cast<const JOCTET *>(exif.data()),
                      exif.size());
  for (int y = 0; y < height; ++y) {
    auto *row = const_cast<uint8_t *>(pixels.data()) + channels * width * y;
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  std::string file(reinterpret_cast<char *>(bytes), count);
  std::free(bytes);
  return file;
}

} // namespace mbc::test
