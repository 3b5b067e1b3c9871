//===- AutoBridge.cpp - The library behind the commands -------------------===//
#include "lib/AutoBridgeImpl.h"

#include "compiler/Bridge/Convert.h"
#include "lib/WeightStreamImpl.h"
#include "runtime/core/Guarded.h"
#include "runtime/core/Text.h"
#include "runtime/io/HubCache.h"

#include <fmt/format.h>

namespace fs = std::filesystem;

namespace mbc {

namespace {

constexpr const char *kImport =
    "is a Megatron checkpoint; import takes a Hugging Face folder";
constexpr const char *kMegatron =
    "is no Megatron checkpoint; expected a folder with iter_*, release, "
    ".metadata or mp_rank_*; 'mbc import' makes one of a Hugging Face folder";

Failure wrongKind(const fs::path &path, const char *what) {
  return inputError(fmt::format("{}: {}", path.string(), what));
}

} // namespace

OpenOptions AutoBridge::Impl::openOptions() const {
  OpenOptions open;
  open.config = {options.strictConfig, options.accept};
  open.hfModel = options.hfModel;
  open.model = options.model;
  open.vocabulary = options.vocabulary;
  open.iteration = options.iteration;
  open.threads = options.threads;
  return open;
}

Expected<std::shared_ptr<Checkpoint>> AutoBridge::Impl::open() {
  std::lock_guard lock(mutex);
  if (!opened) {
    MBC_ASSIGN(opened, Checkpoint::open(library, source, openOptions()));
  }
  return opened;
}

Expected<std::shared_ptr<Checkpoint>>
AutoBridge::Impl::openCast(std::optional<DType> cast) {
  if (!cast)
    return open();
  OpenOptions open = openOptions();
  open.cast = cast;
  MBC_ASSIGN(std::shared_ptr<Checkpoint> checkpoint,
             Checkpoint::open(library, source, open));
  return checkpoint;
}

AutoBridge::AutoBridge(std::unique_ptr<Impl> impl) : impl(std::move(impl)) {}
AutoBridge::AutoBridge(AutoBridge &&) noexcept = default;
AutoBridge &AutoBridge::operator=(AutoBridge &&) noexcept = default;
AutoBridge::~AutoBridge() = default;

Expected<std::unique_ptr<AutoBridge::Impl>>
AutoBridge::Impl::create(const fs::path &source, const BridgeOptions &options) {
  auto impl = std::make_unique<Impl>();
  impl->source = source;
  impl->options = options;
  if (!options.hfModel.empty()) {
    MBC_ASSIGN(fs::path model, resolveModel(options.hfModel));
    impl->options.hfModel = model.string();
  }
  MBC_TRY(impl->library.addFolders(options.modelPaths));
  MBC_ASSIGN(impl->kind, detectCheckpoint(source));
  return impl;
}

Expected<AutoBridge> AutoBridge::open(std::string_view checkpoint,
                                      const BridgeOptions &options) noexcept {
  return guarded([&]() -> Expected<AutoBridge> {
    MBC_ASSIGN(fs::path source, resolveModel(checkpoint));
    MBC_ASSIGN(std::unique_ptr<Impl> impl, Impl::create(source, options));
    return AutoBridge(std::move(impl));
  });
}

Expected<AutoBridge>
AutoBridge::from_hf_pretrained(std::string_view model,
                               const BridgeOptions &options) noexcept {
  return guarded([&]() -> Expected<AutoBridge> {
    MBC_ASSIGN(AutoBridge bridge, open(model, options));
    if (bridge.impl->kind != CheckpointKind::HuggingFace)
      return wrongKind(bridge.impl->source, kImport);
    return bridge;
  });
}

Expected<AutoBridge>
AutoBridge::from_megatron(const fs::path &checkpoint,
                          const BridgeOptions &options) noexcept {
  return guarded([&]() -> Expected<AutoBridge> {
    // Never a hub id: the hub has Hugging Face folders.
    MBC_ASSIGN(std::unique_ptr<Impl> impl, Impl::create(checkpoint, options));
    if (impl->kind == CheckpointKind::HuggingFace)
      return wrongKind(impl->source, kMegatron);
    return AutoBridge(std::move(impl));
  });
}

/// What a conversion takes over from the bridge; the rest has its defaults.
static ConvertOptions convertOptions(const OpenOptions &open,
                                     Progress::Mode progress) {
  ConvertOptions convert;
  convert.open = open;
  convert.progress = progress;
  return convert;
}

Expected<ConvertReport>
AutoBridge::import_ckpt(const fs::path &megatronPath,
                        const ImportOptions &options) const noexcept {
  return guarded([&]() -> Expected<ConvertReport> {
    if (impl->kind != CheckpointKind::HuggingFace)
      return wrongKind(impl->source, kImport);
    ConvertOptions convert =
        convertOptions(impl->openOptions(), impl->progress());
    MBC_ASSIGN(convert.megatron, MegatronTarget::of(options));
    convert.dtype = options.dtype;
    convert.overwrite = options.overwrite;
    convert.sha256 = options.sha256;
    return importCheckpoint(impl->library, impl->source, megatronPath, convert);
  });
}

Expected<ConvertReport>
AutoBridge::export_ckpt(const fs::path &hfPath,
                        const ExportOptions &options) const noexcept {
  return guarded([&]() -> Expected<ConvertReport> {
    if (impl->kind == CheckpointKind::HuggingFace)
      return wrongKind(impl->source, kMegatron);
    ConvertOptions convert =
        convertOptions(impl->openOptions(), impl->progress());
    convert.dtype = options.dtype;
    convert.maxShard = options.maxShard;
    convert.fp8Block = options.fp8Block;
    if (!options.tokenizer.empty()) {
      MBC_ASSIGN(convert.tokenizer, resolveModel(options.tokenizer));
    }
    convert.overwrite = options.overwrite;
    return exportCheckpoint(impl->library, impl->source, hfPath, convert);
  });
}

Expected<ConvertReport>
AutoBridge::reshard(const fs::path &megatronPath,
                    const ReshardOptions &options) const noexcept {
  return guarded([&]() -> Expected<ConvertReport> {
    if (impl->kind == CheckpointKind::HuggingFace)
      return wrongKind(impl->source, kMegatron);
    ConvertOptions convert =
        convertOptions(impl->openOptions(), impl->progress());
    MBC_ASSIGN(convert.megatron, MegatronTarget::of(options));
    convert.overwrite = options.overwrite;
    return reshardCheckpoint(impl->library, impl->source, megatronPath,
                             convert);
  });
}

Expected<VerifyReport> AutoBridge::verify() const noexcept {
  return guarded([&] { return impl->verifyAlone(); });
}

Expected<VerifyReport> AutoBridge::verify(const AutoBridge &other,
                                          VerifyScope scope) const noexcept {
  return guarded([&] { return impl->verifyAgainst(*other.impl, scope); });
}

Expected<WeightStream>
AutoBridge::export_hf_weights(size_t chunkBytes) const noexcept {
  return guarded([&]() -> Expected<WeightStream> {
    MBC_ASSIGN(std::shared_ptr<Checkpoint> checkpoint, impl->open());
    const TensorSet &tensors = checkpoint->tensors();
    return WeightStream(std::make_unique<WeightStream::Impl>(
        std::shared_ptr<const TensorSet>(std::move(checkpoint), &tensors),
        chunkBytes));
  });
}

Expected<WeightStream>
AutoBridge::export_megatron_weights(size_t chunkBytes) const noexcept {
  return guarded([&]() -> Expected<WeightStream> {
    MBC_ASSIGN(std::shared_ptr<Checkpoint> checkpoint, impl->open());
    std::shared_ptr<const TensorSet> tensors;
    if (const TensorSet *megatron = checkpoint->megatronTensors()) {
      tensors = {std::move(checkpoint), megatron};
    } else {
      MBC_ASSIGN(auto mapped,
                 MappedTensors::create(checkpoint->plan(), PlanSide::Megatron,
                                       checkpoint->tensors()));
      const TensorSet *view = mapped.get();
      // The view reads from the checkpoint: both live as long as the stream.
      auto both = std::make_shared<
          std::pair<std::shared_ptr<Checkpoint>, std::unique_ptr<TensorSet>>>(
          std::move(checkpoint), std::move(mapped));
      tensors = {std::move(both), view};
    }
    return WeightStream(
        std::make_unique<WeightStream::Impl>(std::move(tensors), chunkBytes));
  });
}

const fs::path &AutoBridge::path() const noexcept { return impl->source; }

} // namespace mbc
