//===- CublasLt.h - Matrix products of cuBLASLt -----------------*- C++ -*-===//
#pragma once

#include "runtime/cuda/KeptPlans.h"
#include "runtime/cuda/kernels/Arguments.h"

#include <cublasLt.h>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

namespace mbc::cuda {

/// The oldest version that is taken.
constexpr size_t leastCublasLt = 120800;

/// What it costs not to have the library.
inline constexpr const char *costOfNoCublasLt =
    "matrix products of many rows are mbc's own, many times slower";

/// The functions of libcublasLt that mbc calls.
#define MBC_CUBLASLT_FUNCTIONS(X)                                              \
  X(cublasLtCreate)                                                            \
  X(cublasLtDestroy)                                                           \
  X(cublasLtGetVersion)                                                        \
  X(cublasLtGetStatusString)                                                   \
  X(cublasLtMatmul)                                                            \
  X(cublasLtMatmulDescCreate)                                                  \
  X(cublasLtMatmulDescDestroy)                                                 \
  X(cublasLtMatmulDescSetAttribute)                                            \
  X(cublasLtMatrixLayoutCreate)                                                \
  X(cublasLtMatrixLayoutDestroy)                                               \
  X(cublasLtMatmulPreferenceCreate)                                            \
  X(cublasLtMatmulPreferenceDestroy)                                           \
  X(cublasLtMatmulPreferenceSetAttribute)                                      \
  X(cublasLtMatmulAlgoGetHeuristic)                                            \
  X(cublasLtMatmulAlgoCheck)

struct CublasLtLibrary {
#define MBC_CUBLASLT_MEMBER(name) decltype(&::name) name;
  MBC_CUBLASLT_FUNCTIONS(MBC_CUBLASLT_MEMBER)
#undef MBC_CUBLASLT_MEMBER
  size_t version; ///< 130100: 13.1.0
  std::string path;
};

/// Loads the library once. A System error names what was looked for and where,
/// or the version that is too old.
Expected<const CublasLtLibrary *> cublasLt();

/// Products on one device. Of at most 256 rows the fastest of the algorithms
/// that the library proposes is taken, as it was measured when the shape first
/// came, on the very arrays (some milliseconds); that is kept on disk. Of more
/// rows, with MBC_CUDA_TUNE=off, and while a launch is captured it is the
/// library's first. Algorithms whose sums have no fixed order, or are rounded
/// to 16 bits in between, are left out.
class CublasLt {
public:
  static Expected<std::unique_ptr<CublasLt>> create(const Device &device);
  ~CublasLt();

  /// out[m, n] = x[m, k] * weight[n, k] + bias. False where the library does
  /// not take these types, strides or places: nothing was done then. Float32
  /// is multiplied as float32, not as TF32.
  Expected<bool> multiply(const ProductArguments &product, int64_t m);

private:
  CublasLt(const CublasLtLibrary &library, const Device &device);

  /// What decides an algorithm.
  using Key = std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t, int64_t,
                         int, int, bool, int, int, int>;
  struct Plan {
    cublasLtMatmulDesc_t operation = nullptr;
    cublasLtMatrixLayout_t weight = nullptr, x = nullptr, out = nullptr;
    cublasLtMatmulAlgo_t algorithm{};
    bool found = false;
  };
  using Algorithms = std::vector<cublasLtMatmulAlgo_t>;
  Status checked(cublasStatus_t status, const char *what) const;
  Expected<Plan *> planFor(const ProductArguments &product, int64_t m);
  Status makePlan(Plan &plan, const ProductArguments &product, int64_t m);
  Status describe(Plan &plan, const ProductArguments &product, int64_t m) const;
  /// The library's proposals, best first; none of a product that it does not
  /// take.
  Expected<Algorithms> proposals(const Plan &plan,
                                 const ProductArguments &product) const;
  /// Makes the fastest of `algorithms` the plan's.
  Status choose(Plan &plan, const ProductArguments &product,
                const Algorithms &algorithms) const;
  Expected<float> millisecondsOf(const Plan &plan,
                                 const ProductArguments &product,
                                 const cublasLtMatmulAlgo_t &algorithm,
                                 int repeats) const;
  /// Whether an algorithm computes a plan's product.
  bool takes(const Plan &plan, const cublasLtMatmulAlgo_t &algorithm) const;
  Status launch(const Plan &plan, const ProductArguments &product,
                const cublasLtMatmulAlgo_t &algorithm) const;

  const CublasLtLibrary &library;
  const Device &device;
  cublasLtHandle_t handle = nullptr;
  Memory workspace;
  std::map<Key, Plan> plans;
  KeptPlans kept;
  bool tunes;
};

} // namespace mbc::cuda
