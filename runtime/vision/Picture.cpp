//===- Picture.cpp --------------------------------------------------------===//
#include "runtime/vision/Picture.h"

#include "runtime/core/File.h"
#include "runtime/vision/PictureFormats.h"

#include <algorithm>
#include <fmt/format.h>

namespace mbc::vision {

Picture::Picture(int64_t width, int64_t height)
    : width(width), height(height),
      pixels(std::make_unique_for_overwrite<uint8_t[]>(
          static_cast<size_t>(width * height * 3))) {}

Status checkSize(int64_t width, int64_t height, int64_t limit) {
  if (width <= 0 || height <= 0)
    return inputError(
        fmt::format("has {} x {} pixels, and so no picture", width, height));
  if (width > limit / height)
    return inputError(
        fmt::format("has {} x {} pixels, more than {}", width, height, limit));
  return {};
}

namespace {

/// Bytes at a place of a file; those of a video or a picture that is no PNG and
/// no JPEG.
struct Signature {
  size_t at;
  std::string_view bytes, format;
};

using namespace std::string_view_literals;
constexpr Signature signatures[] = {
    {0, "GIF8"sv, "a GIF picture"},
    {0, "BM"sv, "a BMP picture"},
    {8, "WEBP"sv, "a WebP picture"},
    {0, "II*\0"sv, "a TIFF picture"},
    {0, "MM\0*"sv, "a TIFF picture"},
    {4, "ftypavif"sv, "an AVIF picture"},
    {4, "ftypavis"sv, "an AVIF picture"},
    {4, "ftyphei"sv, "a HEIC picture"},
    {4, "ftyphev"sv, "a HEIC picture"},
    {4, "ftypmif1"sv, "a HEIF picture"},
    {4, "ftypmsf1"sv, "a HEIF picture"},
    {0, "\0\0\0\x0cjP  "sv, "a JPEG 2000 picture"},
    {0, "\xff\x4f\xff\x51"sv, "a JPEG 2000 picture"},
    {0, "\xff\x0a"sv, "a JPEG XL picture"},
    {0, "\0\0\0\x0cJXL "sv, "a JPEG XL picture"},
    {0, "\0\0\1\0"sv, "an icon (ICO)"},
    {0, "8BPS"sv, "a Photoshop picture"},
    {0, "\x8aMNG"sv, "a video (MNG)"},
    {0, "%PDF"sv, "a PDF document"},
    {0, "<svg"sv, "an SVG drawing"},
    {0, "<?xml"sv, "an XML text"},
    {0, "version https://git-lfs"sv,
     "a pointer to a file that Git LFS has not fetched"},
    {4, "ftyp"sv, "a video (MP4)"},
    {4, "moov"sv, "a video (QuickTime)"},
    {8, "AVI "sv, "a video (AVI)"},
    {0, "\x1a\x45\xdf\xa3"sv, "a video (WebM or Matroska)"},
    {0, "\0\0\1\xba"sv, "a video (MPEG)"},
    {0, "\0\0\1\xb3"sv, "a video (MPEG)"},
    {0, "FLV"sv, "a video (FLV)"},
    {0, "OggS"sv, "a video or sound (Ogg)"},
};

} // namespace

static std::string_view textOf(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

std::string_view otherFormat(std::span<const std::byte> bytes) {
  std::string_view text = textOf(bytes);
  const auto *found = std::ranges::find_if(signatures, [&](const auto &of) {
    return text.size() >= of.at && text.substr(of.at).starts_with(of.bytes);
  });
  return found == std::end(signatures) ? "" : found->format;
}

Expected<Picture> decodePicture(std::span<const std::byte> bytes,
                                std::string_view name, int64_t limit) {
  std::string_view text = textOf(bytes);
  bool png = text.starts_with("\x89PNG\r\n\x1a\n");
  if (!png && !text.starts_with("\xff\xd8\xff")) {
    std::string_view format = otherFormat(bytes);
    if (format.starts_with("a video"))
      return inputError(fmt::format("{}: is {}; videos are not supported, only "
                                    "pictures in PNG and JPEG",
                                    name, format));
    return inputError(
        fmt::format("{}: is {}; expected a picture in PNG or JPEG", name,
                    bytes.empty()    ? "empty"
                    : format.empty() ? "neither a PNG nor a JPEG file"
                                     : format));
  }
  auto stored = png ? decodePng(bytes, limit) : decodeJpeg(bytes, limit);
  if (!stored)
    return Failure(
        Error{stored.error().kind,
              fmt::format("{}: the {} file {}", name, png ? "PNG" : "JPEG",
                          stored.error().message)});
  return oriented(std::move(stored->picture), stored->orientation);
}

Expected<Picture> readPicture(const std::filesystem::path &path) {
  MBC_ASSIGN(std::string bytes, readWholeFile(path, mostPictureBytes));
  return decodePicture(std::as_bytes(std::span(bytes)), path.string());
}

} // namespace mbc::vision
