//===- Draw.cpp - The kernels of Draw.cu ----------------------------------===//

#include "test/CudaEmulator/Device.h"
#include "test/CudaEmulator/Kernel.h"

#include "runtime/cuda/kernels/Draw.cu"

MBC_EMULATE(mbc_draw_count)
MBC_EMULATE(mbc_draw_cut)
MBC_EMULATE(mbc_draw)
