//===- CheckpointKind.cpp -------------------------------------------------===//
#include "runtime/io/CheckpointKind.h"

#include "runtime/io/TorchDist.h"

#include <fmt/format.h>

namespace fs = std::filesystem;

namespace mbc {

Expected<CheckpointKind> detectCheckpoint(const fs::path &path) {
  std::error_code code;
  if (!fs::exists(path, code))
    return inputError(
        fmt::format("{}: there is no such folder", path.string()));
  if (!fs::is_directory(path, code))
    return inputError(fmt::format(
        "{}: is not a folder; expected a Hugging Face folder or a Megatron "
        "checkpoint",
        path.string()));
  auto has = [&](const char *name) { return fs::exists(path / name, code); };
  // What is wrong with a Megatron folder its own reader says.
  auto megatron = [&] {
    auto folder = findMegatronFolder(path);
    return folder && folder->legacy ? CheckpointKind::LegacyTorch
                                    : CheckpointKind::TorchDist;
  };
  if (has(".metadata") || has("latest_checkpointed_iteration.txt") ||
      has("latest_train_state.pt") || has("metadata.json") || has("release"))
    return megatron();
  fs::directory_iterator entries(path, code);
  if (code)
    return systemError(
        fmt::format("{}: cannot be read: {}", path.string(), code.message()));
  for (const fs::directory_entry &entry : entries) {
    std::string name = entry.path().filename().string();
    if (name.starts_with("iter_") || name.starts_with("mp_rank_") ||
        name.ends_with(".distcp"))
      return megatron();
  }
  return CheckpointKind::HuggingFace;
}

} // namespace mbc
