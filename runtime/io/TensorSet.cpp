//===- TensorSet.cpp - Named tensors that can be read piecewise -----------===//

#include "runtime/io/TensorSet.h"

namespace mbc {

int64_t TensorInfo::elements() const {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  return count;
}

uint64_t TensorInfo::bytes() const { return bytesOf(dtype, elements()); }

std::string shapeText(std::span<const int64_t> shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0)
      out += ", ";
    out += std::to_string(shape[i]);
  }
  return out + "]";
}

int64_t TensorSet::find(std::string_view name) const {
  auto it = byName.find(name);
  return it == byName.end() ? -1 : static_cast<int64_t>(it->second);
}

void TensorSet::indexNames() {
  byName.clear();
  byName.reserve(infos.size());
  // Of equal names the first one is found; who fills `infos` refuses them.
  for (size_t i = 0; i < infos.size(); ++i)
    byName.emplace(infos[i].name, i);
}

} // namespace mbc
