//===- HostTest.cpp - The host backend conforms ---------------------------===//

#include "runtime/host/Session.h"
#include "test/Conformance/Case.h"

#include "runtime/core/DType.h"

#include <cstring>
#include <gtest/gtest.h>

using namespace mbc;
using namespace mbc::test;

namespace {

class HostBackend : public Backend {
public:
  explicit HostBackend(unsigned threads) : threads(threads) {}

  Expected<std::vector<float>> run(const Case &test) override {
    // As it comes from a file.
    MBC_ASSIGN(auto program,
               parseProgram(serializeProgram(*test.program), test.name));
    MBC_ASSIGN(auto session,
               host::Session::create(*program, {threads, test.slots}));
    for (size_t i = 0; i < program->weights.size(); ++i) {
      const program::WeightT &weight = *program->weights[i];
      auto elem = weight.dtype == plan::DType::BF16  ? host::Elem::BF16
                  : weight.dtype == plan::DType::F16 ? host::Elem::F16
                                                     : host::Elem::F32;
      for (size_t j = 0; j < instancesOf(weight); ++j)
        host::kernels().fromFloat(
            elem, test.weights[i].data() + j * elementsOf(weight),
            session->weight(i, j), static_cast<int64_t>(elementsOf(weight)));
    }
    const program::FunctionT &function = *findFunction(*program, "f");
    const program::PortT &port = *function.outputs[0];
    size_t width = 1;
    for (size_t i = 1; i < port.dims.size(); ++i)
      width *= port.dims[i];
    std::vector<float> all;
    for (const CallOfCase &given : test.calls) {
      host::Call call;
      call.rows = given.rows;
      for (const Part &part : given.parts)
        call.sequences.push_back(
            {part.begin, part.count, part.slot, part.cached});
      for (const auto &[name, values] : given.inputs)
        call.inputs[name] = values;
      auto list = given.inputs.find("outputs");
      std::vector<float> out(width * (list == given.inputs.end()
                                          ? given.rows
                                          : list->second.size()));
      call.outputs["out"] = out;
      MBC_TRY(session->run(function, call));
      all.insert(all.end(), out.begin(), out.end());
    }
    return all;
  }

private:
  unsigned threads;
};

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
