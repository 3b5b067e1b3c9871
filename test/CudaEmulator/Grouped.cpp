//===- Grouped.cpp - The kernels of Grouped.cu ----------------------------===//

#include "test/CudaEmulator/Device.h"
#include "test/CudaEmulator/Kernel.h"
#include "test/CudaEmulator/TensorCore.h"

#include "runtime/cuda/kernels/Grouped.cu"

MBC_EMULATE(mbc_grouped_bf16_128)
MBC_EMULATE(mbc_grouped_bf16_64)
MBC_EMULATE(mbc_grouped_bf16_rows)
MBC_EMULATE(mbc_grouped_f16_128)
MBC_EMULATE(mbc_grouped_f16_64)
MBC_EMULATE(mbc_grouped_f16_rows)
