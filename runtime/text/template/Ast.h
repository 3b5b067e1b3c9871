//===- Ast.h - A parsed template --------------------------------*- C++ -*-===//
#pragma once

#include "runtime/text/template/Lexer.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace mbc::text::jinja {

struct Filter;
struct Test;

/// Where a variable is: in the frame `hops` parents up.
struct Slot {
  unsigned hops = 0, index = 0;
};

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct Expr {
  enum class Type : uint8_t {
    Constant,  ///< value
    Name,      ///< name, slot
    Attribute, ///< NAMESPACE.ATTRIBUTE as a target: name, slot; attribute
    List,      ///< items
    Tuple,     ///< items
    Dict,      ///< items: key, value, key, value, ...
    Member,    ///< items[0].name
    Item,      ///< items[0][items[1]]
    Slice,     ///< items[0][items[1]:items[2]:items[3]], absent: null
    Call,      ///< items[0](the rest, keywords, ...)
    Filter,    ///< items[0] | name(the rest); items[0] null: a block's text
    Test,      ///< items[0] is name(the rest)
    Condition, ///< items[1] if items[0] else items[2], which may be null
    Or,
    And,
    Not,
    Negate,
    Plus,
    Binary,  ///< items[0] name items[1]
    Concat,  ///< items[0] ~ items[1] ~ ...
    Compare, ///< items[0] operators[0] items[1] operators[1] ...
  };
  enum class Use : uint8_t { Load, Store, Parameter };

  Type type;
  Place place;
  Use use = Use::Load;
  /// Height of the tree; bounded, so that walking it needs a bounded stack.
  unsigned height = 1;
  std::string name, attribute;
  Value value;
  Slot slot;
  std::vector<ExprPtr> items;
  std::vector<std::pair<std::string, ExprPtr>> keywords;
  ExprPtr spread, spreadKeywords; ///< *items, **keywords of a call
  std::vector<std::string> operators;
  /// Of Filter and Test; null: there is none of this name.
  const Filter *filter = nullptr;
  const Test *test = nullptr;
};

/// What a scope has to do at its start.
struct Load {
  enum class From : uint8_t { Context, Outer, Nothing };
  From from;
  unsigned to;
  Slot outer;       ///< of Outer
  std::string name; ///< of Context
};

struct Stmt;
using StmtPtr = std::unique_ptr<Stmt>;
using Block = std::vector<StmtPtr>;

/// A macro, or the body of a call block.
struct Routine {
  std::string name; ///< empty: of a call block
  std::vector<ExprPtr> parameters, defaults;
  bool takesCaller = false, takesKeywords = false, takesRest = false;
  Slot caller, keywords, rest;
  std::vector<Load> loads;
  unsigned slots = 0;
};

struct Stmt {
  enum class Type : uint8_t {
    Text,      ///< text
    Print,     ///< values
    Set,       ///< target = values[0]
    SetBlock,  ///< target = body, through the filter values[0] if there is one
    If,        ///< values[i]: branches[i]; one branch more: else
    For,       ///< target in values[0] if values[1]: body; otherwise
    Macro,     ///< routine, body
    CallBlock, ///< values[0] is the call; routine, body
    FilterBlock, ///< values[0], body
    With,        ///< targets = values: body
    Generation,  ///< body, by itself
    Break,
    Continue
  };

  Type type;
  Place place;
  std::string text;
  ExprPtr target;
  std::vector<ExprPtr> targets, values;
  Block body, otherwise;
  std::vector<Block> branches;
  std::unique_ptr<Routine> routine;
  bool recursive = false;
  /// Of For: the body uses `loop`, which is at `loop`.
  bool extended = false;
  Slot loop;
  /// Slots of a recursive loop's own frame.
  unsigned slots = 0;
  /// Scopes of the body, of `otherwise`, and of a loop's filter, whose target
  /// is of its own.
  std::vector<Load> loads, otherwiseLoads, filterLoads;
  ExprPtr filterTarget;
  /// Of Macro: the variable.
  Slot slot;
};

struct Template {
  Block body;
  std::vector<Load> loads;
  unsigned slots = 0;
};

} // namespace mbc::text::jinja
