//===- RopeTables.cpp -----------------------------------------------------===//
#include "compiler/Conversion/NNToExec/RopeTables.h"

#include <algorithm>
#include <cmath>
#include <numbers>

using namespace mlir;

namespace mbc {

namespace {

/// A member of the scaling record; `none` and absent ones have no value.
std::optional<double> number(DictionaryAttr record, StringRef name) {
  Attribute value = record.get(name);
  if (auto integer = dyn_cast_or_null<IntegerAttr>(value))
    return static_cast<double>(integer.getInt());
  if (auto real = dyn_cast_or_null<FloatAttr>(value))
    return real.getValueAsDouble();
  return std::nullopt;
}

bool flag(DictionaryAttr record, StringRef name, bool otherwise) {
  auto value = dyn_cast_or_null<BoolAttr>(record.get(name));
  return value ? value.getValue() : otherwise;
}

std::vector<float> plain(int64_t dim, double theta) {
  std::vector<float> table;
  for (int64_t i = 0; i < dim / 2; ++i) {
    float exponent = static_cast<float>(2 * i) / static_cast<float>(dim);
    table.push_back(1.0f / std::pow(static_cast<float>(theta), exponent));
  }
  return table;
}

/// Long wavelengths are stretched by `factor`, short ones kept, and those
/// between `original / high` and `original / low` blended.
void scaleLlama3(std::vector<float> &table, DictionaryAttr record) {
  float factor = *number(record, "factor"),
        low = *number(record, "low_freq_factor"),
        high = *number(record, "high_freq_factor"),
        original = *number(record, "original_max_position_embeddings");
  for (float &frequency : table) {
    float wavelength = 2.0f * std::numbers::pi_v<float> / frequency;
    if (wavelength > original / low) {
      frequency /= factor;
    } else if (wavelength >= original / high) {
      float smooth = (original / wavelength - low) / (high - low);
      frequency = (1 - smooth) * (frequency / factor) + smooth * frequency;
    }
  }
}

/// 0.1 m ln(scale) + 1: how much YaRN sharpens the softmax.
double yarnScale(double scale, double m) {
  return scale <= 1 ? 1 : 0.1 * m * std::log(scale) + 1;
}

double scaleYarn(std::vector<float> &table, int64_t dim, double theta,
                 DictionaryAttr record) {
  double factor = *number(record, "factor"),
         original = *number(record, "original_max_position_embeddings");
  // The pair that turns `rotations` times within the original length.
  auto pairOf = [&](double rotations) {
    return dim * std::log(original / (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(theta));
  };
  double low = pairOf(number(record, "beta_fast").value_or(32)),
         high = pairOf(number(record, "beta_slow").value_or(1));
  if (flag(record, "truncate", true)) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(dim - 1));
  if (low == high)
    high += 0.001;
  for (size_t i = 0; i < table.size(); ++i) {
    float ramp =
        std::clamp((static_cast<float>(i) - static_cast<float>(low)) /
                       (static_cast<float>(high) - static_cast<float>(low)),
                   0.0f, 1.0f);
    float stretched = table[i] / static_cast<float>(factor);
    table[i] = stretched * ramp + table[i] * (1 - ramp);
  }
  if (std::optional<double> given = number(record, "attention_factor"))
    return *given;
  double m = number(record, "mscale").value_or(0),
         all = number(record, "mscale_all_dim").value_or(0);
  return m != 0 && all != 0 ? yarnScale(factor, m) / yarnScale(factor, all)
                            : yarnScale(factor, 1);
}

} // namespace

std::optional<RopeTable>
ropeTable(int64_t dim, double theta, Attribute scaling, bool axial,
          llvm::function_ref<void(std::string)> error) {
  RopeTable table;
  table.invFreq = plain(dim, theta);
  if (axial) {
    // Each number has half of the pairs, with frequencies of a head half as
    // large.
    if (dim % 4 != 0) {
      error("axial rope turns by rows and columns, half of " +
            std::to_string(dim) + " elements each; expected a multiple of 4");
      return std::nullopt;
    }
    table.numbers = 2;
    std::vector<float> half = plain(dim / 2, theta);
    table.invFreq = half;
    table.invFreq.insert(table.invFreq.end(), half.begin(), half.end());
    table.axis.assign(half.size(), 0);
    table.axis.resize(2 * half.size(), 1);
  }
  auto record = dyn_cast_or_null<DictionaryAttr>(scaling);
  if (!record)
    return table;
  StringRef type = cast<StringAttr>(record.get("type")).getValue();
  if (type == "default")
    return table;
  if (type == "linear") {
    for (float &frequency : table.invFreq)
      frequency /= static_cast<float>(*number(record, "factor"));
  } else if (type == "dynamic") {
    table.dynamic = {theta, *number(record, "factor"),
                     *number(record, "original_max_position_embeddings")};
  } else if (type == "llama3") {
    scaleLlama3(table.invFreq, record);
  } else if (type == "yarn") {
    table.attentionFactor = scaleYarn(table.invFreq, dim, theta, record);
  } else if (type == "mrope") {
    // Time, row and column by turns, where there are more sections.
    table.numbers = 3;
    auto sections = dyn_cast<ArrayAttr>(record.get("mrope_section"));
    for (auto [number, entry] : llvm::enumerate(
             sections ? sections.getValue() : ArrayRef<Attribute>())) {
      auto size = dyn_cast<IntegerAttr>(entry);
      if (!size || size.getInt() < 0 ||
          size.getInt() > static_cast<int64_t>(table.invFreq.size())) {
        error("mrope_section must list how many of the " +
              std::to_string(table.invFreq.size()) +
              " pairs turn by time, row and column");
        return std::nullopt;
      }
      table.axis.insert(table.axis.end(), size.getInt(),
                        number % table.numbers);
    }
    if (table.axis.size() != table.invFreq.size()) {
      error("mrope_section is for " + std::to_string(table.axis.size()) +
            " pairs, expected " + std::to_string(table.invFreq.size()));
      return std::nullopt;
    }
  } else {
    error("rope type '" + type.str() + "' has no program");
    return std::nullopt;
  }
  return table;
}

} // namespace mbc
