//===- ScaledTensorsTest.cpp - FP8 through plans and back -----------------===//
#include "runtime/io/ScaledTensors.h"

#include "runtime/core/Fp8.h"
#include "runtime/io/MappedTensors.h"
#include "runtime/io/QuantizeScales.h"
#include "runtime/io/TensorViews.h"
#include "test/Unit/TempFolder.h"

#include <cmath>
#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <limits>
#include <random>

using namespace mbc;
using mbc::test::TempFolder;

namespace {

// Two stacked matrices of 7 x 10 in blocks of 3 x 4: nothing divides, and no
// box of the plan below agrees with a block.
constexpr int64_t kMatrices = 2, kRows = 7, kCols = 10, kBlockRows = 3,
                  kBlockCols = 4, kGridRows = 3, kGridCols = 3;
constexpr int64_t kElements = kMatrices * kRows * kCols;

struct Stored {
  explicit Stored(const TempFolder &temp) : path(temp.path() / "weights") {
    std::mt19937 random(5);
    bytes.resize(kElements);
    for (uint8_t &byte : bytes)
      byte = random();
    bytes[3] = 0x7f;
    bytes[4] = 0xff;
    bytes[5] = 0x80;
    scales.resize(kMatrices * kGridRows * kGridCols);
    for (float &scale : scales)
      scale = std::ldexp(1.0f + static_cast<float>(random() % 1000) / 1000,
                         -12 + static_cast<int>(random() % 5));
    write();
  }
  void write() const {
    std::ofstream out(path, std::ios::binary);
    out.write(reinterpret_cast<const char *>(bytes.data()), kElements);
    out.write(reinterpret_cast<const char *>(scales.data()),
              scales.size() * sizeof(float));
  }
  FileTensors tensors() const {
    return FileTensors(
        path,
        {{"w", DType::F8E4M3, {kMatrices, kRows, kCols}},
         {"w_scale", DType::F32, {kMatrices, kGridRows, kGridCols}}},
        {0, static_cast<uint64_t>(kElements)});
  }
  /// By the formula, one element at a time.
  uint16_t valueOf(int64_t matrix, int64_t row, int64_t col) const {
    float scale = scales[(matrix * kGridRows + row / kBlockRows) * kGridCols +
                         col / kBlockCols];
    uint16_t value;
    dequantizeFp8(&bytes[(matrix * kRows + row) * kCols + col], scale,
                  DType::BF16, &value, 1);
    return value;
  }

  std::filesystem::path path;
  std::vector<uint8_t> bytes;
  std::vector<float> scales;
};

const std::vector<ScaledName> kNames = {
    {"w", "w_scale", kBlockRows, kBlockCols, DType::BF16}};

/// The plan's other side: [cols 5 x 2 swapped, matrices, rows].
plan::PlanT permutedPlan() {
  plan::PlanT plan;
  plan.version = kPlanVersion;
  auto copy = std::make_unique<plan::CopyT>();
  copy->path = "p";
  copy->hf = std::make_unique<plan::NameT>();
  copy->hf->literals = {"w"};
  copy->mcore = std::make_unique<plan::NameT>();
  copy->mcore->literals = {"m"};
  copy->hf_shape = {kMatrices, kRows, kCols};
  copy->hf_dtype = plan::DType::F8E4M3;
  copy->hf_scale = "_scale";
  copy->hf_block = {kBlockRows, kBlockCols};
  copy->mcore_shape = {2, 5, kMatrices, kRows};
  copy->mcore_dtype = plan::DType::BF16;
  copy->axes = {"matrix", "row", "c", "d"};
  copy->extents = {kMatrices, kRows, 5, 2};
  copy->hf_strides = {kRows * kCols, kCols, 2, 1};
  copy->mcore_strides = {kRows, 1, kMatrices * kRows, 5 * kMatrices * kRows};
  plan.copies.push_back(std::move(copy));
  return plan;
}

std::vector<uint16_t> readValues(const TensorSet &set, size_t index,
                                 int64_t begin, int64_t count) {
  std::vector<uint16_t> values(count);
  ExtentReader reader(set);
  auto status = reader.read(index, begin, count,
                            std::as_writable_bytes(std::span(values)));
  EXPECT_TRUE(status) << (status ? "" : status.error().message);
  return values;
}

} // namespace

TEST(ScaledTensors, PlansSayWhichTensorsAreScaled) {
  std::vector<ScaledName> names = scaledNames(permutedPlan());
  ASSERT_EQ(names.size(), 1u);
  EXPECT_EQ(names[0].name, "w");
  EXPECT_EQ(names[0].scale, "w_scale");
  EXPECT_EQ(names[0].value, DType::BF16);
  EXPECT_EQ(scaleShape(std::vector<int64_t>{2, 7, 10}, 3, 4),
            (std::vector<int64_t>{2, 3, 3}));
  plan::PlanT plan = permutedPlan();
  auto parse = [&] { return parsePlan(serializePlan(plan), "test"); };
  EXPECT_TRUE(parse());
  for (std::vector<int64_t> block : {std::vector<int64_t>{3}, {0, 4}, {}}) {
    plan.copies[0]->hf_block = block;
    EXPECT_FALSE(parse());
  }
}

TEST(ScaledTensors, AnyIntervalHasTheValuesOfTheFormula) {
  TempFolder temp;
  Stored stored(temp);
  FileTensors file = stored.tensors();
  auto set = ScaledTensors::dequantized(file, kNames);
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_EQ((*set)->tensors()[0].dtype, DType::BF16);
  for (int64_t begin = 0; begin < kElements; begin += 3)
    for (int64_t count : {int64_t(1), int64_t(9), kElements - begin}) {
      count = std::min(count, kElements - begin);
      auto values = readValues(**set, 0, begin, count);
      for (int64_t i = 0; i < count; ++i) {
        int64_t at = begin + i;
        ASSERT_EQ(values[i], stored.valueOf(at / (kRows * kCols),
                                            at / kCols % kRows, at % kCols));
      }
    }
}

TEST(ScaledTensors, BoxesNeedNotAgreeWithBlocks) {
  TempFolder temp;
  Stored stored(temp);
  FileTensors file = stored.tensors();
  auto set = ScaledTensors::dequantized(file, kNames);
  ASSERT_TRUE(set);
  auto mapped =
      MappedTensors::create(permutedPlan(), PlanSide::Megatron, **set);
  ASSERT_TRUE(mapped) << mapped.error().message;
  auto values = readValues(**mapped, 0, 0, kElements);
  for (int64_t d = 0, at = 0; d < 2; ++d)
    for (int64_t c = 0; c < 5; ++c)
      for (int64_t m = 0; m < kMatrices; ++m)
        for (int64_t r = 0; r < kRows; ++r, ++at)
          ASSERT_EQ(values[at], stored.valueOf(m, r, 2 * c + d));

  // Written as Megatron would hold it, and read back: the same bytes.
  std::filesystem::path path = temp.path() / "megatron";
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char *>(values.data()),
             values.size() * sizeof(uint16_t));
  FileTensors megatron(path, {{"m", DType::BF16, {2, 5, kMatrices, kRows}}},
                       {0});
  auto seen = MappedTensors::create(permutedPlan(), PlanSide::HuggingFace,
                                    megatron, &file);
  ASSERT_TRUE(seen) << seen.error().message;
  EXPECT_EQ((*seen)->tensors()[0].dtype, DType::BF16);
  auto back = ScaledTensors::quantized(**seen, kNames);
  ASSERT_TRUE(back) << back.error().message;
  std::vector<uint8_t> bytes(kElements);
  ExtentReader reader(**back);
  ASSERT_TRUE(
      reader.read(0, 0, kElements, std::as_writable_bytes(std::span(bytes))));
  EXPECT_EQ(bytes, stored.bytes);
  EXPECT_TRUE((*back)->lost().empty());
  auto found = findUnrestorable(**set, 2);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->empty());

  // A value between two FP8 numbers is counted.
  values[11] ^= 1;
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char *>(values.data()),
             values.size() * sizeof(uint16_t));
  ASSERT_TRUE(ExtentReader(**back).read(
      0, 0, kElements, std::as_writable_bytes(std::span(bytes))));
  ASSERT_EQ((*back)->lost().size(), 1u);
  EXPECT_EQ((*back)->lost()[0].elements, 1u);
}

TEST(ScaledTensors, LostBytesAreCountedByBlock) {
  TempFolder temp;
  Stored stored(temp);
  stored.scales[4] = 0; // rows 3 to 5, columns 4 to 7 of the first matrix
  stored.write();
  int64_t lost = 0;
  for (int64_t row = 3; row < 6; ++row)
    for (int64_t col = 4; col < 8; ++col) {
      uint8_t byte = stored.bytes[row * kCols + col];
      lost += (byte & 0x7f) != 0 && (byte & 0x7f) != 0x7f;
    }
  FileTensors file = stored.tensors();
  auto set = ScaledTensors::dequantized(file, kNames);
  ASSERT_TRUE(set);
  auto found = findUnrestorable(**set, 1);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 1u);
  EXPECT_EQ((*found)[0].elements, static_cast<uint64_t>(lost));
}

TEST(ScaledTensors, ScalesMustFitAndBeNumbers) {
  TempFolder temp;
  Stored stored(temp);
  FileTensors file = stored.tensors();
  auto refused = [&](const ScaledName &name) {
    auto set = ScaledTensors::dequantized(file, {name});
    return set ? std::string() : set.error().message;
  };
  EXPECT_NE(refused({"v", "w_scale", 3, 4, DType::BF16}).find("'v' is missing"),
            std::string::npos);
  EXPECT_NE(refused({"w", "s", 3, 4, DType::BF16}).find("'s' is missing"),
            std::string::npos);
  EXPECT_NE(refused({"w", "w_scale", 4, 4, DType::BF16})
                .find("has shape [2, 3, 3], which does not fit"),
            std::string::npos);
  stored.scales[7] = std::numeric_limits<float>::quiet_NaN();
  stored.write();
  auto set = ScaledTensors::dequantized(file, kNames);
  ASSERT_TRUE(set);
  std::vector<uint16_t> values(kElements);
  auto status = ExtentReader(**set).read(
      0, 0, kElements, std::as_writable_bytes(std::span(values)));
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("'w_scale' holds nan for block [2, 1]"),
            std::string::npos)
      << status.error().message;
}

TEST(ScaledTensors, NewScalesFillTheRange) {
  TempFolder temp;
  std::mt19937 random(6);
  std::vector<float> values(kElements);
  for (float &value : values)
    value = static_cast<float>(random() % 2001) - 1000;
  for (int64_t row = 0; row < 3; ++row) // a block of zeros
    for (int64_t col = 0; col < 4; ++col)
      values[row * kCols + col] = 0;
  auto write = [&] {
    std::ofstream(temp.path() / "f32", std::ios::binary)
        .write(reinterpret_cast<const char *>(values.data()), kElements * 4);
  };
  write();
  FileTensors file(temp.path() / "f32",
                   {{"w", DType::F32, {kMatrices, kRows, kCols}}}, {0});
  Progress quiet("", 0, Progress::Mode::Quiet);
  for (ScaleFormat format : {ScaleFormat::F32, ScaleFormat::PowerOfTwo}) {
    auto path = temp.path() / (format == ScaleFormat::F32 ? "s" : "p");
    auto scales = writeScales(file, kNames, format, path, 2, quiet);
    ASSERT_TRUE(scales) << scales.error().message;
    std::vector<float> grid(kMatrices * kGridRows * kGridCols);
    ASSERT_TRUE(ExtentReader(**scales).read(
        0, 0, grid.size(), std::as_writable_bytes(std::span(grid))));
    for (int64_t m = 0, at = 0; m < kMatrices; ++m)
      for (int64_t i = 0; i < kGridRows; ++i)
        for (int64_t j = 0; j < kGridCols; ++j, ++at) {
          float largest = 0;
          for (int64_t r = i * 3; r < std::min(kRows, i * 3 + 3); ++r)
            for (int64_t c = j * 4; c < std::min(kCols, j * 4 + 4); ++c)
              largest = std::max(
                  largest, std::fabs(values[(m * kRows + r) * kCols + c]));
          float scale = largest == 0 ? 1.0f : largest / 448.0f;
          if (format == ScaleFormat::PowerOfTwo)
            scale = std::exp2(std::ceil(std::log2(scale)));
          EXPECT_EQ(grid[at], scale);
        }
  }
  values[20] = std::numeric_limits<float>::infinity();
  write();
  auto refused =
      writeScales(file, kNames, ScaleFormat::F32, temp.path() / "x", 1, quiet);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("'w' holds inf"), std::string::npos);
}
