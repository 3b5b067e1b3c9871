//===- ParseModel.cpp - Models and libraries ------------------------------===//

#include "compiler/Frontend/ParserImpl.h"

#include "llvm/ADT/StringMap.h"

using namespace mbc;
using llvm::failure;
using llvm::StringRef;
using llvm::success;
using Result = Parser::Result;

Result Parser::parseModel(ast::Model &model) {
  if (parseIdent(model.name, "the name of the model") || expectWord("for") ||
      parseList(",", [&] {
        return parseText(model.architectures.emplace_back(),
                         "the name of an architecture in quotes");
      }))
    return failure();
  return parseBraces([&]() -> Result {
    if (acceptWord("use"))
      return parseUse(model.uses.emplace_back());
    if (acceptWord("config"))
      return parseConfig(model.config);
    if (acceptWord("dim"))
      return parseDim(model.dims.emplace_back());
    if (acceptWord("param"))
      return parseParam(model.params.emplace_back());
    if (acceptWord("block"))
      return parseBlock(model.blocks.emplace_back());
    if (acceptWord("layers"))
      return parseLayers(model.layers.emplace_back());
    if (peek().isWord("forward") || peek().isWord("loss"))
      return parseFunction(model.functions.emplace_back());
    return unexpected("'use', 'config', 'dim', 'param', 'block', 'layers', "
                      "'forward' or 'loss' in a model"); // L19
  });
}

Result Parser::parseLibrary(ast::Library &library) {
  if (parseIdent(library.name, "the name of the library"))
    return failure();
  return parseBraces([&]() -> Result {
    if (acceptWord("use"))
      return parseUse(library.uses.emplace_back());
    if (acceptWord("config"))
      return parseConfig(library.config);
    if (acceptWord("dim"))
      return parseDim(library.dims.emplace_back());
    if (acceptWord("block"))
      return parseBlock(library.blocks.emplace_back());
    if (acceptWord("fields"))
      return parseConfigLines(library.fields);
    if (acceptWord("part"))
      return parsePart(library.parts.emplace_back());
    return unexpected(
        "'use', 'config', 'fields', 'dim', 'block' or 'part' in a "
        "library"); // L19
  });
}

Result Parser::parseUse(ast::Use &use) {
  if (parseText(use.path, "the path of a file in quotes"))
    return failure();
  return expect(";");
}

//===----------------------------------------------------------------------===//
// Configuration
//===----------------------------------------------------------------------===//

Result Parser::parseConfig(std::vector<ast::ConfigEntry> &entries) {
  return parseBraces([&] { return parseConfigEntry(entries); });
}

Result Parser::parseConfigEntry(std::vector<ast::ConfigEntry> &entries) {
  const Token first = peek();
  // Any word can be defined, the keywords of this list too.
  if (first.isIdentifier() && peek(1).is("=")) {
    ast::ConfigDef definition;
    if (parseIdent(definition.name, "a name") || expect("=") ||
        parseConfigExpr(definition.value) || expect(";"))
      return failure();
    entries.push_back({std::move(definition)});
  } else if (acceptWord("require")) {
    ast::Require require{first.loc(), nullptr, std::nullopt};
    if (parseConfigExpr(require.condition))
      return failure();
    if (accept(":") &&
        parseText(require.message.emplace(), "a message in quotes after ':'"))
      return failure();
    if (expect(";"))
      return failure();
    entries.push_back({std::move(require)});
  } else if (acceptWord("inert")) {
    ast::Inert inert;
    if (parseList(",",
                  [&] {
                    return parsePath(inert.fields.emplace_back(), "a field");
                  }) ||
        expect(";"))
      return failure();
    entries.push_back({std::move(inert)});
  } else if (acceptWord("unsupported")) {
    ast::Unsupported unsupported;
    if (parsePath(unsupported.field, "a field") || expectWord("unless") ||
        parseConfigExpr(unsupported.unless) || expect(":") ||
        parseText(unsupported.reason, "a reason in quotes") || expect(";"))
      return failure();
    entries.push_back({std::move(unsupported)});
  } else if (acceptWord("use")) {
    ast::Use use;
    if (parseUse(use))
      return failure();
    entries.push_back({std::move(use)});
  } else if (acceptWord("variant")) {
    ast::Variant variant;
    if (parseVariant(variant))
      return failure();
    entries.push_back({std::move(variant)});
  } else if (acceptWord("from")) {
    ast::FromGroup group;
    group.loc = first.loc();
    if (parseList(",",
                  [&] {
                    return parsePath(group.objects.emplace_back(),
                                     "an object of the configuration");
                  }) ||
        parseConfig(group.entries))
      return failure();
    entries.push_back({std::move(group)});
  } else {
    return unexpected("a definition, 'use', 'require', 'inert', 'unsupported', "
                      "'variant' or 'from' in a config"); // L19
  }
  return success();
}

Result Parser::parseVariant(ast::Variant &variant) {
  if (parseIdent(variant.name, "the name of the variant") ||
      expectWord("from") ||
      parseList("|",
                [&] {
                  return parsePath(variant.sources.emplace_back(), "a field");
                }) ||
      expectWord("tag") || parseList("|", [&] {
        return parseIdent(variant.tags.emplace_back(), "the name of the tag");
      }))
    return failure();
  if (accept("??") &&
      parseText(variant.defaultTag.emplace(), "the default tag in quotes"))
    return failure();
  return parseBraces(
      [&] { return parseVariantCase(variant.cases.emplace_back()); });
}

Result Parser::parseVariantCase(ast::VariantCase &variantCase) {
  if (parseList("|", [&] {
        return parseText(variantCase.tags.emplace_back(), "a tag in quotes");
      }))
    return failure();
  return parseBraces([&]() -> Result {
    ast::VariantField &field = variantCase.fields.emplace_back();
    if (parseIdent(field.name, "a field"))
      return failure();
    if (accept("??") && parseConfigExpr(field.fallback))
      return failure();
    return expect(";");
  });
}

//===----------------------------------------------------------------------===//
// Dims and parameters
//===----------------------------------------------------------------------===//

Result Parser::parseDim(ast::Dim &dim) {
  if (parseIdent(dim.name, "the name of the dim") || expect("=") ||
      parseConfigExpr(dim.value))
    return failure();
  if (acceptWord("when") && parseConfigExpr(dim.when))
    return failure();
  return expect(";");
}

Result Parser::parseParam(ast::Param &param) {
  if (parseIdent(param.name, "the name of the parameter") || expect(":") ||
      parseShape(param.shape))
    return failure();

  llvm::StringMap<llvm::SMLoc> seen;
  auto once = [&](const Token &clause, const llvm::Twine &key) -> Result {
    auto [place, isNew] = seen.try_emplace(key.str(), clause.loc());
    if (isNew)
      return success();
    auto diagnostic = error(clause) << "'" << place->first()
                                    << "' given twice for parameter '"
                                    << param.name.name << "'"; // L20
    diagnostic.attachNote(diagnostics.at(place->second)) << "first given here";
    return diagnostic;
  };
  while (!peek().is(";")) {
    const Token clause = peek();
    if (acceptWord("shard")) {
      if (once(clause, "shard") || parseList(",", [&] {
            return parseShardItem(param.shards.emplace_back());
          }))
        return failure();
    } else if (acceptWord("pad")) {
      ast::Ident &axis = param.pads.emplace_back();
      if (parseIdent(axis, "the axis to pad") ||
          once(clause, "pad " + axis.name))
        return failure();
    } else if (acceptWord("tie")) {
      ast::Tie &tie = param.tie.emplace();
      if (once(clause, "tie") || parsePath(tie.target, "a parameter"))
        return failure();
      // A `when` right behind the path belongs to the tie.
      if (acceptWord("when") && parseConfigExpr(tie.when))
        return failure();
    } else if (acceptWord("dtype")) {
      if (once(clause, "dtype") ||
          parseIdent(param.dtype.emplace(), "an element type"))
        return failure();
    } else if (acceptWord("when")) {
      if (once(clause, "when") || parseConfigExpr(param.when))
        return failure();
    } else {
      return unexpected(
          "'shard', 'pad', 'tie', 'dtype', 'when' or ';' in a parameter");
    }
  }
  return expect(";");
}

Result Parser::parseShape(ast::Shape &shape) {
  const Token open = peek();
  shape.loc = open.loc();
  auto axes = [&](std::vector<ast::Axis> &axes) {
    return parseList(",", [&] { return parseAxis(axes.emplace_back()); });
  };
  if (expect("[") || axes(shape.out))
    return failure();
  if (accept(":")) {
    shape.batch = std::move(shape.out);
    shape.out.clear();
    if (axes(shape.out))
      return failure();
  }
  if (accept(";") && axes(shape.in))
    return failure();
  return expectClose("]", open);
}

Result Parser::parseAxis(ast::Axis &axis) {
  if (parseIdent(axis.name, "the name of an axis"))
    return failure();
  if (!accept("="))
    return success();
  if (!atAxisParts())
    return parseConfigExpr(axis.size);
  // A '+' separates parts: a sum as the size of one needs parentheses.
  return parseList("+", [&]() -> Result {
    ast::AxisPart &part = axis.parts.emplace_back();
    if (parseIdent(part.name, "the name of a part") || expect(":"))
      return failure();
    return parseBinary(part.size, productPrecedence);
  });
}

/// Whether `q: group + k: 1` follows. `[a = n : b ; c]` begins in the same way,
/// so the '+' decides.
bool Parser::atAxisParts() const {
  if (!peek().isIdentifier() || !peek(1).is(":"))
    return false;
  unsigned open = 0;
  for (size_t ahead = 2; !peek(ahead).isEnd(); ++ahead) {
    const Token &token = peek(ahead);
    if (token.is("(") || token.is("["))
      ++open;
    else if (open && (token.is(")") || token.is("]")))
      --open;
    else if (!open && token.is("+"))
      return true;
    else if (!open && (token.is(",") || token.is(";") || token.is("]") ||
                       token.is(":") || token.is("=")))
      return false;
  }
  return false;
}

Result Parser::parseShardItem(ast::ShardItem &item) {
  auto target = [&] { return parseAxisRef(item.targets.emplace_back()); };
  const Token open = peek();
  if (accept("(") ? parseList(",", target) || expectClose(")", open)
                  : bool(target()))
    return failure();
  if (expect(":"))
    return failure();
  return parseIdent(item.mesh, "a mesh axis such as tp");
}

Result Parser::parseAxisRef(ast::AxisRef &ref) {
  if (parseIdent(ref.axis, "the name of an axis"))
    return failure();
  if (accept("."))
    return parseIdent(ref.part.emplace(), "the name of a part after '.'");
  return success();
}

//===----------------------------------------------------------------------===//
// Blocks, layers, functions
//===----------------------------------------------------------------------===//

Result Parser::parseBlock(ast::Block &block) {
  if (parseIdent(block.name, "the name of the block"))
    return failure();
  const Token open = peek();
  if (accept("[") && (parseNames(block.dimParams, "a dimension parameter") ||
                      expectClose("]", open)))
    return failure();
  if (parseFormals(block.formals))
    return failure();
  return parseBody(block.body, /*onlyStatements=*/false);
}

Result Parser::parseLayers(ast::Layers &layers) {
  if (parseIdent(layers.name, "the name of the layers"))
    return failure();
  const Token open = peek();
  if (expect("[") || parseConfigExpr(layers.count) || expectClose("]", open) ||
      parseFormals(layers.formals))
    return failure();
  return parseBody(layers.body, /*onlyStatements=*/false);
}

Result Parser::parseFunction(ast::Function &function) {
  if (parseIdent(function.name, "'forward' or 'loss'") ||
      parseFormals(function.formals))
    return failure();
  return parseBody(function.body, /*onlyStatements=*/true);
}

Result Parser::parseFormals(std::vector<ast::Formal> &formals) {
  const Token open = peek();
  auto formal = [&]() -> Result {
    ast::Formal &formal = formals.emplace_back();
    if (parseIdent(formal.name, "the name of an argument"))
      return failure();
    if (!accept(":"))
      return success();
    formal.typed = true;
    const Token open = peek();
    if (expect("[") || parseNames(formal.axes, "the name of an axis"))
      return failure();
    return expectClose("]", open);
  };
  if (expect("(") || parseList(",", formal))
    return failure();
  return expectClose(")", open);
}

Result Parser::parseBody(std::vector<ast::BodyItem> &body,
                         bool onlyStatements) {
  return parseBraces([&]() -> Result {
    bool isDeclaration = !onlyStatements && peek(1).isIdentifier();
    if (isDeclaration && acceptWord("param")) {
      ast::Param param;
      if (parseParam(param))
        return failure();
      body.push_back(std::move(param));
    } else if (isDeclaration && acceptWord("dim")) {
      ast::Dim dim;
      if (parseDim(dim))
        return failure();
      body.push_back(std::move(dim));
    } else {
      const Token &next = peek(1);
      if (!peek().isIdentifier() ||
          (next.isIdentifier() && !peek().isWord("yield")))
        return unexpected(onlyStatements
                              ? "a statement"
                              : "'param', 'dim' or a statement"); // L19
      ast::Stmt stmt;
      if (parseStmt(stmt))
        return failure();
      body.push_back(std::move(stmt));
    }
    return success();
  });
}

Result Parser::parseStmt(ast::Stmt &stmt) {
  stmt.loc = peek().loc();
  auto value = [&] { return parseDataExpr(stmt.values.emplace_back()); };
  const Token &next = peek(1);
  if (peek().isWord("yield") && !next.is("=") && !next.is("+=") &&
      !next.is(",")) {
    take();
    stmt.kind = ast::Stmt::Kind::Yield;
    if (parseList(",", value))
      return failure();
    return expect(";");
  }
  stmt.kind = ast::Stmt::Kind::Assign;
  if (parseNames(stmt.targets, "the name of a value"))
    return failure();
  if (stmt.targets.size() == 1 && accept("+="))
    stmt.kind = ast::Stmt::Kind::AddAssign;
  else if (!accept("="))
    return unexpected(stmt.targets.size() == 1 ? "'=' or '+='" : "'='");
  if (value())
    return failure();
  return expect(";");
}
