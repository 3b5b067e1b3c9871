//===- HostBackend.h - The host runs cases ----------------------*- C++ -*-===//
#pragma once

#include "runtime/core/DType.h"
#include "runtime/core/Fp8.h"
#include "runtime/host/Session.h"
#include "test/Conformance/Case.h"

#include <algorithm>
#include <functional>

namespace mbc::test {

class HostBackend : public Backend {
public:
  /// Gives a program what it brings besides its commands.
  using Extend = std::function<Status(program::ProgramT &)>;

  explicit HostBackend(unsigned threads, Extend extend = {})
      : threads(threads), extend(std::move(extend)) {}

  Expected<std::vector<float>> run(const Case &test) override {
    // As it comes from a file.
    program::ProgramT given = *test.program;
    if (extend)
      MBC_TRY(extend(given));
    MBC_ASSIGN(auto program, parseProgram(serializeProgram(given), test.name));
    MBC_ASSIGN(auto session,
               host::Session::create(*program, {threads, test.slots}));
    for (size_t i = 0; i < program->weights.size(); ++i) {
      const program::WeightT &weight = *program->weights[i];
      if (weight.dtype == plan::DType::F8E4M3) {
        quantizeFp8(DType::F32, test.weights[i].data(), 1.0f,
                    reinterpret_cast<uint8_t *>(session->weight(i, 0)),
                    static_cast<int64_t>(elementsOf(weight)));
        std::ranges::copy(test.scales[i], session->weightScales(i, 0).begin());
        continue;
      }
      auto elem = weight.dtype == plan::DType::BF16  ? host::Elem::BF16
                  : weight.dtype == plan::DType::F16 ? host::Elem::F16
                                                     : host::Elem::F32;
      for (size_t j = 0; j < instancesOf(weight); ++j)
        host::kernels().fromFloat(
            elem, test.weights[i].data() + j * elementsOf(weight),
            session->weight(i, j), static_cast<int64_t>(elementsOf(weight)));
    }
    const program::FunctionT &function = *findFunction(*program, "f");
    std::vector<float> all;
    for (const CallOfCase &given : test.calls) {
      auto made = makeCall(function, given);
      MBC_TRY(session->run(function, made->call));
      all.insert(all.end(), made->out.begin(), made->out.end());
    }
    return all;
  }

private:
  unsigned threads;
  Extend extend;
};

} // namespace mbc::test
