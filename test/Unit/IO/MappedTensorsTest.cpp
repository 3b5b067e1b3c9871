//===- MappedTensorsTest.cpp - Copy plans executed element by element -----===//
#include "runtime/io/MappedTensors.h"

#include "test/Unit/TempFolder.h"

#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <random>

using namespace mbc;

namespace {

/// Tensors of F32, one after the other in one file; element k of tensor t is
/// the number 1000 t + k, so that every element is known by its value.
class Numbered : public TensorSet {
public:
  Numbered(const std::filesystem::path &file, std::vector<TensorInfo> tensors) {
    infos = std::move(tensors);
    paths.push_back(file.string());
    std::ofstream out(file, std::ios::binary);
    for (size_t t = 0; t < infos.size(); ++t) {
      starts.push_back(out.tellp());
      for (int64_t k = 0; k < infos[t].elements(); ++k) {
        float value = valueOf(t, k);
        out.write(reinterpret_cast<const char *>(&value), 4);
      }
    }
    indexNames();
  }
  static float valueOf(size_t tensor, int64_t k) {
    return 1000.0f * tensor + k;
  }

  void locate(size_t index, int64_t begin, int64_t count, int64_t dest,
              std::vector<Extent> &out) const override {
    out.push_back({0, starts[index] + 4 * begin, count, dest, DType::F32});
  }

private:
  std::vector<uint64_t> starts;
};

std::unique_ptr<plan::NameT> name(std::vector<std::string> literals) {
  auto result = std::make_unique<plan::NameT>();
  for (size_t h = 0; h + 1 < literals.size(); ++h)
    result->holes.emplace_back(0, 1, 0);
  result->literals = std::move(literals);
  return result;
}

std::unique_ptr<plan::LoopT> layers(uint32_t count) {
  auto loop = std::make_unique<plan::LoopT>();
  loop->index = "l";
  loop->values.emplace_back(0, count, 1);
  return loop;
}

// A fused QKV: 2 groups of 2 queries, a key and a value, head_dim 3, hidden 5.
constexpr int64_t kGroups = 2, kQueries = 2, kDim = 3, kHidden = 5, kLayers = 3;
constexpr int64_t kSlots = kQueries + 2, kHead = kDim * kHidden;
constexpr int64_t kRows = kGroups * kSlots * kDim;

std::unique_ptr<plan::CopyT> part(const std::string &projection,
                                  int64_t queries, int64_t slot) {
  auto copy = std::make_unique<plan::CopyT>();
  copy->path = "decoder.attn.qkv";
  copy->loops.push_back(layers(kLayers));
  copy->hf = name({"layers.", "." + projection});
  copy->hf_shape = {kGroups * queries * kDim, kHidden};
  copy->hf_dtype = copy->mcore_dtype = plan::DType::F32;
  copy->mcore = name({"qkv"});
  copy->mcore_shape = {kLayers, kRows, kHidden};
  copy->axes = {"kv_heads", "group", "head_dim", "hidden"};
  copy->extents = {kGroups, queries, kDim, kHidden};
  copy->hf_strides = {queries * kHead, kHead, kHidden, 1};
  copy->hf_loop_strides = {0};
  copy->mcore_strides = {kSlots * kHead, kHead, kHidden, 1};
  copy->mcore_base = slot * kHead;
  copy->mcore_loop_strides = {kRows * kHidden};
  return copy;
}

plan::PlanT qkvPlan() {
  plan::PlanT plan;
  plan.version = kPlanVersion;
  plan.copies.push_back(part("q", kQueries, 0));
  plan.copies.push_back(part("k", 1, kQueries));
  plan.copies.push_back(part("v", 1, kQueries + 1));
  return plan;
}

std::vector<TensorInfo> hfTensors() {
  std::vector<TensorInfo> tensors;
  for (int64_t l = 0; l < kLayers; ++l)
    for (auto [projection, rows] : {std::pair("q", kGroups * kQueries * kDim),
                                    {"k", kGroups * kDim},
                                    {"v", kGroups * kDim}})
      tensors.push_back({"layers." + std::to_string(l) + "." + projection,
                         DType::F32,
                         {rows, kHidden}});
  return tensors;
}

std::vector<float> readAll(const TensorSet &set, size_t index) {
  std::vector<float> values(set.tensors()[index].elements());
  ExtentReader reader(set);
  auto status = reader.read(index, 0, values.size(),
                            std::as_writable_bytes(std::span(values)));
  EXPECT_TRUE(status) << (status ? "" : status.error().message);
  return values;
}

/// What Megatron's row (layer, group, slot, lane) and column must hold.
float expected(const Numbered &hf, int64_t layer, int64_t group, int64_t slot,
               int64_t lane, int64_t column) {
  bool query = slot < kQueries;
  std::string projection = query ? "q" : slot == kQueries ? "k" : "v";
  int64_t head = query ? group * kQueries + slot : group;
  int64_t tensor =
      hf.find("layers." + std::to_string(layer) + "." + projection);
  return Numbered::valueOf(tensor, (head * kDim + lane) * kHidden + column);
}

TEST(MappedTensors, FusesQkvByGroup) {
  test::TempFolder temp;
  Numbered hf(temp.path() / "hf", hfTensors());
  auto mapped = MappedTensors::create(qkvPlan(), PlanSide::Megatron, hf);
  ASSERT_TRUE(mapped) << mapped.error().message;
  ASSERT_EQ((*mapped)->tensors().size(), 1u);
  std::vector<float> values = readAll(**mapped, 0);
  size_t at = 0;
  for (int64_t l = 0; l < kLayers; ++l)
    for (int64_t g = 0; g < kGroups; ++g)
      for (int64_t s = 0; s < kSlots; ++s)
        for (int64_t d = 0; d < kDim; ++d)
          for (int64_t c = 0; c < kHidden; ++c)
            ASSERT_EQ(values[at++], expected(hf, l, g, s, d, c));
}

TEST(MappedTensors, IntervalsEqualTheWhole) {
  test::TempFolder temp;
  Numbered hf(temp.path() / "hf", hfTensors());
  auto mapped = MappedTensors::create(qkvPlan(), PlanSide::Megatron, hf);
  ASSERT_TRUE(mapped);
  std::vector<float> whole = readAll(**mapped, 0);
  std::mt19937 random(7);
  ExtentReader reader(**mapped);
  for (int trial = 0; trial < 500; ++trial) {
    int64_t begin = random() % whole.size();
    int64_t count = 1 + random() % (whole.size() - begin);
    std::vector<float> some(count);
    ASSERT_TRUE(
        reader.read(0, begin, count, std::as_writable_bytes(std::span(some))));
    ASSERT_TRUE(std::equal(some.begin(), some.end(), whole.begin() + begin));
  }
}

TEST(MappedTensors, BothDirectionsAreInverse) {
  test::TempFolder temp;
  Numbered megatron(temp.path() / "megatron",
                    {{"qkv", DType::F32, {kLayers, kRows, kHidden}}});
  auto hf = MappedTensors::create(qkvPlan(), PlanSide::HuggingFace, megatron);
  ASSERT_TRUE(hf) << hf.error().message;
  auto again = MappedTensors::create(qkvPlan(), PlanSide::Megatron, **hf);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(readAll(**again, 0), readAll(megatron, 0));
}

TEST(MappedTensors, TransposedBoxesAreRead) {
  test::TempFolder temp;
  Numbered hf(temp.path() / "hf", {{"w", DType::F32, {4, 6}}});
  plan::PlanT plan;
  plan.version = kPlanVersion;
  auto copy = std::make_unique<plan::CopyT>();
  copy->path = "w";
  copy->hf = name({"w"});
  copy->hf_shape = {4, 6};
  copy->hf_dtype = copy->mcore_dtype = plan::DType::F32;
  copy->mcore = name({"t"});
  copy->mcore_shape = {6, 4};
  copy->axes = {"a", "b"};
  copy->extents = {4, 6};
  copy->hf_strides = {6, 1};
  copy->mcore_strides = {1, 4};
  plan.copies.push_back(std::move(copy));
  auto mapped = MappedTensors::create(plan, PlanSide::Megatron, hf);
  ASSERT_TRUE(mapped) << mapped.error().message;
  std::vector<float> values = readAll(**mapped, 0);
  for (int64_t a = 0; a < 4; ++a)
    for (int64_t b = 0; b < 6; ++b)
      ASSERT_EQ(values[b * 4 + a], Numbered::valueOf(0, a * 6 + b));
}

TEST(MappedTensors, TiesReadTheirOriginal) {
  test::TempFolder temp;
  Numbered megatron(temp.path() / "megatron",
                    {{"qkv", DType::F32, {kLayers, kRows, kHidden}}});
  plan::PlanT plan = qkvPlan();
  auto tie = std::make_unique<plan::TieT>();
  tie->copy = "copy";
  tie->original = "layers.1.k";
  tie->dtype = plan::DType::F32;
  tie->shape = {kGroups * kDim, kHidden};
  plan.ties.push_back(std::move(tie));
  auto hf = MappedTensors::create(plan, PlanSide::HuggingFace, megatron);
  ASSERT_TRUE(hf) << hf.error().message;
  EXPECT_EQ(readAll(**hf, (*hf)->find("copy")),
            readAll(**hf, (*hf)->find("layers.1.k")));
}

TEST(MappedTensors, PaddedRowsAreNotRead) {
  test::TempFolder temp;
  Numbered megatron(temp.path() / "megatron", {{"e", DType::F32, {8, 3}}});
  plan::PlanT plan;
  plan.version = kPlanVersion;
  auto copy = std::make_unique<plan::CopyT>();
  copy->path = "embed";
  copy->hf = name({"embed"});
  copy->mcore = name({"e"});
  copy->hf_shape = copy->mcore_shape = {5, 3};
  copy->hf_dtype = copy->mcore_dtype = plan::DType::F32;
  copy->mcore_padded = true;
  copy->axes = {"vocab", "hidden"};
  copy->extents = {5, 3};
  copy->hf_strides = copy->mcore_strides = {3, 1};
  plan.copies.push_back(std::move(copy));
  auto hf = MappedTensors::create(plan, PlanSide::HuggingFace, megatron);
  ASSERT_TRUE(hf) << hf.error().message;
  EXPECT_EQ(readAll(**hf, 0).size(), 15u);
  plan.copies[0]->mcore_padded = false;
  EXPECT_FALSE(
      MappedTensors::create(plan, PlanSide::HuggingFace, megatron).has_value());
}

TEST(MappedTensors, MissingAndMisshapenSourcesAreNamed) {
  test::TempFolder temp;
  auto tensors = hfTensors();
  tensors[3].shape = {kHidden, tensors[3].shape[0]};
  Numbered misshapen(temp.path() / "a", tensors);
  auto mapped = MappedTensors::create(qkvPlan(), PlanSide::Megatron, misshapen);
  ASSERT_FALSE(mapped);
  EXPECT_NE(mapped.error().message.find("'layers.1.q' has shape [5, 12]"),
            std::string::npos)
      << mapped.error().message;
  tensors = hfTensors();
  tensors.pop_back();
  Numbered missing(temp.path() / "b", tensors);
  mapped = MappedTensors::create(qkvPlan(), PlanSide::Megatron, missing);
  ASSERT_FALSE(mapped);
  EXPECT_NE(mapped.error().message.find("'layers.2.v' is missing"),
            std::string::npos)
      << mapped.error().message;
}

TEST(CopyPlan, SurvivesSerialisation) {
  auto bytes = serializePlan(qkvPlan());
  auto plan = parsePlan(bytes, "plan");
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(serializePlan(*plan), bytes);
}

TEST(CopyPlan, DamageIsRefused) {
  auto bytes = serializePlan(qkvPlan());
  // The last bytes are alignment padding, which nothing refers to.
  for (size_t length = 0; length + 8 < bytes.size(); length += 3)
    EXPECT_FALSE(parsePlan(std::span(bytes).first(length), "plan").has_value());
  // Any byte may be wrong: an error or a plan that stays in its tensors.
  for (size_t at = 0; at < bytes.size(); ++at) {
    auto damaged = bytes;
    damaged[at] ^= 0x55;
    (void)parsePlan(damaged, "plan");
  }
}

TEST(CopyPlan, BoxesOutsideTheirTensorAreRefused) {
  plan::PlanT plan = qkvPlan();
  plan.copies[0]->mcore_base = kRows * kHidden;
  auto parsed = parsePlan(serializePlan(plan), "plan");
  ASSERT_FALSE(parsed);
  EXPECT_NE(parsed.error().message.find("outside"), std::string::npos);
}

TEST(CopyPlan, NewerVersionsAreRefusedByName) {
  plan::PlanT plan = qkvPlan();
  plan.version = kPlanVersion + 1;
  auto parsed = parsePlan(serializePlan(plan), "plan");
  ASSERT_FALSE(parsed);
  EXPECT_NE(parsed.error().message.find("version 3"), std::string::npos);
}

} // namespace
