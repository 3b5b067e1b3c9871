//===- Programs.cpp - Cases with code for a GPU ---------------------------===//
//
// conformance_programs FOLDER TARGET: the cases of row kernels as programs with
// code for GPUs, each a file of its name, for CudaConformanceTests, which has
// no compiler: MBC_CONFORMANCE_PROGRAMS=FOLDER.
//
//===----------------------------------------------------------------------===//

#include "runtime/core/File.h"
#include "test/Conformance/Case.h"
#include "test/Conformance/GeneratedCode.h"

#include <fmt/format.h>

using namespace mbc;
using namespace mbc::test;

static Status writeProgram(const Case &test, const std::string &folder,
                           const std::string &target) {
  program::ProgramT program = *test.program;
  MBC_TRY(generateCode(program, target));
  std::vector<uint8_t> bytes = serializeProgram(program);
  return writeWholeFile(
      folder + "/" + fileNameOf(test),
      {reinterpret_cast<const char *>(bytes.data()), bytes.size()});
}

int main(int count, char **arguments) {
  if (count != 3) {
    fmt::print(stderr, "expected FOLDER TARGET\n");
    return 2;
  }
  std::vector<Case> cases = rowCases();
  for (uint32_t seed = 0; seed < randomRowCases; ++seed)
    cases.push_back(randomRowCase(seed));
  for (const Case &test : cases)
    if (Status status = writeProgram(test, arguments[1], arguments[2]);
        !status) {
      fmt::print(stderr, "error: {}: {}\n", test.name, status.error().message);
      return 2;
    }
  return 0;
}
