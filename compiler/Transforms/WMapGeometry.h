//===- WMapGeometry.h - Where a logical tensor's elements are stored -*- C++
//-*-===//
#pragma once

#include "dialects/NN/NNDialect.h"
#include "dialects/WMap/WMapDialect.h"

#include <optional>
#include <string>

namespace mbc::wmap {

/// How one stored tensor holds (a part of) a logical tensor. Per logical axis,
/// in the order of TensorType::getAxes().
struct StoredLayout {
  /// Stored dimensions, outermost first, in elements.
  llvm::SmallVector<int64_t> shape;
  /// Extent of the axis in this tensor: that of the part for the axis whose
  /// part is stored, 1 for an axis that is spelled in the name.
  llvm::SmallVector<int64_t> extents;
  /// Elements between neighbours on the axis; 0 when spelled in the name.
  llvm::SmallVector<int64_t> strides;
  /// Where the stored part begins on the logical axis.
  llvm::SmallVector<int64_t> partOffsets;

  int64_t elements() const;
};

/// The axis and the part of "slot.q" in `type`; nulls with a reason otherwise.
struct PartRef {
  nn::AxisAttr axis, part;
};
std::optional<PartRef> findPart(nn::TensorType type, llvm::StringRef selector,
                                std::string &why);

/// The layout of a stored tensor of a static logical type.
///   part:    "slot.q", or empty for the whole tensor
///   spelled: batch axes that the name carries instead
///   view:    stored dimensions as products of axis names, or null for the
///            default form (batch axes, then (out) x (in))
/// Fails, with the reason, when the view is no bijection.
std::optional<StoredLayout> layoutOf(nn::TensorType type, llvm::StringRef part,
                                     llvm::ArrayRef<llvm::StringRef> spelled,
                                     mlir::ArrayAttr view, std::string &why);

/// The stored dimensions of a whole tensor as expressions, before sizes are
/// known; none when the view is no bijection.
std::optional<llvm::SmallVector<mlir::Attribute>>
storedSizes(nn::TensorType type, mlir::ArrayAttr view);

/// Checks a view or a part selection without sizes (before elaboration).
bool isInvertible(nn::TensorType type, llvm::ArrayRef<llvm::StringRef> spelled,
                  mlir::ArrayAttr view, std::string &why);

} // namespace mbc::wmap
