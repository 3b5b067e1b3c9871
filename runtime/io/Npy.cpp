//===- Npy.cpp ------------------------------------------------------------===//
#include "runtime/io/Npy.h"

#include "runtime/core/File.h"

#include <charconv>
#include <cstring>
#include <fmt/format.h>
#include <optional>
#include <string_view>

namespace mbc {

static constexpr std::string_view magic("\x93NUMPY", 6);

/// The value of a key of the header's Python dictionary, as text.
static std::optional<std::string_view> member(std::string_view header,
                                              std::string_view key) {
  size_t at = header.find(fmt::format("'{}':", key));
  if (at == std::string_view::npos)
    return std::nullopt;
  std::string_view rest = header.substr(at + key.size() + 3);
  while (!rest.empty() && rest.front() == ' ')
    rest.remove_prefix(1);
  size_t end =
      rest.starts_with('(') ? rest.find(')') : rest.find_first_of(",}");
  if (end == std::string_view::npos)
    return std::nullopt;
  return rest.substr(0, rest.starts_with('(') ? end + 1 : end);
}

static std::optional<std::vector<int64_t>> shapeOf(std::string_view text) {
  std::vector<int64_t> shape;
  size_t at = 1;
  while (at < text.size() - 1) {
    if (text[at] == ' ' || text[at] == ',') {
      ++at;
      continue;
    }
    int64_t size = 0;
    auto [end, error] =
        std::from_chars(text.data() + at, text.data() + text.size(), size);
    if (error != std::errc() || size < 0)
      return std::nullopt;
    shape.push_back(size);
    at = end - text.data();
  }
  return shape;
}

namespace {

/// A file's array as bytes.
struct Array {
  std::string file;
  std::vector<int64_t> shape;
  uint64_t count = 1;
  size_t size = 0;  ///< of an element
  size_t start = 0; ///< of the data

  const char *data() const { return file.data() + start; }
};

/// A type that is taken, as a header spells it, and its bytes.
using ElementType = std::pair<std::string_view, size_t>;

Expected<Array> readArray(const std::filesystem::path &path, uint64_t maxBytes,
                          std::span<const ElementType> types) {
  Array array;
  MBC_ASSIGN(array.file, readWholeFile(path, maxBytes));
  const std::string &bytes = array.file;
  auto bad = [&](std::string why) {
    return inputError(fmt::format("{}: {}", path.string(), why));
  };
  if (bytes.size() < 12 || !std::string_view(bytes).starts_with(magic))
    return bad("is no .npy file");
  bool wide = bytes[6] >= 2;
  size_t length = static_cast<uint8_t>(bytes[8]) |
                  static_cast<size_t>(static_cast<uint8_t>(bytes[9])) << 8;
  if (wide)
    length |= static_cast<size_t>(static_cast<uint8_t>(bytes[10])) << 16 |
              static_cast<size_t>(static_cast<uint8_t>(bytes[11])) << 24;
  size_t start = wide ? 12 : 10;
  if (length > bytes.size() - start)
    return bad("ends inside of its header");
  std::string_view header(bytes.data() + start, length);
  auto descr = member(header, "descr"), order = member(header, "fortran_order"),
       dims = member(header, "shape");
  if (!descr || !order || !dims)
    return bad("has a header without descr, fortran_order or shape");
  std::string names;
  for (auto [name, size] : types) {
    if (*descr == name)
      array.size = size;
    names += fmt::format("{}{}", names.empty() ? "" : " or ", name);
  }
  if (array.size == 0)
    return bad(fmt::format("holds {}, expected {}", *descr, names));
  if (*order != "False")
    return bad("is in Fortran order, expected C order");
  auto shape = shapeOf(*dims);
  if (!shape)
    return bad(fmt::format("has the shape {}", *dims));
  array.shape = *shape;
  array.start = start + length;
  uint64_t found = bytes.size() - array.start;
  for (int64_t dim : array.shape)
    if (dim != 0 && array.count > found / array.size / dim)
      return bad("ends inside of its data");
    else
      array.count *= dim;
  if (array.count * array.size != found)
    return bad(fmt::format("has {} bytes of data, expected {}", found,
                           array.count * array.size));
  return array;
}

} // namespace

Expected<IntegerArray> readIntegerNpy(const std::filesystem::path &path,
                                      uint64_t maxBytes) {
  static constexpr ElementType types[] = {{"'<i4'", 4}, {"'<i8'", 8}};
  MBC_ASSIGN(Array file, readArray(path, maxBytes, types));
  IntegerArray array{file.shape, {}};
  for (uint64_t i = 0; i < file.count; ++i) {
    int64_t value = 0;
    if (file.size == 8) {
      std::memcpy(&value, file.data() + i * 8, 8);
    } else {
      int32_t narrow;
      std::memcpy(&narrow, file.data() + i * 4, 4);
      value = narrow;
    }
    array.values.push_back(value);
  }
  return array;
}

Expected<FloatArray> readFloatNpy(const std::filesystem::path &path,
                                  uint64_t maxBytes) {
  static constexpr ElementType types[] = {{"'<f4'", 4}};
  MBC_ASSIGN(Array file, readArray(path, maxBytes, types));
  FloatArray array{file.shape, std::vector<float>(file.count)};
  std::memcpy(array.values.data(), file.data(), file.count * file.size);
  return array;
}

std::string float32NpyHeader(std::span<const int64_t> shape) {
  std::string dims;
  for (int64_t dim : shape)
    dims += fmt::format("{}, ", dim);
  if (shape.size() > 1)
    dims.resize(dims.size() - 2);
  else if (shape.size() == 1)
    dims.pop_back();
  std::string text = fmt::format(
      "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", dims);
  // Data starts at a multiple of 64 bytes.
  size_t total = (10 + text.size() + 1 + 63) / 64 * 64;
  text.append(total - 10 - text.size() - 1, ' ');
  text += '\n';
  std::string header(magic);
  header += '\x01';
  header += '\0';
  header += static_cast<char>(text.size() & 0xff);
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

} // namespace mbc
