//===- CublasLt.cpp -------------------------------------------------------===//

#include "runtime/cuda/CublasLt.h"

#include "runtime/cuda/Libraries.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fmt/format.h>

namespace mbc::cuda {

/// Algorithms that are measured, and how many of them again.
constexpr int mostProposals = 16, finalists = 4;
/// Products of more rows are bound by the device's power, not by its memory:
/// which algorithm was fastest for a moment, or in turn with others, says
/// nothing of a device that is kept busy, where the library's first was 8%
/// faster.
constexpr int64_t mostMeasuredRows = 256;
/// Another than the library's first is taken where its time is this part of it.
constexpr float worthChanging = 0.97f;

/// What the library may use between its kernels; its best ones on sm_90 ask
/// for 32 MiB.
constexpr uint64_t workspaceBytes = 32 << 20;

static Expected<CublasLtLibrary> loadLibrary() {
  const char *const names[] = {"libcublasLt.so.13", "libcublasLt.so.12"};
  MBC_ASSIGN(OpenLibrary open, openLibrary(names));
  CublasLtLibrary library{};
  library.path = open.path;
#define MBC_LOAD(name)                                                         \
  library.name =                                                               \
      reinterpret_cast<decltype(library.name)>(dlsym(open.handle, #name));     \
  if (!library.name)                                                           \
    return systemError(fmt::format("{} has no '{}'", open.path, #name));
  MBC_CUBLASLT_FUNCTIONS(MBC_LOAD)
#undef MBC_LOAD
  library.version = library.cublasLtGetVersion();
  if (library.version < leastCublasLt)
    return systemError(fmt::format("{} is version {}, expected {} or newer",
                                   open.path, library.version, leastCublasLt));
  return library;
}

Expected<const CublasLtLibrary *> cublasLt() {
  static const Expected<CublasLtLibrary> loaded = loadLibrary();
  if (!loaded)
    return Failure(loaded.error());
  return &*loaded;
}

Status CublasLt::checked(cublasStatus_t status, const char *what) const {
  if (status == CUBLAS_STATUS_SUCCESS)
    return {};
  return systemError(fmt::format("cuBLASLt failed {}: {}", what,
                                 library.cublasLtGetStatusString(status)));
}

CublasLt::CublasLt(const CublasLtLibrary &library, const Device &device)
    : library(library), device(device),
      kept(device, fmt::format("cuBLASLt {}", library.version)) {
  const char *tune = std::getenv("MBC_CUDA_TUNE");
  tunes = !tune || std::string_view(tune) != "off";
}

Expected<std::unique_ptr<CublasLt>> CublasLt::create(const Device &device) {
  MBC_ASSIGN(const CublasLtLibrary *library, cublasLt());
  std::unique_ptr<CublasLt> result(new CublasLt(*library, device));
  MBC_TRY(
      result->checked(library->cublasLtCreate(&result->handle), "to start"));
  MBC_ASSIGN(result->workspace,
             device.allocate(workspaceBytes, "matrix products"));
  return result;
}

CublasLt::~CublasLt() {
  for (auto &[key, plan] : plans) {
    if (plan.operation)
      library.cublasLtMatmulDescDestroy(plan.operation);
    for (cublasLtMatrixLayout_t layout : {plan.weight, plan.x, plan.out})
      if (layout)
        library.cublasLtMatrixLayoutDestroy(layout);
  }
  if (handle)
    library.cublasLtDestroy(handle);
}

static cudaDataType_t typeOf(Elem elem) {
  return elem == Elem::BF16  ? CUDA_R_16BF
         : elem == Elem::F16 ? CUDA_R_16F
                             : CUDA_R_32F;
}

/// The power of two of bytes, 256 at most, at which every row begins.
static int alignmentOf(const void *data, int64_t stride, Elem elem) {
  auto bits = reinterpret_cast<uintptr_t>(data) |
              static_cast<uintptr_t>(stride * elemBytes(elem)) | 256;
  return 1 << std::countr_zero(bits);
}

Status CublasLt::describe(Plan &plan, const ProductArguments &product,
                          int64_t m) const {
  const CublasLtLibrary &l = library;
  MBC_TRY(checked(l.cublasLtMatmulDescCreate(&plan.operation,
                                             CUBLAS_COMPUTE_32F, CUDA_R_32F),
                  "to describe a product"));
  auto set = [&](cublasLtMatmulDescAttributes_t attribute, const auto &value) {
    return checked(l.cublasLtMatmulDescSetAttribute(plan.operation, attribute,
                                                    &value, sizeof(value)),
                   "to describe a product");
  };
  // Its matrices are column-major: out^T = weight * x^T.
  cublasOperation_t transposed = CUBLAS_OP_T;
  MBC_TRY(set(CUBLASLT_MATMUL_DESC_TRANSA, transposed));
  if (product.bias) {
    cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    cudaDataType_t type = typeOf(product.biasElem);
    MBC_TRY(set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue));
    MBC_TRY(set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type));
    MBC_TRY(set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, product.bias));
  }
  auto layout = [&](cublasLtMatrixLayout_t &to, Elem elem, int64_t rows,
                    int64_t columns, int64_t stride) {
    return checked(
        l.cublasLtMatrixLayoutCreate(&to, typeOf(elem), rows, columns, stride),
        "to describe a matrix");
  };
  MBC_TRY(layout(plan.weight, product.weightElem, product.k, product.n,
                 product.ldw));
  MBC_TRY(layout(plan.x, product.xElem, product.k, m, product.ldx));
  MBC_TRY(layout(plan.out, product.outElem, product.n, m, product.ldo));
  return {};
}

Expected<CublasLt::Algorithms>
CublasLt::proposals(const Plan &plan, const ProductArguments &product) const {
  const CublasLtLibrary &l = library;
  cublasLtMatmulPreference_t preference = nullptr;
  MBC_TRY(checked(l.cublasLtMatmulPreferenceCreate(&preference),
                  "to describe a product"));
  auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute,
                    const auto &value) {
    l.cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value,
                                           sizeof(value));
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspaceBytes);
  prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
         uint32_t(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
         alignmentOf(product.weight, product.ldw, product.weightElem));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
         alignmentOf(product.x, product.ldx, product.xElem));
  int out = alignmentOf(product.out, product.ldo, product.outElem);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, out);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, out);
  cublasLtMatmulHeuristicResult_t results[mostProposals] = {};
  int found = 0;
  cublasStatus_t status = l.cublasLtMatmulAlgoGetHeuristic(
      handle, plan.operation, plan.weight, plan.x, plan.out, plan.out,
      preference, mostProposals, results, &found);
  l.cublasLtMatmulPreferenceDestroy(preference);
  Algorithms algorithms;
  // A combination that it does not take is no failure.
  if (status == CUBLAS_STATUS_SUCCESS)
    for (int i = 0; i < found; ++i)
      if (results[i].state == CUBLAS_STATUS_SUCCESS)
        algorithms.push_back(results[i].algo);
  return algorithms;
}

bool CublasLt::takes(const Plan &plan,
                     const cublasLtMatmulAlgo_t &algorithm) const {
  cublasLtMatmulHeuristicResult_t result{};
  return library.cublasLtMatmulAlgoCheck(handle, plan.operation, plan.weight,
                                         plan.x, plan.out, plan.out, &algorithm,
                                         &result) == CUBLAS_STATUS_SUCCESS &&
         result.workspaceSize <= workspaceBytes;
}

Expected<float> CublasLt::millisecondsOf(const Plan &plan,
                                         const ProductArguments &product,
                                         const cublasLtMatmulAlgo_t &algorithm,
                                         int repeats) const {
  Profile profile(device.api());
  MBC_TRY(profile.time("", device.stream(), [&]() -> Status {
    for (int i = 0; i < repeats; ++i)
      MBC_TRY(launch(plan, product, algorithm));
    return {};
  }));
  MBC_TRY(device.wait("measuring a product"));
  MBC_ASSIGN(auto times, profile.collect());
  return static_cast<float>(times.begin()->second.milliseconds) /
         static_cast<float>(repeats);
}

Status CublasLt::choose(Plan &plan, const ProductArguments &product,
                        const Algorithms &algorithms) const {
  struct Timed {
    float milliseconds;
    const cublasLtMatmulAlgo_t *algorithm;
  };
  std::vector<Timed> timed;
  for (const cublasLtMatmulAlgo_t &algorithm : algorithms) {
    // The first run of a kernel loads it.
    MBC_TRY(millisecondsOf(plan, product, algorithm, 1));
    MBC_ASSIGN(float milliseconds, millisecondsOf(plan, product, algorithm, 2));
    timed.push_back({milliseconds, &algorithm});
  }
  // The library's own choice stays among them, in front.
  std::stable_sort(timed.begin() + 1, timed.end(),
                   [](const Timed &a, const Timed &b) {
                     return a.milliseconds < b.milliseconds;
                   });
  timed.resize(std::min<size_t>(timed.size(), finalists));
  // In turn, so that a clock that changes meanwhile does so for all.
  for (Timed &one : timed)
    one.milliseconds = 0;
  for (int round = 0; round < 3; ++round)
    for (Timed &one : timed) {
      MBC_ASSIGN(float milliseconds,
                 millisecondsOf(plan, product, *one.algorithm, 5));
      one.milliseconds += milliseconds;
    }
  const Timed &best =
      *std::ranges::min_element(timed, {}, &Timed::milliseconds);
  bool better = best.milliseconds < worthChanging * timed.front().milliseconds;
  plan.algorithm = *(better ? best : timed.front()).algorithm;
  return {};
}

/// Rows of which a choice is made: up to the next of 1, 1.5, 2, 3, 4, 6 ...
static int64_t rowsOfChoice(int64_t m) {
  auto above = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(m)));
  return m <= above / 4 * 3 ? above / 4 * 3 : above;
}

Status CublasLt::makePlan(Plan &plan, const ProductArguments &product,
                          int64_t m) {
  MBC_TRY(describe(plan, product, m));
  std::string what = fmt::format(
      "product {} {} {} | {} {} {} | {} {} {} {} | {} {} {}", rowsOfChoice(m),
      product.n, product.k, product.ldx, product.ldw, product.ldo,
      int(product.xElem), int(product.weightElem), int(product.outElem),
      product.bias ? int(product.biasElem) : -1,
      alignmentOf(product.weight, product.ldw, product.weightElem),
      alignmentOf(product.x, product.ldx, product.xElem),
      alignmentOf(product.out, product.ldo, product.outElem));
  bool tuned = tunes && m <= mostMeasuredRows;
  if (tuned)
    if (std::optional<std::string> bytes = kept.find(what);
        bytes && bytes->size() == sizeof(plan.algorithm)) {
      std::memcpy(&plan.algorithm, bytes->data(), sizeof(plan.algorithm));
      if (plan.found = takes(plan, plan.algorithm); plan.found)
        return {};
    }
  MBC_ASSIGN(Algorithms algorithms, proposals(plan, product));
  plan.found = !algorithms.empty();
  if (!plan.found)
    return {};
  plan.algorithm = algorithms.front();
  if (algorithms.size() == 1 || !tuned || device.isCapturing())
    return {};
  MBC_TRY(choose(plan, product, algorithms));
  kept.store(what, {reinterpret_cast<const char *>(&plan.algorithm),
                    sizeof(plan.algorithm)});
  return {};
}

Expected<CublasLt::Plan *> CublasLt::planFor(const ProductArguments &product,
                                             int64_t m) {
  Key key{m,
          product.n,
          product.k,
          product.ldx,
          product.ldw,
          product.ldo,
          static_cast<int>(product.xElem) * 16 +
              static_cast<int>(product.weightElem) * 4 +
              static_cast<int>(product.outElem),
          static_cast<int>(product.biasElem),
          product.bias != nullptr,
          alignmentOf(product.weight, product.ldw, product.weightElem),
          alignmentOf(product.x, product.ldx, product.xElem),
          alignmentOf(product.out, product.ldo, product.outElem)};
  auto [place, added] = plans.try_emplace(key);
  if (added)
    MBC_TRY(makePlan(place->second, product, m));
  return &place->second;
}

Expected<bool> CublasLt::multiply(const ProductArguments &product, int64_t m) {
  MBC_ASSIGN(Plan * plan, planFor(product, m));
  if (!plan->found)
    return false;
  if (product.bias)
    MBC_TRY(checked(library.cublasLtMatmulDescSetAttribute(
                        plan->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                        &product.bias, sizeof(product.bias)),
                    "to take a bias"));
  MBC_TRY(launch(*plan, product, plan->algorithm));
  return true;
}

Status CublasLt::launch(const Plan &plan, const ProductArguments &product,
                        const cublasLtMatmulAlgo_t &algorithm) const {
  float one = 1, zero = 0;
  return checked(
      library.cublasLtMatmul(handle, plan.operation, &one, product.weight,
                             plan.weight, product.x, plan.x, &zero, product.out,
                             plan.out, product.out, plan.out, &algorithm,
                             workspace.data(), workspaceBytes,
                             reinterpret_cast<cudaStream_t>(device.stream())),
      "a product");
}

} // namespace mbc::cuda
