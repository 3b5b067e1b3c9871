//===- ConfigFile.cpp - A config.json as attributes -----------------------===//

#include "compiler/Transforms/ConfigFile.h"
#include "dialects/NN/Expr.h"
#include "dialects/NN/NNDialect.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace mbc;
using namespace mbc::nn;

Attribute mbc::nn::jsonToAttribute(MLIRContext *ctx, const Json &json) {
  Builder builder(ctx);
  switch (json.kind()) {
  case Json::Kind::Null:
    return builder.getUnitAttr();
  case Json::Kind::Bool:
    return builder.getBoolAttr(*json.asBool());
  case Json::Kind::String:
    return builder.getStringAttr(*json.asString());
  case Json::Kind::Number:
    if (std::optional<int64_t> value = json.asInt())
      return intExpr(ctx, *value);
    return builder.getF64FloatAttr(json.asDouble().value_or(0));
  case Json::Kind::Array: {
    SmallVector<Attribute> elements;
    for (const Json &element : json.elements())
      elements.push_back(jsonToAttribute(ctx, element));
    return builder.getArrayAttr(elements);
  }
  case Json::Kind::Object: {
    SmallVector<NamedAttribute> members;
    for (const auto &[key, value] : json.members())
      if (!key.empty())
        members.push_back(
            builder.getNamedAttr(key, jsonToAttribute(ctx, value)));
    return builder.getDictionaryAttr(members);
  }
  }
  llvm_unreachable("all kinds are handled");
}

Json mbc::nn::attributeToJson(Attribute value) {
  if (auto flag = dyn_cast<BoolAttr>(value))
    return Json(flag.getValue());
  if (std::optional<int64_t> number = asInt(value))
    return Json(*number);
  if (auto number = dyn_cast<FloatAttr>(value))
    return Json(number.getValueAsDouble());
  if (auto text = dyn_cast<StringAttr>(value))
    return Json(text.str());
  if (auto list = dyn_cast<ArrayAttr>(value)) {
    Json result = Json::array();
    for (Attribute element : list)
      result.push(attributeToJson(element));
    return result;
  }
  if (auto record = dyn_cast<DictionaryAttr>(value)) {
    Json result = Json::object();
    for (NamedAttribute member : record)
      result.set(member.getName().getValue(),
                 attributeToJson(member.getValue()));
    return result;
  }
  return Json();
}

void ConfigFile::addLeaves(const Json &json, const std::string &path) {
  if (!json.isObject() || (json.members().empty() && !path.empty())) {
    leaves.push_back(path);
    return;
  }
  for (const auto &[key, value] : json.members())
    addLeaves(value, path.empty() ? key : path + "." + key);
}

Attribute ConfigFile::find(StringRef path) const {
  Attribute value = root;
  while (!path.empty()) {
    auto object = dyn_cast<DictionaryAttr>(value);
    auto [key, rest] = path.split('.');
    value = object ? object.get(key) : Attribute();
    if (!value)
      return {};
    path = rest;
  }
  return value;
}

std::vector<std::string> ConfigFile::candidates(Attribute field) {
  ArrayRef<Attribute> operands = cast<ExprAttr>(field).getOperands();
  std::string path = cast<StringAttr>(operands[0]).str();
  if (operands.size() == 1)
    return {path};
  std::vector<std::string> result;
  for (Attribute object : operands.drop_front()) {
    std::string prefix = cast<StringAttr>(object).str();
    result.push_back(prefix == "self" ? path : prefix + "." + path);
  }
  return result;
}

Attribute ConfigFile::lookup(Attribute field, std::string *path) const {
  for (const std::string &candidate : candidates(field)) {
    Attribute value = find(candidate);
    if (!value || isa<UnitAttr>(value))
      continue;
    if (path)
      *path = candidate;
    return value;
  }
  return UnitAttr::get(field.getContext());
}

void ConfigFile::mark(StringRef path, FieldUse use) {
  FieldUse &mark = marks[path.str()];
  mark = std::max(mark, use);
}

std::vector<std::pair<std::string, FieldUse>> ConfigFile::account() const {
  std::vector<std::pair<std::string, FieldUse>> result;
  for (const std::string &leaf : leaves) {
    FieldUse use = marks.lookup(leaf);
    for (StringRef above = leaf; use == FieldUse::Unknown;) {
      size_t dot = above.rfind('.');
      if (dot == StringRef::npos)
        break;
      above = above.take_front(dot);
      FieldUse object = marks.lookup(above.str());
      if (object == FieldUse::Used || object == FieldUse::Inert)
        use = object;
    }
    result.emplace_back(leaf, use);
  }
  return result;
}
