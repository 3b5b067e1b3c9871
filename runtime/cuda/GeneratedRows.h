//===- GeneratedRows.h - Row kernels that a program brings ------*- C++ -*-===//
#pragma once

#include "runtime/cuda/Kernels.h"
#include "runtime/program/GpuCode.h"

namespace mbc::cuda {

/// Adds to `kernels` those of the program's code for the device: a cubin, else
/// what the driver makes of PTX. False where it has none for it, and where
/// MBC_CUDA_CODE=interpret: row kernels are interpreted then. A System error
/// where the driver refuses code for this very architecture.
Expected<bool> loadGeneratedRows(const program::ProgramT &program,
                                 const Device &device, Kernels &kernels);

} // namespace mbc::cuda
