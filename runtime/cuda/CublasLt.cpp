//===- CublasLt.cpp -------------------------------------------------------===//

#include "runtime/cuda/CublasLt.h"

#include "runtime/cuda/Libraries.h"

#include <algorithm>
#include <bit>
#include <dlfcn.h>
#include <fmt/format.h>

namespace mbc::cuda {

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

Status CublasLt::makePlan(Plan &plan, const ProductArguments &product,
                          int64_t m) {
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

  cublasLtMatmulPreference_t preference = nullptr;
  MBC_TRY(checked(l.cublasLtMatmulPreferenceCreate(&preference),
                  "to describe a product"));
  auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute,
                    const auto &value) {
    l.cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value,
                                           sizeof(value));
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspaceBytes);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
         alignmentOf(product.weight, product.ldw, product.weightElem));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
         alignmentOf(product.x, product.ldx, product.xElem));
  int out = alignmentOf(product.out, product.ldo, product.outElem);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, out);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, out);
  cublasLtMatmulHeuristicResult_t result{};
  int found = 0;
  cublasStatus_t status = l.cublasLtMatmulAlgoGetHeuristic(
      handle, plan.operation, plan.weight, plan.x, plan.out, plan.out,
      preference, 1, &result, &found);
  l.cublasLtMatmulPreferenceDestroy(preference);
  // A combination that it does not take is no failure.
  plan.found = status == CUBLAS_STATUS_SUCCESS && found > 0;
  plan.algorithm = result.algo;
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
  float one = 1, zero = 0;
  MBC_TRY(checked(
      library.cublasLtMatmul(handle, plan->operation, &one, product.weight,
                             plan->weight, product.x, plan->x, &zero,
                             product.out, plan->out, product.out, plan->out,
                             &plan->algorithm, workspace.data(), workspaceBytes,
                             reinterpret_cast<cudaStream_t>(device.stream())),
      "a product"));
  return true;
}

} // namespace mbc::cuda
