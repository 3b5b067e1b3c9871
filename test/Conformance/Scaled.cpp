//===- Scaled.cpp ---------------------------------------------------------===//

#include "test/Conformance/Scaled.h"

#include "runtime/core/Fp8.h"
#include "test/Conformance/Values.h"

namespace mbc::test {

using plan::DType;

std::vector<double> makeScaled(Case &test, uint32_t rows, uint32_t cols) {
  auto program = std::make_shared<program::ProgramT>(*test.program);
  program::WeightT &weight = *program->weights[0];
  weight.dtype = DType::F8E4M3;
  weight.block = {rows, cols};
  for (const auto &view : program->functions[0]->views)
    if (view->space == program::Space::Weight && view->index == 0)
      view->dtype = DType::F8E4M3;
  test.program = program;
  std::vector<float> &ws = test.weights[0];
  // Numbers of E4M3, and NaN nowhere.
  std::vector<uint8_t> bytes(ws.size());
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<uint8_t>(i * 37 + i / 251);
    bytes[i] -= (bytes[i] & 0x7f) == 0x7f;
  }
  dequantizeFp8(bytes.data(), 1.0f, mbc::DType::F32, ws.data(),
                static_cast<int64_t>(ws.size()));
  uint32_t n = weight.rows, k = weight.cols, across = (k + cols - 1) / cols,
           grid = (n + rows - 1) / rows * across;
  test.scales = {numbers(size_t(weight.batch) * grid, DType::F32, 4)};
  std::vector<double> values(ws.begin(), ws.end());
  for (size_t i = 0; i < values.size(); ++i) {
    size_t row = i / k;
    values[i] *=
        test.scales[0][row / n * grid + row % n / rows * across + i % k / cols];
  }
  return values;
}

double roundingOf(DType xType, double size) {
  return xType == DType::F32 ? 0 : unitOf(xType) * size;
}

} // namespace mbc::test
