//===- CompareTest.cpp ----------------------------------------------------===//

#include "runtime/io/Compare.h"
#include "test/Unit/IO/HfFixture.h"

using namespace mbc;
using namespace mbc::test;

namespace {

/// A folder with one weight file of the given tensors and data.
std::unique_ptr<HfFolder>
makeFolder(const std::filesystem::path &path,
           const std::vector<std::pair<TensorInfo, std::string>> &tensors) {
  std::filesystem::create_directories(path);
  std::vector<TensorInfo> infos;
  std::string data;
  for (const auto &[info, bytes] : tensors) {
    infos.push_back(info);
    data += bytes;
  }
  auto header = buildSafetensorsHeader(infos, std::nullopt);
  writeText(path / "model.safetensors", safetensorsPrefix(header) + data);
  auto folder = HfFolder::open(path);
  EXPECT_TRUE(folder) << messageOf(folder);
  return folder ? std::move(*folder) : nullptr;
}

template <typename T> std::string bytesOfValues(const std::vector<T> &values) {
  return {reinterpret_cast<const char *>(values.data()),
          values.size() * sizeof(T)};
}

CompareReport compare(const TensorSet &a, const TensorSet &b,
                      CompareOptions options = {}) {
  Progress progress("comparing", 0, Progress::Mode::Quiet);
  auto report = compareTensors(a, b, options, progress);
  EXPECT_TRUE(report) << messageOf(report);
  if (report)
    EXPECT_EQ(progress.doneBytes(), report->bytes);
  return report ? std::move(*report) : CompareReport();
}

TEST(CompareTest, EqualFolders) {
  TempFolder temp;
  makeSharded(temp / "a");
  makeSharded(temp / "b");
  auto a = HfFolder::open(temp / "a"), b = HfFolder::open(temp / "b");
  ASSERT_TRUE(a && b);
  CompareReport report = compare(**a, **b);
  EXPECT_TRUE(report.same());
  EXPECT_EQ(report.tensors, 5u);
  EXPECT_EQ(report.equal, 5u);
  EXPECT_EQ(report.elements, 12u + 5 + 1 + 0 + 9);
}

TEST(CompareTest, FindsTheFirstDifferenceOfABigTensor) {
  TempFolder temp;
  // Several blocks, so that threads meet.
  TensorInfo info{"w", DType::F32, {1000, 1000}};
  std::vector<float> values(1000000);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(i);
  auto a = makeFolder(temp / "a", {{info, bytesOfValues(values)}});
  for (size_t i : {999999u, 700001u, 300005u})
    values[i] = 0.5f;
  auto b = makeFolder(temp / "b", {{info, bytesOfValues(values)}});
  for (unsigned threads : {1u, 4u}) {
    CompareReport report = compare(*a, *b, {.threads = threads});
    ASSERT_EQ(report.differences.size(), 1u);
    const TensorComparison &first = report.differences[0];
    EXPECT_EQ(first.verdict, Verdict::Differs);
    EXPECT_EQ(first.differing, 3);
    EXPECT_EQ(first.firstElement, 300005);
    EXPECT_EQ(first.index, (std::vector<int64_t>{300, 5}));
    EXPECT_EQ(first.a.decimal, "300005");
    EXPECT_EQ(first.b.bits, "0x3f000000");
    uint64_t start = a->shards()[0].dataStart;
    EXPECT_EQ(first.a.offset, start + 4 * 300005);
    EXPECT_EQ(first.b.file, (temp / "b" / "model.safetensors").string());
    EXPECT_EQ(first.text(),
              "'w': 3 of 1,000,000 elements differ; first [300, 5]: A 300005 "
              "(F32 0x48927ca0) at " +
                  first.a.file + ":" + std::to_string(start + 1200020) +
                  "; B 0.5 (F32 0x3f000000) at " + first.b.file + ":" +
                  std::to_string(start + 1200020));
  }
}

TEST(CompareTest, NamesOnOneSideShapesAndDtypes) {
  TempFolder temp;
  std::string four(4, '\0'), eight(8, '\0');
  auto a = makeFolder(temp / "a", {{{"both", DType::F32, {1}}, four},
                                   {{"dtype", DType::F32, {1}}, four},
                                   {{"left", DType::BF16, {2}}, four},
                                   {{"shape", DType::BF16, {4, 1}}, eight}});
  auto b = makeFolder(temp / "b", {{{"both", DType::F32, {1}}, four},
                                   {{"dtype", DType::F64, {1}}, eight},
                                   {{"right", DType::I8, {4}}, four},
                                   {{"shape", DType::BF16, {4}}, eight}});
  CompareReport report = compare(*a, *b);
  std::vector<std::string> texts;
  for (const TensorComparison &difference : report.differences)
    texts.push_back(difference.text());
  EXPECT_EQ(texts,
            (std::vector<std::string>{"'dtype': dtype F32 in A, F64 in B",
                                      "'left': only in A (BF16 [2])",
                                      "'shape': shape [4, 1] in A, [4] in B",
                                      "'right': only in B (I8 [4])"}));
  EXPECT_EQ(report.tensors, 5u);
  EXPECT_EQ(report.equal, 1u);
}

TEST(CompareTest, ValuesOnlyComparesAcrossDtypes) {
  TempFolder temp;
  auto a = makeFolder(temp / "a",
                      {{{"w", DType::BF16, {3}},
                        bytesOfValues<uint16_t>({0x3f80, 0x4000, 0xc040})}});
  auto b = makeFolder(
      temp / "b", {{{"w", DType::F32, {3}}, bytesOfValues<float>({1, 2, -3})}});
  auto c = makeFolder(temp / "c", {{{"w", DType::F32, {3}},
                                    bytesOfValues<float>({1, 2, -3.001f})}});
  EXPECT_TRUE(compare(*a, *b, {.valuesOnly = true}).same());
  EXPECT_FALSE(compare(*a, *b).same());
  CompareReport report = compare(*a, *c, {.valuesOnly = true});
  ASSERT_EQ(report.differences.size(), 1u);
  EXPECT_EQ(report.differences[0].firstElement, 2);
  EXPECT_EQ(report.differences[0].a.bits, "0xc040");
  EXPECT_EQ(report.differences[0].b.decimal, "-3.001");
}

TEST(CompareTest, TypesBelowAByte) {
  TempFolder temp;
  TensorInfo info{"w", DType::F4, {8}};
  auto a = makeFolder(temp / "a", {{info, {"\x12\x34\x56\x78"}}});
  auto b = makeFolder(temp / "b", {{info, {"\x12\x34\x57\x78"}}});
  CompareReport report = compare(*a, *b);
  ASSERT_EQ(report.differences.size(), 1u);
  EXPECT_EQ(report.differences[0].firstElement, 4);
  EXPECT_EQ(report.differences[0].a.bits, "0x56");
}

TEST(CompareTest, WithinOneSet) {
  TempFolder temp;
  auto a = makeFolder(temp / "a", {{{"copy", DType::I8, {4}}, "abcd"},
                                   {{"same", DType::I8, {4}}, "abcd"},
                                   {{"other", DType::I8, {4}}, "abce"}});
  Progress progress("comparing", 0, Progress::Mode::Quiet);
  auto at = [&](const char *name) {
    return static_cast<size_t>(a->find(name));
  };
  std::pair<size_t, size_t> pairs[] = {{at("copy"), at("same")},
                                       {at("copy"), at("other")}};
  auto report = compareWithin(*a, pairs, {}, progress);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->equal, 1u);
  ASSERT_EQ(report->differences.size(), 1u);
  EXPECT_EQ(report->differences[0].firstElement, 3);
}

TEST(CompareTest, AReadErrorIsNoDifference) {
  TempFolder temp;
  TensorInfo info{"w", DType::I8, {4}};
  auto a = makeFolder(temp / "a", {{info, "abcd"}});
  auto b = makeFolder(temp / "b", {{info, "abcd"}});
  std::filesystem::remove(temp / "b" / "model.safetensors");
  Progress progress("comparing", 0, Progress::Mode::Quiet);
  EXPECT_FALSE(compareTensors(*a, *b, {}, progress));
}

/// model.layers.{l}.q of 2 layers: 2 kv heads of 3 groups of 4 rows, 5 columns.
plan::PlanT makePlan() {
  plan::PlanT plan;
  auto copy = std::make_unique<plan::CopyT>();
  copy->path = "decoder.attn.qkv";
  auto loop = std::make_unique<plan::LoopT>();
  loop->index = "l";
  loop->values = {plan::IndexRun(0, 2, 1)};
  copy->loops.push_back(std::move(loop));
  copy->hf = std::make_unique<plan::NameT>();
  copy->hf->literals = {"layers.", ".q"};
  copy->hf->holes = {plan::Hole(0, 1, 0)};
  copy->axes = {"kv_heads", "group", "head_dim", "hidden"};
  copy->extents = {2, 3, 4, 5};
  copy->hf_strides = {60, 20, 5, 1};
  copy->hf_loop_strides = {0};
  plan.copies.push_back(std::move(copy));
  auto tie = std::make_unique<plan::TieT>();
  tie->copy = "again";
  tie->original = "layers.1.q";
  plan.ties.push_back(std::move(tie));
  return plan;
}

TEST(CompareTest, LogicalIndex) {
  plan::PlanT plan = makePlan();
  PlanPlaces places(plan);
  EXPECT_EQ(logicalIndex(places, "layers.1.q", 60 + 2 * 20 + 3 * 5 + 4),
            "decoder.attn.qkv (l = 1): kv_heads 1, group 2, head_dim 3, "
            "hidden 4");
  EXPECT_EQ(logicalIndex(places, "again", 0),
            "decoder.attn.qkv (l = 1): kv_heads 0, group 0, head_dim 0, "
            "hidden 0");
  EXPECT_EQ(logicalIndex(places, "layers.2.q", 0), "");
  EXPECT_EQ(logicalIndex(places, "layers.0.k", 0), "");
}

} // namespace
