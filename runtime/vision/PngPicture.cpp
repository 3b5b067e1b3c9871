//===- PngPicture.cpp - PNG through libpng --------------------------------===//
//
// libpng leaves a function by longjmp when it fails, so that between its calls
// nothing may be on the stack that has a destructor: all state is in `Reader`.
//
//===----------------------------------------------------------------------===//
#include "runtime/vision/PictureFormats.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <optional>
#include <png.h>
#include <vector>

namespace mbc::vision {

namespace {

/// Deflate makes at most so many bytes of one.
constexpr uint64_t mostInflation = 1032;

/// What a compressed text may become, if the file is not larger still.
constexpr size_t mostText = 1 << 20;

class Reader {
public:
  explicit Reader(std::span<const std::byte> bytes, int64_t limit)
      : bytes(bytes), limit(limit) {}
  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
  Reader(const Reader &) = delete;
  Reader &operator=(const Reader &) = delete;

  Expected<StoredPicture> read();

private:
  bool isGrey16() const {
    return colours == PNG_COLOR_TYPE_GRAY && depth == 16;
  }
  /// False where libpng failed: `message` says why. Rows are read into `rows`.
  bool readHeader();
  bool readRows();
  /// Whether the file ends within a chunk. libpng takes memory for all that a
  /// chunk's header claims before it reads.
  bool isCutOff() const;
  /// An Input error for a size that is none, too large, or larger than what
  /// the file can hold.
  Status checkHeader() const;
  /// Takes palette and grey pixels, which are at the end of each row, apart.
  Status expandRows();
  Status expandPalette(uint8_t *row);
  void expandGrey(uint8_t *row) const;
  Orientation orientation() const;
  std::string_view textOf(const char *key) const;

  static void onError(png_structp png, png_const_charp message);
  static void onWarning(png_structp, png_const_charp) {}
  static void onRead(png_structp png, png_bytep to, size_t count);

  std::span<const std::byte> bytes;
  int64_t limit;
  size_t at = 0;
  char message[160] = "";

  png_structp png = nullptr;
  png_infop info = nullptr;
  png_uint_32 width = 0, height = 0;
  int depth = 0, colours = 0;
  size_t pixelBytes = 3; ///< as libpng leaves them
  std::optional<Picture> picture;
  std::vector<png_bytep> rows;
};

void Reader::onError(png_structp png, png_const_charp message) {
  auto &self = *static_cast<Reader *>(png_get_error_ptr(png));
  std::snprintf(self.message, sizeof self.message, "%s", message);
  png_longjmp(png, 1);
}

void Reader::onRead(png_structp png, png_bytep to, size_t count) {
  auto &self = *static_cast<Reader *>(png_get_io_ptr(png));
  if (self.bytes.size() - self.at < count) {
    self.at = self.bytes.size() + 1;
    png_error(png, "cut off");
  }
  std::memcpy(to, self.bytes.data() + self.at, count);
  self.at += count;
}

bool Reader::isCutOff() const {
  // length, type, data, checksum (PNG specification, 5.3)
  for (size_t at = 8; bytes.size() - at >= 8;) {
    const auto *chunk = reinterpret_cast<png_const_bytep>(bytes.data()) + at;
    uint64_t whole = uint64_t(png_get_uint_32(chunk)) + 12;
    if (whole > bytes.size() - at)
      return true;
    if (std::memcmp(chunk + 4, "IEND", 4) == 0)
      return false;
    at += whole;
  }
  return false; // or within a header, which libpng sees
}

bool Reader::readHeader() {
  if (setjmp(png_jmpbuf(png)))
    return false;
  png_set_read_fn(png, this, onRead);
  png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_set_chunk_malloc_max(png, std::max(bytes.size(), mostText));
  png_read_info(png, info);
  png_get_IHDR(png, info, &width, &height, &depth, &colours, nullptr, nullptr,
               nullptr);
  pixelBytes = colours & PNG_COLOR_MASK_PALETTE ? 1
               : colours & PNG_COLOR_MASK_COLOR ? 3
               : isGrey16()                     ? 2
                                                : 1;
  return true;
}

Status Reader::checkHeader() const {
  MBC_TRY(checkSize(width, height, limit));
  int channels = colours & PNG_COLOR_MASK_PALETTE ? 1
                 : colours & PNG_COLOR_MASK_COLOR ? 3
                                                  : 1;
  channels += (colours & PNG_COLOR_MASK_ALPHA) != 0;
  uint64_t needed = (uint64_t(width) * channels * depth + 7) / 8 * height;
  if (needed / mostInflation > bytes.size())
    return inputError(fmt::format("is cut off or damaged: {} x {} pixels do "
                                  "not fit into {} bytes",
                                  width, height, bytes.size()));
  return {};
}

bool Reader::readRows() {
  if (setjmp(png_jmpbuf(png)))
    return false;
  if (colours == PNG_COLOR_TYPE_PALETTE)
    png_set_packing(png);
  else if (depth < 8)
    png_set_expand_gray_1_2_4_to_8(png);
  else if (depth == 16 && !isGrey16())
    png_set_strip_16(png);
  if (colours & PNG_COLOR_MASK_ALPHA)
    png_set_strip_alpha(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info); // takes memory for a row
  png_read_image(png, rows.data());
  png_read_end(png, info);
  return true;
}

Status Reader::expandPalette(uint8_t *row) {
  png_colorp palette = nullptr;
  int count = 0;
  png_get_PLTE(png, info, &palette, &count);
  const uint8_t *from = row + 2 * size_t(width);
  for (size_t x = 0; x < width; ++x) {
    if (from[x] >= count)
      return inputError(fmt::format("is damaged: a pixel has the colour {} of "
                                    "a palette of {}",
                                    from[x], count));
    const png_color &colour = palette[from[x]];
    row[3 * x] = colour.red;
    row[3 * x + 1] = colour.green;
    row[3 * x + 2] = colour.blue;
  }
  return {};
}

void Reader::expandGrey(uint8_t *row) const {
  const uint8_t *from = row + (3 - pixelBytes) * size_t(width);
  for (size_t x = 0; x < width; ++x) {
    // Of two bytes the first is the high one.
    uint8_t grey = pixelBytes == 1 ? from[x]
                   : from[2 * x]   ? 255
                                   : from[2 * x + 1];
    row[3 * x] = row[3 * x + 1] = row[3 * x + 2] = grey;
  }
}

Status Reader::expandRows() {
  for (int64_t y = 0; pixelBytes < 3 && y < int64_t(height); ++y) {
    if (colours & PNG_COLOR_MASK_PALETTE)
      MBC_TRY(expandPalette(picture->row(y)));
    else
      expandGrey(picture->row(y));
  }
  return {};
}

std::string_view Reader::textOf(const char *key) const {
  png_textp texts = nullptr;
  int count = 0;
  png_get_text(png, info, &texts, &count);
  for (const png_text &text : std::span(texts, size_t(count)))
    if (std::strcmp(text.key, key) == 0)
      return {text.text, std::max(text.text_length, text.itxt_length)};
  return {};
}

/// The bytes of ImageMagick's "Raw profile type exif": a line end, two lines of
/// which the second is the length, and hexadecimal digits.
static std::vector<std::byte> rawProfile(std::string_view text) {
  for (int line = 0; line < 3; ++line)
    text.remove_prefix(std::min(text.size(), text.find('\n')));
  std::vector<std::byte> bytes;
  int digits = 0, value = 0;
  for (char c : text.substr(0, text.size())) {
    int digit = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
    if (digit < 0)
      continue;
    value = value << 4 | digit;
    if (++digits % 2 == 0)
      bytes.push_back(std::byte(value & 0xff));
  }
  return bytes;
}

Orientation Reader::orientation() const {
  png_bytep exif = nullptr;
  png_uint_32 count = 0;
  std::optional<int64_t> number;
  if (png_get_eXIf_1(png, info, &count, &exif))
    number = exifOrientation(std::as_bytes(std::span(exif, count)));
  else
    number = exifOrientation(rawProfile(textOf("Raw profile type exif")));
  if (!number)
    number = xmpOrientation(textOf("XML:com.adobe.xmp"));
  return Orientation::ofNumber(number.value_or(1));
}

Expected<StoredPicture> Reader::read() {
  auto failed = [&] {
    return inputError(at > bytes.size()
                          ? std::string("is cut off")
                          : fmt::format("is damaged ({})", message));
  };
  if (isCutOff())
    return inputError("is cut off");
  png = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, onError, onWarning);
  info = png ? png_create_info_struct(png) : nullptr;
  if (!info)
    return systemError("cannot be read: out of memory");
  if (!readHeader())
    return failed();
  MBC_TRY(checkHeader());
  picture.emplace(width, height);
  for (int64_t y = 0; y < int64_t(height); ++y)
    rows.push_back(picture->row(y) + (3 - pixelBytes) * width);
  if (!readRows())
    return failed();
  MBC_TRY(expandRows());
  return StoredPicture{std::move(*picture), orientation()};
}

} // namespace

Expected<StoredPicture> decodePng(std::span<const std::byte> bytes,
                                  int64_t limit) {
  return Reader(bytes, limit).read();
}

} // namespace mbc::vision
