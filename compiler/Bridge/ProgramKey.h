//===- ProgramKey.h - What decides a program, as a digest -------*- C++ -*-===//
#pragma once

#include "compiler/Bridge/Checkpoint.h"
#include "runtime/io/Digest.h"

namespace mbc {

/// The digest of everything that `Checkpoint::open` and then
/// `ProvedModel::compile` would look at for a checkpoint that holds `set` and
/// has `config` as its config.json: this build of mbc, the declarations with
/// all that they use, the configuration's bytes, what was asked for, and the
/// name, type and shape of every tensor. Two checkpoints of one key have one
/// program, and the proof of one is that of the other. None where the
/// declarations cannot be read or none is for this architecture.
std::optional<DigestText> programKey(const ModelLibrary &library,
                                     const std::filesystem::path &config,
                                     const TensorSet &set,
                                     const OpenOptions &open,
                                     const CompileOptions &compile);

} // namespace mbc
