//===- Images.cpp ---------------------------------------------------------===//
//
// The build says in MBC_CUDA_IMAGES where the fatbins lie.
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/Images.h"

#define MBC_IMAGE(name)                                                        \
  __asm__(".section .rodata\n.balign 64\n"                                     \
          "mbcCudaImage" #name ":\n"                                           \
          ".incbin \"" MBC_CUDA_IMAGES "/" #name ".fatbin\"\n"                 \
          ".previous\n");                                                      \
  extern "C" __attribute__((visibility("hidden")))                             \
  const unsigned char mbcCudaImage##name[];

MBC_IMAGE(Attention)
MBC_IMAGE(Choose)
MBC_IMAGE(Decode)
MBC_IMAGE(Draw)
MBC_IMAGE(Experts)
MBC_IMAGE(Flash)
MBC_IMAGE(Grouped)
MBC_IMAGE(Prefill)
MBC_IMAGE(Products)
MBC_IMAGE(Rows)

namespace mbc::cuda {

std::span<const unsigned char *const> images() {
  static const unsigned char *const all[] = {
      mbcCudaImageAttention, mbcCudaImageChoose,  mbcCudaImageDecode,
      mbcCudaImageDraw,      mbcCudaImageExperts, mbcCudaImageFlash,
      mbcCudaImageGrouped,   mbcCudaImagePrefill, mbcCudaImageProducts,
      mbcCudaImageRows};
  return all;
}

} // namespace mbc::cuda
