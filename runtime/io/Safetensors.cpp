//===- Safetensors.cpp - Headers of safetensors files ---------------------===//

#include "runtime/io/Safetensors.h"
#include "runtime/core/Json.h"
#include "runtime/core/JsonReader.h"
#include "runtime/core/Text.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <fmt/format.h>
#include <limits>
#include <tuple>
#include <unordered_set>

static_assert(std::endian::native == std::endian::little,
              "safetensors data is little-endian and is copied as it is");

namespace mbc {

/// What the official reader accepts at most.
static constexpr uint64_t maxHeaderBytes = 100'000'000;

//===----------------------------------------------------------------------===//
// Parsing
//===----------------------------------------------------------------------===//

namespace {
class HeaderParser {
public:
  HeaderParser(SafetensorsHeader &header, std::string_view name)
      : header(header), name(name), reader(header.raw, name) {}

  Status parse() {
    // White space in front is legal JSON, but the format excludes it.
    if (!header.raw.starts_with('{'))
      return inputError(
          fmt::format("{}: the header does not start with '{{'; the file is no "
                      "safetensors file",
                      name));
    MBC_TRY(reader.readObject([&](std::string_view key) {
      return key == "__metadata__" ? parseMetadata()
                                   : parseEntry(std::string(key));
    }));
    MBC_TRY(reader.finish());
    return checkNames();
  }

private:
  Status parseMetadata() {
    if (header.metadata)
      return reader.fail("duplicate key '__metadata__'");
    SafetensorsMetadata &pairs = header.metadata.emplace();
    return reader.readObject([&](std::string_view key) -> Status {
      if (std::ranges::any_of(pairs, [&](auto &p) { return p.first == key; }))
        return reader.fail(
            fmt::format("duplicate key {} in '__metadata__'", quote(key)));
      std::string owned(key);
      MBC_ASSIGN(auto kind, reader.peek());
      if (kind != JsonReader::Kind::String)
        return reader.fail(fmt::format(
            "the value of {} in '__metadata__' is not a string", quote(owned)));
      MBC_ASSIGN(auto value, reader.readString());
      pairs.emplace_back(std::move(owned), std::string(value));
      return {};
    });
  }

  /// The object after a tensor's name.
  Status parseEntry(std::string tensor) {
    SafetensorsEntry &entry = header.tensors.emplace_back();
    entry.info.name = std::move(tensor);
    bool hasDType = false, hasShape = false, hasOffsets = false;
    auto once = [&](bool &seen, std::string_view key) -> Status {
      if (std::exchange(seen, true))
        return fail(entry, fmt::format("has a duplicate key '{}'", key));
      return {};
    };
    MBC_TRY(reader.readObject([&](std::string_view key) -> Status {
      if (key == "dtype") {
        MBC_TRY(once(hasDType, "dtype"));
        return parseDType(entry);
      }
      if (key == "shape") {
        MBC_TRY(once(hasShape, "shape"));
        return parseShape(entry);
      }
      if (key == "data_offsets") {
        MBC_TRY(once(hasOffsets, "data_offsets"));
        return parseOffsets(entry);
      }
      return fail(entry, fmt::format("has an unknown key {}", quote(key)));
    }));
    if (!hasDType || !hasShape || !hasOffsets)
      return fail(entry,
                  fmt::format("has no '{}'", !hasDType   ? "dtype"
                                             : !hasShape ? "shape"
                                                         : "data_offsets"));
    return checkSize(entry);
  }

  Status parseDType(SafetensorsEntry &entry) {
    MBC_ASSIGN(auto text, reader.readString());
    auto dtype = dtypeFromSafetensors(text);
    if (!dtype)
      return fail(entry, fmt::format("has an unknown dtype {}", quote(text)));
    entry.info.dtype = *dtype;
    return {};
  }

  Status parseShape(SafetensorsEntry &entry) {
    MBC_TRY(reader.readArray([&]() -> Status {
      MBC_ASSIGN(uint64_t size,
                 reader.readUnsigned(fmt::format("a dimension of tensor {}",
                                                 quote(entry.info.name))));
      entry.info.shape.push_back(static_cast<int64_t>(size));
      return {};
    }));
    entry.info.shape.shrink_to_fit();
    return {};
  }

  Status parseOffsets(SafetensorsEntry &entry) {
    std::array<uint64_t, 2> offsets{};
    size_t count = 0;
    MBC_TRY(reader.readArray([&]() -> Status {
      if (count == 2)
        return fail(entry, "has more than two data_offsets");
      MBC_ASSIGN(offsets[count++],
                 reader.readUnsigned(fmt::format("a data offset of tensor {}",
                                                 quote(entry.info.name))));
      return {};
    }));
    if (count != 2)
      return fail(entry, "has fewer than two data_offsets");
    if (offsets[1] < offsets[0])
      return fail(entry, fmt::format("ends at byte {}, before it begins at {}",
                                     offsets[1], offsets[0]));
    entry.begin = offsets[0];
    entry.end = offsets[1];
    return {};
  }

  Status checkSize(const SafetensorsEntry &entry) {
    constexpr auto most = std::numeric_limits<int64_t>::max();
    const TensorInfo &info = entry.info;
    // A zero makes the product 0, but the other factors alone must not
    // overflow either: strides are computed from them.
    int64_t elements = 1;
    bool empty = false;
    for (int64_t size : info.shape) {
      empty |= size == 0;
      if (__builtin_mul_overflow(elements, std::max<int64_t>(size, 1),
                                 &elements) ||
          static_cast<__int128>(elements) * bitsOf(info.dtype) / 8 > most)
        return fail(entry, fmt::format("of shape {} has more than 2^63 bytes",
                                       shapeText(info.shape)));
    }
    __int128 bits = empty ? 0 : __int128(elements) * bitsOf(info.dtype);
    if (bits % 8 != 0)
      return fail(entry, fmt::format("of shape {} and dtype {} does not fill "
                                     "whole bytes",
                                     shapeText(info.shape),
                                     safetensorsName(info.dtype)));
    auto bytes = static_cast<uint64_t>(bits / 8);
    if (entry.end - entry.begin != bytes)
      return fail(
          entry,
          fmt::format("of shape {} and dtype {} needs {} bytes, but its "
                      "data_offsets [{}, {}] hold {}",
                      shapeText(info.shape), safetensorsName(info.dtype), bytes,
                      entry.begin, entry.end, entry.end - entry.begin));
    return {};
  }

  Status checkNames() {
    std::unordered_set<std::string_view> seen;
    seen.reserve(header.tensors.size());
    for (const SafetensorsEntry &entry : header.tensors)
      if (!seen.insert(entry.info.name).second)
        return fail(entry, "is in the header twice (duplicate key)");
    return {};
  }

  Failure fail(const SafetensorsEntry &entry, std::string_view what) {
    return inputError(
        fmt::format("{}: tensor {} {}", name, quote(entry.info.name), what));
  }

  SafetensorsHeader &header;
  std::string_view name;
  JsonReader reader;
};
} // namespace

/// Sorts the tensors by their data, which must have no hole and no overlap.
static Status checkLayout(SafetensorsHeader &header, std::string_view name,
                          std::optional<uint64_t> dataBytes) {
  auto &tensors = header.tensors;
  // The name decides between empty tensors at one place.
  auto key = [](const SafetensorsEntry &entry) {
    return std::tie(entry.begin, entry.end, entry.info.name);
  };
  std::ranges::sort(tensors, {}, key);

  uint64_t end = 0;
  const TensorInfo *last = nullptr;
  for (const SafetensorsEntry &entry : tensors) {
    auto fail = [&](std::string what) {
      return inputError(
          fmt::format("{}: tensor {} {}", name, quote(entry.info.name), what));
    };
    if (dataBytes && entry.end > *dataBytes)
      return fail(
          fmt::format("ends at byte {}, beyond the data ({} bytes); the "
                      "file is truncated?",
                      entry.end, *dataBytes));
    if (entry.begin < end)
      return fail(
          fmt::format("begins at byte {}, inside tensor {} that ends at "
                      "byte {}",
                      entry.begin, quote(last->name), end));
    if (entry.begin > end)
      return fail(fmt::format(
          "begins at byte {}, but the data before it ends at byte {}: there "
          "must be no hole",
          entry.begin, end));
    end = entry.end;
    last = &entry.info;
  }
  if (dataBytes && *dataBytes != end)
    return inputError(fmt::format("{}: {} bytes follow the last tensor, which "
                                  "ends at byte {} of the data",
                                  name, *dataBytes - end, end));
  return {};
}

Expected<SafetensorsHeader>
parseSafetensorsHeader(std::string raw, std::string_view name,
                       std::optional<uint64_t> dataBytes) {
  SafetensorsHeader header;
  header.raw = std::move(raw);
  MBC_TRY(HeaderParser(header, name).parse());
  MBC_TRY(checkLayout(header, name, dataBytes));
  return header;
}

Expected<SafetensorsHeader>
readSafetensorsHeader(const std::filesystem::path &path) {
  std::string name = path.string();
  MBC_ASSIGN(File file, File::openRead(path));

  static constexpr std::string_view pointer = "version https://git-lfs";
  std::string start(std::min<uint64_t>(file.size(), pointer.size()), '\0');
  MBC_TRY(file.readAt(0, std::as_writable_bytes(std::span(start))));
  if (start == pointer)
    return inputError(fmt::format("{}: is a git-lfs pointer, not the weights; "
                                  "run 'git lfs pull' in the folder",
                                  name));
  if (file.size() < 8)
    return inputError(
        fmt::format("{}: has {} bytes, too few for a safetensors file; the "
                    "file is truncated?",
                    name, file.size()));
  uint64_t length;
  std::memcpy(&length, start.data(), sizeof(length));
  if (length > maxHeaderBytes)
    return inputError(fmt::format("{}: the header is said to have {} bytes, of "
                                  "at most {}; the file is no safetensors file",
                                  name, length, maxHeaderBytes));
  if (length > file.size() - 8)
    return inputError(
        fmt::format("{}: the header is said to have {} bytes, but "
                    "{} follow; the file is truncated?",
                    name, length, file.size() - 8));
  std::string raw(length, '\0');
  MBC_TRY(file.readAt(8, std::as_writable_bytes(std::span(raw))));
  return parseSafetensorsHeader(std::move(raw), name, file.size() - 8 - length);
}

//===----------------------------------------------------------------------===//
// Building
//===----------------------------------------------------------------------===//

SafetensorsHeader
buildSafetensorsHeader(std::vector<TensorInfo> tensors,
                       const std::optional<SafetensorsMetadata> &metadata) {
  SafetensorsHeader header;
  header.metadata = metadata;
  std::string &raw = header.raw;
  raw = "{";
  if (metadata) {
    raw += "\"__metadata__\":{";
    for (const auto &[key, value] : *metadata) {
      appendJsonString(raw, key);
      raw += ':';
      appendJsonString(raw, value);
      raw += ',';
    }
    if (!metadata->empty())
      raw.pop_back();
    raw += "},";
  }
  uint64_t offset = 0;
  header.tensors.reserve(tensors.size());
  for (TensorInfo &info : tensors) {
    uint64_t end = offset + info.bytes();
    appendJsonString(raw, info.name);
    raw += ":{\"dtype\":\"";
    raw += safetensorsName(info.dtype);
    raw += "\",\"shape\":[";
    for (size_t i = 0; i < info.shape.size(); ++i) {
      if (i > 0)
        raw += ',';
      raw += std::to_string(info.shape[i]);
    }
    raw += fmt::format("],\"data_offsets\":[{},{}]}},", offset, end);
    header.tensors.push_back({std::move(info), offset, end});
    offset = end;
  }
  if (raw.back() == ',')
    raw.pop_back();
  raw += '}';
  raw.append((8 - raw.size() % 8) % 8, ' ');
  return header;
}

std::string safetensorsPrefix(const SafetensorsHeader &header) {
  uint64_t length = header.raw.size();
  std::string out(sizeof(length), '\0');
  std::memcpy(out.data(), &length, sizeof(length));
  return out + header.raw;
}

Status createSparse(const std::filesystem::path &path,
                    const SafetensorsHeader &header) {
  MBC_ASSIGN(File file,
             File::createSparse(path, header.dataStart() + header.dataBytes()));
  std::string prefix = safetensorsPrefix(header);
  return file.writeAt(0, std::as_bytes(std::span(prefix)));
}

} // namespace mbc
