//===- Attention.cpp - The kernels of Attention.cu ------------------------===//

#include "test/CudaEmulator/Device.h"
#include "test/CudaEmulator/Kernel.h"

#include "runtime/cuda/kernels/Attention.cu"

MBC_EMULATE(mbc_attend_parts)
MBC_EMULATE(mbc_attend_f32_2)
MBC_EMULATE(mbc_attend_f32_4)
MBC_EMULATE(mbc_attend_f32_8)
MBC_EMULATE(mbc_attend_f32_18)
MBC_EMULATE(mbc_attend_bf16_2)
MBC_EMULATE(mbc_attend_bf16_4)
MBC_EMULATE(mbc_attend_bf16_8)
MBC_EMULATE(mbc_attend_bf16_18)
MBC_EMULATE(mbc_attend_f16_2)
MBC_EMULATE(mbc_attend_f16_4)
MBC_EMULATE(mbc_attend_f16_8)
MBC_EMULATE(mbc_attend_f16_18)
MBC_EMULATE(mbc_part_places)
