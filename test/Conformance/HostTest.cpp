//===- HostTest.cpp - The host backend conforms ---------------------------===//

#include "test/Conformance/HostBackend.h"

#include <cstring>
#include <gtest/gtest.h>

using namespace mbc;
using namespace mbc::test;

namespace {

class HostConformance : public testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    if (!host::selectKernels(GetParam()))
      GTEST_SKIP() << "this machine does not run " << GetParam();
  }
  void TearDown() override { host::selectKernels("v4"); }

  static void conform(const std::vector<Case> &cases) {
    HostBackend backend(1);
    for (const Case &test : cases)
      expectConforms(backend, test);
  }
};

std::string isaName(const testing::TestParamInfo<const char *> &info) {
  return info.param;
}

} // namespace

TEST_P(HostConformance, Products) { conform(productCases()); }
TEST_P(HostConformance, Rows) { conform(rowCases()); }
TEST_P(HostConformance, Attention) { conform(attentionCases()); }
TEST_P(HostConformance, LatentAttention) { conform(latentCases()); }
TEST_P(HostConformance, Experts) { conform(expertCases()); }
TEST_P(HostConformance, Commands) { conform(commandCases()); }

TEST_P(HostConformance, SameBitsForAnyNumberOfThreads) {
  std::vector<Case> cases = allCases();
  // Some of every kind: threads of more than the processors spin.
  for (size_t i = 0; i < cases.size(); i += 3) {
    const Case &test = cases[i];
    SCOPED_TRACE(test.name);
    Expected<std::vector<float>> one = HostBackend(1).run(test);
    ASSERT_TRUE(one) << one.error().message;
    for (unsigned threads : {2u, 3u}) {
      Expected<std::vector<float>> more = HostBackend(threads).run(test);
      ASSERT_TRUE(more) << more.error().message;
      ASSERT_EQ(more->size(), one->size());
      EXPECT_EQ(std::memcmp(more->data(), one->data(), one->size() * 4), 0)
          << threads << " threads";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, HostConformance,
                         testing::Values("baseline", "v3", "v4"), isaName);

TEST(HostKernels, AreThoseOfTheSetThatIsAsked) {
  for (const char *isa : {"baseline", "v3", "v4"})
    if (host::selectKernels(isa))
      EXPECT_STREQ(host::kernels().isa, isa);
  EXPECT_FALSE(host::selectKernels("v5"));
  ASSERT_TRUE(host::selectKernels("baseline"));
}
