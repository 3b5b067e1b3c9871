//===- TensorViews.cpp ----------------------------------------------------===//
#include "runtime/io/TensorViews.h"

#include <cassert>

namespace mbc {

CastTensors::CastTensors(const TensorSet &set, const std::vector<DType> &dtypes)
    : set(set) {
  infos = set.tensors();
  for (size_t i = 0; i < infos.size(); ++i)
    infos[i].dtype = dtypes[i];
  sharePlaces(set);
  indexNames();
}

SomeTensors::SomeTensors(const TensorSet &set, std::span<const size_t> indices)
    : set(set), indices(indices.begin(), indices.end()) {
  for (size_t index : indices)
    infos.push_back(set.tensors()[index]);
  sharePlaces(set);
  indexNames();
}

FileTensors::FileTensors(const std::filesystem::path &path,
                         std::vector<TensorInfo> tensors,
                         std::vector<uint64_t> offsets)
    : offsets(std::move(offsets)) {
  infos = std::move(tensors);
  paths.push_back(path.string());
  indexNames();
}

void FileTensors::locate(size_t index, int64_t begin, int64_t count,
                         int64_t dest, std::vector<Extent> &out) const {
  DType dtype = infos[index].dtype;
  out.push_back(
      {0, offsets[index] + bytesOf(dtype, begin), count, dest, dtype});
}

JoinedTensors::JoinedTensors(const TensorSet &first, const TensorSet &second)
    : first(first), second(second) {
  assert(second.scales().empty() && "scales would need other numbers");
  infos = first.tensors();
  infos.insert(infos.end(), second.tensors().begin(), second.tensors().end());
  sharePlaces(first);
  paths.append(second.files());
  indexNames();
}

void JoinedTensors::locate(size_t index, int64_t begin, int64_t count,
                           int64_t dest, std::vector<Extent> &out) const {
  if (index < first.tensors().size())
    return first.locate(index, begin, count, dest, out);
  size_t from = out.size();
  second.locate(index - first.tensors().size(), begin, count, dest, out);
  for (size_t e = from; e < out.size(); ++e)
    out[e].file += static_cast<uint32_t>(first.files().size());
}

} // namespace mbc
