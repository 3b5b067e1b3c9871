//===- HostBackend.h - The host runs cases ----------------------*- C++ -*-===//
#pragma once

#include "runtime/core/DType.h"
#include "runtime/host/Session.h"
#include "test/Conformance/Case.h"

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
      auto elem = weight.dtype == plan::DType::BF16  ? host::Elem::BF16
                  : weight.dtype == plan::DType::F16 ? host::Elem::F16
                                                     : host::Elem::F32;
      for (size_t j = 0; j < instancesOf(weight); ++j)
        host::kernels().fromFloat(
            elem, test.weights[i].data() + j * elementsOf(weight),
            session->weight(i, j), static_cast<int64_t>(elementsOf(weight)));
    }
    const program::FunctionT &function = *findFunction(*program, "f");
    const program::PortT &port = *function.outputs[0];
    size_t width = 1;
    for (size_t i = 1; i < port.dims.size(); ++i)
      width *= port.dims[i];
    std::vector<float> all;
    for (const CallOfCase &given : test.calls) {
      host::Call call;
      call.rows = given.rows;
      for (const Part &part : given.parts)
        call.sequences.push_back(
            {part.begin, part.count, part.slot, part.cached});
      for (const auto &[name, values] : given.inputs)
        call.inputs[name] = values;
      auto list = given.inputs.find("outputs");
      std::vector<float> out(width * (list == given.inputs.end()
                                          ? given.rows
                                          : list->second.size()));
      call.outputs["out"] = out;
      MBC_TRY(session->run(function, call));
      all.insert(all.end(), out.begin(), out.end());
    }
    return all;
  }

private:
  unsigned threads;
  Extend extend;
};

} // namespace mbc::test
