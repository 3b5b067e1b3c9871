//===- CompareOutput.cpp --------------------------------------------------===//
#include "compiler/Commands/CompareOutput.h"

#include "runtime/core/Text.h"
#include "runtime/io/NumberText.h"

#include <fmt/format.h>

namespace mbc {

std::string rateText(double seconds, uint64_t bytes) {
  if (seconds <= 0)
    return "0 s";
  return fmt::format(
      "{:.3g} s, {}/s", seconds,
      sizeText(static_cast<uint64_t>(static_cast<double>(bytes) / seconds)));
}

std::string exchangesText(std::span<const Exchange> exchanges) {
  std::string text;
  for (const Exchange &exchange : exchanges)
    text += "exchanged: " + exchange.text + "\n";
  return text;
}

Json exchangesJson(std::span<const Exchange> exchanges) {
  Json list = Json::array();
  for (const Exchange &exchange : exchanges) {
    Json names = Json::array();
    for (const std::string &name : exchange.tensors)
      names.push(name);
    list.push(
        Json::object({{"text", exchange.text}, {"tensors", std::move(names)}}));
  }
  return list;
}

std::string compareText(const CompareReport &report) {
  std::string text;
  for (const TensorComparison &difference : report.differences)
    text += difference.text() + "\n";
  text += exchangesText(report.exchanges);
  if (report.same())
    return text +
           fmt::format("{} tensors, {} elements: equal bit for bit ({})\n",
                       groupedNumber(report.tensors),
                       groupedNumber(report.elements),
                       rateText(report.seconds, report.bytes));
  return text + fmt::format("{} of {} tensors differ, {} elements compared\n",
                            groupedNumber(report.differences.size()),
                            groupedNumber(report.tensors),
                            groupedNumber(report.elements));
}

static Json listOf(std::span<const int64_t> values) {
  Json list = Json::array();
  for (int64_t value : values)
    list.push(value);
  return list;
}

static Json valueJson(const ElementValue &value) {
  Json json = Json::object({{"bits", value.bits}, {"value", value.decimal}});
  if (!value.file.empty()) {
    json.set("file", value.file);
    json.set("offset", value.offset);
  }
  return json;
}

static Json differenceJson(const TensorComparison &difference) {
  Json json =
      Json::object({{"name", difference.name},
                    {"verdict", std::string(verdictName(difference.verdict))}});
  auto side = [&](const char *dtypeKey, const char *shapeKey, DType dtype,
                  std::span<const int64_t> shape) {
    json.set(dtypeKey, std::string(safetensorsName(dtype)));
    json.set(shapeKey, listOf(shape));
  };
  if (difference.verdict != Verdict::OnlyB)
    side("dtype_a", "shape_a", difference.dtypeA, difference.shapeA);
  if (difference.verdict != Verdict::OnlyA)
    side("dtype_b", "shape_b", difference.dtypeB, difference.shapeB);
  if (difference.verdict == Verdict::Differs) {
    json.set("differing", difference.differing);
    json.set("first", Json::object({{"element", difference.firstElement},
                                    {"index", listOf(difference.index)},
                                    {"logical", difference.logical},
                                    {"a", valueJson(difference.a)},
                                    {"b", valueJson(difference.b)}}));
  }
  return json;
}

Json compareJson(const CompareReport &report) {
  Json differences = Json::array();
  for (const TensorComparison &difference : report.differences)
    differences.push(differenceJson(difference));
  return Json::object({{"tensors", report.tensors},
                       {"equal", report.equal},
                       {"elements", report.elements},
                       {"bytes", report.bytes},
                       {"seconds", report.seconds},
                       {"differences", std::move(differences)},
                       {"exchanges", exchangesJson(report.exchanges)}});
}

} // namespace mbc
