//===- AST.h - Syntax trees of .mbc files -----------------------*- C++ -*-===//
//
// Plain structs, one a grammar rule of README.md. Names are views into the
// source buffer, which outlives the tree. Nothing is resolved here.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/SMLoc.h"

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace mbc::ast {

using llvm::SMLoc;
using llvm::StringRef;

/// An identifier where it was written.
struct Ident {
  StringRef name;
  SMLoc loc;
};

/// `a.b.c`
struct Path {
  std::vector<Ident> parts;
  SMLoc loc() const { return parts.front().loc; }
  std::string str() const;
};

/// A string literal, unescaped.
struct Text {
  std::string value;
  SMLoc loc;
};

//===----------------------------------------------------------------------===//
// Expressions
//===----------------------------------------------------------------------===//

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

/// A call argument; `keyword` is empty for positional ones.
struct Argument {
  Ident keyword;
  ExprPtr value;
};

struct Expr {
  enum class Kind {
    Int,    ///< intValue
    Float,  ///< floatValue
    String, ///< text
    True,
    False,
    None,
    Name,    ///< name
    List,    ///< operands
    Member,  ///< operands[0] . name
    Index,   ///< operands[0] [ operands[1] ]
    Unary,   ///< op ("-" or "!"), operands[0]
    Binary,  ///< op ("+", "??", "|", "==", "in", "&&", ...), operands[0..1]
    Ternary, ///< operands[0] ? operands[1] : operands[2]
    Call     ///< name, dimArgs in [..], arguments in (..), instance after `as`
  };
  Kind kind;
  SMLoc loc;          ///< of the operator, else of the first token
  unsigned depth = 1; ///< height of the tree, bounded by the parser
  int64_t intValue = 0;
  double floatValue = 0;
  std::string text;
  StringRef op;
  Ident name;
  std::vector<ExprPtr> operands;
  std::vector<ExprPtr> dimArgs;
  std::vector<Argument> arguments;
  std::optional<Ident> instance;
};

//===----------------------------------------------------------------------===//
// Configuration
//===----------------------------------------------------------------------===//

struct ConfigDef {
  Ident name;
  ExprPtr value;
};
struct Require {
  SMLoc loc;
  ExprPtr condition;
  std::optional<Text> message;
};
struct Inert {
  std::vector<Path> fields;
};
struct Unsupported {
  Path field;
  ExprPtr unless;
  Text reason;
};
struct VariantField {
  Ident name;
  ExprPtr fallback; /* null: required */
};
struct VariantCase {
  std::vector<Text> tags; ///< the first is the `.type` of the value
  std::vector<VariantField> fields;
};
struct Variant {
  Ident name;
  std::vector<Path> sources;
  std::vector<Ident> tags;
  std::optional<Text> defaultTag;
  std::vector<VariantCase> cases;
};
struct Use {
  Text path;
};
struct ConfigEntry;
struct FromGroup {
  SMLoc loc;
  std::vector<Path> objects;
  std::vector<ConfigEntry> entries;
};
struct ConfigEntry {
  std::variant<ConfigDef, Require, Inert, Unsupported, Variant, FromGroup, Use>
      value;
};

//===----------------------------------------------------------------------===//
// Model
//===----------------------------------------------------------------------===//

/// One part of a sum axis: `q: group`.
struct AxisPart {
  Ident name;
  ExprPtr size;
};
struct Axis {
  Ident name;
  ExprPtr size;                ///< null: the size is what `name` denotes
  std::vector<AxisPart> parts; ///< non-empty: a sum axis declared here
};
struct Shape {
  SMLoc loc;
  std::vector<Axis> batch, out, in;
};

/// `slot.q` or `kv_heads`.
struct AxisRef {
  Ident axis;
  std::optional<Ident> part;
};
/// `(kv_heads, slot.q): tp`
struct ShardItem {
  std::vector<AxisRef> targets;
  Ident mesh;
};
struct Tie {
  Path target;
  ExprPtr when; /* null: always */
};
struct Param {
  Ident name;
  Shape shape;
  std::vector<ShardItem> shards;
  std::vector<Ident> pads;
  std::optional<Tie> tie;
  std::optional<Ident> dtype;
  ExprPtr when; ///< null: always
};

struct Dim {
  Ident name;
  ExprPtr value;
  ExprPtr when;
};

struct Stmt {
  enum class Kind { Assign, AddAssign, Yield } kind;
  SMLoc loc;
  std::vector<Ident> targets;  ///< Assign, AddAssign
  std::vector<ExprPtr> values; ///< one, or several for Yield
};

/// A formal with the axis names of its activation; `axes` empty: not stated.
struct Formal {
  Ident name;
  std::vector<Ident> axes;
  bool typed = false;
};

using BodyItem = std::variant<Param, Dim, Stmt>;

struct Block {
  Ident name;
  std::vector<Ident> dimParams;
  std::vector<Formal> formals;
  std::vector<BodyItem> body;
};
struct Layers {
  Ident name;
  ExprPtr count;
  std::vector<Formal> formals; ///< first: carried value; last of several: index
  std::vector<BodyItem> body;
};
struct Function {
  Ident name;
  std::vector<Formal> formals;
  std::vector<BodyItem> body;
};

//===----------------------------------------------------------------------===//
// Mapping
//===----------------------------------------------------------------------===//

/// A name with holes: text and expressions alternate, starting with text.
struct NamePattern {
  SMLoc loc;
  std::vector<std::string> literals; ///< holes.size() + 1 of them
  std::vector<ExprPtr> holes;
};

/// One stored dimension of an `as (...)` view: a product of axes.
struct StoredDim {
  std::vector<Ident> axes;
};
struct StoredName {
  NamePattern pattern;
  bool scaled = false;
  std::optional<std::vector<StoredDim>> view;
};
struct StoredPart {
  AxisRef selector;
  StoredName name;
};
struct Alternative {
  SMLoc loc;
  std::optional<std::pair<Ident, Ident>> each; ///< each FIRST in SECOND
  std::vector<StoredPart> parts; ///< parts[0].selector.axis empty: one tensor
};
struct KeySegment {
  Ident name;
  ExprPtr index; /* null: none */
};
struct McoreSide {
  SMLoc loc;
  std::optional<std::pair<Ident, Ident>> each;
  std::vector<KeySegment> key;
  std::optional<std::vector<StoredDim>> view;
};
struct Entry {
  Path path;
  std::vector<Alternative> hf; ///< empty: no hf side
  bool stored = false;
  std::optional<McoreSide> mcore;
};
struct UsePart {
  Ident part;
  std::optional<Path> prefix;
  std::vector<NamePattern> hfPrefixes;
  std::vector<KeySegment> mcorePrefix;
};
struct Extra {
  NamePattern pattern;
};
struct Drop {
  NamePattern pattern;
  Text reason;
};

struct MappingItem;
struct Each {
  Ident index;
  Path stack;
  std::vector<NamePattern> hfPrefixes;
  std::vector<KeySegment> mcorePrefix;
  std::vector<MappingItem> items;
};
struct MappingItem {
  std::variant<Entry, Each, UsePart, Extra, Drop> value;
};
struct Part {
  Ident name;
  std::vector<MappingItem> items;
};

/// `name <-> field` (both ways) or `field = expr` (`name` empty).
struct ConfigLine {
  enum class Kind {
    Field,      ///< written into Megatron's configuration, and compared with it
    Neutral,    ///< of Megatron; compared where it is there, never written
    HuggingFace ///< of config.json; what Megatron has no field for
  };
  Kind kind = Kind::Field;
  Ident name;
  Path field;
  ExprPtr value;
  bool free = false; ///< a checkpoint may have another value
  ExprPtr condition; ///< `free unless`; of a Hugging Face line `when`
};
struct Scale {
  SMLoc loc;
  Text suffix;
  ExprPtr blocks;
  ExprPtr when;
};

//===----------------------------------------------------------------------===//
// Files
//===----------------------------------------------------------------------===//

struct Model {
  Ident name;
  std::vector<Text> architectures;
  std::vector<Use> uses;
  std::vector<ConfigEntry> config;
  std::vector<Dim> dims;
  std::vector<Param> params;
  std::vector<Block> blocks;
  std::vector<Layers> layers;
  std::vector<Function> functions;
};
struct Library {
  Ident name;
  std::vector<Use> uses;
  std::vector<ConfigEntry> config;
  std::vector<Dim> dims;
  std::vector<Block> blocks;
  std::vector<Part> parts;
  std::vector<ConfigLine> fields; ///< of Megatron, for the mappings that use it
};
struct Mapping {
  Ident name;
  std::vector<Use> uses;
  std::vector<ConfigLine> config;
  std::optional<Scale> scale;
  std::vector<MappingItem> items;
  std::vector<Part> parts;
};
struct File {
  std::vector<Model> models;
  std::vector<Mapping> mappings;
  std::vector<Library> libraries;
};

} // namespace mbc::ast
