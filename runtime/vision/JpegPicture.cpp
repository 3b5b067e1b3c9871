//===- JpegPicture.cpp - JPEG through libjpeg-turbo -----------------------===//
//
// libjpeg leaves a function by longjmp when it fails, so that between its calls
// nothing may be on the stack that has a destructor: all state is in `Reader`.
//
//===----------------------------------------------------------------------===//
#include "runtime/vision/PictureFormats.h"

#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <fmt/format.h>
#include <optional>
#include <vector>

#include <jerror.h>
#include <jpeglib.h>

namespace mbc::vision {

namespace {

/// Passes over the picture in a file that is made in good faith; each costs
/// time in proportion to its size, and next to no bytes.
constexpr int mostScans = 500;
/// A square of 8 x 8 pixels has a Huffman code in some scan.
constexpr uint64_t mostPixelsOfByte = 8 * 64;

class Reader {
public:
  Reader(std::span<const std::byte> bytes, int64_t limit);
  ~Reader() { jpeg_destroy_decompress(&jpeg); }
  Reader(const Reader &) = delete;
  Reader &operator=(const Reader &) = delete;

  Expected<StoredPicture> read();

private:
  struct Errors : jpeg_error_mgr {
    jmp_buf leave;
    char message[JMSG_LENGTH_MAX] = "";
    bool cutOff = false;
  };

  /// False where libjpeg failed: `errors` says why.
  bool readHeader();
  bool readRows();
  Orientation orientation() const;

  static void onError(j_common_ptr jpeg);
  static void onMessage(j_common_ptr jpeg, int level);
  static boolean onEnd(j_decompress_ptr jpeg);
  static void onSkip(j_decompress_ptr jpeg, long count);
  static void onProgress(j_common_ptr jpeg);

  uint64_t size;
  int64_t limit;
  Errors errors = {};
  jpeg_source_mgr source = {};
  jpeg_progress_mgr progress = {};
  jpeg_decompress_struct jpeg = {};
  std::optional<Picture> picture;
  std::vector<uint8_t> inks; ///< a row of four inks
};

void Reader::onError(j_common_ptr jpeg) {
  auto &errors = *static_cast<Errors *>(jpeg->err);
  (*errors.format_message)(jpeg, errors.message);
  std::longjmp(errors.leave, 1);
}

/// Warnings (level -1) say that data are wrong and were guessed. Bytes between
/// the end of the data and a marker are not: some cameras leave them.
void Reader::onMessage(j_common_ptr jpeg, int level) {
  if (level >= 0)
    return;
  switch (jpeg->err->msg_code) {
  case JWRN_EXTRANEOUS_DATA:
  case JWRN_ADOBE_XFORM:
  case JWRN_JFIF_MAJOR:
  case JWRN_BOGUS_ICC:
    return;
  default:
    onError(jpeg);
  }
}

boolean Reader::onEnd(j_decompress_ptr jpeg) {
  static_cast<Errors *>(jpeg->err)->cutOff = true;
  ERREXIT(jpeg, JERR_INPUT_EOF);
  return FALSE;
}

void Reader::onSkip(j_decompress_ptr jpeg, long count) {
  if (count <= 0)
    return;
  if (static_cast<size_t>(count) > jpeg->src->bytes_in_buffer)
    onEnd(jpeg);
  jpeg->src->next_input_byte += count;
  jpeg->src->bytes_in_buffer -= count;
}

void Reader::onProgress(j_common_ptr jpeg) {
  if (reinterpret_cast<j_decompress_ptr>(jpeg)->input_scan_number <= mostScans)
    return;
  auto &errors = *static_cast<Errors *>(jpeg->err);
  std::snprintf(errors.message, sizeof errors.message, "more than %d scans",
                mostScans);
  std::longjmp(errors.leave, 1);
}

Reader::Reader(std::span<const std::byte> bytes, int64_t limit)
    : size(bytes.size()), limit(limit) {
  jpeg.err = jpeg_std_error(&errors);
  errors.error_exit = onError;
  errors.emit_message = onMessage;
  source.next_input_byte = reinterpret_cast<const JOCTET *>(bytes.data());
  source.bytes_in_buffer = bytes.size();
  source.init_source = [](j_decompress_ptr) {};
  source.fill_input_buffer = onEnd;
  source.skip_input_data = onSkip;
  source.resync_to_restart = jpeg_resync_to_restart;
  source.term_source = [](j_decompress_ptr) {};
  progress.progress_monitor = onProgress;
}

bool Reader::readHeader() {
  if (setjmp(errors.leave))
    return false;
  jpeg_create_decompress(&jpeg);
  jpeg.src = &source;
  jpeg.progress = &progress;
  jpeg_save_markers(&jpeg, JPEG_APP0 + 1, 0xffff);
  jpeg_read_header(&jpeg, TRUE);
  return true;
}

/// A row of cyan, magenta, yellow and black, stored inverted as Adobe does, as
/// Pillow makes it red, green and blue.
static void mixInks(const uint8_t *inks, size_t width, uint8_t *row) {
  for (size_t x = 0; x < width; ++x, inks += 4, row += 3)
    for (int c = 0; c < 3; ++c) {
      int product = (255 - inks[c]) * inks[3] + 128;
      row[c] =
          static_cast<uint8_t>(inks[3] - ((product + (product >> 8)) >> 8));
    }
}

bool Reader::readRows() {
  if (setjmp(errors.leave))
    return false;
  jpeg.out_color_space = inks.empty() ? JCS_RGB : JCS_CMYK;
  jpeg_start_decompress(&jpeg);
  while (jpeg.output_scanline < jpeg.output_height) {
    uint8_t *row = picture->row(jpeg.output_scanline);
    JSAMPROW to = inks.empty() ? row : inks.data();
    jpeg_read_scanlines(&jpeg, &to, 1);
    if (!inks.empty())
      mixInks(inks.data(), jpeg.output_width, row);
  }
  jpeg_finish_decompress(&jpeg);
  return true;
}

Orientation Reader::orientation() const {
  using namespace std::string_view_literals;
  constexpr std::string_view exifName = "Exif\0\0"sv,
                             xmpName = "http://ns.adobe.com/xap/1.0/\0"sv;
  std::optional<int64_t> exif, xmp;
  for (auto *marker = jpeg.marker_list; marker; marker = marker->next) {
    std::string_view text(reinterpret_cast<const char *>(marker->data),
                          marker->data_length);
    if (text.starts_with(exifName) && !exif)
      exif = exifOrientation(std::as_bytes(std::span(text)));
    else if (text.starts_with(xmpName) && !xmp)
      xmp = xmpOrientation(text.substr(xmpName.size()));
  }
  return Orientation::ofNumber(exif.value_or(xmp.value_or(1)));
}

Expected<StoredPicture> Reader::read() {
  auto failed = [&] {
    return inputError(errors.cutOff
                          ? std::string("is cut off")
                          : fmt::format("is damaged ({})", errors.message));
  };
  if (!readHeader())
    return failed();
  MBC_TRY(checkSize(jpeg.image_width, jpeg.image_height, limit));
  if (jpeg.num_components != 1 && jpeg.num_components != 3 &&
      jpeg.num_components != 4)
    return inputError(fmt::format("has {} channels; expected 1, 3 or 4",
                                  jpeg.num_components));
  if (uint64_t(jpeg.image_width) * jpeg.image_height / mostPixelsOfByte >
          size &&
      !jpeg.arith_code)
    return inputError(fmt::format("is cut off or damaged: {} x {} pixels do "
                                  "not fit into {} bytes",
                                  jpeg.image_width, jpeg.image_height, size));
  picture.emplace(jpeg.image_width, jpeg.image_height);
  if (jpeg.num_components == 4)
    inks.resize(size_t(jpeg.image_width) * 4);
  Orientation held = orientation();
  if (!readRows())
    return failed();
  return StoredPicture{std::move(*picture), held};
}

} // namespace

Expected<StoredPicture> decodeJpeg(std::span<const std::byte> bytes,
                                   int64_t limit) {
  return Reader(bytes, limit).read();
}

} // namespace mbc::vision
