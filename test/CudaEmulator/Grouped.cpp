//===- Grouped.cpp - The kernels of Grouped.cu ----------------------------===//

#include "test/CudaEmulator/Device.h"
#include "test/CudaEmulator/Kernel.h"
#include "test/CudaEmulator/TensorCore.h"

#include "runtime/cuda/kernels/Grouped.cu"

// Of f16 none with products of warpgroups: it goes the way of other devices.
MBC_EMULATE(mbc_grouped_bf16_rows)
MBC_EMULATE(mbc_grouped_bf16_Warps_64)
MBC_EMULATE(mbc_grouped_bf16_Warps_128)
MBC_EMULATE(mbc_grouped_bf16_Warpgroup_64)
MBC_EMULATE(mbc_grouped_bf16_Warpgroup_128)
MBC_EMULATE(mbc_grouped_f16_rows)
MBC_EMULATE(mbc_grouped_f16_Warps_64)
MBC_EMULATE(mbc_grouped_f16_Warps_128)
MBC_EMULATE(mbc_grouped_bf16_f8_Warps_64)
MBC_EMULATE(mbc_grouped_bf16_f8_Warpgroup_64)
MBC_EMULATE(mbc_grouped_bf16_f8_Warpgroup_128)
MBC_EMULATE(mbc_grouped_f16_f8_Warps_64)
