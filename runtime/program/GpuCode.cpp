//===- GpuCode.cpp --------------------------------------------------------===//

#include "runtime/program/GpuCode.h"

#include <algorithm>
#include <cstring>
#include <elf.h>
#include <fmt/format.h>

namespace mbc {

const GpuTarget *findGpuTarget(std::string_view name) {
  auto found = std::ranges::find(gpuTargets, name, &GpuTarget::name);
  return found == gpuTargets.end() ? nullptr : &*found;
}

std::string gpuTargetNames() {
  std::string text;
  for (const GpuTarget &target : gpuTargets)
    text += (text.empty() ? "" : ", ") + std::string(target.name);
  return text;
}

const GpuTarget *gpuTargetOf(int major, int minor) {
  const GpuTarget *best = nullptr;
  for (const GpuTarget &target : gpuTargets)
    if (std::pair(target.major, target.minor) <= std::pair(major, minor))
      best = &target;
  return best;
}

const program::GpuCodeT *gpuCodeFor(const program::ProgramT &program, int major,
                                    int minor) {
  const program::GpuCodeT *best = nullptr;
  std::pair newest(0, 0);
  for (const auto &code : program.gpu_code) {
    const GpuTarget *target = findGpuTarget(code->target);
    if (!target)
      continue;
    std::pair of(target->major, target->minor);
    if (of <= std::pair(major, minor) && of > newest) {
      best = code.get();
      newest = of;
    }
  }
  return best;
}

bool runsCubin(const program::GpuCodeT &code, int major, int minor) {
  // Within a major version later ones run what earlier ones do.
  const GpuTarget *target = findGpuTarget(code.target);
  return !code.cubin.empty() && target && target->major == major &&
         target->minor <= minor;
}

std::vector<std::string> codeNames(const program::ProgramT &program) {
  std::vector<std::string> names;
  for (const auto &code : program.code)
    names.push_back(code->target);
  for (const auto &code : program.gpu_code)
    names.push_back(code->target + (code->cubin.empty() ? " (PTX)" : ""));
  return names;
}

std::string faultOfGpuCode(const program::GpuCodeT &code,
                           const std::set<std::string_view> &entries) {
  // Text ends where the driver's reading of it does.
  if (std::strlen(code.ptx.c_str()) != code.ptx.size())
    return "is no text";
  if (code.ptx.find(fmt::format("\n.target {}\n", code.target)) ==
      std::string::npos)
    return fmt::format("is no PTX for {}", code.target);
  for (std::string_view entry : entries)
    if (code.ptx.find(fmt::format("\n.visible .entry {}(", entry)) ==
        std::string::npos)
      return fmt::format("has no function '{}'", entry);
  if (code.cubin.empty())
    return "";
  Elf64_Ehdr header;
  constexpr uint16_t cuda = 190;
  if (code.cubin.size() < sizeof(header))
    return "has a cubin that is none";
  std::memcpy(&header, code.cubin.data(), sizeof(header));
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
      header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != cuda)
    return "has a cubin that is none";
  return "";
}

} // namespace mbc
