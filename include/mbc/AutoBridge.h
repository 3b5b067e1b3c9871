//===- AutoBridge.h - Checkpoints between Hugging Face and Megatron -*- C++
//-*-===//
//
// The library behind `mbc import`, `export`, `reshard` and `verify`. It throws
// nothing and prints nothing; what fails comes back as an `Error`.
//
//   #include <mbc/AutoBridge.h>
//
//   auto bridge =
//   mbc::AutoBridge::from_hf_pretrained("meta-llama/Llama-3.2-1B"); if
//   (!bridge)
//     return fail(bridge.error().message);
//   mbc::ImportOptions options;
//   options.sizes.tp = 4;
//   auto report = bridge->import_ckpt("megatron", options);
//   if (!report)
//     return fail(report.error().message);
//
//===----------------------------------------------------------------------===//
#pragma once

#include "mbc/Api.h"
#include "mbc/Convert.h"
#include "mbc/Error.h"
#include "mbc/VerifyReport.h"
#include "mbc/Version.h"
#include "mbc/WeightStream.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mbc {

/// How a checkpoint is understood; for everything that is done with it.
struct BridgeOptions {
  /// Folder or hub id whose config.json, side files and cut into weight files
  /// stand in for those of a Megatron checkpoint. Empty: those of its record,
  /// or a config.json that is rebuilt from Megatron's own configuration.
  std::string hfModel;
  /// Name of the declared model ("Llama") that the checkpoint must hold; it
  /// decides where a rebuilt config.json fits several. Empty: found out.
  std::string model;
  /// Rows of the vocabulary without padding that the checkpoint must have; for
  /// a Megatron configuration that does not say. At least 1.
  std::optional<int64_t> vocabulary;
  /// Of the root of a Megatron checkpoint with several iterations, the one to
  /// open: N of iter_N. None: the one that its tracker names.
  std::optional<uint64_t> iteration;
  /// Refuse fields of config.json that the declaration does not know.
  bool strictConfig = false;
  /// Fields of config.json whose unsupported values are accepted.
  std::vector<std::string> accept;
  /// Folders with models/*.mbc and mappings/*.mbc, used before the built-in
  /// declarations; the first one given wins.
  std::vector<std::filesystem::path> modelPaths;
  /// Worker threads; change the speed, never a byte. 0: the processors, at most
  /// 16.
  unsigned threads = 0;
  /// Report progress on stderr: a bar on a terminal, a line every few seconds
  /// elsewhere.
  bool showProgress = false;
};

/// One checkpoint of either format, and what can be made of it.
///
/// The factories find the checkpoint; the model is proved and its tensors are
/// bound by the first call that needs them. Nothing is downloaded, no code of a
/// model's folder is run, and no target appears until it is complete.
class MBC_API AutoBridge {
public:
  /// A Hugging Face folder, or a hub id ("org/name[@revision]") in the local
  /// Hugging Face cache. An Input error when it is neither, with the commands
  /// that get the model.
  static Expected<AutoBridge>
  from_hf_pretrained(std::string_view model,
                     const BridgeOptions &options = {}) noexcept;

  /// A Megatron checkpoint, torch_dist or the legacy torch format: its root, or
  /// one iteration folder.
  static Expected<AutoBridge>
  from_megatron(const std::filesystem::path &checkpoint,
                const BridgeOptions &options = {}) noexcept;

  /// Whichever of the two it is.
  static Expected<AutoBridge> open(std::string_view checkpoint,
                                   const BridgeOptions &options = {}) noexcept;

  /// Writes the folder as a Megatron checkpoint, with the record of its source.
  /// An Input error on a Megatron checkpoint.
  Expected<ConvertReport>
  import_ckpt(const std::filesystem::path &megatronPath,
              const ImportOptions &options = {}) const noexcept;

  /// Writes the Megatron checkpoint as a Hugging Face folder: that of its
  /// record byte for byte, unless an option asks for something else. An Input
  /// error on a Hugging Face folder.
  Expected<ConvertReport>
  export_ckpt(const std::filesystem::path &hfPath,
              const ExportOptions &options = {}) const noexcept;

  /// Writes the Megatron checkpoint in another format or layout: weights, the
  /// record of their source where there is one, and the digests of its
  /// manifest. An Input error on a Hugging Face folder.
  Expected<ConvertReport>
  reshard(const std::filesystem::path &megatronPath,
          const ReshardOptions &options = {}) const noexcept;

  /// Checks what the checkpoint says of itself: names, types and shapes against
  /// the declaration; checksums and the manifest of the import of a Megatron
  /// checkpoint; tied copies of a folder. Differences are a result, no error.
  Expected<VerifyReport> verify() const noexcept;

  /// Compares every tensor of both, bit for bit. `valuesOnly`: tensors of
  /// different float types are compared after exact widening.
  Expected<VerifyReport>
  verify(const AutoBridge &other,
         VerifyScope scope = VerifyScope::Everything) const noexcept;

  /// The weights as Hugging Face names and cuts them, whichever the format of
  /// the checkpoint, in chunks of at most `chunkBytes`. Checksums of the source
  /// are not looked at; `verify` does that.
  Expected<WeightStream>
  export_hf_weights(size_t chunkBytes = 4u << 20) const noexcept;

  /// The weights as Megatron Core names and cuts them: layers stacked, or
  /// indexed where their types differ.
  Expected<WeightStream>
  export_megatron_weights(size_t chunkBytes = 4u << 20) const noexcept;

  /// The folder that was found: of a hub id, that of its snapshot.
  const std::filesystem::path &path() const noexcept;

  AutoBridge(AutoBridge &&) noexcept;
  AutoBridge &operator=(AutoBridge &&) noexcept;
  ~AutoBridge();

private:
  struct Impl;
  explicit AutoBridge(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl;
};

} // namespace mbc
