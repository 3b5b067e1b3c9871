//===- FusedProducts.cpp - The kernels of FusedProducts.cu ----------------===//

#include "test/CudaEmulator/Device.h"
#include "test/CudaEmulator/Kernel.h"
#include "test/CudaEmulator/TensorCore.h"

#include "runtime/cuda/kernels/FusedProducts.cu"

MBC_EMULATE(mbc_fused_products_f32_1)
MBC_EMULATE(mbc_fused_products_f32_8)
MBC_EMULATE(mbc_fused_products_bf16_1)
MBC_EMULATE(mbc_fused_products_f16_1)
MBC_EMULATE(mbc_fused_products_normed_f32_1)
MBC_EMULATE(mbc_fused_products_normed_bf16_1)
MBC_EMULATE(mbc_fused_products_normed_f16_1)
MBC_EMULATE(mbc_fused_few_rows_bf16)
MBC_EMULATE(mbc_fused_few_rows_f16)
