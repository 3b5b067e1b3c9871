//===- gpu_rows.cpp - Generated row kernels on a GPU ----------------------===//
//
// ninja -C build/release gpu_rows_programs gpu_rows_bench
// gpu_rows_programs FOLDER sm_90 (where the compiler is)
// gpu_rows_bench FOLDER          (where the GPU is)
//
// GB/s of the bytes that a kernel reads and writes, each once, at 8,192 rows of
// bfloat16, beside a copy's; and microseconds of a row in a chain of launches.
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/Session.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fmt/format.h>
#include <map>

using namespace mbc;

namespace {

/// Seconds of a call of a function, the best of some.
Expected<double> secondsOf(cuda::Session &session,
                           const program::FunctionT &function) {
  Call call;
  uint32_t rows = function.rows;
  call.rows = rows;
  std::vector<int32_t> ids(rows);
  std::vector<float> out(rows);
  for (const auto &port : function.inputs)
    call.inputs[port->name] = ids;
  for (const auto &port : function.outputs)
    call.outputs[port->name] = out;
  call.sequences = {{0, static_cast<int64_t>(rows), 0, 0}};
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    auto start = std::chrono::steady_clock::now();
    MBC_TRY(session.run(function, call));
    best = std::min(best, std::chrono::duration<double>(
                              std::chrono::steady_clock::now() - start)
                              .count());
  }
  return best;
}

/// Of a program that runs a kernel `times` times: of one of them.
Expected<double> secondsOf(const std::filesystem::path &file) {
  MBC_ASSIGN(auto program, readProgram(file));
  MBC_ASSIGN(
      auto session,
      cuda::Session::create(*program, {.slots = program->functions[0]->rows}));
  return secondsOf(*session, *program->functions[0]);
}

Status run(const std::filesystem::path &folder) {
  // NAME@BYTES@TIMES.mbcp, of two numbers of times each.
  std::map<std::pair<std::string, uint64_t>, std::map<uint32_t, double>> found;
  for (const auto &entry : std::filesystem::directory_iterator(folder)) {
    std::string name = entry.path().stem().string();
    size_t bytes = name.find('@'), times = name.rfind('@');
    if (bytes == std::string::npos || times == bytes)
      continue;
    MBC_ASSIGN(double seconds, secondsOf(entry.path()));
    found[{name.substr(0, bytes), std::stoull(name.substr(bytes + 1))}]
         [static_cast<uint32_t>(std::stoul(name.substr(times + 1)))] = seconds;
  }
  fmt::print("{:<36} {:>10} {:>10}\n", "kernel", "us", "GB/s");
  for (const auto &[key, times] : found) {
    auto [few, some] = *times.begin();
    auto [many, more] = *times.rbegin();
    double each = (more - some) / (many - few);
    fmt::print("{:<36} {:>10.2f} {:>10.1f}\n", key.first, each * 1e6,
               static_cast<double>(key.second) / each * 1e-9);
  }
  return {};
}

} // namespace

int main(int count, char **arguments) {
  if (count != 2) {
    fmt::print(stderr, "expected FOLDER\n");
    return 2;
  }
  if (Status status = run(arguments[1]); !status) {
    fmt::print(stderr, "error: {}\n", status.error().message);
    return 3;
  }
  return 0;
}
