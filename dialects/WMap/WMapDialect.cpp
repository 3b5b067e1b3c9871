//===- WMapDialect.cpp ----------------------------------------------------===//
#include "dialects/WMap/WMapDialect.h"

#include "dialects/NN/Expr.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mbc::wmap;

#include "dialects/WMap/WMapDialect.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/WMap/WMapAttrs.cpp.inc"

void WMapDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/WMap/WMapAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/WMap/WMapOps.cpp.inc"
      >();
}

std::string NameAttr::str() const {
  std::string text;
  for (Attribute segment : getSegments()) {
    if (auto literal = dyn_cast<StringAttr>(segment))
      text += literal.getValue();
    else
      text += "{" + mbc::nn::exprText(segment) + "}";
  }
  return text;
}

std::string KeyAttr::str() const {
  std::string text;
  for (Attribute segment : getSegments()) {
    if (auto path = dyn_cast<StringAttr>(segment)) {
      if (!text.empty())
        text += ".";
      text += path.getValue();
    } else {
      text += "[" + mbc::nn::exprText(segment) + "]";
    }
  }
  return text;
}
