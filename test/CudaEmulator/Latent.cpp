//===- Latent.cpp - The kernels of Latent.cu ------------------------------===//

#include "test/CudaEmulator/Device.h"
#include "test/CudaEmulator/Kernel.h"
#include "test/CudaEmulator/TensorCore.h"

#include "runtime/cuda/kernels/Latent.cu"

MBC_EMULATE(mbc_latent_bf16_1)
MBC_EMULATE(mbc_latent_bf16_1_512_64)
MBC_EMULATE(mbc_latent_bf16_2)
MBC_EMULATE(mbc_latent_bf16_2_512_64)
MBC_EMULATE(mbc_latent_f16_1)
MBC_EMULATE(mbc_latent_f16_1_512_64)
MBC_EMULATE(mbc_latent_f16_2)
MBC_EMULATE(mbc_latent_f16_2_512_64)
MBC_EMULATE(mbc_latent_queries)
MBC_EMULATE(mbc_latent_values)
