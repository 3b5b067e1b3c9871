//===- Outcome.h - What a command has to say --------------------*- C++ -*-===//
#pragma once

#include "runtime/core/Json.h"

#include <string>

namespace mbc {

/// What a command has to say when it is done.
struct Outcome {
  int status = 0;             ///< 0, or 1: a comparison found a difference
  std::string text;           ///< for people, with line ends
  Json json = Json::object(); ///< members after "schema", "command", "status"
};

} // namespace mbc
