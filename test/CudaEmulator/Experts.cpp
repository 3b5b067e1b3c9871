//===- Experts.cpp - The kernels of Experts.cu ----------------------------===//

#include "test/CudaEmulator/Device.h"
#include "test/CudaEmulator/Kernel.h"

#include "runtime/cuda/kernels/Experts.cu"

MBC_EMULATE(mbc_route)
MBC_EMULATE(mbc_group)
MBC_EMULATE(mbc_scatter)
MBC_EMULATE(mbc_combine)
