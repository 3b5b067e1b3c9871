//===- LowerConfig.cpp - Configuration entries and dims -------------------===//

#include "compiler/Frontend/ModelLowering.h"

#include "llvm/ADT/StringExtras.h"

using namespace mbc;
using llvm::StringRef;
using mlir::Attribute;
using mlir::FailureOr;
using Objects = llvm::ArrayRef<std::string>;

void ModelLowering::lowerEntry(const ast::ConfigDef &entry, Objects objects,
                               bool own) {
  FailureOr<Attribute> value = lowerExpr(*entry.value, configContext(objects));
  if (failed(declare(entry.name)) || failed(value))
    return;
  nn::ConfigOp::create(builder, at(entry.name.loc), entry.name.name, *value,
                       nullptr);
  names.define(entry.name.name, NameScope::Kind::Config,
               mlir::FlatSymbolRefAttr::get(context, entry.name.name),
               entry.name.loc, own);
}

void ModelLowering::lowerEntry(const ast::Require &entry, Objects objects) {
  FailureOr<Attribute> condition =
      lowerExpr(*entry.condition, configContext(objects));
  if (failed(condition))
    return;
  mlir::StringAttr message;
  if (entry.message)
    message = builder.getStringAttr(entry.message->value);
  nn::RequireOp::create(builder, at(entry.loc), *condition, message);
}

void ModelLowering::lowerEntry(const ast::Inert &entry, Objects objects) {
  llvm::SmallVector<Attribute> fields;
  for (const ast::Path &path : entry.fields)
    fields.push_back(makeField(context, path.str(), objects));
  nn::FieldsOp::create(builder, at(entry.fields.front().loc()),
                       builder.getArrayAttr(fields));
}

void ModelLowering::lowerEntry(const ast::Unsupported &entry, Objects objects) {
  FailureOr<Attribute> unless =
      lowerExpr(*entry.unless, configContext(objects));
  if (failed(unless))
    return;
  nn::UnsupportedOp::create(builder, at(entry.field.loc()),
                            makeField(context, entry.field.str(), objects),
                            *unless, builder.getStringAttr(entry.reason.value));
}

void ModelLowering::lowerEntry(const ast::Variant &entry, Objects objects,
                               bool own) {
  llvm::SmallVector<Attribute> fields, cases;
  for (const ast::Path &path : entry.sources)
    fields.push_back(makeField(context, path.str(), objects));
  llvm::SmallVector<StringRef> tags;
  for (const ast::Ident &tag : entry.tags)
    tags.push_back(tag.name);
  llvm::StringMap<llvm::SMLoc> seen;
  for (const ast::VariantCase &variantCase : entry.cases) {
    llvm::SmallVector<StringRef> caseTags;
    for (const ast::Text &tag : variantCase.tags) {
      caseTags.push_back(tag.value);
      auto [it, inserted] = seen.try_emplace(tag.value, tag.loc);
      if (inserted)
        continue;
      // (L51)
      auto diag = error(tag.loc) << "case '" << tag.value << "' is there twice";
      diag.attachNote(at(it->second)) << "the first is here";
      return;
    }
    llvm::SmallVector<Attribute> list{builder.getStrArrayAttr(caseTags)};
    for (const ast::VariantField &field : variantCase.fields) {
      llvm::SmallVector<Attribute> pair{builder.getStringAttr(field.name.name)};
      if (field.fallback) {
        FailureOr<Attribute> fallback =
            lowerExpr(*field.fallback, configContext(objects));
        if (failed(fallback))
          return;
        pair.push_back(*fallback);
      }
      list.push_back(builder.getArrayAttr(pair));
    }
    cases.push_back(builder.getArrayAttr(list));
  }
  if (failed(declare(entry.name)))
    return;
  mlir::StringAttr defaultTag;
  if (entry.defaultTag)
    defaultTag = builder.getStringAttr(entry.defaultTag->value);
  nn::VariantOp::create(builder, at(entry.name.loc), entry.name.name,
                        builder.getArrayAttr(fields),
                        builder.getStrArrayAttr(tags), defaultTag,
                        builder.getArrayAttr(cases), nullptr);
  names.define(entry.name.name, NameScope::Kind::Config,
               mlir::FlatSymbolRefAttr::get(context, entry.name.name),
               entry.name.loc, own);
}

void ModelLowering::lowerConfig(const std::vector<ast::ConfigEntry> &entries,
                                Objects objects, bool own, StringRef from) {
  for (const ast::ConfigEntry &entry : entries) {
    if (auto *def = std::get_if<ast::ConfigDef>(&entry.value))
      lowerEntry(*def, objects, own);
    else if (auto *require = std::get_if<ast::Require>(&entry.value))
      lowerEntry(*require, objects);
    else if (auto *inert = std::get_if<ast::Inert>(&entry.value))
      lowerEntry(*inert, objects);
    else if (auto *unsupported = std::get_if<ast::Unsupported>(&entry.value))
      lowerEntry(*unsupported, objects);
    else if (auto *variant = std::get_if<ast::Variant>(&entry.value))
      lowerEntry(*variant, objects, own);
    else if (auto *group = std::get_if<ast::FromGroup>(&entry.value)) {
      std::vector<std::string> inner;
      for (const ast::Path &path : group->objects)
        inner.push_back(path.str());
      lowerConfig(group->entries, inner, own, from);
    } else if (auto *use = std::get_if<ast::Use>(&entry.value)) {
      for (const LibrarySource &library : sources.libraries(*use, from))
        lowerLibraryConfig(library, objects);
    }
  }
}

void ModelLowering::lowerUses(const std::vector<ast::Use> &uses,
                              Objects objects, StringRef from) {
  for (const ast::Use &use : uses)
    for (const LibrarySource &library : sources.libraries(use, from))
      lowerLibraryConfig(library, objects);
}

void ModelLowering::lowerLibraryConfig(const LibrarySource &source,
                                       Objects objects) {
  std::string key = llvm::join(objects, ",") + "@" +
                    std::to_string(reinterpret_cast<uintptr_t>(source.library));
  if (!loweredLibraries.insert(key).second)
    return;
  lowerUses(source.library->uses, objects, source.file);
  lowerConfig(source.library->config, objects, /*own=*/false, source.file);
  if (!llvm::is_contained(libraries, source.library))
    libraries.push_back(source.library);
}

void ModelLowering::lowerDim(const ast::Dim &dim, NameScope &scope,
                             StringRef qualifier, bool own) {
  ExprContext where{diagnostics, context, scope};
  FailureOr<Attribute> value = lowerExpr(*dim.value, where);
  Attribute when;
  if (dim.when) {
    FailureOr<Attribute> condition = lowerExpr(*dim.when, where);
    if (failed(condition))
      return;
    when = *condition;
  }
  if (failed(value))
    return;
  if (scope.dependsOnIndex(*value)) { // (L66)
    error(dim.value->loc) << "dim '" << dim.name.name
                          << "' cannot depend on the layer index";
    return;
  }
  std::string symbol = dim.name.name.str();
  if (qualifier.empty()) {
    if (failed(declare(dim.name)))
      return;
  } else {
    if (const NameScope::Entry *first = scope.own(dim.name.name)) { // (L51)
      auto diag = error(dim.name.loc)
                  << "'" << dim.name.name << "' is defined twice";
      diag.attachNote(at(first->loc)) << "the first definition is here";
      return;
    }
    symbol = qualifier.str() + "." + symbol;
  }
  nn::DimOp::create(builder, at(dim.name.loc), symbol, *value, when, nullptr);
  scope.define(dim.name.name, NameScope::Kind::Dim,
               mlir::FlatSymbolRefAttr::get(context, symbol), dim.name.loc,
               own);
}
