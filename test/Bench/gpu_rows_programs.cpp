//===- gpu_rows_programs.cpp - Programs of gpu_rows.cpp -------------------===//
//
// gpu_rows_programs FOLDER TARGET
//
//===----------------------------------------------------------------------===//

#include "runtime/core/File.h"
#include "test/Bench/RowKernels.h"
#include "test/Conformance/GeneratedCode.h"

using namespace mbc;
using namespace mbc::test;

namespace {

constexpr plan::DType type = plan::DType::BF16;

Status write(RowBench bench, uint32_t times, const std::string &folder,
             const std::string &target) {
  addCommands(bench, times);
  // A session's call has an input.
  bench.make.input("x", plan::DType::I32, {bench.rows});
  MBC_TRY(generateCode(bench.make.program, target));
  std::vector<uint8_t> bytes = serializeProgram(bench.make.program);
  return writeWholeFile(
      fmt::format("{}/{} x{}@{}@{}.mbcp", folder, bench.name, bench.rows,
                  bytesOf(bench), times),
      {reinterpret_cast<const char *>(bytes.data()), bytes.size()});
}

Status writeAll(const std::string &folder, const std::string &target) {
  for (uint32_t rows : {1u, 8192u})
    for (uint32_t times : {20u, rows == 1 ? 2020u : 120u}) {
      for (uint32_t width : {2048u, 4096u, 8192u}) {
        MBC_TRY(write(copyOf(type, rows, width), times, folder, target));
        MBC_TRY(write(addNorm(type, rows, width), times, folder, target));
        MBC_TRY(write(glu(type, rows, width), times, folder, target));
      }
      MBC_TRY(write(glu(type, rows, 14336), times, folder, target));
      for (uint32_t queries : {2u, 4u, 8u})
        MBC_TRY(
            write(rope(type, rows, 8, queries, 128), times, folder, target));
    }
  return {};
}

} // namespace

int main(int count, char **arguments) {
  if (count != 3) {
    fmt::print(stderr, "expected FOLDER TARGET\n");
    return 2;
  }
  if (Status status = writeAll(arguments[1], arguments[2]); !status) {
    fmt::print(stderr, "error: {}\n", status.error().message);
    return 3;
  }
  return 0;
}
