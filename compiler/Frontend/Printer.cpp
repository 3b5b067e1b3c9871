//===- Printer.cpp - Syntax trees as .mbc text ----------------------------===//

#include "compiler/Frontend/Printer.h"
#include "compiler/Frontend/ParserImpl.h"

#include "llvm/ADT/STLExtras.h"

#include <charconv>

using namespace mbc;
using namespace mbc::ast;
using llvm::interleaveComma;

namespace {

class Printer {
public:
  Printer(llvm::raw_ostream &os, Parentheses parentheses)
      : os(os), parentheses(parentheses) {}

  void print(const File &file);
  /// With parentheses if an operator of it is looser than `minPrecedence`.
  void print(const Expr &expr, unsigned minPrecedence = 0);

private:
  using Action = llvm::function_ref<void()>;
  llvm::raw_ostream &line() { return os.indent(2 * indentation); }
  void braces(Action body);
  void quoted(StringRef text);

  void print(const ExprPtr &expr) { print(*expr); }
  void print(const Ident &ident) { os << ident.name; }
  void print(const Path &path) { os << path.str(); }
  void print(const Text &text) { quoted(text.value); }
  void print(const Argument &argument);
  void printOperator(const Expr &expr);
  void printPostfixed(const Expr &expr);
  void printFloat(double value);

  void print(const Model &model);
  void print(const Library &library);
  void print(const Use &use);
  void print(const ConfigEntry &entry);
  void print(const ConfigDef &definition);
  void print(const Require &require);
  void print(const Inert &inert);
  void print(const Unsupported &unsupported);
  void print(const Variant &variant);
  void print(const FromGroup &group);
  void print(const Dim &dim);
  void print(const Param &param);
  void print(const Shape &shape);
  void print(const Axis &axis);
  void print(const AxisRef &ref);
  void print(const ShardItem &item);
  void print(const Block &block);
  void print(const Layers &layers);
  void print(const Function &function);
  void print(const Formal &formal);
  void print(const Stmt &stmt);
  void printBody(const std::vector<Formal> &formals,
                 const std::vector<BodyItem> &body);

  void print(const Mapping &mapping);
  void print(const ConfigLine &configLine);
  void print(const Scale &scale);
  void print(const Part &part);
  void print(const MappingItem &item);
  void print(const Entry &entry);
  void print(const Each &each);
  void print(const UsePart &use);
  void print(const Extra &extra);
  void print(const Drop &drop);
  void print(const NamePattern &pattern);
  void print(const StoredName &name);
  void print(const Alternative &alternative);
  void print(const std::vector<KeySegment> &key);
  void printPrefixes(const std::vector<NamePattern> &hf,
                     const std::vector<KeySegment> &mcore);
  void printView(const std::optional<std::vector<StoredDim>> &view);
  void printEach(const std::optional<std::pair<Ident, Ident>> &each);

  template <typename T> void list(const T &items, StringRef separator = ", ") {
    llvm::interleave(
        items, os, [&](const auto &item) { print(item); }, separator);
  }
  template <typename T> void all(const T &items) {
    for (const auto &item : items)
      print(item);
  }
  template <typename T> void config(const std::vector<T> &entries) {
    if (entries.empty())
      return;
    line() << "config";
    braces([&] { all(entries); });
  }
  void when(const ExprPtr &condition) {
    if (condition) {
      os << " when ";
      print(*condition);
    }
  }

  llvm::raw_ostream &os;
  Parentheses parentheses;
  unsigned indentation = 0;
};

} // namespace

void Printer::braces(Action body) {
  os << " {\n";
  ++indentation;
  body();
  --indentation;
  line() << "}\n";
}

void Printer::quoted(StringRef text) {
  os << '"';
  for (char c : text) {
    if (c == '\n') {
      os << "\\n";
      continue;
    }
    if (c == '"' || c == '\\')
      os << '\\';
    os << c;
  }
  os << '"';
}

//===----------------------------------------------------------------------===//
// Expressions
//===----------------------------------------------------------------------===//

constexpr unsigned unaryPrecedence = productPrecedence + 1;

void Printer::print(const Expr &expr, unsigned minPrecedence) {
  switch (expr.kind) {
  case Expr::Kind::Int:
    os << expr.intValue;
    return;
  case Expr::Kind::Float:
    return printFloat(expr.floatValue);
  case Expr::Kind::String:
    return quoted(expr.text);
  case Expr::Kind::True:
    os << "true";
    return;
  case Expr::Kind::False:
    os << "false";
    return;
  case Expr::Kind::None:
    os << "none";
    return;
  case Expr::Kind::Name:
    return print(expr.name);
  case Expr::Kind::List:
    os << '[';
    list(expr.operands);
    os << ']';
    return;
  case Expr::Kind::Member:
    printPostfixed(*expr.operands[0]);
    os << '.' << expr.name.name;
    return;
  case Expr::Kind::Index:
    printPostfixed(*expr.operands[0]);
    os << '[';
    print(*expr.operands[1]);
    os << ']';
    return;
  case Expr::Kind::Call:
    print(expr.name);
    if (!expr.dimArgs.empty()) {
      os << '[';
      list(expr.dimArgs);
      os << ']';
    }
    os << '(';
    list(expr.arguments);
    os << ')';
    if (expr.instance)
      os << " as " << expr.instance->name;
    return;
  case Expr::Kind::Unary:
  case Expr::Kind::Binary:
  case Expr::Kind::Ternary:
    break;
  }
  unsigned own = expr.kind == Expr::Kind::Unary    ? unaryPrecedence
                 : expr.kind == Expr::Kind::Binary ? precedence(expr.op)
                                                   : 0;
  bool parenthesized = parentheses == Parentheses::Full || own < minPrecedence;
  if (parenthesized)
    os << '(';
  printOperator(expr);
  if (parenthesized)
    os << ')';
}

void Printer::printOperator(const Expr &expr) {
  if (expr.kind == Expr::Kind::Unary) {
    os << expr.op;
    return print(*expr.operands[0], unaryPrecedence);
  }
  if (expr.kind == Expr::Kind::Ternary) {
    print(*expr.operands[0], 1);
    os << " ? ";
    print(*expr.operands[1]);
    os << " : ";
    return print(*expr.operands[2]);
  }
  // To the left, except for comparisons, which have no side.
  unsigned own = precedence(expr.op);
  print(*expr.operands[0], own + (own == comparisonPrecedence));
  os << ' ' << expr.op << ' ';
  print(*expr.operands[1], own + 1);
}

/// What stands before `.field` or `[i]`.
void Printer::printPostfixed(const Expr &expr) {
  if (!expr.instance)
    return print(expr, unaryPrecedence + 1);
  os << '(';
  print(expr);
  os << ')';
}

/// The shortest text with the same value; always with a dot or an exponent.
void Printer::printFloat(double value) {
  char text[32];
  char *end = std::to_chars(std::begin(text), std::end(text), value).ptr;
  StringRef digits(text, end - text);
  os << digits << (digits.find_first_of(".e") == StringRef::npos ? ".0" : "");
}

void Printer::print(const Argument &argument) {
  if (!argument.keyword.name.empty())
    os << argument.keyword.name << ": ";
  print(*argument.value);
}

//===----------------------------------------------------------------------===//
// Configuration
//===----------------------------------------------------------------------===//

void Printer::print(const Use &use) {
  line() << "use ";
  print(use.path);
  os << ";\n";
}

void Printer::print(const ConfigEntry &entry) {
  std::visit([&](const auto &value) { print(value); }, entry.value);
}

void Printer::print(const ConfigDef &definition) {
  line() << definition.name.name << " = ";
  print(*definition.value);
  os << ";\n";
}

void Printer::print(const Require &require) {
  line() << "require ";
  print(*require.condition);
  if (require.message) {
    os << " : ";
    print(*require.message);
  }
  os << ";\n";
}

void Printer::print(const Inert &inert) {
  line() << "inert ";
  list(inert.fields);
  os << ";\n";
}

void Printer::print(const Unsupported &unsupported) {
  line() << "unsupported " << unsupported.field.str() << " unless ";
  print(*unsupported.unless);
  os << " : ";
  print(unsupported.reason);
  os << ";\n";
}

void Printer::print(const Variant &variant) {
  line() << "variant " << variant.name.name << " from ";
  list(variant.sources, " | ");
  os << " tag ";
  list(variant.tags, " | ");
  if (variant.defaultTag) {
    os << " ?? ";
    print(*variant.defaultTag);
  }
  braces([&] {
    for (const VariantCase &variantCase : variant.cases) {
      line();
      list(variantCase.tags, " | ");
      os << " {";
      for (const VariantField &field : variantCase.fields) {
        os << ' ' << field.name.name;
        if (field.fallback) {
          os << " ?? ";
          print(*field.fallback);
        }
        os << ';';
      }
      os << " }\n";
    }
  });
}

void Printer::print(const FromGroup &group) {
  line() << "from ";
  list(group.objects);
  braces([&] { all(group.entries); });
}

//===----------------------------------------------------------------------===//
// Models and libraries
//===----------------------------------------------------------------------===//

void Printer::print(const Model &model) {
  line() << "model " << model.name.name << " for ";
  list(model.architectures);
  braces([&] {
    all(model.uses);
    config(model.config);
    all(model.dims);
    all(model.params);
    all(model.blocks);
    all(model.layers);
    all(model.functions);
  });
}

void Printer::print(const Library &library) {
  line() << "library " << library.name.name;
  braces([&] {
    all(library.uses);
    config(library.config);
    all(library.dims);
    all(library.blocks);
    all(library.parts);
    if (!library.fields.empty()) {
      line() << "fields";
      braces([&] { all(library.fields); });
    }
  });
}

void Printer::print(const Dim &dim) {
  line() << "dim " << dim.name.name << " = ";
  print(*dim.value);
  when(dim.when);
  os << ";\n";
}

void Printer::print(const Param &param) {
  line() << "param " << param.name.name << " : ";
  print(param.shape);
  if (!param.shards.empty()) {
    os << " shard ";
    list(param.shards);
  }
  for (const Ident &pad : param.pads)
    os << " pad " << pad.name;
  // Before the tie, which would take it.
  when(param.when);
  if (param.tie) {
    os << " tie " << param.tie->target.str();
    when(param.tie->when);
  }
  if (param.dtype)
    os << " dtype " << param.dtype->name;
  os << ";\n";
}

void Printer::print(const Shape &shape) {
  os << '[';
  if (!shape.batch.empty()) {
    list(shape.batch);
    os << " : ";
  }
  list(shape.out);
  if (!shape.in.empty()) {
    os << " ; ";
    list(shape.in);
  }
  os << ']';
}

void Printer::print(const Axis &axis) {
  os << axis.name.name;
  if (axis.size) {
    os << " = ";
    print(*axis.size);
  } else if (!axis.parts.empty()) {
    os << " = ";
    llvm::interleave(
        axis.parts, os,
        [&](const AxisPart &part) {
          os << part.name.name << ": ";
          print(*part.size, productPrecedence);
        },
        " + ");
  }
}

void Printer::print(const AxisRef &ref) {
  os << ref.axis.name;
  if (ref.part)
    os << '.' << ref.part->name;
}

void Printer::print(const ShardItem &item) {
  bool mixed = item.targets.size() > 1;
  os << (mixed ? "(" : "");
  list(item.targets);
  os << (mixed ? "): " : ": ") << item.mesh.name;
}

void Printer::print(const Block &block) {
  line() << "block " << block.name.name;
  if (!block.dimParams.empty()) {
    os << '[';
    list(block.dimParams);
    os << ']';
  }
  printBody(block.formals, block.body);
}

void Printer::print(const Layers &layers) {
  line() << "layers " << layers.name.name << '[';
  print(*layers.count);
  os << ']';
  printBody(layers.formals, layers.body);
}

void Printer::print(const Function &function) {
  line() << function.name.name;
  printBody(function.formals, function.body);
}

void Printer::print(const Formal &formal) {
  os << formal.name.name;
  if (formal.typed) {
    os << ": [";
    list(formal.axes);
    os << ']';
  }
}

void Printer::printBody(const std::vector<Formal> &formals,
                        const std::vector<BodyItem> &body) {
  os << '(';
  list(formals);
  os << ')';
  braces([&] {
    for (const BodyItem &item : body)
      std::visit([&](const auto &value) { print(value); }, item);
  });
}

void Printer::print(const Stmt &stmt) {
  line();
  if (stmt.kind == Stmt::Kind::Yield)
    os << "yield ";
  list(stmt.targets);
  if (stmt.kind == Stmt::Kind::Assign)
    os << " = ";
  else if (stmt.kind == Stmt::Kind::AddAssign)
    os << " += ";
  list(stmt.values);
  os << ";\n";
}

//===----------------------------------------------------------------------===//
// Mappings
//===----------------------------------------------------------------------===//

void Printer::print(const Mapping &mapping) {
  line() << "mapping " << mapping.name.name;
  braces([&] {
    all(mapping.uses);
    config(mapping.config);
    if (mapping.scale)
      print(*mapping.scale);
    all(mapping.parts);
    all(mapping.items);
  });
}

void Printer::print(const ConfigLine &configLine) {
  using Kind = ConfigLine::Kind;
  line() << (configLine.kind == Kind::Neutral       ? "neutral "
             : configLine.kind == Kind::HuggingFace ? "hf "
                                                    : "");
  if (!configLine.name.name.empty())
    os << configLine.name.name << " <-> ";
  os << configLine.field.str();
  if (configLine.value) {
    os << " = ";
    print(*configLine.value);
  }
  if (configLine.free)
    os << " free";
  if (configLine.condition) {
    os << (configLine.free ? " unless " : " when ");
    print(*configLine.condition);
  }
  os << ";\n";
}

void Printer::print(const Scale &scale) {
  line() << "scaled ";
  print(scale.suffix);
  os << " blocks ";
  print(*scale.blocks);
  when(scale.when);
  os << ";\n";
}

void Printer::print(const Part &part) {
  line() << "part " << part.name.name;
  braces([&] { all(part.items); });
}

void Printer::print(const MappingItem &item) {
  std::visit([&](const auto &value) { print(value); }, item.value);
}

void Printer::print(const Each &each) {
  line() << "each " << each.index.name << " in " << each.stack.str();
  printPrefixes(each.hfPrefixes, each.mcorePrefix);
  braces([&] { all(each.items); });
}

void Printer::printPrefixes(const std::vector<NamePattern> &hf,
                            const std::vector<KeySegment> &mcore) {
  if (!hf.empty()) {
    os << " hf ";
    list(hf, " | ");
  }
  if (!mcore.empty()) {
    os << " mcore ";
    print(mcore);
    os << '.';
  }
}

void Printer::print(const Entry &entry) {
  line() << entry.path.str() << " :";
  if (!entry.hf.empty()) {
    os << " hf ";
    list(entry.hf, " | ");
  }
  if (entry.stored)
    os << " stored";
  if (entry.mcore) {
    os << " mcore ";
    printEach(entry.mcore->each);
    print(entry.mcore->key);
    printView(entry.mcore->view);
  }
  os << ";\n";
}

void Printer::print(const UsePart &use) {
  line() << "use " << use.part.name;
  if (use.prefix)
    os << " for " << use.prefix->str();
  printPrefixes(use.hfPrefixes, use.mcorePrefix);
  os << ";\n";
}

void Printer::print(const Extra &extra) {
  line() << "extra hf ";
  print(extra.pattern);
  os << ";\n";
}

void Printer::print(const Drop &drop) {
  line() << "drop hf ";
  print(drop.pattern);
  os << " because ";
  print(drop.reason);
  os << ";\n";
}

void Printer::print(const NamePattern &pattern) {
  os << '"';
  for (auto [i, literal] : llvm::enumerate(pattern.literals)) {
    if (i) {
      os << '{';
      print(*pattern.holes[i - 1]);
      os << '}';
    }
    for (char c : literal) {
      if (c == '{' || c == '}')
        os << c;
      else if (c == '"' || c == '\\')
        os << '\\';
      if (c == '\n')
        os << "\\n";
      else
        os << c;
    }
  }
  os << '"';
}

void Printer::print(const StoredName &name) {
  print(name.pattern);
  if (name.scaled)
    os << " scaled";
  printView(name.view);
}

void Printer::printView(const std::optional<std::vector<StoredDim>> &view) {
  if (!view)
    return;
  os << " as (";
  interleaveComma(*view, os,
                  [&](const StoredDim &dim) { list(dim.axes, " * "); });
  os << ')';
}

void Printer::print(const Alternative &alternative) {
  printEach(alternative.each);
  if (alternative.parts.front().selector.axis.name.empty())
    return print(alternative.parts.front().name);
  os << "{ ";
  interleaveComma(alternative.parts, os, [&](const StoredPart &part) {
    print(part.selector);
    os << ": ";
    print(part.name);
  });
  os << " }";
}

void Printer::print(const std::vector<KeySegment> &key) {
  llvm::interleave(
      key, os,
      [&](const KeySegment &segment) {
        os << segment.name.name;
        if (segment.index) {
          os << '[';
          print(*segment.index);
          os << ']';
        }
      },
      ".");
}

void Printer::printEach(const std::optional<std::pair<Ident, Ident>> &each) {
  if (each)
    os << "each " << each->first.name << " in " << each->second.name << ' ';
}

void Printer::print(const File &file) {
  all(file.models);
  all(file.mappings);
  all(file.libraries);
}

void mbc::print(const File &file, llvm::raw_ostream &os,
                Parentheses parentheses) {
  Printer(os, parentheses).print(file);
}

void mbc::print(const Expr &expr, llvm::raw_ostream &os,
                Parentheses parentheses) {
  Printer(os, parentheses).print(expr);
}
