//===- ConfigFile.h - A config.json as attributes ---------------*- C++ -*-===//
#pragma once

#include "mlir/IR/BuiltinAttributes.h"
#include "runtime/core/Json.h"
#include "llvm/ADT/MapVector.h"

#include <map>
#include <string>
#include <vector>

namespace mbc::nn {

/// Ints i64, floats f64, null `unit`, objects dictionaries.
mlir::Attribute jsonToAttribute(mlir::MLIRContext *ctx, const Json &json);
/// The same backwards, for a value.
Json attributeToJson(mlir::Attribute value);

/// What a field of config.json is for the model.
enum class FieldUse { Unknown, Inert, Neutral, Accepted, Used };

/// A configuration and the account of its fields.
class ConfigFile {
public:
  ConfigFile(mlir::MLIRContext *ctx, const Json &json)
      : root(jsonToAttribute(ctx, json)) {
    addLeaves(json, "");
  }

  /// The value at "a.b.c"; null when absent.
  mlir::Attribute find(llvm::StringRef path) const;
  /// The paths that a "field" expression stands for, in order.
  static std::vector<std::string> candidates(mlir::Attribute field);
  /// Value of a "field" expression: the first that is there and not null; unit
  /// when there is none. `path` gets where it was found.
  mlir::Attribute lookup(mlir::Attribute field,
                         std::string *path = nullptr) const;

  /// Notes what a path is; the stronger use stays.
  void mark(llvm::StringRef path, FieldUse use);
  void mark(mlir::Attribute field, FieldUse use) {
    for (const std::string &path : candidates(field))
      mark(path, use);
  }

  /// Every leaf and its use: its own mark, else that of the nearest object
  /// above that was used or inert as a whole.
  std::vector<std::pair<std::string, FieldUse>> account() const;

private:
  void addLeaves(const Json &json, const std::string &path);

  mlir::Attribute root;
  std::vector<std::string> leaves;
  llvm::MapVector<std::string, FieldUse, std::map<std::string, unsigned>> marks;
};

} // namespace mbc::nn
