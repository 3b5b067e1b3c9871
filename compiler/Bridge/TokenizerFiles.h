//===- TokenizerFiles.h - The files of a tokenizer --------------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"

#include <filesystem>
#include <string_view>

namespace mbc {

/// Whether a file of a Hugging Face folder belongs to its tokenizer, template
/// and code included.
bool isTokenizerFile(std::string_view name);

/// Copies the tokenizer's files from one folder to another; their number.
Expected<size_t> copyTokenizer(const std::filesystem::path &from,
                               const std::filesystem::path &to);

} // namespace mbc
