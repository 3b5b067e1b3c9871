//===- Faults.h - A driver that fails when it is told to --------*- C++ -*-===//
#pragma once

#include <cuda.h>

namespace mbc::emulator {

/// What a function of the driver has to return instead of doing its work, as
/// MBC_EMULATOR_FAULT says: "FUNCTION:N", the N-th call of it fails, with
/// running out of memory where it allocates; "FUNCTION:N:later", the N-th call
/// succeeds, and from the next on all fail: what a kernel did that reads where
/// there is nothing. To be asked first.
CUresult fault(const char *function);

/// A number from the environment, or `otherwise`.
int setting(const char *name, int otherwise);

} // namespace mbc::emulator
