//===- LowerMapping.cpp ---------------------------------------------------===//
#include "compiler/Frontend/LowerMapping.h"

#include "compiler/Frontend/LowerExpr.h"
#include "dialects/NN/Expr.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace mbc {

namespace {

using Segments = SmallVector<Attribute>;

/// What surrounds an item: the prefixes of names, keys and paths, and the
/// indices in scope.
struct Surroundings {
  std::string path;
  SmallVector<Segments> hf{{}}; ///< alternatives
  Segments key;
  SmallVector<wmap::LoopAttr> loops;
  NameScope *names;
};

class MappingLowering {
public:
  MappingLowering(ModelSources &sources, Diagnostics &diagnostics,
                  OpBuilder &builder)
      : sources(sources), diagnostics(diagnostics), builder(builder),
        ctx(builder.getContext()) {}

  wmap::MappingOp lower(const ast::Mapping &mapping, StringRef file,
                        NameScope &names) {
    auto op = wmap::MappingOp::create(builder, at(mapping.name.loc),
                                      mapping.name.name);
    OpBuilder::InsertionGuard guard(builder);
    builder.createBlock(&op.getBody());
    for (const ast::Part &part : mapping.parts)
      addPart(part);
    for (const LibrarySource &library : sources.ownLibraries(file))
      addLibrary(library, names);
    for (const ast::Use &use : mapping.uses)
      for (const LibrarySource &library : sources.libraries(use, file))
        addLibrary(library, names);
    for (const ast::ConfigLine &line : mapping.config)
      lowerConfig(line, names);
    if (mapping.scale)
      lowerScale(*mapping.scale, names);
    Surroundings top;
    top.names = &names;
    for (const ast::MappingItem &item : mapping.items)
      lowerItem(item, top);
    return diagnostics.hadError() ? nullptr : op;
  }

private:
  Location at(llvm::SMLoc loc) { return diagnostics.at(loc); }

  //===--------------------------------------------------------------------===//
  // Libraries
  //===--------------------------------------------------------------------===//

  void addPart(const ast::Part &part) {
    auto [it, isNew] = parts.try_emplace(part.name.name, &part);
    if (isNew || it->second == &part)
      return;
    auto diag = diagnostics.error(part.name.loc); // L80
    diag << "duplicate definition of part '" << part.name.name << "'";
    diag.attachNote(at(it->second->name.loc)) << "first defined here";
  }

  void addLibrary(const LibrarySource &source, NameScope &names) {
    if (!seen.insert(source.library).second)
      return;
    for (const ast::Use &use : source.library->uses)
      for (const LibrarySource &library : sources.libraries(use, source.file))
        addLibrary(library, names);
    for (const ast::Part &part : source.library->parts)
      addPart(part);
    for (const ast::ConfigLine &line : source.library->fields)
      lowerConfig(line, names);
  }

  //===--------------------------------------------------------------------===//
  // Configuration
  //===--------------------------------------------------------------------===//

  FailureOr<Attribute> expr(const ast::Expr &expr, NameScope &names) {
    ExprContext where{diagnostics, ctx, names};
    return lowerExpr(expr, where);
  }

  void lowerConfig(const ast::ConfigLine &line, NameScope &names) {
    using Kind = ast::ConfigLine::Kind;
    std::string field = line.field.str();
    bool hf = line.kind == Kind::HuggingFace;
    auto [it, isNew] =
        (hf ? hfFields : fields).try_emplace(field, line.field.loc());
    if (!isNew) {
      auto diag = diagnostics.error(line.field.loc()); // L81
      diag << (hf ? "field '" : "Megatron's field '") << field
           << "' is given twice";
      diag.attachNote(at(it->second)) << "first given here";
      return;
    }
    if (line.value) {
      auto value = expr(*line.value, names);
      FailureOr<Attribute> condition = Attribute();
      if (line.condition)
        condition = expr(*line.condition, names);
      if (failed(value) || failed(condition))
        return;
      Location loc = at(line.field.loc());
      if (line.free && !*condition)
        condition = Attribute(builder.getBoolAttr(false));
      if (hf)
        wmap::HfFieldOp::create(builder, loc, field, *value, *condition);
      else if (line.kind == Kind::Neutral)
        wmap::NeutralOp::create(builder, loc, field, *value);
      else
        wmap::ConfigOp::create(builder, loc, field, *value, StringAttr(),
                               *condition);
      return;
    }
    const NameScope::Entry *entry = names.lookup(line.name.name);
    if (!entry) {
      diagnostics.error(line.name.loc) // L82
          << "unknown configuration name '" << line.name.name << "'";
      return;
    }
    wmap::ConfigOp::create(builder, at(line.name.loc), field,
                           FlatSymbolRefAttr::get(ctx, line.name.name),
                           builder.getStringAttr(line.name.name), Attribute());
  }

  void lowerScale(const ast::Scale &scale, NameScope &names) {
    auto blocks = expr(*scale.blocks, names), when = expr(*scale.when, names);
    if (succeeded(blocks) && succeeded(when))
      wmap::ScaleOp::create(builder, at(scale.loc), scale.suffix.value, *blocks,
                            *when);
  }

  //===--------------------------------------------------------------------===//
  // Names and keys
  //===--------------------------------------------------------------------===//

  /// Appends text, merging it with text before.
  void appendText(Segments &segments, const Twine &text) {
    std::string literal = text.str();
    if (literal.empty())
      return;
    if (!segments.empty())
      if (auto last = dyn_cast<StringAttr>(segments.back())) {
        segments.back() = builder.getStringAttr(last.getValue() + literal);
        return;
      }
    segments.push_back(builder.getStringAttr(literal));
  }

  Segments lowerPattern(const ast::NamePattern &pattern, Segments prefix,
                        NameScope &names) {
    appendText(prefix, pattern.literals[0]);
    for (auto [hole, literal] :
         llvm::zip(pattern.holes, llvm::drop_begin(pattern.literals))) {
      if (auto value = expr(*hole, names); succeeded(value))
        prefix.push_back(*value);
      appendText(prefix, literal);
    }
    return prefix;
  }

  /// Key segments: dotted paths without indices, and indices.
  Segments lowerKey(ArrayRef<ast::KeySegment> key, Segments prefix,
                    NameScope &names) {
    for (const ast::KeySegment &segment : key) {
      auto last =
          prefix.empty() ? StringAttr() : dyn_cast<StringAttr>(prefix.back());
      if (last)
        prefix.back() =
            builder.getStringAttr(last.getValue() + "." + segment.name.name);
      else
        prefix.push_back(builder.getStringAttr(segment.name.name));
      if (segment.index)
        if (auto index = expr(*segment.index, names); succeeded(index))
          prefix.push_back(*index);
    }
    return prefix;
  }

  ArrayAttr lowerView(const std::optional<std::vector<ast::StoredDim>> &view) {
    if (!view)
      return {};
    Segments dims;
    for (const ast::StoredDim &dim : *view) {
      Segments axes;
      for (const ast::Ident &axis : dim.axes)
        axes.push_back(builder.getStringAttr(axis.name));
      dims.push_back(builder.getArrayAttr(axes));
    }
    return builder.getArrayAttr(dims);
  }

  /// The loop of `each e in experts`, with its index defined in `names`.
  wmap::LoopAttr lowerEach(const std::pair<ast::Ident, ast::Ident> &each,
                           NameScope &names) {
    names.define(each.first.name, NameScope::Kind::Index,
                 FlatSymbolRefAttr::get(ctx, each.first.name), each.first.loc);
    return wmap::LoopAttr::get(ctx, each.first.name, each.second.name,
                               /*stack=*/false);
  }

  //===--------------------------------------------------------------------===//
  // Items
  //===--------------------------------------------------------------------===//

  void lowerItem(const ast::MappingItem &item, const Surroundings &around) {
    std::visit([&](const auto &value) { lowerOne(value, around); }, item.value);
  }

  static std::string join(const std::string &prefix, const std::string &path) {
    return prefix.empty() ? path : prefix + "." + path;
  }

  void extend(Surroundings &inner, ArrayRef<ast::NamePattern> hf,
              ArrayRef<ast::KeySegment> key) {
    if (!hf.empty()) {
      SmallVector<Segments> prefixes;
      for (const Segments &prefix : inner.hf)
        for (const ast::NamePattern &pattern : hf)
          prefixes.push_back(lowerPattern(pattern, prefix, *inner.names));
      inner.hf = std::move(prefixes);
    }
    inner.key = lowerKey(key, inner.key, *inner.names);
  }

  void lowerOne(const ast::Each &each, const Surroundings &around) {
    if (!around.loops.empty()) {
      diagnostics.error(each.index.loc) // L83
          << "'each " << each.index.name << "' stands inside another 'each'";
      return;
    }
    NameScope names(around.names);
    names.define(each.index.name, NameScope::Kind::Index,
                 FlatSymbolRefAttr::get(ctx, each.index.name), each.index.loc);
    Surroundings inner = around;
    inner.names = &names;
    inner.path = join(around.path, each.stack.str());
    inner.loops.push_back(wmap::LoopAttr::get(
        ctx, each.index.name, each.stack.str(), /*stack=*/true));
    extend(inner, each.hfPrefixes, each.mcorePrefix);
    for (const ast::MappingItem &item : each.items)
      lowerItem(item, inner);
  }

  void lowerOne(const ast::UsePart &use, const Surroundings &around) {
    auto it = parts.find(use.part.name);
    if (it == parts.end()) {
      diagnostics.error(use.part.loc) // L84
          << "unknown part '" << use.part.name << "'";
      return;
    }
    if (!expanding.insert(use.part.name).second) {
      diagnostics.error(use.part.loc) // L85
          << "part '" << use.part.name << "' uses itself";
      return;
    }
    Surroundings inner = around;
    if (use.prefix)
      inner.path = join(around.path, use.prefix->str());
    extend(inner, use.hfPrefixes, use.mcorePrefix);
    for (const ast::MappingItem &item : it->second->items)
      lowerItem(item, inner);
    expanding.erase(use.part.name);
  }

  void lowerOne(const ast::Entry &entry, const Surroundings &around) {
    SmallVector<Attribute> alternatives;
    for (const ast::Alternative &alternative : entry.hf)
      for (const Segments &prefix : around.hf)
        alternatives.push_back(lowerAlternative(alternative, prefix, around));
    wmap::KeyAttr key;
    if (entry.mcore) {
      NameScope names(around.names);
      SmallVector<wmap::LoopAttr> loops;
      if (entry.mcore->each)
        loops.push_back(lowerEach(*entry.mcore->each, names));
      key =
          wmap::KeyAttr::get(ctx, lowerKey(entry.mcore->key, around.key, names),
                             loops, lowerView(entry.mcore->view));
    }
    SmallVector<Attribute> loops(around.loops.begin(), around.loops.end());
    // What the passes find is still to come.
    wmap::EntryOp::create(
        builder, at(entry.path.loc()),
        builder.getStringAttr(join(around.path, entry.path.str())),
        builder.getArrayAttr(loops), builder.getArrayAttr(alternatives), key,
        entry.stored ? builder.getUnitAttr() : UnitAttr(), /*type=*/TypeAttr(),
        /*domain=*/DenseI64ArrayAttr(),
        /*tie=*/StringAttr(), /*choice=*/IntegerAttr(), /*dtypes=*/ArrayAttr(),
        /*placed=*/ArrayAttr());
  }

  wmap::AlternativeAttr lowerAlternative(const ast::Alternative &alternative,
                                         const Segments &prefix,
                                         const Surroundings &around) {
    NameScope names(around.names);
    SmallVector<wmap::LoopAttr> loops;
    if (alternative.each)
      loops.push_back(lowerEach(*alternative.each, names));
    SmallVector<wmap::StoredAttr> stored;
    for (const ast::StoredPart &part : alternative.parts) {
      std::string selector;
      if (!part.selector.axis.name.empty()) {
        selector = part.selector.axis.name.str();
        if (part.selector.part)
          selector += "." + part.selector.part->name.str();
      }
      stored.push_back(wmap::StoredAttr::get(
          ctx,
          wmap::NameAttr::get(ctx,
                              lowerPattern(part.name.pattern, prefix, names)),
          selector, part.name.scaled, lowerView(part.name.view)));
    }
    return wmap::AlternativeAttr::get(ctx, loops, stored);
  }

  void lowerExtra(const ast::NamePattern &pattern, StringAttr because,
                  const Surroundings &around) {
    SmallVector<Attribute> loops(around.loops.begin(), around.loops.end());
    for (const Segments &prefix : around.hf)
      wmap::ExtraOp::create(
          builder, at(pattern.loc),
          wmap::NameAttr::get(ctx,
                              lowerPattern(pattern, prefix, *around.names)),
          builder.getArrayAttr(loops), because, ArrayAttr());
  }
  void lowerOne(const ast::Extra &extra, const Surroundings &around) {
    lowerExtra(extra.pattern, {}, around);
  }
  void lowerOne(const ast::Drop &drop, const Surroundings &around) {
    lowerExtra(drop.pattern, builder.getStringAttr(drop.reason.value), around);
  }

  ModelSources &sources;
  Diagnostics &diagnostics;
  OpBuilder &builder;
  MLIRContext *ctx;
  llvm::StringMap<const ast::Part *> parts;
  llvm::StringMap<llvm::SMLoc> fields, hfFields;
  llvm::StringSet<> expanding;
  llvm::SmallPtrSet<const ast::Library *, 8> seen;
};

} // namespace

wmap::MappingOp lowerMapping(const ast::Mapping &mapping, StringRef file,
                             ModelSources &sources, Diagnostics &diagnostics,
                             OpBuilder &builder, NameScope &names) {
  return MappingLowering(sources, diagnostics, builder)
      .lower(mapping, file, names);
}

} // namespace mbc
