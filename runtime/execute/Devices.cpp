//===- Devices.cpp --------------------------------------------------------===//

#include "runtime/execute/Devices.h"

#include "runtime/host/Session.h"
#include "runtime/program/GpuCode.h"
#ifdef MBC_HAS_CUDA
#include "runtime/cuda/Session.h"
#endif

#include <charconv>
#include <fmt/format.h>

namespace mbc::execute {

std::string Device::text() const {
  return isGpu() ? fmt::format("cuda:{}", ordinal) : "cpu";
}

Expected<Device> Device::parse(std::string_view text) {
  if (text.empty() || text == "cpu")
    return Device{};
  Device device{Kind::Cuda, 0};
  if (text == "cuda")
    return device;
  constexpr std::string_view prefix = "cuda:";
  std::string_view number =
      text.starts_with(prefix) ? text.substr(prefix.size()) : "";
  auto [end, problem] = std::from_chars(
      number.data(), number.data() + number.size(), device.ordinal);
  if (number.empty() || problem != std::errc() ||
      end != number.data() + number.size() || device.ordinal < 0)
    return inputError(fmt::format(
        "option '--device' is '{}', expected cpu, cuda or cuda:N", text));
  return device;
}

#ifndef MBC_HAS_CUDA
static Failure noBackend() {
  return systemError("this mbc was built without the GPU backend; build it "
                     "where nvcc and CUDA's headers are, or use --device cpu");
}
#endif

Expected<std::string> codeTarget(const Device &device) {
  if (!device.isGpu())
    return std::string();
#ifdef MBC_HAS_CUDA
  MBC_ASSIGN(cuda::DeviceFacts facts, cuda::findDevice(device.ordinal));
  const GpuTarget *target = gpuTargetOf(facts.major, facts.minor);
  return target ? std::string(target->name) : std::string();
#else
  return noBackend();
#endif
}

Expected<std::unique_ptr<Session>> openSession(const program::ProgramT &program,
                                               const Device &device,
                                               const SessionOptions &options) {
  if (!device.isGpu()) {
    MBC_ASSIGN(
        std::unique_ptr<Session> session,
        host::Session::create(program, {options.threads, options.slots}));
    return session;
  }
#ifdef MBC_HAS_CUDA
  MBC_ASSIGN(std::unique_ptr<Session> session,
             cuda::Session::create(
                 program, {device.ordinal, options.threads, options.slots}));
  return session;
#else
  return noBackend();
#endif
}

} // namespace mbc::execute
