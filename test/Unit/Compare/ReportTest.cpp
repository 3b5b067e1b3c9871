#include "runtime/compare/Report.h"
#include "runtime/compare/ErrorChart.h"
#include "runtime/compare/ReferenceStates.h"
#include "runtime/core/File.h"
#include "test/Unit/TempFolder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

using namespace mbc;
using mbc::test::TempFolder;
using namespace mbc::compare;
using testing::HasSubstr;
using testing::Not;

namespace {

Report report() {
  Report report;
  report.a = {"<a>", "Hugging Face folder", "Llama", "BF16"};
  report.b = {"b & co", "Megatron torch", "Llama", "BF16"};
  report.tokens = {1, 2};
  report.tokenTexts = {"<script>alert(1)</script>", "\n\xff"};
  report.choiceTexts = {{5, "\"><img src=x>"}};
  report.logits.resize(2);
  report.logits[0].a = report.logits[0].b = {{5, 0.5}};
  report.steps.push_back({"", -1, "embedding", "embedding", true, {}, true});
  for (int layer = 0; layer < 3; ++layer)
    report.steps.push_back({"decoder",
                            layer,
                            "decoder " + std::to_string(layer),
                            "",
                            true,
                            {},
                            true});
  return report;
}

TEST(Report, TextsAreEscaped) {
  EXPECT_EQ(escapeHtml("<&>\"'\n\t\xff\xc3\xa9"),
            "&lt;&amp;&gt;&quot;&#39;\u23CE\\x09\uFFFD\u00E9");
  std::string page = reportHtml(report());
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, Not(HasSubstr("<img")));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;"));
  EXPECT_THAT(page, HasSubstr("&lt;a&gt;"));
  EXPECT_THAT(page, HasSubstr("b &amp; co"));
  // Nothing is fetched.
  EXPECT_THAT(page, Not(HasSubstr("http")));
}

TEST(Report, OfEqualSides) {
  Report equal = report();
  EXPECT_THAT(reportText(equal), HasSubstr("equal, number for number"));
  EXPECT_THAT(reportText(equal), HasSubstr("decoder 0 - 2"));
  EXPECT_TRUE(reportJson(equal).find("first")->isNull());
}

TEST(Report, OfWeightsThatTheTokensDoNotShow) {
  Report hidden = report();
  hidden.hidden = true;
  for (const char *name : {"decoder.moe.fc2", "vision.embed"}) {
    Culprit culprit;
    culprit.operation = name;
    culprit.kind = "grouped_linear";
    culprit.stack = "decoder";
    culprit.layer = 1;
    culprit.state = OperationState::Agrees;
    culprit.cause = "its weights differ";
    hidden.culprits.push_back(culprit);
  }
  EXPECT_FALSE(hidden.same());
  EXPECT_TRUE(hidden.runsAgree());
  std::string text = reportText(hidden);
  EXPECT_THAT(text, HasSubstr("which these tokens do not show: decoder.moe.fc2 "
                              "of layer 1 of decoder, its weights differ\n"));
  EXPECT_THAT(text, HasSubstr("\nalso: vision.embed (grouped_linear) in layer "
                              "1 of decoder\n"));
  EXPECT_TRUE(reportJson(hidden).find("first")->isNull());
  EXPECT_TRUE(*reportJson(hidden).find("hidden")->asBool());
  std::string page = reportHtml(hidden);
  EXPECT_THAT(page, HasSubstr("mbc compare: a difference"));
  EXPECT_THAT(page, HasSubstr("Not shown by these tokens: "));
  EXPECT_THAT(page, Not(HasSubstr("declared at")));
}

TEST(Report, OfNumbersThatAreNotFinite) {
  Report broken = report();
  Errors &errors = broken.steps[2].errors;
  errors.nansB = errors.differing = 3;
  errors.maxAbs = errors.relative = std::numeric_limits<double>::infinity();
  errors.cosine = std::nan("");
  broken.steps[2].agrees = false;
  broken.first = 2;
  broken.logits[1].kl = std::nan("");
  EXPECT_THAT(reportText(broken), HasSubstr("3 NaN in B alone"));
  EXPECT_THAT(reportHtml(broken), HasSubstr("3 NaN in B alone"));
  EXPECT_TRUE(std::isnan(broken.maxKl()));
  // Every number of the picture is one.
  std::string chart = errorChart(broken);
  EXPECT_THAT(chart, Not(HasSubstr("\"nan")));
  EXPECT_THAT(chart, Not(HasSubstr("\"inf")));
  EXPECT_THAT(chart, HasSubstr("first: decoder 1"));
}

/// A file of these tensors, whose bytes are zeros.
std::string statesFile(const TempFolder &folder,
                       std::vector<TensorInfo> infos) {
  std::string path = folder.path() / "states.safetensors";
  EXPECT_TRUE(createSparse(path, buildSafetensorsHeader(std::move(infos), {})));
  return path;
}

std::string refusal(std::vector<TensorInfo> infos) {
  TempFolder folder;
  auto states = ReferenceStates::open(statesFile(folder, std::move(infos)));
  return states ? "" : states.error().message;
}

TEST(ReferenceStates, WrongFilesAreRefused) {
  EXPECT_THAT(refusal({{"x", DType::F32, {3, 4}}}),
              HasSubstr("no tensor 'tokens'"));
  EXPECT_THAT(refusal({{"tokens", DType::F32, {3}}}),
              HasSubstr("'tokens' is F32 [3], expected I64 [tokens]"));
  EXPECT_THAT(refusal({{"tokens", DType::I64, {3}}}), HasSubstr("no states"));
  EXPECT_THAT(
      refusal({{"tokens", DType::I64, {3}}, {"x", DType::F32, {4, 4}}}),
      HasSubstr("'x' is [4, 4], expected a row for each of the 3 tokens"));
  EXPECT_THAT(refusal({{"tokens", DType::I64, {3}}, {"x", DType::F32, {3}}}),
              HasSubstr("expected a row for each"));
  EXPECT_THAT(refusal({{"tokens", DType::I64, {3}}, {"x", DType::I64, {3, 2}}}),
              HasSubstr("'x' is I64, expected F32, BF16 or F16"));
}

TEST(ReferenceStates, HaveABatchOfOneOrNone) {
  TempFolder folder;
  auto states = ReferenceStates::open(
      statesFile(folder, {{"tokens", DType::I64, {3}},
                          {"x", DType::BF16, {1, 3, 2, 2}},
                          {"y", DType::F32, {3, 5}}}));
  ASSERT_TRUE(states) << states.error().message;
  EXPECT_EQ((*states)->tokens(), (std::vector<int32_t>{0, 0, 0}));
  EXPECT_EQ((*states)->widthOf("x"), 4);
  EXPECT_EQ((*states)->dtype(), DType::BF16);
  auto read = (*states)->read("y");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->data.size(), 15u);
}

} // namespace
