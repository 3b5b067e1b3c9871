//===- Images.cpp ---------------------------------------------------------===//
//
// The build says in MBC_CUDA_IMAGES where the fatbins lie, and lists them in
// Images.inc.
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
#include "Images.inc"
#undef MBC_IMAGE

namespace mbc::cuda {

std::span<const unsigned char *const> images() {
#define MBC_IMAGE(name) mbcCudaImage##name,
  static const unsigned char *const all[] = {
#include "Images.inc"
  };
#undef MBC_IMAGE
  return all;
}

} // namespace mbc::cuda
