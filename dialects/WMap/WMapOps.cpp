//===- WMapOps.cpp - Verifiers of entries and plans -----------------------===//
#include "dialects/WMap/WMapDialect.h"

#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace mbc::wmap;

#define GET_OP_CLASSES
#include "dialects/WMap/WMapOps.cpp.inc"

LogicalResult EntryOp::verify() {
  // W01: an entry names at least one side.
  if (getHf().empty() && !getMcoreAttr())
    return emitOpError("'")
           << getPath() << "' has neither an hf nor an mcore side";
  llvm::StringSet<> indices;
  for (Attribute loop : getLoops())
    // W02: loop indices are distinct.
    if (!indices.insert(cast<LoopAttr>(loop).getIndex()).second)
      return emitOpError("index '")
             << cast<LoopAttr>(loop).getIndex() << "' is bound twice";
  for (Attribute attr : getHf()) {
    auto alternative = cast<AlternativeAttr>(attr);
    // W03: one whole tensor, or parts of one sum axis.
    if (alternative.getParts().empty())
      return emitOpError("'") << getPath() << "' has an empty alternative";
    if (alternative.getParts().size() > 1)
      for (StoredAttr part : alternative.getParts())
        if (part.getPart().empty())
          return emitOpError("'")
                 << getPath() << "' lists several tensors without parts";
  }
  // W04: what wmap-bind chose is one of the alternatives.
  if (auto choice = getChoice())
    if (*choice >= getHf().size())
      return emitOpError("choice ") << *choice << " is not one of "
                                    << getHf().size() << " alternatives";
  return success();
}

LogicalResult CopyOp::verify() {
  // W05: both sides have a stride for every box dimension and every loop.
  size_t rank = getExtents().size(), depth = getLoops().size();
  if (getHfStrides().size() != rank || getMcoreStrides().size() != rank)
    return emitOpError("expected ") << rank << " box strides on each side";
  if (getHfLoopStrides().size() != depth ||
      getMcoreLoopStrides().size() != depth)
    return emitOpError("expected ") << depth << " loop strides on each side";
  return success();
}
