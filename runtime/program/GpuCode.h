//===- GpuCode.h - What programs hold for GPUs ------------------*- C++ -*-===//
#pragma once

#include "runtime/schema/program_generated.h"

#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace mbc {

/// An architecture of NVIDIA GPUs that programs hold code for.
struct GpuTarget {
  std::string_view name; ///< "sm_90"
  int major, minor;      ///< of compute capability
};

/// All of them, ascending.
inline constexpr std::array<GpuTarget, 8> gpuTargets = {{
    {"sm_80", 8, 0},
    {"sm_86", 8, 6},
    {"sm_89", 8, 9},
    {"sm_90", 9, 0},
    {"sm_100", 10, 0},
    {"sm_103", 10, 3},
    {"sm_120", 12, 0},
    {"sm_121", 12, 1},
}};

/// "sm_80, sm_86, ..."
std::string gpuTargetNames();
/// By name, or null.
const GpuTarget *findGpuTarget(std::string_view name);
/// That whose code a GPU of this compute capability runs best: the newest that
/// is not newer; null where all are.
const GpuTarget *gpuTargetOf(int major, int minor);

/// Of a program's code what a GPU runs, or null: that for the newest
/// architecture that is not newer than it.
const program::GpuCodeT *gpuCodeFor(const program::ProgramT &program, int major,
                                    int minor);
/// Whether a GPU runs that code's cubin, if it has one; else its PTX does.
bool runsCubin(const program::GpuCodeT &code, int major, int minor);

/// Most shared memory that a launch may ask for: every architecture has it.
constexpr uint32_t mostGpuShared = 96 * 1024;

/// The processors and GPUs that a program has code for: "x86-64-v4", "sm_90",
/// and "sm_90 (PTX)" where the driver assembles it.
std::vector<std::string> codeNames(const program::ProgramT &program);

/// What keeps code for a GPU from being what it says: PTX of its architecture
/// with each of the functions `entries`, and a cubin that is one; empty:
/// nothing does. Reads words and headers alone.
std::string faultOfGpuCode(const program::GpuCodeT &code,
                           const std::set<std::string_view> &entries);

} // namespace mbc
