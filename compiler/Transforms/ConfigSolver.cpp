//===- ConfigSolver.cpp - A configuration from what it must give ----------===//

#include "compiler/Transforms/ConfigSolver.h"

#include "dialects/NN/Expr.h"
#include "dialects/NN/ExprFold.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringExtras.h"

#include <algorithm>

using namespace mlir;
using namespace mbc;
using namespace mbc::nn;

ConfigSolver::ConfigSolver(ModelOp model) : model(model) {
  model.walk([&](DimOp op) { dims[op.getSymName()] = op.getExpr(); });
  for (auto variant : model.getOps<VariantOp>())
    records[variant.getSymName()] = {
        writtenPath(variant.getSources()[0]),
        cast<StringAttr>(variant.getTags()[0]).str()};
}

std::string ConfigSolver::writtenPath(Attribute field) {
  // Of several objects the last: of `text_config, self` the file itself.
  return ConfigFile::candidates(field).back();
}

void ConfigSolver::demand(Attribute expr, Attribute value, std::string source,
                          Attribute when) {
  demands.push_back({expr, value, std::move(source), when});
}

bool ConfigSolver::isKnownField(StringRef path) const {
  std::string below = path.str() + ".";
  return llvm::any_of(fieldValues, [&](const auto &entry) {
    return entry.first == path || StringRef(entry.first).starts_with(below);
  });
}

void ConfigSolver::assume(StringRef path, Attribute value) {
  fieldValues.try_emplace(path.str(), Known{value, "Megatron"});
}

void ConfigSolver::conflict(std::string text) {
  if (!llvm::is_contained(conflicts, text))
    conflicts.push_back(std::move(text));
}

//===----------------------------------------------------------------------===//
// Forwards
//===----------------------------------------------------------------------===//

Attribute ConfigSolver::fold(Attribute expr) const {
  auto symbol = [&](StringRef name) -> Attribute {
    if (auto it = names.find(name); it != names.end())
      return it->second.value;
    if (auto it = dims.find(name); it != dims.end())
      return fold(it->second);
    return {};
  };
  auto field = [&](Attribute attr) -> Attribute {
    auto it = fieldValues.find(writtenPath(attr));
    return it == fieldValues.end() ? Attribute() : it->second.value;
  };
  return substitute(expr, {symbol, field});
}

/// Whether `expr` can have the value, as far as what is known tells.
bool ConfigSolver::mayBe(Attribute expr, Attribute value) const {
  expr = fold(expr);
  if (isValue(expr))
    return equalValues(expr, value);
  auto operation = dyn_cast<ExprAttr>(expr);
  if (!operation) // a name is never none
    return !isa<UnitAttr>(value);
  if (operation.getOp() == "per_layer")
    return isa<ArrayAttr>(value);
  if (operation.getOp() == "??")
    return !isa<UnitAttr>(value) || mayBe(operation.getOperands()[1], value);
  return true;
}

llvm::StringMap<Attribute>
ConfigSolver::completeNames(std::vector<std::string> *open) {
  llvm::StringMap<Attribute> values;
  for (const auto &entry : names)
    values[entry.getKey()] = entry.second.value;
  MLIRContext *ctx = model.getContext();
  auto field = [&](Attribute attr) -> Attribute {
    auto it = fieldValues.find(writtenPath(attr));
    return it == fieldValues.end() ? UnitAttr::get(ctx) : it->second.value;
  };
  auto symbol = [&](StringRef name) { return values.lookup(name); };
  for (Operation &op : *model.getBody().begin()) {
    if (auto variant = dyn_cast<VariantOp>(op)) {
      // Only what was found; members without a value are not asked for here.
      const auto &[path, tag] = records[variant.getSymName()];
      NamedAttrList members;
      for (const auto &[name, known] : fieldValues)
        if (StringRef member = name; member.consume_front(path + "."))
          members.set(member == tag ? "type" : member, known.value);
      values[variant.getSymName()] =
          members.empty() ? Attribute(UnitAttr::get(ctx))
                          : Attribute(members.getDictionary(ctx));
    } else if (auto entry = dyn_cast<ConfigOp>(op)) {
      if (values.count(entry.getSymName()))
        continue;
      std::string why;
      if (Attribute value = evaluate(entry.getExpr(), {symbol, field}, why))
        values[entry.getSymName()] = value;
      else if (open)
        open->push_back(entry.getSymName().str());
    }
  }
  return values;
}

Attribute ConfigSolver::complete(Attribute expr) {
  llvm::StringMap<Attribute> values = completeNames(nullptr);
  auto symbol = [&](StringRef name) { return values.lookup(name); };
  auto field = [](Attribute) { return Attribute(); };
  std::string why;
  return evaluate(expr, {symbol, field}, why);
}

std::vector<std::string> ConfigSolver::unresolved() {
  std::vector<std::string> open;
  completeNames(&open);
  return open;
}

//===----------------------------------------------------------------------===//
// Backwards
//===----------------------------------------------------------------------===//

void ConfigSolver::learn(StringRef name, Attribute value,
                         const std::string &source) {
  auto [it, isNew] = names.try_emplace(name, Known{value, source});
  changed |= isNew;
  if (!isNew && !equalValues(it->second.value, value))
    conflict(source + " makes '" + name.str() + "' " + exprText(value) +
             ", yet " + it->second.source + " makes it " +
             exprText(it->second.value));
}

void ConfigSolver::learnField(const std::string &path, Attribute value,
                              const std::string &source) {
  auto [it, isNew] = fieldValues.try_emplace(path, Known{value, source});
  changed |= isNew;
  if (!isNew && !equalValues(it->second.value, value))
    conflict(source + " makes '" + path + "' of config.json " +
             exprText(value) + ", yet " + it->second.source + " makes it " +
             exprText(it->second.value));
}

/// " (field 'hidden_size' = 24)": what said the names of an expression.
std::string ConfigSolver::originsOf(Attribute expr) const {
  std::vector<std::string> sources;
  auto add = [&](auto &&self, Attribute part) -> void {
    forEachSymbol(part, [&](StringRef name) {
      if (auto dim = dims.find(name); dim != dims.end())
        self(self, dim->second);
      else if (auto known = names.find(name);
               known != names.end() &&
               !llvm::is_contained(sources, known->second.source))
        sources.push_back(known->second.source);
    });
  };
  add(add, expr);
  return sources.empty() ? "" : " (" + llvm::join(sources, ", ") + ")";
}

void ConfigSolver::push(Attribute expr, Attribute value,
                        const std::string &source) {
  if (auto symbol = dyn_cast<FlatSymbolRefAttr>(expr);
      symbol && !dims.count(symbol.getValue()))
    return learn(symbol.getValue(), value, source);
  // A field keeps its own name, and what contradicts it is said of that.
  if (auto field = dyn_cast<ExprAttr>(expr); field && field.getOp() == "field")
    return learnField(writtenPath(field), value, source);
  Attribute folded = fold(expr);
  if (isValue(folded)) {
    if (!equalValues(folded, value))
      conflict(source + " asks for " + exprText(value) + " as " +
               exprText(expr) + ", found " + exprText(folded) +
               originsOf(expr));
    return;
  }
  auto operation = dyn_cast<ExprAttr>(folded);
  if (!operation) {
    if (isa<FlatSymbolRefAttr>(folded))
      push(folded, value, source);
    return;
  }
  pushOperation(operation, value, source);
}

void ConfigSolver::pushOperation(ExprAttr expr, Attribute value,
                                 const std::string &source) {
  StringRef op = expr.getOp();
  ArrayRef<Attribute> ops = expr.getOperands();
  MLIRContext *ctx = expr.getContext();
  if (op == "field")
    return learnField(writtenPath(expr), value, source);
  if (op == ".field") {
    auto record = dyn_cast<FlatSymbolRefAttr>(ops[0]);
    auto it = record ? records.find(record.getValue()) : records.end();
    if (it == records.end() || isa<UnitAttr>(value))
      return;
    StringRef member = cast<StringAttr>(ops[1]).getValue();
    const auto &[path, tag] = it->second;
    return learnField(path + "." + (member == "type" ? tag : member.str()),
                      value, source);
  }
  if (op == "??") {
    if (isa<UnitAttr>(value))
      return;
    // A number that is a float by default stays one.
    if (isa<FloatAttr>(ops[1]) && asInt(value))
      value = floatValue(ctx, static_cast<double>(*asInt(value)));
    return push(ops[0], value, source);
  }
  if (op == "|" || op == "float")
    return push(ops[0], value, source);
  if (op == "?:")
    return pushChoice(expr, value, source);
  if (op == "per_layer")
    return pushLayers(expr, value, source);
  if (auto flag = dyn_cast<BoolAttr>(value)) {
    if (op == "!")
      return push(ops[0], boolValue(ctx, !flag.getValue()), source);
    if (op == "&&" || op == "||")
      return pushLogic(expr, flag.getValue(), source);
    if (op == "==" || op == "!=")
      return pushEquality(expr, flag.getValue() == (op == "=="), source);
  }
  if (std::optional<int64_t> number = asInt(value))
    pushArithmetic(expr, *number, source);
}

/// `c ? a : b`: the branch that cannot be the value tells the condition.
void ConfigSolver::pushChoice(ExprAttr expr, Attribute value,
                              const std::string &source) {
  ArrayRef<Attribute> ops = expr.getOperands();
  MLIRContext *ctx = expr.getContext();
  bool first = mayBe(ops[1], value), second = mayBe(ops[2], value);
  if (!first && !second)
    return conflict(source + " is not possible: " + exprText(expr));
  if (first == second)
    return;
  push(ops[0], boolValue(ctx, first), source);
  push(ops[first ? 1 : 2], value, source);
}

void ConfigSolver::pushLogic(ExprAttr expr, bool value,
                             const std::string &source) {
  ArrayRef<Attribute> ops = expr.getOperands();
  Attribute known = boolValue(expr.getContext(), value);
  if (value == (expr.getOp() == "&&")) {
    push(ops[0], known, source);
    push(ops[1], known, source);
    return;
  }
  // One of the two is enough: the other one if one is known, else the first.
  for (unsigned i : {0, 1})
    if (auto flag = dyn_cast<BoolAttr>(fold(ops[i]));
        flag && flag.getValue() != value)
      return push(ops[1 - i], known, source);
  if (guessing && !isa<BoolAttr>(fold(ops[0])) && !isa<BoolAttr>(fold(ops[1])))
    push(ops[0], known, source);
}

void ConfigSolver::pushEquality(ExprAttr expr, bool equal,
                                const std::string &source) {
  ArrayRef<Attribute> ops = expr.getOperands();
  for (unsigned i : {0, 1}) {
    Attribute known = fold(ops[1 - i]);
    if (!isValue(known))
      continue;
    if (equal && !isa<UnitAttr>(known))
      push(ops[i], known, source);
    else if (auto flag = dyn_cast<BoolAttr>(known); flag && !equal)
      push(ops[i], boolValue(expr.getContext(), !flag.getValue()), source);
    return;
  }
}

/// Sums, products and exact quotients with one operand that is not known.
void ConfigSolver::pushArithmetic(ExprAttr expr, int64_t value,
                                  const std::string &source) {
  StringRef op = expr.getOp();
  ArrayRef<Attribute> ops = expr.getOperands();
  MLIRContext *ctx = expr.getContext();
  auto impossible = [&] {
    conflict(source + " is not possible: " + exprText(expr) + " cannot be " +
             std::to_string(value));
  };
  if (op == "/") {
    std::optional<int64_t> n = asInt(ops[0]), d = asInt(ops[1]);
    int64_t product;
    if (n && value != 0 && *n % value == 0)
      return push(ops[1], intExpr(ctx, *n / value), source);
    if (d && !__builtin_mul_overflow(*d, value, &product))
      return push(ops[0], intExpr(ctx, product), source);
    return;
  }
  if (op != "+" && op != "*")
    return;
  Attribute open;
  int64_t known = op == "*";
  for (Attribute operand : ops) {
    if (std::optional<int64_t> number = asInt(operand)) {
      if (op == "*" ? __builtin_mul_overflow(known, *number, &known)
                    : __builtin_add_overflow(known, *number, &known))
        return;
    } else if (open) {
      return;
    } else {
      open = operand;
    }
  }
  int64_t rest;
  if (op == "+" ? __builtin_sub_overflow(value, known, &rest)
                : known == 0 || known == -1)
    return;
  if (op == "*") {
    if (value % known != 0)
      return impossible();
    rest = value / known;
  }
  push(open, intExpr(ctx, rest), source);
}

namespace {

/// Names in an expression that are bound to nothing.
std::vector<std::string> openNames(Attribute expr, StringRef index) {
  std::vector<std::string> result;
  forEachSymbol(expr, [&](StringRef name) {
    if (name != index && !llvm::is_contained(result, name))
      result.push_back(name.str());
  });
  return result;
}

/// Whether `name` stands on the right of an `in`.
bool isList(Attribute expr, StringRef name) {
  auto operation = dyn_cast<ExprAttr>(expr);
  if (!operation)
    return false;
  ArrayRef<Attribute> ops = operation.getOperands();
  if (operation.getOp() == "in")
    if (auto symbol = dyn_cast<FlatSymbolRefAttr>(ops[1]))
      return symbol.getValue() == name;
  return llvm::any_of(ops, [&](Attribute e) { return isList(e, name); });
}

} // namespace

/// A value for each layer: the names in the body are searched for, those with
/// a default at first at it, then one by one and two by two.
void ConfigSolver::pushLayers(ExprAttr expr, Attribute value,
                              const std::string &source) {
  MLIRContext *ctx = expr.getContext();
  StringRef index = cast<StringAttr>(expr.getOperands()[0]).getValue();
  Attribute body = expr.getOperands()[2];
  auto list = dyn_cast<ArrayAttr>(value);
  if (std::optional<int64_t> every = asInt(value)) {
    // Megatron's other spelling: every n-th layer, from the first.
    std::optional<int64_t> count = asInt(fold(expr.getOperands()[1]));
    if (!count || *count > 4096 || *every < 1)
      return;
    SmallVector<Attribute> values;
    for (int64_t i = 0; i < *count; ++i)
      values.push_back(intExpr(ctx, i % *every == 0));
    list = ArrayAttr::get(ctx, values);
  }
  if (!list || list.size() > 4096)
    return;
  push(expr.getOperands()[1], intExpr(ctx, list.size()), source);
  std::vector<std::string> open = openNames(body, index);
  if (open.empty() || !guessing)
    return;

  llvm::StringMap<Attribute> trial, defaults = completeNames(nullptr);
  std::vector<std::string> lists, numbers;
  for (const std::string &name : open) {
    if (Attribute fallback = defaults.lookup(name))
      trial[name] = fallback;
    (isList(body, name) ? lists : numbers).push_back(name);
  }
  /// The layers where the trial gives another value; at most `most` of them.
  auto wrong = [&](size_t most) {
    SmallVector<Attribute> layers;
    for (size_t i = 0; i < list.size() && layers.size() < most; ++i) {
      auto symbol = [&](StringRef name) {
        return name == index ? intExpr(ctx, i) : trial.lookup(name);
      };
      std::string why;
      Attribute found =
          evaluate(body, {symbol, [](Attribute) { return Attribute(); }}, why);
      if (!found || !equalValues(found, list[i]))
        layers.push_back(intExpr(ctx, i));
    }
    return layers;
  };
  auto found = [&] {
    if (!wrong(1).empty())
      return false;
    for (const std::string &name : open)
      learn(name, trial.lookup(name), source);
    return true;
  };
  llvm::StringMap<Attribute> start = trial;
  auto eachNumber = [&](const std::string &name, auto then) {
    for (size_t value = 0; value <= list.size(); ++value) {
      trial[name] = intExpr(ctx, value);
      if (then())
        return true;
    }
    trial[name] = start.lookup(name);
    return false;
  };
  if (found())
    return;
  for (const std::string &name : lists) {
    trial[name] = ArrayAttr::get(ctx, wrong(list.size()));
    if (found())
      return;
    trial[name] = start.lookup(name);
  }
  for (const std::string &name : numbers)
    if (eachNumber(name, found))
      return;
  if (list.size() > 256)
    return;
  for (const std::string &first : numbers)
    for (const std::string &second : numbers)
      if (first < second &&
          eachNumber(first, [&] { return eachNumber(second, found); }))
        return;
}

//===----------------------------------------------------------------------===//
// Until nothing changes
//===----------------------------------------------------------------------===//

void ConfigSolver::propagateDefinitions() {
  for (auto entry : model.getOps<ConfigOp>()) {
    StringRef name = entry.getSymName();
    if (auto it = names.find(name); it != names.end())
      push(entry.getExpr(), it->second.value, std::string(it->second.source));
    else if (Attribute value = fold(entry.getExpr()); isValue(value))
      learn(name, value, "the declaration of '" + name.str() + "'");
  }
}

void ConfigSolver::solve() {
  for (bool pass : {false, true}) {
    guessing = pass;
    do {
      changed = false;
      for (const Demand &demand : demands)
        if (!demand.when ||
            fold(demand.when) == boolValue(model.getContext(), true))
          push(demand.expr, demand.value, demand.source);
      propagateDefinitions();
    } while (changed);
  }
}

Json ConfigSolver::fields() const {
  Json result = Json::object();
  for (const auto &[path, known] : fieldValues) {
    Json *object = &result;
    StringRef rest = path;
    while (rest.contains('.')) {
      auto [head, tail] = rest.split('.');
      if (!object->find(head) || !object->find(head)->isObject())
        object->set(head, Json::object());
      object = object->find(head);
      rest = tail;
    }
    object->set(rest, attributeToJson(known.value));
  }
  return result;
}
