//===- Libraries.h - Where NVIDIA's libraries are found ---------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"

#include <span>
#include <string>

namespace mbc::cuda {

struct OpenLibrary {
  void *handle;
  std::string path;
};

/// Opens the first of `names` ("libcublasLt.so.13") that is there: in the
/// folders of MBC_CUDA_LIBRARIES, where the loader looks, and in the toolkit's
/// usual places. A System error names all of them.
Expected<OpenLibrary> openLibrary(std::span<const char *const> names);

} // namespace mbc::cuda
