//===- YamlFile.h - A YAML file as a JSON value -----------------*- C++ -*-===//
#pragma once

#include "runtime/core/Json.h"

namespace mbc {

/// Reads one YAML document of at most 16 MiB. Plain scalars have the types that
/// YAML 1.1 gives them (and `1e-5` is a number); those that JSON has no value
/// for, `.inf` and `.nan`, stay text. Input errors name the file and the line:
/// what is no YAML, keys that are no text or there twice, nesting deeper than
/// 64, and aliases that make more than 200,000 values of the file.
Expected<Json> readYamlFile(const std::filesystem::path &path);
/// The same of a text; `name` stands for the file in errors.
Expected<Json> parseYaml(const std::string &text, const std::string &name);

} // namespace mbc
