//===- Conforms.cpp - A backend's output against the reference ------------===//

#include "test/Conformance/Case.h"

#include <cmath>
#include <gtest/gtest.h>

namespace mbc::test {

std::unique_ptr<BackendCall> makeCall(const program::FunctionT &function,
                                      const CallOfCase &given) {
  auto made = std::make_unique<BackendCall>();
  Call &call = made->call;
  call.rows = given.rows;
  for (const Part &part : given.parts)
    call.sequences.push_back({part.begin, part.count, part.slot, part.cached});
  for (const auto &input : function.inputs) {
    auto found = given.inputs.find(input->name);
    if (found == given.inputs.end())
      continue;
    const std::vector<int32_t> &values = found->second;
    if (input->dtype == plan::DType::I32)
      call.inputs[input->name] = values;
    else
      call.floats[input->name] = {
          reinterpret_cast<const float *>(values.data()), values.size()};
  }
  const program::PortT &port = *function.outputs[0];
  size_t width = 1;
  for (size_t i = 1; i < port.dims.size(); ++i)
    width *= port.dims[i];
  // Of the rows that are asked for, else of all, some of which may be one.
  auto list = given.inputs.find("outputs");
  made->out.resize(width * (list == given.inputs.end()
                                ? given.rows * port.dims[0] / function.rows
                                : list->second.size()));
  call.outputs["out"] = made->out;
  return made;
}

void expectConforms(Backend &backend, const Case &test) {
  SCOPED_TRACE(test.name);
  Expected<std::vector<float>> out = backend.run(test);
  ASSERT_TRUE(out.has_value()) << out.error().message;
  ASSERT_EQ(out->size(), test.expected.size());
  size_t worst = 0, wrong = 0;
  double most = 0;
  std::vector<double> bound = test.bound;
  if (backend.rounds())
    for (size_t i = 0; i < test.rounding.size(); ++i)
      bound[i] += test.rounding[i];
  for (size_t i = 0; i < out->size(); ++i) {
    double expected = test.expected[i], found = (*out)[i];
    if (expected == found && std::signbit(expected) == std::signbit(found))
      continue;
    double off = std::abs(found - expected);
    // Written so that a NaN is wrong.
    if (off <= bound[i] && off > 0)
      continue;
    ++wrong;
    if (!(off / bound[i] <= most)) {
      most = off / bound[i];
      worst = i;
    }
  }
  EXPECT_EQ(wrong, 0u) << "the worst of " << out->size() << " is element "
                       << worst << ": " << (*out)[worst] << ", expected "
                       << test.expected[worst] << " +- " << bound[worst];
}

} // namespace mbc::test
