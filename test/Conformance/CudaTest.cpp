//===- CudaTest.cpp - The GPU backend conforms ----------------------------===//

#include "test/Conformance/CudaBackend.h"
#include "test/Conformance/HostBackend.h"
#include "test/Conformance/TurnedAttention.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <iostream>
#include <iterator>

using namespace mbc;
using namespace mbc::test;

namespace {

class CudaConformance : public testing::Test {
protected:
  void SetUp() override {
    auto devices = cuda::listDevices();
    if (!devices)
      GTEST_SKIP() << devices.error().message;
  }

  static void conform(const std::vector<Case> &cases) {
    CudaBackend backend;
    for (const Case &test : cases)
      expectConforms(backend, test);
  }
};

} // namespace

TEST_F(CudaConformance, Products) { conform(productCases()); }
TEST_F(CudaConformance, Rows) { conform(rowCases()); }
TEST_F(CudaConformance, Attention) { conform(attentionCases()); }
TEST_F(CudaConformance, LatentAttention) { conform(latentCases()); }
TEST_F(CudaConformance, Experts) { conform(expertCases()); }
TEST_F(CudaConformance, Commands) { conform(commandCases()); }

// Launched one by one, captured, and from the graph; as often as a shape needs.
TEST_F(CudaConformance, SameBitsFromGraphs) {
  constexpr size_t times = 3;
  std::vector<Case> cases = allCases();
  for (TurnedCase &turned : turnedCases())
    cases.push_back(std::move(turned.test));
  for (size_t i = 2; i < cases.size(); i += 11) {
    const Case &test = cases[i];
    SCOPED_TRACE(test.name);
    Expected<std::vector<float>> all = CudaBackend(times).run(test);
    ASSERT_TRUE(all) << all.error().message;
    const float *from = all->data();
    for (const CallOfCase &given : test.calls) {
      size_t size =
          makeCall(*findFunction(*test.program, "f"), given)->out.size();
      for (size_t again = 1; again < times; ++again)
        EXPECT_EQ(std::memcmp(from, from + again * size, size * 4), 0);
      from += times * size;
    }
  }
}

/// Row kernels as the compiler generates them for the GPU at hand: the programs
/// of `conformance_programs`.
TEST_F(CudaConformance, GeneratedRows) {
  const char *folder = std::getenv("MBC_CONFORMANCE_PROGRAMS");
  if (!folder)
    GTEST_SKIP() << "MBC_CONFORMANCE_PROGRAMS names no folder of programs";
  auto generated = [&](Case test) {
    auto program =
        readProgram(std::filesystem::path(folder) / fileNameOf(test));
    EXPECT_TRUE(program) << program.error().message;
    if (program) {
      EXPECT_FALSE((*program)->gpu_code.empty()) << test.name;
      test.program = std::move(*program);
    }
    return test;
  };
  CudaBackend backend;
  for (const Case &test : rowCases())
    expectConforms(backend, generated(test));
  for (uint32_t seed = 0; seed < randomRowCases; ++seed) {
    Case test = randomRowCase(seed);
    SCOPED_TRACE(test.name);
    auto expected = HostBackend(1).run(test);
    auto found = backend.run(generated(test));
    ASSERT_TRUE(expected && found) << found.error().message;
    expectNear(test, *found, *expected);
  }
}

TEST_F(CudaConformance, Prefill) {
  std::vector<Case> cases = prefillCases();
  std::ranges::move(latentPrefillCases(), std::back_inserter(cases));
  auto spoiled = CudaBackend::spoilFreeMemory();
  ASSERT_TRUE(spoiled) << spoiled.error().message;
  CudaBackend backend;
  auto library = cuda::cudnn();
  for (const Case &test : cases) {
    expectConforms(backend, test);
    // Where cuDNN is, it is used.
    EXPECT_EQ(backend.cudnnLaunches, library ? test.calls.size() : 0)
        << test.name;
  }
  if (!library)
    std::cout << "without cuDNN: " << library.error().message << '\n';
}

namespace {
/// An environment variable, for as long as this is there.
class Environment {
public:
  Environment(const char *name, const char *value) : name(name) {
    setenv(name, value, /*overwrite=*/1);
  }
  ~Environment() { unsetenv(name); }
  Environment(const Environment &) = delete;

private:
  const char *name;
};
} // namespace

// Attention that norms and turns queries and keys by itself has the bits of one
// after a row kernel, which is what the host computes but for rounding.
TEST_F(CudaConformance, TurnedAttention) {
  auto spoiled = CudaBackend::spoilFreeMemory();
  ASSERT_TRUE(spoiled) << spoiled.error().message;
  std::vector<TurnedCase> cases = turnedCases();
  for (size_t i = 0; i < cases.size(); ++i) {
    const auto &[test, turned] = cases[i];
    SCOPED_TRACE(test.name);
    auto host = HostBackend(1).run(test);
    ASSERT_TRUE(host) << host.error().message;
    // Keys are cut as seems best, and into several parts.
    Environment cut("MBC_CUDA_DECODE_PARTS", i % 2 == 0 ? "0" : "3");
    CudaBackend backend;
    auto fused = backend.run(test);
    ASSERT_TRUE(fused) << fused.error().message;
    EXPECT_EQ(backend.turnedLaunches, turned);
    Environment off("MBC_CUDA_FUSE", "0");
    auto apart = backend.run(test);
    ASSERT_TRUE(apart) << apart.error().message;
    EXPECT_EQ(backend.turnedLaunches, 0u);
    ASSERT_EQ(fused->size(), host->size());
    ASSERT_EQ(apart->size(), host->size());
    EXPECT_EQ(std::memcmp(fused->data(), apart->data(), host->size() * 4), 0);
    // Values are up to 2, and weights and results have 8 bits at least.
    for (size_t j = 0; j < host->size(); ++j)
      ASSERT_NEAR((*fused)[j], (*host)[j], 0.05) << "element " << j;
  }
}

TEST_F(CudaConformance, SameBitsInEveryRun) {
  std::vector<Case> cases = allCases();
  std::ranges::move(prefillCases(), std::back_inserter(cases));
  std::ranges::move(latentPrefillCases(), std::back_inserter(cases));
  // Some of every kind.
  for (size_t i = 0; i < cases.size(); i += 5) {
    const Case &test = cases[i];
    SCOPED_TRACE(test.name);
    Expected<std::vector<float>> one = CudaBackend().run(test);
    Expected<std::vector<float>> two = CudaBackend().run(test);
    ASSERT_TRUE(one) << one.error().message;
    ASSERT_TRUE(two) << two.error().message;
    ASSERT_EQ(one->size(), two->size());
    EXPECT_EQ(std::memcmp(one->data(), two->data(), one->size() * 4), 0);
  }
}
