//===- Lexer.h - Tokens of a template ---------------------------*- C++ -*-===//
//
// Jinja's lexer with the settings of chat templates: a block takes the newline
// behind it (trim_blocks) and the blanks before it on its line (lstrip_blocks),
// and the template's last newline is dropped.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/text/template/Value.h"

#include <string>
#include <string_view>
#include <vector>

namespace mbc::text::jinja {

/// From 1; columns count code points.
struct Place {
  uint32_t line = 1, column = 1;
};

/// A Problem of the template itself.
struct SyntaxProblem {
  Place place;
  std::string message;
};

struct Token {
  enum class Type : uint8_t {
    Data,
    VariableBegin,
    VariableEnd,
    BlockBegin,
    BlockEnd,
    Name,
    String,
    Integer,
    Float,
    Operator,
    End
  };
  Type type;
  Place place;
  /// Data, a name, an operator; of a string what it stands for.
  std::string text;
  /// Of a number.
  Value number = {};

  bool isName(std::string_view name) const {
    return type == Type::Name && text == name;
  }
  bool isOperator(std::string_view op) const {
    return type == Type::Operator && text == op;
  }
};

/// For messages: "'name'", "end of the template", "'%}'".
std::string describe(const Token &token);

/// The last token is End. Throws a SyntaxProblem.
std::vector<Token> tokenize(std::string_view source);

} // namespace mbc::text::jinja
