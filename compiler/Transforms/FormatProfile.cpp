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

namespace {

/// Norms and the linears that TE fuses them into, where the layer has them.
struct Fusion {
  const char *norm, *linear;
};
constexpr Fusion fusions[] = {
    {"input_layernorm.weight", "self_attention.linear_qkv"},
    {"pre_mlp_layernorm.weight", "mlp.linear_fc1"},
    {"self_attention.q_layernorm.weight", "self_attention.linear_q_up_proj"},
    {"self_attention.kv_layernorm.weight", "self_attention.linear_kv_up_proj"},
};
constexpr StringLiteral fusedNorm = ".layer_norm_weight";

/// True if `path` is `end`, or ends in it behind a dot.
bool endsInPath(StringRef path, StringRef end) {
  return path.ends_with(end) && (path.size() == end.size() ||
                                 path[path.size() - end.size() - 1] == '.');
}

} // namespace

std::string TorchDistTE::fuseNorm(const std::string &module,
                                  const std::set<std::string> &modules) {
  StringRef path = module;
  for (const Fusion &fusion : fusions) {
    if (!endsInPath(path, fusion.norm))
      continue;
    std::string prefix = path.drop_back(strlen(fusion.norm)).str();
    std::string linear = prefix + fusion.linear;
    if (modules.count(linear + ".weight"))
      return linear + fusedNorm.str();
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

std::string LegacyTorch::moduleName(std::string_view name, int64_t expert,
                                    const ModuleNames &names) {
  std::string result(name);
  StringRef path = result;
  if (names.spec == LayerSpec::Local && path.ends_with(fusedNorm)) {
    StringRef linear = path.drop_back(fusedNorm.size());
    for (const Fusion &fusion : fusions)
      if (endsInPath(linear, fusion.linear))
        return moduleName(linear.drop_back(strlen(fusion.linear)).str() +
                              fusion.norm,
                          expert, names);
  }
  constexpr StringLiteral inner = ".transformer_layer.";
  if (size_t at = path.find(inner);
      !names.oldMtp && at != StringRef::npos && path.contains("mtp.layers.")) {
    result.replace(at, inner.size(), ".mtp_model_layer.");
    path = result;
  }
  constexpr StringLiteral stacked = ".experts.experts.";
  size_t at = path.find(stacked);
  if (at == StringRef::npos)
    return result;
  std::string before = path.take_front(at).str() + ".experts.",
              leaf = path.drop_front(at + stacked.size()).str();
  switch (names.experts) {
  case ExpertModules::Grouped:
    return before + leaf + std::to_string(expert);
  case ExpertModules::Sequential:
    return before + "local_experts." + std::to_string(expert) + "." + leaf;
  case ExpertModules::Fused:
    return before + (leaf == "linear_fc1.weight" ? "weight1" : "weight2");
  }
  return result;
}

bool LegacyTorch::isGathered(std::string_view name, LayerSpec spec) {
  StringRef path(name);
  if (endsInPath(path, "eh_proj.weight"))
    return true;
  return spec == LayerSpec::Local &&
         (endsInPath(path, "self_attention.linear_q_down_proj.weight") ||
          endsInPath(path, "self_attention.linear_kv_down_proj.weight"));
}

std::vector<std::string> LegacyTorch::stateModules(std::string_view moduleName,
                                                   LayerSpec spec) {
  StringRef path(moduleName);
  // Its weight may be the embedding's: the embedding has no state.
  if (endsInPath(path, "output_layer.weight"))
    return {path.rsplit('.').first.str()};
  std::vector<std::string> own = TorchDistTE::stateModules(path.str());
  std::string module = own.empty() ? "" : own.front();
  bool isLinear = !module.empty() && !StringRef(module).ends_with("norm");
  // The norms of the local spec are PyTorch's own.
  if (module.empty() || (spec == LayerSpec::Local && !isLinear))
    return {};
  std::vector<std::string> modules{module};
  constexpr StringLiteral proj = "self_attention.linear_proj";
  if (spec == LayerSpec::TransformerEngine && endsInPath(module, proj))
    modules.push_back(StringRef(module).drop_back(strlen("linear_proj")).str() +
                      "core_attention");
  return modules;
}

} // namespace mbc::wmap
