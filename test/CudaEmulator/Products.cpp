//===- Products.cpp - The kernels of Products.cu --------------------------===//

#include "test/CudaEmulator/Device.h"
#include "test/CudaEmulator/Kernel.h"
#include "test/CudaEmulator/TensorCore.h"

#include "runtime/cuda/kernels/Products.cu"

MBC_EMULATE(mbc_product)
MBC_EMULATE(mbc_row_products_f32_1)
MBC_EMULATE(mbc_row_products_f32_8)
MBC_EMULATE(mbc_row_products_bf16_1)
MBC_EMULATE(mbc_row_products_f16_1)
MBC_EMULATE(mbc_few_rows_bf16)
MBC_EMULATE(mbc_few_rows_f16)
