//===- CudnnAbsent.cpp - A build without cuDNN's headers ------------------===//

#include "runtime/cuda/Cudnn.h"

namespace mbc::cuda {

static Failure absent() {
  return systemError("this build is without cuDNN, whose headers "
                     "tools/cuda-headers.sh gets");
}

Expected<const CudnnLibrary *> cudnn() { return absent(); }
std::string cudnnVersionText(size_t) { return {}; }
Expected<std::unique_ptr<Cudnn>> Cudnn::create(const Device &) {
  return absent();
}

} // namespace mbc::cuda
