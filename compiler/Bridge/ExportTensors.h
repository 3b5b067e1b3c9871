//===- ExportTensors.h - In which types an export stores --------*- C++ -*-===//
//
// A checkpoint holds values; a folder may hold FP8 with block scales, or
// another type that the user asks for. One of these:
//
//   as recorded   each tensor in its source's type. FP8 bytes are derived from
//                 the values and the recorded scales, which must give every
//                 value back bit for bit (`checkRestored`).
//   --dtype       every tensor but those that the model pins in one type.
//   --fp8-block   what the declaration marks `scaled` in FP8 with new scales.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "compiler/Bridge/Checkpoint.h"
#include "compiler/Bridge/Convert.h"
#include "runtime/io/ScaledTensors.h"

namespace mbc {

class ExportTensors {
public:
  /// `scratch`: a folder for a file of new scales, which `finish` removes.
  /// Refuses values beyond the range of the type asked for.
  static Expected<std::unique_ptr<ExportTensors>>
  create(Checkpoint &checkpoint, const ConvertOptions &options,
         const std::filesystem::path &scratch);

  /// What is to be written.
  const TensorSet &tensors() const { return *sets.back(); }
  /// Elements of tensors() that are parameters: neither scales nor tied copies.
  uint64_t parameters() const;
  /// True if every tensor has its source's type: its headers fit again.
  bool keepsTypes() const { return sameTypes; }
  /// The text of config.json for what is written: its dtype, and
  /// `quantization_config` where weights are FP8.
  Expected<std::string> configText(std::string text,
                                   const std::string &path) const;
  /// What the user should know.
  const std::vector<std::string> &notes() const { return noteList; }

  /// After everything was read: an Input error names the tensors whose values
  /// the recorded scales do not give back, and the flags that decide.
  Status finish();

private:
  explicit ExportTensors(Checkpoint &checkpoint) : checkpoint(checkpoint) {}
  Status castTo(DType dtype, unsigned threads);
  Status restore();
  Status quantize(const ConvertOptions &options);

  Checkpoint &checkpoint;
  /// Each presents the one before it; the first is the checkpoint's.
  std::vector<const TensorSet *> sets;
  std::vector<std::unique_ptr<TensorSet>> owned;
  std::unique_ptr<ScaledTensors> restored;
  std::vector<ScaledName> scaled;
  std::filesystem::path scaleFile;
  std::optional<DType> stated;  ///< dtype that config.json is to say
  std::optional<int64_t> block; ///< of new scales
  bool describesFp8 = false;    ///< config.json speaks of FP8
  bool storesFp8 = false;
  bool sameTypes = false;
  std::vector<std::string> noteList;
};

} // namespace mbc
