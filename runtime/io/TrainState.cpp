//===- TrainState.cpp - train_state.pt of Megatron Bridge -----------------===//
#include "runtime/io/TrainState.h"

#include "runtime/core/Text.h"
#include "runtime/io/PickleWriter.h"
#include "runtime/io/TorchRecord.h"

#include <array>
#include <cstring>
#include <fmt/format.h>
#include <type_traits>

using namespace mbc;

namespace {

/// A field in the order of the file; one of the pointers is set.
template <typename State, typename Int, typename Float, typename Flag>
struct Field {
  const char *name;
  Int *integer = nullptr;
  Float *real = nullptr;
  Flag *flag = nullptr;
};

template <typename State> auto fieldsOf(State &s) {
  using F =
      Field<State, std::remove_reference_t<decltype((s.step))>,
            std::remove_reference_t<decltype((s.floatingPointOperationsSoFar))>,
            std::remove_reference_t<decltype((s.doTrain))>>;
  return std::array<F, 8>{F{"step", &s.step},
                          F{"consumed_train_samples", &s.consumedTrainSamples},
                          F{"skipped_train_samples", &s.skippedTrainSamples},
                          F{"consumed_valid_samples", &s.consumedValidSamples},
                          F{"floating_point_operations_so_far", nullptr,
                            &s.floatingPointOperationsSoFar},
                          F{"do_train", nullptr, nullptr, &s.doTrain},
                          F{"do_valid", nullptr, nullptr, &s.doValid},
                          F{"do_test", nullptr, nullptr, &s.doTest}};
}

template <typename T> std::string bytesOfValue(T value) {
  return std::string(reinterpret_cast<const char *>(&value), sizeof value);
}

template <typename T> T valueOf(const std::string &bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

} // namespace

std::string mbc::encodeTrainState(const TrainState &state) {
  PickleWriter out;
  std::vector<std::string> storages;
  out.emptyDict();
  out.mark();
  for (const auto &field : fieldsOf(state)) {
    out.string(field.name);
    DType dtype = field.integer ? DType::I64
                  : field.real  ? DType::F32
                                : DType::Bool;
    writeTorchTensor(out, dtype, {}, std::to_string(storages.size()));
    storages.push_back(field.integer ? bytesOfValue(*field.integer)
                       : field.real  ? bytesOfValue(float(*field.real))
                                     : bytesOfValue(*field.flag));
  }
  out.setItems();
  return torchSavePickle(out.finish(), storages);
}

Expected<TrainState> mbc::readTrainState(const std::filesystem::path &path) {
  std::string where = path.string();
  MBC_ASSIGN(File file, File::openRead(path));
  MBC_ASSIGN(TorchArchive archive,
             TorchArchive::open(file, 0, file.size(), torchPickleGlobal));
  TrainState state;
  for (const auto &field : fieldsOf(state)) {
    std::optional<PickleRef> value = archive.pickle.root().find(field.name);
    if (!value) {
      if (field.integer == &state.step)
        return inputError(fmt::format("{}: no entry 'step'", where));
      continue;
    }
    std::string name = fmt::format("{}: {}", where, quote(field.name));
    MBC_ASSIGN(TorchTensor tensor, parseTorchTensor(*value, name));
    MBC_ASSIGN(const ZipArchive::Entry *entry, archive.storage(tensor, name));
    MBC_ASSIGN(std::string bytes, archive.zip.read(*entry, 4096));
    if (tensor.elements() != 1)
      return inputError(fmt::format("{}: {} elements, expected one", name,
                                    tensor.elements()));
    bytes.erase(0, bytesOf(tensor.dtype, tensor.storageOffset));
    if (field.integer && tensor.dtype == DType::I64)
      *field.integer = valueOf<int64_t>(bytes);
    else if (field.integer && tensor.dtype == DType::I32)
      *field.integer = valueOf<int32_t>(bytes);
    else if (field.real && tensor.dtype == DType::F32)
      *field.real = valueOf<float>(bytes);
    else if (field.real && tensor.dtype == DType::F64)
      *field.real = valueOf<double>(bytes);
    else if (field.flag && tensor.dtype == DType::Bool)
      *field.flag = bytes[0] != 0;
    else
      return inputError(fmt::format("{}: unexpected dtype {}", name,
                                    torchName(tensor.dtype)));
  }
  return state;
}
