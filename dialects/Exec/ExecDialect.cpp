//===- ExecDialect.cpp ----------------------------------------------------===//
#include "dialects/Exec/ExecDialect.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mbc::exec;

#include "dialects/Exec/ExecDialect.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/Exec/ExecAttrs.cpp.inc"

void ExecDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/Exec/ExecAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/Exec/ExecOps.cpp.inc"
      >();
}

bool mbc::exec::isView(MemRefType type) {
  SmallVector<int64_t> strides;
  int64_t offset = 0;
  return type.getRank() > 0 && type.hasStaticShape() &&
         !llvm::is_contained(type.getShape(), 0) &&
         succeeded(type.getStridesAndOffset(strides, offset)) && offset == 0 &&
         llvm::all_of(strides, [](int64_t stride) {
           return ShapedType::isStatic(stride) && stride >= 0;
         });
}

SmallVector<int64_t> mbc::exec::stridesOf(MemRefType type) {
  SmallVector<int64_t> strides;
  int64_t offset = 0;
  if (failed(type.getStridesAndOffset(strides, offset)))
    return {};
  return strides;
}

int64_t mbc::exec::spanOf(MemRefType type) {
  int64_t last = 0;
  for (auto [size, stride] : llvm::zip(type.getShape(), stridesOf(type)))
    last += (size - 1) * stride;
  return last + 1;
}

int64_t mbc::exec::bytesOf(MemRefType type, int64_t elements) {
  return elements * type.getElementTypeBitWidth() / 8;
}

MemRefType mbc::exec::viewType(Type element, ArrayRef<int64_t> sizes,
                               ArrayRef<int64_t> strides) {
  int64_t dense = 1;
  bool identity = true;
  for (auto [size, stride] : llvm::reverse(llvm::zip_equal(sizes, strides))) {
    identity &= stride == dense;
    dense *= size;
  }
  if (identity)
    return MemRefType::get(sizes, element);
  return MemRefType::get(
      sizes, element, StridedLayoutAttr::get(element.getContext(), 0, strides));
}
