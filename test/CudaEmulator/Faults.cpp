//===- Faults.cpp ---------------------------------------------------------===//

#include "test/CudaEmulator/Faults.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>

namespace mbc::emulator {

namespace {

struct Order {
  std::string function;
  long call = 0;
  bool later = false;
};

Order orderOf(const char *text) {
  Order order;
  if (!text)
    return order;
  const char *colon = strchr(text, ':');
  if (!colon)
    return order;
  order.function.assign(text, colon);
  char *end = nullptr;
  order.call = strtol(colon + 1, &end, 10);
  order.later = strcmp(end, ":later") == 0;
  return order;
}

} // namespace

CUresult fault(const char *function) {
  static const Order order = orderOf(getenv("MBC_EMULATOR_FAULT"));
  static std::atomic<long> calls{0};
  static std::atomic<bool> broken{false};
  if (broken)
    return CUDA_ERROR_ILLEGAL_ADDRESS;
  if (order.function != function || ++calls != order.call)
    return CUDA_SUCCESS;
  if (order.later) {
    broken = true;
    return CUDA_SUCCESS;
  }
  return strncmp(function, "cuMemAlloc", 10) == 0 ? CUDA_ERROR_OUT_OF_MEMORY
                                                  : CUDA_ERROR_UNKNOWN;
}

int setting(const char *name, int otherwise) {
  const char *value = getenv(name);
  return value ? atoi(value) : otherwise;
}

} // namespace mbc::emulator
