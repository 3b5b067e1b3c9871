//===- ParseMapping.cpp - Mappings and their parts ------------------------===//

#include "compiler/Frontend/ParserImpl.h"

using namespace mbc;
using llvm::failure;
using llvm::StringRef;
using llvm::success;
using Result = Parser::Result;

Result Parser::parseMapping(ast::Mapping &mapping) {
  if (parseIdent(mapping.name, "the name of the mapped model"))
    return failure();
  return parseBraces([&]() -> Result {
    const Token first = peek();
    bool isEntry = peek(1).is(":") || peek(1).is(".");
    if (!isEntry && first.isWord("use") && peek(1).isString()) {
      take();
      return parseUse(mapping.uses.emplace_back());
    }
    if (!isEntry && acceptWord("config"))
      return parseConfigLines(mapping.config);
    if (!isEntry && acceptWord("part"))
      return parsePart(mapping.parts.emplace_back());
    if (!isEntry && acceptWord("scaled")) {
      if (mapping.scale) { // L26
        auto diagnostic = error(first) << "'scaled' given twice for mapping '"
                                       << mapping.name.name << "'";
        diagnostic.attachNote(diagnostics.at(mapping.scale->loc))
            << "first given here";
        return diagnostic;
      }
      mapping.scale.emplace().loc = first.loc();
      return parseScale(*mapping.scale);
    }
    return parseMappingItem(mapping.items);
  });
}

Result Parser::parseConfigLines(std::vector<ast::ConfigLine> &lines) {
  return parseBraces([&] { return parseConfigLine(lines.emplace_back()); });
}

Result Parser::parseConfigLine(ast::ConfigLine &line) {
  using Kind = ast::ConfigLine::Kind;
  if (peek(1).isIdentifier()) {
    if (acceptWord("neutral"))
      line.kind = Kind::Neutral;
    else if (acceptWord("hf"))
      line.kind = Kind::HuggingFace;
  }
  if (line.kind != Kind::Field) {
    bool hf = line.kind == Kind::HuggingFace;
    if (parsePath(line.field,
                  hf ? "a field of config.json" : "a field of Megatron") ||
        expect("=") || parseConfigExpr(line.value) ||
        (hf && acceptWord("when") && parseConfigExpr(line.condition)))
      return failure();
    return expect(";");
  }
  ast::Path left;
  if (parsePath(left, "a name of the config or a field of Megatron"))
    return failure();
  const Token arrow = peek();
  if (accept("<->")) {
    if (left.parts.size() > 1) { // L29
      error(arrow) << "expected '=' after the field '" << left.str()
                   << "': on the left of '<->' stands one name of the config";
      return failure();
    }
    line.name = left.parts.front();
    if (parsePath(line.field, "a field of Megatron"))
      return failure();
    return expect(";");
  }
  line.field = std::move(left);
  if (!accept("="))
    return unexpected("'<->' or '='");
  if (parseConfigExpr(line.value))
    return failure();
  line.free = acceptWord("free");
  if (line.free && acceptWord("unless") && parseConfigExpr(line.condition))
    return failure();
  return expect(";");
}

Result Parser::parseScale(ast::Scale &scale) {
  if (parseText(scale.suffix, "the suffix of the names in quotes") ||
      expectWord("blocks") || parseConfigExpr(scale.blocks) ||
      expectWord("when") || parseConfigExpr(scale.when))
    return failure();
  return expect(";");
}

//===----------------------------------------------------------------------===//
// Items
//===----------------------------------------------------------------------===//

Result Parser::parseMappingItem(std::vector<ast::MappingItem> &items) {
  const Token &next = peek(1);
  // A parameter may have any name, those of the keywords too.
  if (peek().isIdentifier() && (next.is(":") || next.is("."))) {
    ast::Entry entry;
    if (parseEntry(entry))
      return failure();
    items.push_back({std::move(entry)});
  } else if (acceptWord("each")) {
    ast::Each each;
    if (parseEach(each))
      return failure();
    items.push_back({std::move(each)});
  } else if (peek().isWord("use") && next.isIdentifier()) {
    take();
    ast::UsePart use;
    if (parseUsePart(use))
      return failure();
    items.push_back({std::move(use)});
  } else if (acceptWord("extra")) {
    ast::Extra extra;
    if (expectWord("hf") || parseName(extra.pattern) || expect(";"))
      return failure();
    items.push_back({std::move(extra)});
  } else if (acceptWord("drop")) {
    ast::Drop drop;
    if (expectWord("hf") || parseName(drop.pattern) || expectWord("because") ||
        parseText(drop.reason, "a reason in quotes") || expect(";"))
      return failure();
    items.push_back({std::move(drop)});
  } else {
    return unexpected("'path: ...', 'each', 'use', 'extra' or 'drop'"); // L19
  }
  return success();
}

Result Parser::parsePart(ast::Part &part) {
  if (parseIdent(part.name, "the name of the part"))
    return failure();
  return parseBraces([&]() -> Result {
    if (peek().isWord("each") && peek(1).isIdentifier())
      return unexpected("'path: ...', 'use', 'extra' or 'drop' in a part");
    return parseMappingItem(part.items);
  });
}

Result Parser::parseUsePart(ast::UsePart &use) {
  if (parseIdent(use.part, "the name of a part"))
    return failure();
  if (acceptWord("for") && parsePath(use.prefix.emplace(), "a path"))
    return failure();
  if (parsePrefixes(use.hfPrefixes, use.mcorePrefix))
    return failure();
  return expect(";");
}

Result Parser::parseEach(ast::Each &each) {
  if (parseIdent(each.index, "the name of an index") || expectWord("in") ||
      parsePath(each.stack, "the name of layers") ||
      parsePrefixes(each.hfPrefixes, each.mcorePrefix))
    return failure();
  return parseBraces([&] { return parseMappingItem(each.items); });
}

Result Parser::parsePrefixes(std::vector<ast::NamePattern> &hf,
                             std::vector<ast::KeySegment> &mcore) {
  if (acceptWord("hf") &&
      parseList("|", [&] { return parseName(hf.emplace_back()); }))
    return failure();
  if (acceptWord("mcore") && (parseKey(mcore) || expect(".")))
    return failure();
  return success();
}

Result Parser::parseEntry(ast::Entry &entry) {
  if (parsePath(entry.path, "a parameter") || expect(":"))
    return failure();
  const Token side = peek();
  if (side.is(";")) { // L25
    error(side) << "expected 'hf' or 'mcore': the entry of '"
                << entry.path.str() << "' says nothing";
    return failure();
  }
  if (acceptWord("hf")) {
    if (parseList("|",
                  [&] { return parseAlternative(entry.hf.emplace_back()); }))
      return failure();
    entry.stored = acceptWord("stored");
  }
  if (peek().isWord("mcore")) {
    ast::McoreSide &mcore = entry.mcore.emplace();
    mcore.loc = take().loc();
    if (parseEachIn(mcore.each) || parseKey(mcore.key) || parseView(mcore.view))
      return failure();
  }
  return expect(";");
}

//===----------------------------------------------------------------------===//
// The two sides of an entry
//===----------------------------------------------------------------------===//

Result Parser::parseAlternative(ast::Alternative &alternative) {
  alternative.loc = peek().loc();
  if (parseEachIn(alternative.each))
    return failure();
  if (!peek().is("{"))
    return parseStoredName(alternative.parts.emplace_back().name);
  const Token open = take();
  if (parseList(",", [&]() -> Result {
        ast::StoredPart &part = alternative.parts.emplace_back();
        if (parseAxisRef(part.selector) || expect(":"))
          return failure();
        return parseStoredName(part.name);
      }))
    return failure();
  return expectClose("}", open);
}

Result Parser::parseStoredName(ast::StoredName &name) {
  if (parseName(name.pattern))
    return failure();
  name.scaled = acceptWord("scaled");
  return parseView(name.view);
}

Result Parser::parseView(std::optional<std::vector<ast::StoredDim>> &view) {
  if (!acceptWord("as"))
    return success();
  view.emplace();
  const Token open = peek();
  if (expect("(") || parseList(",", [&] {
        ast::StoredDim &dim = view->emplace_back();
        return parseList("*", [&] {
          return parseIdent(dim.axes.emplace_back(), "the name of an axis");
        });
      }))
    return failure();
  return expectClose(")", open);
}

Result
Parser::parseEachIn(std::optional<std::pair<ast::Ident, ast::Ident>> &each) {
  // `each` may also be the first word of a key.
  if (!peek().isWord("each") || !peek(1).isIdentifier())
    return success();
  take();
  each.emplace();
  if (parseIdent(each->first, "the name of an index") || expectWord("in"))
    return failure();
  return parseIdent(each->second, "the name of a batch axis");
}

/// `decoder.layers[l].mlp`; the dot at the end of a prefix is left.
Result Parser::parseKey(std::vector<ast::KeySegment> &key) {
  for (;;) {
    ast::KeySegment &segment = key.emplace_back();
    if (parseIdent(segment.name, "a name of Megatron's"))
      return failure();
    const Token open = peek();
    if (accept("[") &&
        (parseConfigExpr(segment.index) || expectClose("]", open)))
      return failure();
    if (!peek().is(".") || peek(1).is("{") || peek(1).is(";"))
      return success();
    take();
  }
}

//===----------------------------------------------------------------------===//
// Names with holes
//===----------------------------------------------------------------------===//

/// Splits the text of a string at its holes. Works on the text as written, so
/// that errors inside a hole have their place.
Result Parser::parseName(ast::NamePattern &pattern) {
  if (!peek().isString())
    return unexpected("a name in quotes");
  pattern.loc = peek().loc();
  StringRef rest = take().text.drop_front().drop_back();
  pattern.literals.emplace_back();
  while (!rest.empty()) {
    llvm::SMLoc loc = llvm::SMLoc::getFromPointer(rest.data());
    if (rest.starts_with("{{") || rest.starts_with("}}")) {
      pattern.literals.back() += rest.front();
      rest = rest.drop_front(2);
    } else if (rest.starts_with("{")) {
      size_t close = rest.find_first_of("{}", 1);
      if (close == StringRef::npos || rest[close] == '{') { // L21
        error(loc) << "expected '}' to close this hole; a '{' of the name "
                      "itself is written '{{'";
        return failure();
      }
      if (parseHole(rest.slice(1, close), pattern.holes.emplace_back()))
        return failure();
      pattern.literals.emplace_back();
      rest = rest.drop_front(close + 1);
    } else if (rest.starts_with("}")) { // L23
      error(loc) << "unmatched '}' in a name; a '}' of the name itself is "
                    "written '}}'";
      return failure();
    } else {
      bool escaped = rest.starts_with("\\");
      pattern.literals.back() += escaped ? unescape(rest[1]) : rest[0];
      rest = rest.drop_front(1 + escaped);
    }
  }
  return success();
}

Result Parser::parseHole(StringRef hole, ast::ExprPtr &expr) {
  if (hole.trim().empty()) { // L22
    diagnostics.error(llvm::SMLoc::getFromPointer(hole.data()))
        << "expected an index in the hole";
    return failure();
  }
  size_t comment = hole.find("//");
  if (comment != StringRef::npos) { // L24
    diagnostics.error(llvm::SMLoc::getFromPointer(hole.data() + comment))
        << "a hole holds one expression, no comment";
    return failure();
  }
  Parser parser(lex(hole, diagnostics), diagnostics, "the end of the hole");
  if (parser.parseConfigExpr(expr))
    return failure();
  if (!parser.peek().isEnd()) // L24
    return parser.unexpected("'}' after the expression of a hole");
  return success();
}
