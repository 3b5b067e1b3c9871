//===- FormatProfile.cpp --------------------------------------------------===//
#include "compiler/Transforms/FormatProfile.h"

using namespace mlir;

namespace mbc::wmap {

KeyParts splitKey(KeyAttr key) {
  KeyParts parts;
  bool belowLayer = false;
  for (Attribute segment : key.getSegments()) {
    auto path = dyn_cast<StringAttr>(segment);
    if (path) {
      std::string &text = parts.expert ? parts.leaf : parts.module;
      text += (text.empty() ? "" : ".") + path.getValue().str();
      continue;
    }
    StringRef container = parts.module;
    bool isLayer =
        !belowLayer && !parts.layer &&
        (container.ends_with("layers") || container.ends_with("blocks"));
    if (isLayer) {
      parts.root = std::move(parts.module);
      parts.module.clear();
      parts.layer = segment;
      belowLayer = true;
    } else if (container.ends_with("experts")) {
      parts.expert = segment;
    } else if (auto number = dyn_cast<IntegerAttr>(segment)) {
      parts.module += "." + std::to_string(number.getInt());
    }
  }
  return parts;
}

std::string TorchDistTE::fuseNorm(const std::string &module,
                                  const std::set<std::string> &modules) {
  // norm -> the linears that TE fuses it into, where the layer has them.
  struct Fusion {
    const char *norm, *linear;
  };
  static const Fusion fusions[] = {
      {"input_layernorm.weight", "self_attention.linear_qkv"},
      {"pre_mlp_layernorm.weight", "mlp.linear_fc1"},
      {"self_attention.q_layernorm.weight", "self_attention.linear_q_up_proj"},
      {"self_attention.kv_layernorm.weight",
       "self_attention.linear_kv_up_proj"},
  };
  StringRef path = module;
  for (const Fusion &fusion : fusions) {
    if (!path.ends_with(fusion.norm) ||
        (path.size() > strlen(fusion.norm) &&
         path[path.size() - strlen(fusion.norm) - 1] != '.'))
      continue;
    std::string prefix = path.drop_back(strlen(fusion.norm)).str();
    std::string linear = prefix + fusion.linear;
    if (modules.count(linear + ".weight"))
      return linear + ".layer_norm_weight";
  }
  return module;
}

bool TorchDistTE::mayStack(const std::string &root) {
  StringRef path = root;
  return path == "decoder.layers" || path.ends_with(".decoder.layers");
}

std::vector<std::string> TorchDistTE::stateModules(const std::string &name) {
  StringRef path = name;
  if (path.starts_with("visual."))
    return {};
  auto [module, leaf] = path.rsplit('.');
  StringRef last = module.rsplit('.').second;
  if (last.empty())
    last = module;
  bool isLinear = last.starts_with("linear_") || last == "eh_proj";
  bool isNorm =
      last.ends_with("layernorm") || last == "enorm" || last == "hnorm";
  if (!isLinear && !isNorm)
    return {};
  std::vector<std::string> modules = {module.str()};
  // mcore before 0.17 saves and demands this one in MTP layers only; later ones
  // pass over it unless they load with strict=raise_all.
  StringRef attention = module;
  if (attention.consume_back("linear_proj") &&
      attention.ends_with("transformer_layer.self_attention."))
    modules.push_back((attention + "core_attention").str());
  return modules;
}

} // namespace mbc::wmap
