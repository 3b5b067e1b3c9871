//===- ReferenceStates.cpp ------------------------------------------------===//
#include "runtime/compare/ReferenceStates.h"

#include "runtime/core/Text.h"

#include <array>
#include <fmt/format.h>

namespace fs = std::filesystem;

namespace mbc::compare {

static bool isStateType(DType type) {
  return type == DType::F32 || type == DType::BF16 || type == DType::F16;
}

/// Tokens of a tensor: its first dimension, past a batch of one.
static int64_t rowsOf(const TensorInfo &info, int64_t tokens) {
  if (info.shape.size() >= 2 && info.shape[0] == 1 && info.shape[1] == tokens)
    return tokens;
  return info.shape.size() >= 2 ? info.shape[0] : -1;
}

Expected<std::unique_ptr<ReferenceStates>>
ReferenceStates::open(const fs::path &path) {
  MBC_ASSIGN(SafetensorsHeader header, readSafetensorsHeader(path));
  std::unique_ptr<ReferenceStates> states(new ReferenceStates());
  std::vector<TensorInfo> infos;
  std::vector<uint64_t> offsets;
  for (const SafetensorsEntry &entry : header.tensors) {
    infos.push_back(entry.info);
    offsets.push_back(header.dataStart() + entry.begin);
  }
  states->about = header.metadata.value_or(SafetensorsMetadata());
  states->set = std::make_unique<FileTensors>(path, infos, offsets);
  const FileTensors &set = *states->set;
  int64_t tokens = set.find("tokens");
  if (tokens < 0)
    return inputError(fmt::format(
        "{}: holds no tensor 'tokens': expected a file of reference states, as "
        "tools/reference_states.py writes it",
        path.string()));
  const TensorInfo &ids = set.tensors()[tokens];
  if ((ids.dtype != DType::I64 && ids.dtype != DType::I32) ||
      ids.shape.size() != 1 || ids.shape[0] == 0)
    return inputError(fmt::format(
        "{}: tensor 'tokens' is {} {}, expected I64 [tokens]", path.string(),
        safetensorsName(ids.dtype), shapeText(ids.shape)));
  ExtentReader reader(set);
  std::vector<int64_t> wide(ids.shape[0]);
  std::vector<int32_t> narrow(ids.shape[0]);
  if (ids.dtype == DType::I64) {
    MBC_TRY(reader.read(tokens, 0, ids.shape[0],
                        std::as_writable_bytes(std::span(wide))));
  } else {
    MBC_TRY(reader.read(tokens, 0, ids.shape[0],
                        std::as_writable_bytes(std::span(narrow))));
    wide.assign(narrow.begin(), narrow.end());
  }
  for (int64_t id : wide) {
    if (id < 0 || id > INT32_MAX)
      return inputError(
          fmt::format("{}: {} in 'tokens' is no token id", path.string(), id));
    states->ids.push_back(static_cast<int32_t>(id));
  }
  std::array<int64_t, 3> counts{};
  for (const TensorInfo &info : set.tensors()) {
    if (info.name == "tokens")
      continue;
    if (!isStateType(info.dtype))
      return inputError(fmt::format(
          "{}: tensor {} is {}, expected F32, BF16 or F16", path.string(),
          quote(info.name), safetensorsName(info.dtype)));
    if (rowsOf(info, ids.shape[0]) != ids.shape[0])
      return inputError(fmt::format(
          "{}: tensor {} is {}, expected a row for each of the {} tokens: "
          "[{}, ...]",
          path.string(), quote(info.name), shapeText(info.shape), ids.shape[0],
          ids.shape[0]));
    ++counts[info.dtype == DType::F32 ? 0 : info.dtype == DType::F16 ? 1 : 2];
    states->nameList.push_back(info.name);
  }
  if (states->nameList.empty())
    return inputError(
        fmt::format("{}: holds tokens and no states", path.string()));
  // The coarsest says how near values can be.
  states->type = counts[2] ? DType::BF16 : counts[1] ? DType::F16 : DType::F32;
  return states;
}

int64_t ReferenceStates::widthOf(const std::string &name) const {
  return set->tensors()[set->find(name)].elements() /
         static_cast<int64_t>(ids.size());
}

Expected<Array> ReferenceStates::read(const std::string &name) const {
  size_t index = set->find(name);
  Array array;
  array.rows = static_cast<int64_t>(ids.size());
  array.width = widthOf(name);
  array.data.resize(array.rows * array.width);
  std::vector<Extent> extents;
  set->locate(index, 0, array.rows * array.width, 0, extents);
  ExtentReader reader(*set);
  MBC_TRY(reader.gather(extents, DType::F32,
                        std::as_writable_bytes(std::span(array.data))));
  return array;
}

} // namespace mbc::compare
