//===- Append.cpp - The kernels of Append.cu ------------------------------===//

#include "test/CudaEmulator/Device.h"
#include "test/CudaEmulator/Kernel.h"

#include "runtime/cuda/kernels/Append.cu"

MBC_EMULATE(mbc_append)
MBC_EMULATE(mbc_append_pieces)
MBC_EMULATE(mbc_turn_rows_bf16_64)
MBC_EMULATE(mbc_turn_rows_bf16_128)
MBC_EMULATE(mbc_turn_rows_bf16_256)
MBC_EMULATE(mbc_turn_rows_f16_64)
MBC_EMULATE(mbc_turn_rows_f16_128)
MBC_EMULATE(mbc_turn_rows_f16_256)
