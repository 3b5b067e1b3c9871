//===- Prefill.cpp - The kernels of Prefill.cu ----------------------------===//

#include "test/CudaEmulator/Device.h"
#include "test/CudaEmulator/Kernel.h"

#include "runtime/cuda/kernels/Prefill.cu"

MBC_EMULATE(mbc_sequences)
MBC_EMULATE(mbc_gather_latents)
MBC_EMULATE(mbc_latent_keys)
MBC_EMULATE(mbc_join_queries)
