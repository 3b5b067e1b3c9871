//===- Flash.cpp - The kernels of Flash.cu --------------------------------===//

#include "test/CudaEmulator/Device.h"
#include "test/CudaEmulator/Kernel.h"
#include "test/CudaEmulator/TensorCore.h"

#include "runtime/cuda/kernels/Flash.cu"

MBC_EMULATE(mbc_flash_bf16_64)
MBC_EMULATE(mbc_flash_bf16_96)
MBC_EMULATE(mbc_flash_bf16_128)
MBC_EMULATE(mbc_flash_bf16_192)
MBC_EMULATE(mbc_flash_bf16_256)
MBC_EMULATE(mbc_flash_f16_64)
MBC_EMULATE(mbc_flash_f16_96)
MBC_EMULATE(mbc_flash_f16_128)
MBC_EMULATE(mbc_flash_f16_192)
MBC_EMULATE(mbc_flash_f16_256)
