//===- MegatronFields.cpp -------------------------------------------------===//
#include "compiler/Bridge/MegatronFields.h"

#include "compiler/Bridge/MegatronArguments.h"
#include "compiler/Bridge/YamlFile.h"

#include <algorithm>
#include <fmt/format.h>

namespace fs = std::filesystem;

namespace mbc {

/// Numbers, texts and lists; a class or function by its name. What else an
/// argument may hold says nothing about the model.
static Json jsonOf(const PickleValue &value) {
  switch (value.kind) {
  case PickleKind::Bool:
    return Json(value.integer != 0);
  case PickleKind::Int:
    return Json(value.integer);
  case PickleKind::Double:
    return Json(value.real);
  case PickleKind::String:
    return Json(value.text);
  case PickleKind::Global:
    return Json(value.text + "." + value.name);
  case PickleKind::List:
  case PickleKind::Tuple: {
    Json list = Json::array();
    for (const PickleValue &item : value.items)
      list.push(jsonOf(item));
    return list;
  }
  default:
    return Json();
  }
}

Expected<MegatronFields> MegatronFields::fromRunConfig(const fs::path &path) {
  MBC_ASSIGN(Json file, readYamlFile(path));
  const Json *model = file.find("model");
  if (!model || !model->isObject())
    return inputError(fmt::format("{}: has no section 'model'", path.string()));
  MegatronFields result;
  result.where = path.string();
  // A configuration with a builder keeps the fields of the transformer apart.
  if (const Json *inner = model->find("transformer"))
    for (const auto &[name, value] : inner->members())
      result.fields.set(name, value);
  for (const auto &[name, value] : model->members())
    result.fields.set(name, value);
  return result;
}

Expected<std::optional<MegatronFields>>
MegatronFields::fromArguments(const PickleValue *given, std::string where) {
  if (!given || given->kind == PickleKind::None)
    return std::optional<MegatronFields>();
  if (given->kind != PickleKind::Object || given->items.size() < 3 ||
      given->items[2].kind != PickleKind::Dict)
    return inputError(
        fmt::format("{}: 'args' is not a Namespace of arguments", where));
  const PickleValue &arguments = *given;
  MegatronFields result;
  result.where = where + " (args)";
  result.arguments = true;
  // The attributes stand in the state of the object, behind class and
  // arguments.
  const PickleValue &state = arguments.items[2];
  for (size_t i = 0; i + 1 < state.items.size(); i += 2)
    if (state.items[i].kind == PickleKind::String)
      result.fields.set(state.items[i].text, jsonOf(state.items[i + 1]));
  for (const MegatronArgument &renamed : renamedArguments()) {
    const PickleValue *value = arguments.find(renamed.argument);
    if (!value)
      continue;
    Json field = jsonOf(*value);
    if (renamed.negated && field.isBool())
      field = Json(!*field.asBool());
    // An argument of the field's own name means the same, if it is set.
    const Json *own = result.fields.find(renamed.field);
    bool ownCounts = own && !own->isNull() &&
                     std::string_view(renamed.field) == "vocab_size";
    if (!ownCounts)
      result.fields.set(renamed.field, std::move(field));
  }
  // Without grouped queries the number of groups is that of another default.
  if (const Json *grouped = result.fields.find("group_query_attention");
      grouped && grouped->isBool() && !*grouped->asBool())
    result.fields.erase("num_query_groups");
  return std::optional(std::move(result));
}

Expected<std::optional<MegatronFields>>
MegatronFields::read(const TorchDistCheckpoint &checkpoint) {
  std::error_code code;
  fs::path yaml = checkpoint.folder() / "run_config.yaml";
  if (fs::exists(yaml, code)) {
    MBC_ASSIGN(MegatronFields fields, fromRunConfig(yaml));
    return std::optional(std::move(fields));
  }
  MBC_ASSIGN(PickleValue common, checkpoint.readCommon());
  fs::path file = checkpoint.folder() / "common.pt";
  std::string where = fs::exists(file, code)
                          ? file.string()
                          : (checkpoint.folder() / "common_state").string();
  return fromArguments(common.find("args"), where);
}

Expected<std::optional<MegatronFields>>
MegatronFields::read(const LegacyTorchFiles &files) {
  return fromArguments(&files.arguments(), files.files()[0]);
}

const Json *MegatronFields::find(std::string_view path) const {
  const Json *value = &fields;
  while (value && !path.empty()) {
    size_t dot = std::min(path.find('.'), path.size());
    value = value->find(path.substr(0, dot));
    path.remove_prefix(std::min(dot + 1, path.size()));
  }
  return value;
}

std::string MegatronFields::spelling(std::string_view field) const {
  if (arguments)
    for (const MegatronArgument &renamed : renamedArguments())
      if (field == renamed.field)
        return renamed.argument;
  return std::string(field);
}

} // namespace mbc
