//===- Fusion.h - What a product's kernel does besides ----------*- C++ -*-===//
//
// A call of few rows is bounded by the weights' bytes and by how often the
// device waits between kernels. So a row kernel goes where its neighbours are:
//
//   product -> steps           the product's kernel goes through the steps
//   norm -> products           each computes the norm (of one row)
//   product -> steps -> norm -> products
//                              both; what is normed is handed over as float32
//
// Decided when a program is loaded, from what its steps are and from where its
// buffers lie: of a kernel's blocks none may read what another one writes, and
// what is no longer stored nobody may read. What does not fit stays as it is.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/cuda/Accesses.h"
#include "runtime/cuda/kernels/Arguments.h"

#include <map>
#include <optional>
#include <set>

namespace mbc::cuda {

struct FusedProduct {
  struct Norm {
    int32_t x;   ///< view; < 0: what was handed over
    size_t hand; ///< which of the rows for that
    uint32_t weight;
    int32_t bias = -1; ///< < 0: none
    float offset = 0, epsilon = 0;
    bool centred = false;
    /// The row kernel that it stands for.
    const program::RowsT *rows;
  };
  std::optional<Norm> norm;

  /// With the views of its arrays, whose addresses are known in a layer alone;
  /// of what is handed over -1.
  ElementArguments elements{};
  std::vector<int32_t> loads, stores;
  size_t hand = 0;
};

/// Of one function.
class Fusion {
public:
  /// Rows that fused products may have.
  static constexpr int64_t mostRows = 8;
  /// Bytes of a normed row, as float32, that a block has room for.
  static constexpr uint32_t mostRowBytes = 32 << 10;
  /// Rows that are handed over: a product may take one and give another.
  static constexpr size_t hands = 2;

  /// `norms`: for calls of one row, the others keep their norms: a block would
  /// compute all of them.
  Fusion(const program::ProgramT &program, const program::FunctionT &function,
         bool norms);

  /// Null: the product is alone.
  const FusedProduct *of(const program::GemmT &product) const {
    auto found = products.find(&product);
    return found == products.end() ? nullptr : &found->second;
  }
  /// Whether products do what the command says.
  bool contains(const program::RowsT &rows) const {
    return done.contains(&rows);
  }
  /// Elements of the widest row that is handed over.
  uint32_t handedWidth() const { return widestHanded; }

private:
  void fuseBody(const program::BodyT &body, int64_t repeat);
  bool fuseRows(const program::BodyT &body, size_t number, int64_t repeat);

  const program::ProgramT &program;
  const program::FunctionT &function;
  const bool norms;
  std::map<const program::GemmT *, FusedProduct> products;
  std::set<const program::RowsT *> done;
  uint32_t widestHanded = 0;
  size_t nextHand = 0;
};

} // namespace mbc::cuda
