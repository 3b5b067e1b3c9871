//===- NNConfigEvaluator.cpp - Names, obligations, fields -----------------===//
//
// Numbers E.. are those of dialects/NN/README.md.
//
//===----------------------------------------------------------------------===//

#include "compiler/Transforms/NNElaborate.h"
#include "dialects/NN/ExprFold.h"

using namespace mlir;
using namespace mbc;
using namespace mbc::nn;

//===----------------------------------------------------------------------===//
// Expressions
//===----------------------------------------------------------------------===//

Attribute ConfigEvaluator::lookupSymbol(StringRef name) const {
  return values.lookup(name);
}

Attribute ConfigEvaluator::evaluate(Attribute expr, Location loc) {
  if (isValue(expr))
    return expr;
  // What depends on a failed name would only repeat its error.
  bool depends = false;
  forEachSymbol(expr,
                [&](StringRef name) { depends |= broken.contains(name); });
  if (depends)
    return {};
  std::string why;
  auto symbol = [&](StringRef name) { return lookupSymbol(name); };
  auto field = [&](Attribute attr) { return config.lookup(attr); };
  auto quotient = [&](Attribute attr, int64_t n, int64_t d) {
    ArrayRef<Attribute> ops = cast<ExprAttr>(attr).getOperands();
    MLIRContext *ctx = attr.getContext();
    if (d != 0 && n % d == 0)
      oblige("divides",
             exprText(ops[1], intExpr(ctx, d)) + " divides " +
                 exprText(ops[0], intExpr(ctx, n)),
             "holds", loc);
  };
  Attribute value = nn::evaluate(expr, {symbol, field, quotient}, why);
  if (!value) // (E03) (E04) (E10)
    error(loc) << why;
  return value;
}

std::optional<bool> ConfigEvaluator::evaluateCondition(Attribute expr,
                                                       Location loc) {
  Attribute value = evaluate(expr, loc);
  if (!value)
    return std::nullopt;
  if (auto flag = dyn_cast<BoolAttr>(value))
    return flag.getValue();
  error(loc) << "condition '" << exprText(expr, value)
             << "' is not true or false"; // (E13)
  return std::nullopt;
}

Attribute ConfigEvaluator::substitute(Attribute expr) {
  auto symbol = [&](StringRef name) { return lookupSymbol(name); };
  auto field = [&](Attribute attr) { return config.lookup(attr); };
  return nn::substitute(expr, {symbol, field, {}});
}

Attribute ConfigEvaluator::evaluateLayer(Attribute expr, StringRef index,
                                         int64_t layer, Location loc) {
  std::string why;
  auto symbol = [&](StringRef name) {
    return name == index ? intExpr(expr.getContext(), layer)
                         : lookupSymbol(name);
  };
  auto field = [&](Attribute attr) { return config.lookup(attr); };
  Attribute value = nn::evaluate(expr, {symbol, field, {}}, why);
  if (!value) // (E03)
    error(loc) << why << " in layer " << layer;
  return value;
}

void ConfigEvaluator::markFields(Attribute expr, FieldUse use) {
  forEachField(expr, [&](Attribute field) {
    // Of a field looked up in several objects, those that agree: another value
    // would be ignored, and stays in the report.
    Attribute value = config.lookup(field);
    for (const std::string &path : ConfigFile::candidates(field)) {
      Attribute there = config.find(path);
      if (there && (isa<UnitAttr>(there) || equalValues(there, value)))
        config.mark(path, use);
    }
  });
}

void ConfigEvaluator::oblige(StringRef kind, const std::string &text,
                             StringRef verdict, Location loc) {
  std::string place;
  if (auto file = dyn_cast<FileLineColLoc>(loc))
    place = file.getFilename().str() + ":" + std::to_string(file.getLine()) +
            ":" + std::to_string(file.getColumn());
  Attribute record = builder.getDictionaryAttr(
      {builder.getNamedAttr("kind", builder.getStringAttr(kind)),
       builder.getNamedAttr("text", builder.getStringAttr(text)),
       builder.getNamedAttr("verdict", builder.getStringAttr(verdict)),
       builder.getNamedAttr("place", builder.getStringAttr(place))});
  if (!llvm::is_contained(obligations, record))
    obligations.push_back(record);
}

//===----------------------------------------------------------------------===//
// Entries
//===----------------------------------------------------------------------===//

/// The value of a variant: `type` and the fields of its case.
Attribute ConfigEvaluator::variantRecord(VariantOp op, DictionaryAttr record,
                                         const std::string &path) {
  StringAttr tag;
  std::string tagPath;
  for (StringRef name : op.getTags().getAsValueRange<StringAttr>()) {
    std::string here = path + "." + name.str();
    config.mark(here, FieldUse::Used);
    Attribute value = record.get(name);
    if (!value || isa<UnitAttr>(value))
      continue;
    auto text = dyn_cast<StringAttr>(value);
    if (!text) { // (E05)
      error(op.getLoc()) << "'" << here << "' = " << exprText(value)
                         << " is not a name";
      return {};
    }
    if (tag && tag != text) { // (E04)
      error(op.getLoc()) << "config fields '" << tagPath
                         << "' = " << exprText(tag) << " and '" << here
                         << "' = " << exprText(text)
                         << " are spellings of one field and differ";
      return {};
    }
    if (!tag)
      tag = text, tagPath = here;
  }
  if (!tag)
    tag = op.getDefaultTagAttr();
  if (!tag) { // (E06)
    error(op.getLoc()) << "'" << path << "' has no field '"
                       << cast<StringAttr>(op.getTags()[0]).getValue() << "'";
    return {};
  }
  std::string known;
  for (Attribute entry : op.getCases()) {
    auto list = cast<ArrayAttr>(entry);
    auto tags = cast<ArrayAttr>(list[0]);
    if (!llvm::is_contained(tags, tag)) {
      for (StringRef other : tags.getAsValueRange<StringAttr>())
        known += (known.empty() ? "" : ", ") + other.str();
      continue;
    }
    SmallVector<NamedAttribute> fields{builder.getNamedAttr("type", tags[0])};
    for (Attribute field : llvm::drop_begin(list)) {
      auto pair = cast<ArrayAttr>(field);
      StringRef name = cast<StringAttr>(pair[0]).getValue();
      config.mark(path + "." + name.str(), FieldUse::Used);
      Attribute value = record.get(name);
      if (!value || isa<UnitAttr>(value)) {
        if (pair.size() == 1) { // (E06)
          error(op.getLoc()) << "'" << path << "' of type " << exprText(tag)
                             << " has no field '" << name << "'";
          return {};
        }
        markFields(pair[1], FieldUse::Used);
        if (!(value = evaluate(pair[1], op.getLoc())))
          return {};
      }
      fields.push_back(builder.getNamedAttr(name, value));
    }
    return builder.getDictionaryAttr(fields);
  }
  // (E05)
  StringRef tagName = StringRef(tagPath).rsplit('.').second;
  error(op.getLoc()) << "unknown "
                     << (tagName == "rope_type" || path.find("rope") == 0
                             ? "rope type"
                             : "type")
                     << " '" << tag.getValue() << "' of '" << path
                     << "'; expected one of " << known;
  return {};
}

void ConfigEvaluator::evaluateVariant(VariantOp op) {
  StringRef name = op.getSymName();
  for (Attribute source : op.getSources()) {
    std::string path;
    Attribute value = config.lookup(source, &path);
    // A null is its own leaf; of a record the fields are counted one by one.
    for (const std::string &candidate : ConfigFile::candidates(source))
      if (Attribute there = config.find(candidate);
          there && isa<UnitAttr>(there))
        config.mark(candidate, FieldUse::Used);
    if (isa<UnitAttr>(value))
      continue;
    auto record = dyn_cast<DictionaryAttr>(value);
    if (!record) { // (E05)
      error(op.getLoc()) << "'" << path << "' = " << exprText(value)
                         << " is not an object";
      broken.insert(name);
      return;
    }
    if (record.empty()) {
      config.mark(path, FieldUse::Used);
      continue;
    }
    Attribute result = variantRecord(op, record, path);
    if (result)
      values[name] = result;
    else
      broken.insert(name);
    return;
  }
  values[name] = builder.getUnitAttr();
}

/// "hidden_act = "gelu", eps = 1e-5": what the names of a condition are.
std::string ConfigEvaluator::foundText(Attribute expr) {
  std::string text;
  auto add = [&](const std::string &name, Attribute value) {
    if (value)
      text += (text.empty() ? "" : ", ") + name + " = " + exprText(value);
  };
  forEachField(expr, [&](Attribute field) {
    add(exprText(field), config.lookup(field));
  });
  forEachSymbol(expr,
                [&](StringRef name) { add(name.str(), lookupSymbol(name)); });
  return text;
}

void ConfigEvaluator::checkRequire(RequireOp op) {
  Attribute condition = op.getCondition();
  markFields(condition, FieldUse::Used);
  std::optional<bool> holds = evaluateCondition(condition, op.getLoc());
  std::string text = exprText(condition);
  if (holds && *holds)
    oblige("require", text, "holds", op.getLoc());
  if (!holds || *holds)
    return;
  // (E07)
  auto diag = error(op.getLoc()) << "the model requires '" << text
                                 << "', found " << foundText(condition);
  if (op.getMessage())
    diag << ": " << *op.getMessage();
}

void ConfigEvaluator::checkUnsupported() {
  for (auto op : model.getOps<UnsupportedOp>()) {
    markFields(op.getField(), FieldUse::Neutral);
    markFields(op.getCondition(), FieldUse::Neutral);
    std::optional<bool> holds =
        evaluateCondition(op.getCondition(), op.getLoc());
    if (!holds || *holds)
      continue;
    std::string path;
    Attribute value = config.lookup(op.getField(), &path);
    std::string name = exprText(op.getField());
    if (options.accept.contains(name) || options.accept.contains(path)) {
      config.mark(path.empty() ? name : path, FieldUse::Accepted);
      continue;
    }
    // (E08)
    std::string text = exprText(value);
    if (text.size() > 60)
      text = text.substr(0, 57) + "...";
    error(op.getLoc()) << "unsupported config field '" << name << "' = " << text
                       << ": " << op.getReason() << "; accept it with --accept "
                       << name;
  }
}

void ConfigEvaluator::checkUnknown() {
  if (!options.strictConfig)
    return;
  std::string unknown;
  unsigned count = 0;
  for (const auto &[path, use] : config.account())
    if (use == FieldUse::Unknown)
      unknown += (count++ ? ", " : "") + ("'" + path + "'");
  if (count) // (E09)
    error(model.getLoc()) << "unknown config field" << (count > 1 ? "s " : " ")
                          << unknown;
}

LogicalResult ConfigEvaluator::run() {
  config.mark("architectures", FieldUse::Used);
  auto define = [&](StringRef name, Attribute value) {
    if (value)
      values[name] = value;
    else
      broken.insert(name);
  };
  for (Operation &op : *model.getBody().begin()) {
    if (auto entry = dyn_cast<ConfigOp>(op)) {
      markFields(entry.getExpr(), FieldUse::Used);
      define(entry.getSymName(), evaluate(entry.getExpr(), op.getLoc()));
    } else if (auto variant = dyn_cast<VariantOp>(op)) {
      evaluateVariant(variant);
    } else if (auto require = dyn_cast<RequireOp>(op)) {
      checkRequire(require);
    } else if (auto fields = dyn_cast<FieldsOp>(op)) {
      for (Attribute field : fields.getInert())
        config.mark(field, FieldUse::Inert);
    }
  }
  checkUnsupported();
  checkUnknown();
  model.walk([&](DimOp op) {
    if (op.getWhen()) {
      std::optional<bool> when = evaluateCondition(*op.getWhen(), op.getLoc());
      if (!when || !*when)
        return define(op.getSymName(),
                      when ? builder.getUnitAttr() : Attribute());
    }
    define(op.getSymName(), evaluate(op.getExpr(), op.getLoc()));
  });
  return LogicalResult::success(!failed);
}

void ConfigEvaluator::store() {
  SmallVector<NamedAttribute> names;
  for (const auto &entry : values)
    names.push_back(builder.getNamedAttr(entry.getKey(), entry.getValue()));
  model.setValuesAttr(builder.getDictionaryAttr(names));
  for (Operation &op : *model.getBody().begin()) {
    if (auto entry = dyn_cast<ConfigOp>(op))
      entry.setValueAttr(values.lookup(entry.getSymName()));
    else if (auto variant = dyn_cast<VariantOp>(op))
      variant.setValueAttr(values.lookup(variant.getSymName()));
  }
  model.walk(
      [&](DimOp op) { op.setValueAttr(values.lookup(op.getSymName())); });
  constexpr StringRef kinds[] = {"unknown", "inert", "neutral", "accepted",
                                 "used"};
  SmallVector<Attribute> lists[5];
  for (const auto &[path, use] : config.account())
    lists[static_cast<unsigned>(use)].push_back(builder.getStringAttr(path));
  SmallVector<NamedAttribute> fields;
  for (auto [kind, list] : llvm::zip(kinds, lists))
    fields.push_back(builder.getNamedAttr(kind, builder.getArrayAttr(list)));
  model.setFieldsAttr(builder.getDictionaryAttr(fields));
  model.setObligationsAttr(builder.getArrayAttr(obligations));
}
