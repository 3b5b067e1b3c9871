//===- Digest.h - XXH3-128 of tensors and files -----------------*- C++ -*-===//
#pragma once

#include "runtime/core/Progress.h"
#include "runtime/io/TensorSet.h"

#include <filesystem>
#include <string>
#include <vector>

namespace mbc {

/// XXH3-128 in its canonical (big-endian) spelling: 32 hexadecimal digits.
using DigestText = std::string;

/// The digest of each tensor of a set, in its order: over the row-major
/// elements in the tensor's own dtype, whatever the files look like. Memory is
/// bounded by 4 MiB a thread. `progress` is advanced by bytes of tensors; its
/// total is set here.
Expected<std::vector<DigestText>>
digestTensors(const TensorSet &set, unsigned threads, Progress &progress);

/// The digest of a text's bytes, and of a file's.
DigestText digestText(std::string_view text);
Expected<DigestText> digestFile(const std::filesystem::path &path);

} // namespace mbc
