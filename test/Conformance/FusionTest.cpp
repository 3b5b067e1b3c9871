//===- FusionTest.cpp - Products with what is around them, on a GPU -------===//

#include "test/Conformance/CudaBackend.h"
#include "test/Conformance/Fusions.h"
#include "test/Conformance/HostBackend.h"
#include "test/Conformance/Values.h"

#include "runtime/cuda/Kernels.h"

#include <bit>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>

using namespace mbc;
using namespace mbc::test;

namespace {

class CudaFusion : public testing::Test {
protected:
  void SetUp() override {
    auto devices = cuda::listDevices();
    if (!devices)
      GTEST_SKIP() << devices.error().message;
  }
};

} // namespace

TEST_F(CudaFusion, SameBitsAsApart) {
  for (const FusionCase &of : fusionCases()) {
    SCOPED_TRACE(of.test.name);
    CudaBackend fused, apart;
    auto found = fused.run(of.test);
    setenv("MBC_CUDA_FUSE", "0", 1);
    auto expected = apart.run(of.test);
    unsetenv("MBC_CUDA_FUSE");
    ASSERT_TRUE(found) << found.error().message;
    ASSERT_TRUE(expected) << expected.error().message;
    EXPECT_EQ(fused.fusedLaunches, of.fusedProducts);
    EXPECT_EQ(apart.fusedLaunches, 0u);
    ASSERT_EQ(found->size(), expected->size());
    for (size_t i = 0; i < found->size(); ++i)
      ASSERT_EQ(std::bit_cast<uint32_t>((*found)[i]),
                std::bit_cast<uint32_t>((*expected)[i]))
          << "element " << i << " is " << (*found)[i] << ", expected "
          << (*expected)[i];
    auto host = HostBackend(1).run(of.test);
    ASSERT_TRUE(host) << host.error().message;
    expectNear(of.test, *found, *host);
  }
}

TEST_F(CudaFusion, SameBitsFromGraphs) {
  std::vector<FusionCase> cases = fusionCases();
  for (size_t i = 0; i < cases.size(); i += 7) {
    const FusionCase &of = cases[i];
    SCOPED_TRACE(of.test.name);
    auto all = CudaBackend(3).run(of.test);
    ASSERT_TRUE(all) << all.error().message;
    size_t size = all->size() / 3;
    for (size_t e = 0; e < size; ++e)
      for (size_t again : {1, 2})
        ASSERT_EQ(std::bit_cast<uint32_t>((*all)[e]),
                  std::bit_cast<uint32_t>((*all)[again * size + e]));
  }
}

namespace {

/// In the order that NormArguments says.
template <typename Of>
float sumInOrder(const std::vector<float> &row, int lanes, int group, Of of) {
  auto fold = [](std::vector<float> values) {
    while (values.size() > 1) {
      size_t half = values.size() / 2;
      for (size_t i = 0; i < half; ++i)
        values[i] += values[i + half];
      values.resize(half);
    }
    return values[0];
  };
  std::vector<float> warps(32), threads;
  for (int t = 0; t < (group + 31) / 32 * 32; ++t) {
    std::vector<float> sums(lanes);
    for (size_t i = size_t(t) * lanes; t < group && i < row.size();
         i += size_t(group) * lanes)
      for (int lane = 0; lane < lanes; ++lane)
        sums[lane] = of(row[i + lane], sums[lane]);
    threads.push_back(fold(sums));
    if (t % 32 == 31) {
      warps[t / 32] = fold(threads);
      threads.clear();
    }
  }
  return fold(warps);
}

} // namespace

// A product with ones on the diagonal is the norm itself, to the last bit in
// the order of each kind of row kernel.
TEST_F(CudaFusion, NormsSumInTheOrderOfRowKernels) {
  auto device = cuda::Device::open(0);
  ASSERT_TRUE(device) << device.error().message;
  auto kernels = cuda::Kernels::load(**device);
  ASSERT_TRUE(kernels) << kernels.error().message;
  struct Order {
    int k, lanes, group;
  };
  for (Order order : {Order{64, 8, 8},
                      {72, 8, 16},
                      {520, 8, 96},
                      {264, 8, 32},
                      {1032, 8, 160},
                      {2560, 8, 320},
                      {8192, 8, 512},
                      {8192, 8, 1024},
                      {2560, 4, 320},
                      {1000, 1, 256}})
    for (bool centred : {false, true})
      for (bool given32 : {false, true}) {
        SCOPED_TRACE(testing::Message() << order.k << ' ' << order.lanes << ' '
                                        << order.group << ' ' << centred);
        constexpr int n = 8;
        int k = order.k, from = k / n;
        auto type = plan::DType::BF16;
        std::vector<float> row = numbers(k, given32 ? plan::DType::F32 : type,
                                         1, 3),
                           scale = numbers(k, type, 2),
                           bias = numbers(k, type, 3);
        auto stored = [](const std::vector<float> &values) {
          std::vector<uint16_t> bits;
          for (float value : values)
            bits.push_back(std::bit_cast<uint32_t>(value) >> 16);
          return bits;
        };
        std::vector<std::unique_ptr<cuda::Memory>> kept;
        auto upload = [&](const auto &values) -> std::byte * {
          uint64_t bytes = values.size() * sizeof(values[0]);
          auto memory = (*device)->allocate(bytes, "a test");
          EXPECT_TRUE(memory);
          kept.push_back(std::make_unique<cuda::Memory>(std::move(*memory)));
          EXPECT_TRUE((*device)->upload(kept.back()->data(), values.data(),
                                        bytes, "copying"));
          EXPECT_TRUE((*device)->wait("copying"));
          return kept.back()->data();
        };
        std::vector<float> ones(size_t(n) * k);
        for (int i = 0; i < n; ++i)
          ones[size_t(i) * k + i * from] = 1;
        cuda::ProductArguments product{};
        product.weight = upload(stored(ones));
        product.out = upload(std::vector<float>(n));
        product.ldw = k;
        product.n = n;
        product.k = k;
        product.fixed = 1;
        product.weightElem = product.xElem = cuda::Elem::BF16;
        cuda::NormArguments norm{};
        norm.x = given32 ? upload(row) : upload(stored(row));
        norm.xElem = given32 ? cuda::Elem::F32 : cuda::Elem::BF16;
        norm.weight = upload(stored(scale));
        norm.weightElem = norm.biasElem = cuda::Elem::BF16;
        if (centred)
          norm.bias = upload(stored(bias));
        norm.offset = 1;
        norm.epsilon = 1e-5f;
        norm.centred = centred;
        norm.lanes = order.lanes;
        norm.group = order.group;
        cuda::ElementArguments then{};
        then.segments = 1;
        then.width = n;
        then.keepsRow = 1;
        auto *counts =
            reinterpret_cast<const int32_t *>(upload(std::vector<int32_t>{1}));
        auto launched = (*kernels)->launch(
            "mbc_fused_products_normed_bf16_1",
            {.x = n / 4, .threads = 256, .shared = unsigned(k * sizeof(float))},
            product, norm, then, cuda::Count{counts, 0, 1, 1});
        ASSERT_TRUE(launched) << launched.error().message;
        std::vector<float> found(n);
        ASSERT_TRUE((*device)->download(found.data(), product.out,
                                        n * sizeof(float), "copying"));
        ASSERT_TRUE((*device)->wait("copying"));

        float mean = 0;
        if (centred)
          mean = sumInOrder(row, order.lanes, order.group,
                            [](float v, float sum) { return sum + v; }) /
                 float(k);
        float squares =
            sumInOrder(row, order.lanes, order.group, [&](float v, float sum) {
              return std::fma(v - mean, v - mean, sum);
            });
        float factor = 1 / std::sqrt(squares / float(k) + norm.epsilon);
        for (int i = 0; i < n; ++i) {
          int at = i * from;
          float weight = scale[at] + 1;
          float value =
              centred ? std::fma((row[at] - mean) * factor, weight, bias[at])
                      : row[at] * factor * weight;
          EXPECT_EQ(found[i], roundTo(type, value)) << i;
        }
      }
}
