//===- Conforms.cpp - A backend's output against the reference ------------===//

#include "test/Conformance/Case.h"

#include <cmath>
#include <gtest/gtest.h>

namespace mbc::test {

void expectConforms(Backend &backend, const Case &test) {
  SCOPED_TRACE(test.name);
  Expected<std::vector<float>> out = backend.run(test);
  ASSERT_TRUE(out.has_value()) << out.error().message;
  ASSERT_EQ(out->size(), test.expected.size());
  size_t worst = 0, wrong = 0;
  double most = 0;
  for (size_t i = 0; i < out->size(); ++i) {
    double expected = test.expected[i], found = (*out)[i];
    if (expected == found && std::signbit(expected) == std::signbit(found))
      continue;
    double off = std::abs(found - expected);
    // Written so that a NaN is wrong.
    if (off <= test.bound[i] && off > 0)
      continue;
    ++wrong;
    if (!(off / test.bound[i] <= most)) {
      most = off / test.bound[i];
      worst = i;
    }
  }
  EXPECT_EQ(wrong, 0u) << "the worst of " << out->size() << " is element "
                       << worst << ": " << (*out)[worst] << ", expected "
                       << test.expected[worst] << " +- " << test.bound[worst];
}

} // namespace mbc::test
