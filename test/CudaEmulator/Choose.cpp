//===- Choose.cpp - The kernels of Choose.cu ------------------------------===//

#include "test/CudaEmulator/Device.h"
#include "test/CudaEmulator/Kernel.h"

#include "runtime/cuda/kernels/Choose.cu"

MBC_EMULATE(mbc_likeliest_parts)
MBC_EMULATE(mbc_likeliest)
MBC_EMULATE(mbc_take_chosen)
