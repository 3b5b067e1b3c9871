//===- Doctor.cpp ---------------------------------------------------------===//
#include "runtime/commands/Doctor.h"

#include "runtime/commands/RunCommandLine.h"
#include "runtime/commands/TextTable.h"
#include "runtime/core/Parallel.h"
#include "runtime/core/Text.h"
#include "runtime/host/NativeCode.h"
#include "runtime/program/ProgramCache.h"
#ifdef MBC_HAS_CUDA
#include "runtime/cuda/CublasLt.h"
#include "runtime/cuda/Cudnn.h"
#include "runtime/cuda/Device.h"
#include "runtime/cuda/Nccl.h"
#endif

#include <fmt/format.h>
#include <unistd.h>

namespace mbc {

namespace {

/// Rows of what was found, and sentences on what that means.
class Findings {
public:
  void found(std::string what, std::string value) {
    table.row({std::move(what), std::move(value)});
  }
  void missing(std::string what, const std::string &why, std::string cost) {
    lacks.push(Json::object({{"name", what}, {"reason", why}, {"cost", cost}}));
    table.row({std::move(what), "missing: " + why});
    table.note("  " + cost);
  }
  std::string text() const { return table.text(); }
  Json takeLacks() { return std::move(lacks); }

private:
  TextTable table;
  Json lacks = Json::array();
};

void examineProcessor(Findings &findings, Json &json) {
  uint64_t memory = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                    static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  std::string isa = host::kernels().isa;
  std::string code(host::codeTarget());
  findings.found("processors",
                 fmt::format("{}, with kernels for {}", defaultThreads(), isa));
  findings.found("memory", sizeText(memory));
  if (code.empty())
    findings.missing("native code", "the processor does not run x86-64-v3",
                     "fused operations are interpreted, which takes longer");
  else
    findings.found("native code", code);
  json.set("processors", uint64_t(defaultThreads()));
  json.set("kernels", isa);
  json.set("native_code", code);
  json.set("memory_bytes", memory);
}

#ifdef MBC_HAS_CUDA
std::string threeParts(size_t number) {
  return fmt::format("{}.{}.{}", number / 10000, number / 100 % 100,
                     number % 100);
}

void foundLibrary(Findings &findings, Json &json, const char *name,
                  const char *key, const std::string &version,
                  const std::string &path) {
  findings.found(name, fmt::format("{}, {}", version, path));
  json.set(key, Json::object({{"version", version}, {"path", path}}));
}

void examineGpus(Findings &findings, Json &json) {
  Json gpus = Json::array();
  auto devices = cuda::listDevices();
  if (!devices) {
    findings.missing("GPU", devices.error().message,
                     "'--device cuda' is refused");
    json.set("gpus", std::move(gpus));
    return;
  }
  int version = (*cuda::driver())->version;
  findings.found("NVIDIA driver",
                 fmt::format("runs CUDA {}", cuda::versionText(version)));
  json.set("driver_cuda", cuda::versionText(version));
  for (const cuda::DeviceFacts &gpu : *devices) {
    bool runs = gpu.major >= cuda::leastCapability;
    findings.found(fmt::format("GPU {}", gpu.ordinal),
                   fmt::format("{}, {}, compute capability {}.{}{}", gpu.name,
                               sizeText(gpu.bytes), gpu.major, gpu.minor,
                               runs ? ""
                                    : fmt::format(": refused, expected {}.0 or "
                                                  "higher",
                                                  cuda::leastCapability)));
    gpus.push(Json::object(
        {{"ordinal", int64_t(gpu.ordinal)},
         {"name", gpu.name},
         {"bytes", gpu.bytes},
         {"compute_capability", fmt::format("{}.{}", gpu.major, gpu.minor)},
         {"usable", runs}}));
  }
  json.set("gpus", std::move(gpus));
  if (auto library = cuda::cublasLt()) {
    foundLibrary(findings, json, "cuBLASLt", "cublaslt",
                 threeParts((*library)->version), (*library)->path);
  } else {
    findings.missing("cuBLASLt", library.error().message,
                     cuda::costOfNoCublasLt);
  }
  if (auto library = cuda::cudnn())
    foundLibrary(findings, json, "cuDNN", "cudnn",
                 cuda::cudnnVersionText((*library)->version), (*library)->path);
  else
    findings.missing("cuDNN", library.error().message, cuda::costOfNoCudnn);
  if (auto library = cuda::nccl())
    foundLibrary(findings, json, "NCCL", "nccl",
                 threeParts((*library)->version), (*library)->path);
  else
    findings.missing("NCCL", library.error().message,
                     "nothing yet: every command uses one GPU");
}
#else
void examineGpus(Findings &findings, Json &json) {
  findings.missing("GPU", "this build has no GPU backend",
                   "'--device cuda' is refused");
  json.set("gpus", Json::array());
}
#endif

Status examineCache(Findings &findings, Json &json) {
  MBC_ASSIGN(ProgramCache cache, ProgramCache::fromEnvironment());
  if (cache.isOff()) {
    findings.missing("program cache",
                     "MBC_CACHE or the environment turns it "
                     "off",
                     "every run compiles its programs, 0.1 to 0.4 s");
    return {};
  }
  findings.found("program cache",
                 fmt::format("{} of at most {}, {}", cache.entries().size(),
                             sizeText(cache.limit()), cache.folder().string()));
  json.set("cache", cache.folder().string());
  return {};
}

} // namespace

Expected<Outcome> examineMachine() {
  Findings findings;
  Outcome outcome;
  examineProcessor(findings, outcome.json);
  examineGpus(findings, outcome.json);
  MBC_TRY(examineCache(findings, outcome.json));
  outcome.text = findings.text();
  outcome.json.set("missing", findings.takeLacks());
  return outcome;
}

std::unique_ptr<BaseCommand> makeDoctor(CLI::App &root) {
  auto command = std::make_unique<RunCommand>(root, "doctor", doctorSummary,
                                              doctorDetails);
  declareDoctor(*command, "  mbc-run doctor\n  mbc-run doctor --json");
  return command;
}

} // namespace mbc
