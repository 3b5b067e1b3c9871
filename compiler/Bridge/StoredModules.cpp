//===- StoredModules.cpp --------------------------------------------------===//
#include "compiler/Bridge/StoredModules.h"

#include "llvm/ADT/StringRef.h"

#include <algorithm>

namespace mbc {

StoredModules::StoredModules(const TensorSet &tensors,
                             const std::set<std::string> &layered) {
  for (const TensorInfo &info : tensors.tensors()) {
    llvm::StringRef rest = info.name;
    std::string root;
    for (const std::string &candidate : layered)
      if (candidate.size() > root.size() && rest.starts_with(candidate + "."))
        root = candidate;
    Module module{info.name, info.shape, 0};
    if (!root.empty()) {
      rest = rest.drop_front(root.size() + 1);
      auto [first, below] = rest.split('.');
      uint32_t layer;
      if (!first.getAsInteger(10, layer)) {
        rest = below;
        module.layers = static_cast<int64_t>(layer) + 1;
      } else if (!module.shape.empty()) {
        module.layers = module.shape.front();
        module.shape.erase(module.shape.begin());
      }
    }
    auto [it, isNew] = roots[root].try_emplace(rest.str(), module);
    if (!isNew)
      it->second.layers = std::max(it->second.layers, module.layers);
  }
}

const StoredModules::Module *
StoredModules::find(const std::string &root, const std::string &name) const {
  auto modules = roots.find(root);
  if (modules == roots.end())
    return nullptr;
  auto found = modules->second.find(name);
  return found == modules->second.end() ? nullptr : &found->second;
}

std::set<std::string> StoredModules::modulesOf(const std::string &root) const {
  std::set<std::string> names;
  if (auto modules = roots.find(root); modules != roots.end())
    for (const auto &[name, module] : modules->second)
      names.insert(name);
  return names;
}

int64_t StoredModules::layersOf(const std::string &root) const {
  int64_t most = 0;
  if (auto modules = roots.find(root); modules != roots.end())
    for (const auto &[name, module] : modules->second)
      most = std::max(most, module.layers);
  return most;
}

} // namespace mbc
