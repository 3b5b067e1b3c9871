//===- WMapGeometry.cpp ---------------------------------------------------===//
#include "compiler/Transforms/WMapGeometry.h"

#include "dialects/NN/Expr.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace mbc::wmap {

int64_t StoredLayout::elements() const {
  int64_t product = 1;
  for (int64_t size : shape)
    product *= size;
  return product;
}

std::optional<PartRef> findPart(nn::TensorType type, StringRef selector,
                                std::string &why) {
  auto [axisName, partName] = selector.split('.');
  nn::AxisAttr axis = type.findAxis(axisName);
  if (!axis || !axis.isSum()) {
    why = ("'" + axisName + "' is not a sum axis of the parameter").str();
    return std::nullopt;
  }
  nn::AxisAttr part = axis.getPart(partName);
  if (!part) {
    why = ("axis '" + axisName + "' has no part '" + partName + "'").str();
    return std::nullopt;
  }
  return PartRef{axis, part};
}

/// The stored dimensions as lists of positions in `axes`. An axis name may
/// stand on the out and the in side: the first mention is the earlier one.
static std::optional<SmallVector<SmallVector<unsigned>>>
groupAxes(nn::TensorType type, ArrayRef<StringRef> spelled, ArrayAttr view,
          std::string &why) {
  SmallVector<nn::AxisAttr> axes = type.getAxes();
  size_t batch = type.getBatch().size(), out = type.getOut().size();
  SmallVector<bool> taken(axes.size(), false);
  for (auto [position, axis] : llvm::enumerate(axes))
    taken[position] =
        position < batch && llvm::is_contained(spelled, axis.getName());

  SmallVector<SmallVector<unsigned>> groups;
  if (!view) {
    for (unsigned position = 0; position < batch; ++position)
      if (!taken[position])
        groups.push_back({position});
    SmallVector<unsigned> rows, columns;
    for (unsigned position = batch; position < axes.size(); ++position)
      (position < batch + out ? rows : columns).push_back(position);
    if (!rows.empty())
      groups.push_back(rows);
    if (!columns.empty())
      groups.push_back(columns);
    return groups;
  }
  for (Attribute dimension : view) {
    SmallVector<unsigned> group;
    for (Attribute name : cast<ArrayAttr>(dimension)) {
      StringRef axisName = cast<StringAttr>(name).getValue();
      bool found = false;
      for (unsigned position = 0; position < axes.size() && !found; ++position)
        if (!taken[position] && axes[position].getName() == axisName) {
          taken[position] = found = true;
          group.push_back(position);
        }
      if (!found) {
        why = ("the view names '" + axisName +
               "', which is no axis of the parameter that is still free")
                  .str();
        return std::nullopt;
      }
    }
    groups.push_back(std::move(group));
  }
  for (auto [position, axis] : llvm::enumerate(axes))
    if (!taken[position]) {
      why = ("the view leaves out axis '" + axis.getName() +
             "', so that it cannot be inverted")
                .str();
      return std::nullopt;
    }
  return groups;
}

bool isInvertible(nn::TensorType type, ArrayRef<StringRef> spelled,
                  ArrayAttr view, std::string &why) {
  return groupAxes(type, spelled, view, why).has_value();
}

std::optional<SmallVector<Attribute>> storedSizes(nn::TensorType type,
                                                  ArrayAttr view) {
  std::string why;
  auto groups = groupAxes(type, {}, view, why);
  if (!groups)
    return std::nullopt;
  SmallVector<nn::AxisAttr> axes = type.getAxes();
  MLIRContext *ctx = type.getContext();
  SmallVector<Attribute> sizes;
  for (const auto &group : *groups) {
    Attribute size = nn::intExpr(ctx, 1);
    for (unsigned position : group)
      size = nn::buildExpr(ctx, "*", {size, axes[position].getSize()});
    sizes.push_back(size);
  }
  return sizes;
}

std::optional<StoredLayout> layoutOf(nn::TensorType type, StringRef part,
                                     ArrayRef<StringRef> spelled,
                                     ArrayAttr view, std::string &why) {
  SmallVector<nn::AxisAttr> axes = type.getAxes();
  StoredLayout layout;
  layout.partOffsets.assign(axes.size(), 0);
  layout.strides.assign(axes.size(), 0);
  std::optional<PartRef> selected;
  if (!part.empty() && !(selected = findPart(type, part, why)))
    return std::nullopt;

  for (auto [position, axis] : llvm::enumerate(axes)) {
    int64_t extent = *axis.getStaticSize();
    if (position < type.getBatch().size() &&
        llvm::is_contained(spelled, axis.getName()))
      extent = 1;
    if (selected && axis == selected->axis) {
      extent = *selected->part.getStaticSize();
      for (nn::AxisAttr other : axis.getParts()) {
        if (other == selected->part)
          break;
        layout.partOffsets[position] += *other.getStaticSize();
      }
    }
    layout.extents.push_back(extent);
  }

  auto groups = groupAxes(type, spelled, view, why);
  if (!groups)
    return std::nullopt;
  int64_t stride = 1;
  for (const auto &group : llvm::reverse(*groups)) {
    int64_t size = 1;
    for (unsigned position : llvm::reverse(group)) {
      layout.strides[position] = stride;
      stride *= layout.extents[position];
      size *= layout.extents[position];
    }
    layout.shape.push_back(size);
  }
  std::reverse(layout.shape.begin(), layout.shape.end());
  return layout;
}

} // namespace mbc::wmap
