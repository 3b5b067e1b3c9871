//===- GeneratedTest.cpp - Generated code conforms ------------------------===//

#include "runtime/host/NativeCode.h"
#include "test/Conformance/GeneratedCode.h"
#include "test/Conformance/HostBackend.h"

#include <cstring>
#include <fmt/format.h>
#include <gtest/gtest.h>

using namespace mbc;
using namespace mbc::test;

namespace {

class GeneratedConformance : public testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    std::string target = fmt::format("x86-64-{}", GetParam());
    if (!host::selectKernels(GetParam()) || !host::runsCode(target.c_str()))
      GTEST_SKIP() << "this machine does not run " << target;
    ASSERT_EQ(host::codeTarget(), target);
  }
  void TearDown() override { host::selectKernels("v4"); }

  Expected<std::vector<float>> run(const Case &test, unsigned threads = 1) {
    HostBackend backend = generated(threads);
    return backend.run(test);
  }
  HostBackend generated(unsigned threads) {
    return HostBackend(threads, [](program::ProgramT &program) -> Status {
      MBC_TRY(generateCode(program, fmt::format("x86-64-{}", GetParam())));
      if (program.code.size() != 1 || program.entries.empty())
        return inputError("the case has no code");
      return {};
    });
  }
};

std::string isaName(const testing::TestParamInfo<const char *> &info) {
  return info.param;
}

} // namespace

TEST_P(GeneratedConformance, Rows) {
  HostBackend backend = generated(1);
  for (const Case &test : rowCases())
    expectConforms(backend, test);
}

TEST_P(GeneratedConformance, RandomKernelsAreTheInterpreters) {
  HostBackend interpreter(1);
  for (uint32_t seed = 0; seed < randomRowCases; ++seed) {
    Case test = randomRowCase(seed);
    SCOPED_TRACE(test.name);
    Expected<std::vector<float>> expected = interpreter.run(test);
    ASSERT_TRUE(expected) << expected.error().message;
    Expected<std::vector<float>> found = run(test);
    ASSERT_TRUE(found) << found.error().message;
    expectNear(test, *found, *expected);
  }
}

TEST_P(GeneratedConformance, SameBitsForAnyNumberOfThreads) {
  std::vector<Case> cases = rowCases();
  for (size_t i = 0; i < cases.size(); i += 7) {
    SCOPED_TRACE(cases[i].name);
    Expected<std::vector<float>> one = run(cases[i]), three = run(cases[i], 3);
    ASSERT_TRUE(one && three);
    EXPECT_EQ(std::memcmp(one->data(), three->data(), one->size() * 4), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, GeneratedConformance, testing::Values("v3", "v4"),
                         isaName);
