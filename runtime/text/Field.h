//===- Field.h - A place in a JSON file -------------------------*- C++ -*-===//
#pragma once

#include "runtime/core/Json.h"

#include <string>
#include <string_view>
#include <vector>

namespace mbc::text {

/// A value of a JSON file with the way to it, for messages:
/// "tokenizer.json: pre_tokenizer.pretokenizers[1]". The JSON must outlive it.
/// Errors are Input errors.
class Field {
public:
  Field(const Json &value, std::string place)
      : value(&value), place(std::move(place)) {}

  const Json &json() const { return *value; }
  bool isNull() const { return value->isNull(); }

  /// The member, or null where it is absent.
  Field at(std::string_view key) const;
  Expected<std::vector<Field>> elements() const;

  Expected<std::string> text() const;
  /// The fallback where the value is absent or null.
  Expected<std::string> text(std::string_view fallback) const;
  Expected<bool> boolean(bool fallback) const;
  /// A token id: 0 to 2^31 - 1.
  Expected<int32_t> id() const;
  /// Exactly one character.
  Expected<std::string> character() const;

  /// The text of the member "type".
  Expected<std::string> type() const;
  /// That "type" is no component that mbc computes, as `kind` ("normalizer").
  Failure unknownType(std::string_view kind, std::string_view known) const;
  /// "NAME: PLACE WHAT".
  Failure fail(std::string_view what) const;

private:
  Failure expected(std::string_view what) const;
  const Json *value;
  std::string place;
};

} // namespace mbc::text
