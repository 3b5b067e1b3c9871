//===- Devices.h - Where programs run ---------------------------*- C++ -*-===//
#pragma once

#include "runtime/program/Program.h"
#include "runtime/program/Session.h"

#include <memory>
#include <string>
#include <string_view>

namespace mbc::execute {

/// Of --device.
inline constexpr const char *deviceHelp =
    "Where to compute: cpu, cuda (the first GPU) or cuda:N (default: cpu). "
    "'doctor' shows what there is";

/// A device as users name it.
struct Device {
  enum class Kind { Cpu, Cuda };
  Kind kind = Kind::Cpu;
  int ordinal = 0; ///< of a GPU, as the driver counts

  bool isGpu() const { return kind == Kind::Cuda; }
  /// "cpu", "cuda:1"
  std::string text() const;

  /// Of "cpu", "cuda" or "cuda:N"; empty: cpu. An Input error that begins with
  /// the option's name for anything else.
  static Expected<Device> parse(std::string_view text);
};

struct SessionOptions {
  unsigned threads = 1;
  /// Tokens that the state can hold, of all sequences together.
  int64_t slots = 0;
};

/// What programs are to have code for to run on the device: "sm_90"; empty on
/// the processors, which programs have code for in any case, and for GPUs that
/// no code can be made for. A System or Input error where there is no such
/// device.
Expected<std::string> codeTarget(const Device &device);

/// Memory for `program` on the device. An Input error where it does not have
/// enough, a System error where there is no such device.
Expected<std::unique_ptr<Session>> openSession(const program::ProgramT &program,
                                               const Device &device,
                                               const SessionOptions &options);

} // namespace mbc::execute
