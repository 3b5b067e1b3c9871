//===- SideFiles.h - What stands beside the weights -------------*- C++ -*-===//
#pragma once

#include <string_view>

namespace mbc {

/// Whether a file holds weights in a format that mbc does not read, or an index
/// of them: pytorch_model.bin, consolidated.00.pth, model.gguf.
bool isForeignWeight(std::string_view name);

} // namespace mbc
