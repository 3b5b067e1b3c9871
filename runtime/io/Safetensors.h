//===- Safetensors.h - Headers of safetensors files -------------*- C++ -*-===//
#pragma once

#include "runtime/io/TensorSet.h"

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace mbc {

/// String pairs of a header's "__metadata__", in the order of the file.
using SafetensorsMetadata = std::vector<std::pair<std::string, std::string>>;

/// A tensor and its bytes [begin, end), counted from the start of the data.
struct SafetensorsEntry {
  TensorInfo info;
  uint64_t begin, end;
};

struct SafetensorsHeader {
  /// Exact bytes of the JSON text, padding included.
  std::string raw;
  /// In the order of their data.
  std::vector<SafetensorsEntry> tensors;
  /// None when the header has no "__metadata__".
  std::optional<SafetensorsMetadata> metadata;

  /// Position of the data in the file.
  uint64_t dataStart() const { return 8 + raw.size(); }
  uint64_t dataBytes() const {
    return tensors.empty() ? 0 : tensors.back().end;
  }
};

/// Reads and checks the header of a file: JSON without duplicate keys, known
/// dtypes, sizes that agree with the offsets, data without hole or overlap
/// that ends exactly at the end of the file. Errors start with the path.
Expected<SafetensorsHeader>
readSafetensorsHeader(const std::filesystem::path &path);

/// The same for the JSON text alone; `name` is what errors start with, and
/// `dataBytes`, where known, the length of the data that must be covered.
Expected<SafetensorsHeader>
parseSafetensorsHeader(std::string raw, std::string_view name,
                       std::optional<uint64_t> dataBytes = std::nullopt);

/// Lays the tensors out one after the other as given and spells the header as
/// the official writer does, padded to a multiple of 8 bytes. The names must
/// be distinct.
SafetensorsHeader
buildSafetensorsHeader(std::vector<TensorInfo> tensors,
                       const std::optional<SafetensorsMetadata> &metadata);

/// Creates a file whose header is true and whose data is a hole: zeros that
/// take no space.
Status createSparse(const std::filesystem::path &path,
                    const SafetensorsHeader &header);

/// The 8 bytes before the header, and the header.
std::string safetensorsPrefix(const SafetensorsHeader &header);

} // namespace mbc
