//===- Products.cpp - The kernels of Products.cu
//--------------------------------===//

#include "test/CudaEmulator/Device.h"
#include "test/CudaEmulator/Kernel.h"

#include "runtime/cuda/kernels/Products.cu"

MBC_EMULATE(mbc_product)
MBC_EMULATE(mbc_row_products_f32_1)
MBC_EMULATE(mbc_row_products_f32_2)
MBC_EMULATE(mbc_row_products_f32_4)
MBC_EMULATE(mbc_row_products_f32_8)
MBC_EMULATE(mbc_row_products_bf16_1)
MBC_EMULATE(mbc_row_products_bf16_2)
MBC_EMULATE(mbc_row_products_bf16_4)
MBC_EMULATE(mbc_row_products_bf16_8)
MBC_EMULATE(mbc_row_products_f16_1)
MBC_EMULATE(mbc_row_products_f16_2)
MBC_EMULATE(mbc_row_products_f16_4)
MBC_EMULATE(mbc_row_products_f16_8)
