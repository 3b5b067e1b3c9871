//===- Images.h - The kernels that are linked in ----------------*- C++ -*-===//
#pragma once

#include <span>

namespace mbc::cuda {

/// One fatbin a file of `kernels/`.
std::span<const unsigned char *const> images();

} // namespace mbc::cuda
