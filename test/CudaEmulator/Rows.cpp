//===- Rows.cpp - The kernels of Rows.cu ----------------------------------===//

#include "test/CudaEmulator/Device.h"
#include "test/CudaEmulator/Kernel.h"
#include "test/CudaEmulator/TensorCore.h"

#include "runtime/cuda/kernels/Rows.cu"

MBC_EMULATE(mbc_embed)
MBC_EMULATE(mbc_take)
MBC_EMULATE(mbc_copy)
MBC_EMULATE(mbc_angles)
MBC_EMULATE(mbc_rows)
MBC_EMULATE(mbc_place)
