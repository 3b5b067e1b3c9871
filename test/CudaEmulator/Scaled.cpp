//===- Scaled.cpp - The kernels of Scaled.cu ------------------------------===//

#include "test/CudaEmulator/Device.h"
#include "test/CudaEmulator/Kernel.h"
#include "test/CudaEmulator/TensorCore.h"

#include "runtime/cuda/kernels/Scaled.cu"

MBC_EMULATE(mbc_scaled_row_f32_1)
MBC_EMULATE(mbc_scaled_row_f32_8)
MBC_EMULATE(mbc_scaled_row_bf16_1)
MBC_EMULATE(mbc_scaled_row_f16_1)
MBC_EMULATE(mbc_few_bf16_f8_8)
MBC_EMULATE(mbc_few_bf16_f8_32)
MBC_EMULATE(mbc_few_f16_f8_8)
MBC_EMULATE(mbc_few_f16_f8_32)
MBC_EMULATE(mbc_grouped_bf16_f8_rows)
MBC_EMULATE(mbc_grouped_f16_f8_rows)
MBC_EMULATE(mbc_scaled_values_f32)
MBC_EMULATE(mbc_scaled_values_bf16)
MBC_EMULATE(mbc_scaled_values_f16)
