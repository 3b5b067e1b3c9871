//===- Nccl.h - Where NCCL is -----------------------------------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"

#include <string>

namespace mbc::cuda {

struct NcclLibrary {
  void *handle;
  int version; ///< 22703: 2.27.3
  std::string path;
};

/// Loads the library once: for what runs on several GPUs. A System error names
/// what was looked for and where.
Expected<const NcclLibrary *> nccl();

} // namespace mbc::cuda
