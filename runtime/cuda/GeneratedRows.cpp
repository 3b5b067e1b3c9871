//===- GeneratedRows.cpp --------------------------------------------------===//

#include "runtime/cuda/GeneratedRows.h"

#include "runtime/cuda/Launcher.h"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <limits>

namespace mbc::cuda {

Expected<bool> loadGeneratedRows(const program::ProgramT &program,
                                 const Device &device, Kernels &kernels) {
  if (const char *how = std::getenv("MBC_CUDA_CODE")) {
    if (std::string_view(how) == "interpret")
      return false;
    if (std::string_view(how) != "native")
      return inputError(fmt::format(
          "MBC_CUDA_CODE is '{}'; expected native or interpret", how));
  }
  auto [major, minor] = std::pair(device.facts().major, device.facts().minor);
  const program::GpuCodeT *code = gpuCodeFor(program, major, minor);
  if (!code)
    return false;
  std::string what = fmt::format("the program's code for {}", code->target);
  if (runsCubin(*code, major, minor)) {
    MBC_ASSIGN(bool added, kernels.add(code->cubin.data(), what));
    if (added)
      return true;
  }
  return kernels.add(code->ptx.c_str(), what);
}

Status Launcher::generatedRows(const program::RowsT &command) {
  const program::GpuEntryT &entry = *program.gpu_entries[command.gpu];
  std::vector<void *> operands;
  Count count{counts(), 0, 1, 1};
  int64_t rows = bound.rows;
  for (uint32_t number : command.operands) {
    View operand = view(number);
    operands.push_back(operand.data);
    if (!operand.shared) {
      count = countOf(operand);
      rows = rowsIn(operand);
    }
  }
  if (rows == 0)
    return {};
  // Blocks go on to further rows where a grid cannot have one for each.
  int64_t parts = 0;
  for (const program::GpuTask &task : entry.tasks)
    parts += task.parts();
  auto launched = static_cast<int32_t>(
      std::min(rows, std::numeric_limits<int32_t>::max() / parts));
  Shape shape{.x = 0,
              .threads = entry.threads,
              .shared = entry.shared,
              .overlaps = true};
  for (const program::GpuTask &task : entry.tasks)
    shape.x += (launched + int64_t(task.rows()) - 1) / task.rows() *
               int64_t(task.parts());
  std::vector<void *> arguments = {&count.counts, &count.which, &count.factor,
                                   &count.divisor, &launched};
  for (void *&operand : operands)
    arguments.push_back(&operand);
  return session.kernels->launch(entry.name.c_str(), shape, arguments.data());
}

} // namespace mbc::cuda
