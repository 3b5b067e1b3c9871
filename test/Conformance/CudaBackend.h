//===- CudaBackend.h - A GPU runs cases -------------------------*- C++ -*-===//
#pragma once

#include "runtime/core/Fp8.h"
#include "runtime/cuda/Session.h"
#include "runtime/host/kernels/Kernels.h"
#include "test/Conformance/Case.h"

namespace mbc::test {

class CudaBackend : public Backend {
public:
  /// Every call is made so many times.
  explicit CudaBackend(int times = 1) : times(times) {}

  bool rounds() const override { return true; }
  /// Attention of this many launches was cuDNN's in the last run.
  uint64_t cudnnLaunches = 0;
  /// Launches of products with what is around them.
  uint64_t fusedLaunches = 0;
  /// Attention of this many turned its queries and keys.
  uint64_t turnedLaunches = 0;

  /// Leaves no numbers in memory that is free: what a kernel reads beside what
  /// it was given would be seen.
  static Status spoilFreeMemory() {
    constexpr uint64_t bytes = 256 << 20;
    MBC_ASSIGN(auto device, cuda::Device::open(0));
    MBC_ASSIGN(cuda::Memory memory, device->allocate(bytes, "nothing"));
    std::vector<std::byte> none(bytes, std::byte(0xff));
    MBC_TRY(device->upload(memory.data(), none.data(), bytes, "spoiling"));
    return device->wait("spoiling");
  }

  Expected<std::vector<float>> run(const Case &test) override {
    // As it comes from a file.
    MBC_ASSIGN(auto program,
               parseProgram(serializeProgram(*test.program), test.name));
    MBC_ASSIGN(auto session,
               cuda::Session::create(*program, {.slots = test.slots}));
    for (size_t i = 0; i < program->weights.size(); ++i) {
      const program::WeightT &weight = *program->weights[i];
      auto elem = weight.dtype == plan::DType::BF16  ? host::Elem::BF16
                  : weight.dtype == plan::DType::F16 ? host::Elem::F16
                                                     : host::Elem::F32;
      std::vector<std::byte> bytes(bytesOf(weight));
      if (weight.dtype == plan::DType::F8E4M3) {
        quantizeFp8(DType::F32, test.weights[i].data(), 1.0f,
                    reinterpret_cast<uint8_t *>(bytes.data()),
                    static_cast<int64_t>(elementsOf(weight)));
        MBC_TRY(session->setWeight(i, 0, bytes.data()));
        ScaledRows rows{test.scales[i], {}};
        for (uint32_t e = 0; e < weight.batch; ++e)
          rows.runs.push_back({int64_t(e) * weight.rows, weight.rows,
                               e * rows.grids.size() / weight.batch, 0});
        MBC_TRY(session->setScales(i, 0, rows));
        continue;
      }
      for (size_t j = 0; j < instancesOf(weight); ++j) {
        host::kernels().fromFloat(
            elem, test.weights[i].data() + j * elementsOf(weight), bytes.data(),
            static_cast<int64_t>(elementsOf(weight)));
        MBC_TRY(session->setWeight(i, j, bytes.data()));
      }
    }
    const program::FunctionT &function = *findFunction(*program, "f");
    std::vector<float> all;
    for (const CallOfCase &given : test.calls) {
      auto made = makeCall(function, given);
      for (int i = 0; i < times; ++i) {
        MBC_TRY(session->run(function, made->call));
        all.insert(all.end(), made->out.begin(), made->out.end());
      }
    }
    cudnnLaunches = session->cudnnLaunches();
    fusedLaunches = session->fusedLaunches();
    turnedLaunches = session->turnedLaunches();
    return all;
  }

private:
  int times;
};

} // namespace mbc::test
