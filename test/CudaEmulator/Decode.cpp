//===- Decode.cpp - The kernels of Decode.cu ------------------------------===//

#include "test/CudaEmulator/Device.h"
#include "test/CudaEmulator/Kernel.h"
#include "test/CudaEmulator/TensorCore.h"

#include "runtime/cuda/kernels/Decode.cu"

MBC_EMULATE(mbc_decode_bf16_64)
MBC_EMULATE(mbc_decode_bf16_128)
MBC_EMULATE(mbc_decode_bf16_256)
MBC_EMULATE(mbc_decode_f16_64)
MBC_EMULATE(mbc_decode_f16_128)
MBC_EMULATE(mbc_decode_f16_256)
MBC_EMULATE(mbc_decode_wide_bf16_64)
MBC_EMULATE(mbc_decode_wide_bf16_128)
MBC_EMULATE(mbc_decode_wide_f16_64)
MBC_EMULATE(mbc_decode_wide_f16_128)
MBC_EMULATE(mbc_turn_decode_bf16_64)
MBC_EMULATE(mbc_turn_decode_bf16_128)
MBC_EMULATE(mbc_turn_decode_bf16_256)
MBC_EMULATE(mbc_turn_decode_f16_64)
MBC_EMULATE(mbc_turn_decode_f16_128)
MBC_EMULATE(mbc_turn_decode_f16_256)
MBC_EMULATE(mbc_turn_decode_wide_bf16_64)
MBC_EMULATE(mbc_turn_decode_wide_bf16_128)
MBC_EMULATE(mbc_turn_decode_wide_f16_64)
MBC_EMULATE(mbc_turn_decode_wide_f16_128)
