//===- MegatronConfig.cpp -------------------------------------------------===//
#include "compiler/Bridge/MegatronConfig.h"

#include "compiler/Bridge/MegatronArguments.h"
#include "dialects/NN/Expr.h"
#include "dialects/NN/ExprFold.h"
#include "runtime/core/Json.h"

#include <yaml-cpp/yaml.h>

using namespace mlir;

namespace mbc {

namespace {

/// Megatron's fields in the order of the mapping, with their values.
using Fields = std::vector<std::pair<std::string, Attribute>>;

/// The lines of the mapping, evaluated; the name `changed`, if there is one,
/// has `value` instead of its own.
Fields evaluateFields(ProvedModel &proved, llvm::StringRef changed = "",
                      Attribute value = {}) {
  nn::ModelOp model = proved.model();
  auto symbol = [&](llvm::StringRef name) {
    return name == changed ? value : wmap::configValue(model, name);
  };
  auto field = [](Attribute) { return Attribute(); };
  Fields fields;
  for (wmap::ConfigOp line : proved.mapping().getOps<wmap::ConfigOp>()) {
    std::string why;
    if (Attribute value = nn::evaluate(line.getValue(), {symbol, field}, why))
      fields.emplace_back(line.getField().str(), value);
  }
  return fields;
}

Attribute find(const Fields &fields, std::string_view name) {
  for (const auto &[field, value] : fields)
    if (field == name)
      return value;
  return {};
}

/// Python's spelling with a point in the mantissa, without which YAML 1.1
/// reads a float as text.
std::string floatText(double value) {
  std::string text = Json(value).dumpCompact();
  size_t exponent = text.find('e');
  if (exponent != std::string::npos && text.find('.') == std::string::npos)
    text.insert(exponent, ".0");
  return text;
}

//===----------------------------------------------------------------------===//
// run_config.yaml
//===----------------------------------------------------------------------===//

YAML::Node yamlOf(Attribute value) {
  YAML::Node node;
  if (auto flag = dyn_cast<BoolAttr>(value))
    return YAML::Node(flag.getValue());
  if (auto number = dyn_cast<IntegerAttr>(value))
    return YAML::Node(number.getInt());
  if (auto number = dyn_cast<FloatAttr>(value))
    return YAML::Node(floatText(number.getValueAsDouble()));
  if (auto text = dyn_cast<StringAttr>(value)) {
    YAML::Node scalar(text.str());
    scalar.SetTag("!"); // always quoted
    return scalar;
  }
  if (auto list = dyn_cast<ArrayAttr>(value)) {
    node = YAML::Node(YAML::NodeType::Sequence);
    for (Attribute element : list)
      node.push_back(yamlOf(element));
    node.SetStyle(YAML::EmitterStyle::Flow);
    return node;
  }
  return YAML::Node(YAML::NodeType::Null);
}

/// A reference to a Python object, in the words of Bridge's loader.
YAML::Node pythonObject(const std::string &path) {
  YAML::Node node(YAML::NodeType::Map);
  node["_target_"] = path;
  node["_call_"] = false;
  node.SetStyle(YAML::EmitterStyle::Flow);
  return node;
}

/// Sets "a.b.c" below `root`.
void setPath(YAML::Node root, llvm::StringRef path, YAML::Node value) {
  auto [head, tail] = path.split('.');
  if (tail.empty()) {
    root[head.str()] = value;
    return;
  }
  if (!root[head.str()])
    root[head.str()] = YAML::Node(YAML::NodeType::Map);
  setPath(root[head.str()], tail, value);
}

/// Writes a node; strings in double quotes, so that none reads as another
/// type.
void emit(YAML::Emitter &out, const YAML::Node &node) {
  switch (node.Type()) {
  case YAML::NodeType::Map:
    out << (node.Style() == YAML::EmitterStyle::Flow ? YAML::Flow : YAML::Block)
        << YAML::BeginMap;
    for (const auto &member : node) {
      out << YAML::Key << member.first.as<std::string>() << YAML::Value;
      emit(out, member.second);
    }
    out << YAML::EndMap;
    return;
  case YAML::NodeType::Sequence:
    out << YAML::Flow << YAML::BeginSeq;
    for (const YAML::Node &element : node)
      emit(out, element);
    out << YAML::EndSeq;
    return;
  case YAML::NodeType::Scalar:
    if (node.Tag() == "!")
      out << YAML::DoubleQuoted;
    out << node.Scalar();
    return;
  default:
    out << YAML::Null;
  }
}

} // namespace

std::string runConfigYaml(ProvedModel &proved,
                          const MegatronConfigInputs &inputs) {
  YAML::Node model(YAML::NodeType::Map);
  for (const auto &[field, value] : evaluateFields(proved))
    setPath(model, field, yamlOf(value));
  std::string torch(torchName(inputs.paramsDType));
  model["params_dtype"] = pythonObject("torch." + torch);
  model["bf16"] = inputs.paramsDType == DType::BF16;
  model["fp16"] = inputs.paramsDType == DType::F16;
  const wmap::ParallelSizes &sizes = inputs.sizes;
  model["tensor_model_parallel_size"] = sizes.tp;
  model["pipeline_model_parallel_size"] = sizes.pp;
  model["virtual_pipeline_model_parallel_size"] =
      sizes.vpp > 1 ? YAML::Node(sizes.vpp) : YAML::Node(YAML::NodeType::Null);
  if (sizes.firstLayers)
    model["num_layers_in_first_pipeline_stage"] = sizes.firstLayers;
  if (sizes.lastLayers)
    model["num_layers_in_last_pipeline_stage"] = sizes.lastLayers;
  if (sizes.embeddingCounts)
    model["account_for_embedding_in_pipeline_split"] = true;
  if (sizes.lossCounts)
    model["account_for_loss_in_pipeline_split"] = true;
  model["context_parallel_size"] = sizes.cp;
  model["expert_model_parallel_size"] = sizes.ep;
  model["expert_tensor_parallel_size"] = sizes.etp;
  YAML::Node id(inputs.hfModelId);
  id.SetTag("!");
  model["hf_model_id"] = id;

  YAML::Node checkpoint(YAML::NodeType::Map);
  checkpoint["save_optim"] = false;
  checkpoint["save_rng"] = false;
  checkpoint["fully_parallel_save"] = true;

  YAML::Node root(YAML::NodeType::Map);
  root["model"] = model;
  root["checkpoint"] = checkpoint;
  YAML::Emitter out;
  emit(out, root);
  return std::string(out.c_str()) + "\n";
}

//===----------------------------------------------------------------------===//
// common.pt
//===----------------------------------------------------------------------===//

static PickleValue pickleOf(Attribute value) {
  if (auto flag = dyn_cast<BoolAttr>(value))
    return PickleValue::boolean(flag.getValue());
  if (auto number = dyn_cast<IntegerAttr>(value))
    return PickleValue::integral(number.getInt());
  if (auto number = dyn_cast<FloatAttr>(value))
    return PickleValue::floating(number.getValueAsDouble());
  if (auto text = dyn_cast<StringAttr>(value))
    return PickleValue::string(text.getValue());
  if (auto list = dyn_cast<ArrayAttr>(value)) {
    std::vector<PickleValue> items;
    for (Attribute element : list)
      items.push_back(pickleOf(element));
    return PickleValue::list(std::move(items));
  }
  return PickleValue::none();
}

/// The Namespace of Megatron-LM's arguments. Provider fields keep their names
/// but for those that Megatron-LM calls otherwise.
static PickleValue megatronArgs(const Fields &fields,
                                const MegatronConfigInputs &inputs) {
  std::vector<std::pair<std::string, PickleValue>> args;
  auto add = [&](const char *name, PickleValue value) {
    args.emplace_back(name, std::move(value));
  };
  for (const char *name : sharedArguments())
    if (Attribute value = find(fields, name))
      add(name, pickleOf(value));
  auto vocab = dyn_cast_or_null<IntegerAttr>(find(fields, "vocab_size"));
  bool pads = vocab && inputs.vocabMultiple;
  for (const MegatronArgument &renamed : renamedArguments()) {
    Attribute value = find(fields, renamed.field);
    if (pads && value == vocab && StringRef(renamed.field) == "vocab_size")
      continue;
    if (auto flag = dyn_cast_or_null<BoolAttr>(value); flag && renamed.negated)
      add(renamed.argument, PickleValue::boolean(!flag.getValue()));
    else if (value)
      add(renamed.argument, pickleOf(value));
  }
  if (Attribute value = find(fields, "seq_length"))
    add("seq_length", pickleOf(value));
  if (pads) {
    int64_t multiple = *inputs.vocabMultiple * inputs.sizes.tp;
    add("vocab_size", PickleValue::integral(vocab.getInt()));
    add("padded_vocab_size",
        PickleValue::integral((vocab.getInt() + multiple - 1) / multiple *
                              multiple));
    for (auto &[name, value] : args)
      if (name == "make_vocab_size_divisible_by")
        value = PickleValue::integral(*inputs.vocabMultiple);
  }
  add("group_query_attention", PickleValue::boolean(true));
  add("add_position_embedding", PickleValue::boolean(true));
  add("use_rotary_position_embeddings", PickleValue::boolean(true));
  add("apply_layernorm_1p", PickleValue::boolean(false));
  add("tokenizer_type", PickleValue::string("HuggingFaceTokenizer"));
  add("ckpt_format",
      PickleValue::string(inputs.vocabMultiple ? "torch" : "torch_dist"));
  add("tensor_model_parallel_size", PickleValue::integral(inputs.sizes.tp));
  add("pipeline_model_parallel_size", PickleValue::integral(inputs.sizes.pp));
  add("virtual_pipeline_model_parallel_size",
      inputs.sizes.vpp > 1 ? PickleValue::integral(inputs.sizes.vpp)
                           : PickleValue::none());
  auto layers = [](int64_t count) {
    return count ? PickleValue::integral(count) : PickleValue::none();
  };
  add("decoder_first_pipeline_num_layers", layers(inputs.sizes.firstLayers));
  add("decoder_last_pipeline_num_layers", layers(inputs.sizes.lastLayers));
  add("account_for_embedding_in_pipeline_split",
      PickleValue::boolean(inputs.sizes.embeddingCounts));
  add("account_for_loss_in_pipeline_split",
      PickleValue::boolean(inputs.sizes.lossCounts));
  add("context_parallel_size", PickleValue::integral(inputs.sizes.cp));
  add("expert_model_parallel_size", PickleValue::integral(inputs.sizes.ep));
  add("expert_tensor_parallel_size", PickleValue::integral(inputs.sizes.etp));
  add("world_size", PickleValue::integral(1));
  add("data_parallel_size", PickleValue::integral(1));
  add("no_save_optim", PickleValue::boolean(true));
  add("no_save_rng", PickleValue::boolean(true));
  add("ckpt_fully_parallel_save", PickleValue::boolean(true));
  add("consumed_train_samples", PickleValue::integral(0));
  add("skipped_train_samples", PickleValue::integral(0));
  add("consumed_valid_samples", PickleValue::integral(0));
  add("bf16", PickleValue::boolean(inputs.paramsDType == DType::BF16));
  add("fp16", PickleValue::boolean(inputs.paramsDType == DType::F16));
  return PickleValue::argparseNamespace(std::move(args));
}

PickleValue commonState(ProvedModel &proved,
                        const MegatronConfigInputs &inputs) {
  std::vector<std::pair<std::string, PickleValue>> content = {
      {"singleton_local_shards", PickleValue::boolean(false)},
      {"chained_optim_avoid_prefix", PickleValue::boolean(true)}};
  if (inputs.indexedLayers)
    content.emplace_back("non_homogeneous_layers", PickleValue::boolean(true));
  return PickleValue::dict(
      {{"args", megatronArgs(evaluateFields(proved), inputs)},
       {"checkpoint_version", PickleValue::floating(3.0)},
       {"iteration", PickleValue::integral(0)},
       {"content_metadata", PickleValue::dict(std::move(content))}});
}

/// Whether Megatron computes with the value of a member, unsaid.
static bool isWhatMegatronHas(ProvedModel &proved, NamedAttribute member) {
  nn::ModelOp model = proved.model();
  auto symbol = [&](StringRef name) { return wmap::configValue(model, name); };
  auto field = [](Attribute) { return Attribute(); };
  for (auto line : proved.mapping().getOps<wmap::HfFieldOp>()) {
    if (line.getField().rsplit('.').second != member.getName().getValue())
      continue;
    std::string why;
    if (line.getWhen()) {
      auto holds = dyn_cast_or_null<BoolAttr>(
          nn::evaluate(*line.getWhen(), {symbol, field}, why));
      if (!holds || !holds.getValue())
        continue;
    }
    Attribute value = nn::evaluate(line.getValue(), {symbol, field}, why);
    if (value && nn::equalValues(value, member.getValue()))
      return true;
  }
  return false;
}

std::vector<std::string> configLeftOut(ProvedModel &proved) {
  std::vector<std::string> notes;
  auto values = proved.model()->getAttrOfType<DictionaryAttr>("values");
  Fields base = evaluateFields(proved);
  MLIRContext *ctx = proved.model().getContext();
  for (NamedAttribute name : values) {
    auto record = dyn_cast<DictionaryAttr>(name.getValue());
    if (!record)
      continue;
    std::string left;
    for (NamedAttribute member : record) {
      if (member.getName() == "type" || isa<UnitAttr>(member.getValue()))
        continue;
      // A member is carried if some field changes with it.
      NamedAttrList changed(record);
      changed.set(member.getName(),
                  FloatAttr::get(Float64Type::get(ctx), 0.123456789));
      if (evaluateFields(proved, name.getName(), changed.getDictionary(ctx)) !=
              base ||
          isWhatMegatronHas(proved, member))
        continue;
      left += (left.empty() ? "" : ", ") + member.getName().str() + " = " +
              nn::exprText(member.getValue());
    }
    if (!left.empty())
      notes.push_back("Megatron's configuration has no field for " +
                      name.getName().str() + " with " + left +
                      ": config.json keeps it, a run in Megatron needs it set "
                      "by hand");
  }
  return notes;
}

} // namespace mbc
