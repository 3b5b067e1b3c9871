//===- NNDialect.cpp - Spelling of axes and tensor types ------------------===//

#include "dialects/NN/NNDialect.h"
#include "dialects/Dist/DistDialect.h"
#include "dialects/NN/Expr.h"
#include "dialects/NN/NNOps.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace mbc::nn;

#include "dialects/NN/NNDialect.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/NN/NNAttrs.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/NN/NNTypes.cpp.inc"

void NNDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/NN/NNAttrs.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/NN/NNTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/NN/NNOps.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// Axes
//===----------------------------------------------------------------------===//

AxisAttr AxisAttr::getPart(StringRef name) const {
  for (AxisAttr part : getParts())
    if (part.getName() == name)
      return part;
  return {};
}

std::optional<int64_t> AxisAttr::getStaticSize() const {
  return asInt(getSize());
}

AxisAttr AxisAttr::getSum(MLIRContext *ctx, StringRef name,
                          ArrayRef<AxisAttr> parts) {
  SmallVector<Attribute> sizes;
  for (AxisAttr part : parts)
    sizes.push_back(part.getSize());
  Attribute size = sizes.size() == 1 ? sizes[0] : buildExpr(ctx, "+", sizes);
  return get(ctx, name, size, parts);
}

AxisAttr AxisAttr::mapSizes(llvm::function_ref<Attribute(Attribute)> fn) const {
  if (!isSum())
    return get(getContext(), getName(), fn(getSize()), {}, getKept());
  SmallVector<AxisAttr> parts;
  for (AxisAttr part : getParts())
    parts.push_back(part.mapSizes(fn));
  return getSum(getContext(), getName(), parts);
}

std::string AxisAttr::text() const {
  std::string text = getName().str();
  if (!isSum())
    return text;
  text += " =";
  for (auto [i, part] : llvm::enumerate(getParts()))
    text += (i ? " + " : " ") + part.getName().str() + ": " +
            exprText(part.getSize());
  return text;
}

/// A size: `8`, `@hidden`, `?`, or an expression in parentheses. The
/// parentheses keep the `:` of a batch from being read as a type.
static void printSize(AsmPrinter &printer, Attribute size) {
  if (std::optional<int64_t> value = asInt(size))
    printer << *value;
  else if (isa<UnitAttr>(size))
    printer << '?';
  else if (isa<FlatSymbolRefAttr>(size))
    printer << size;
  else
    printer << '(' << size << ')';
}

static ParseResult parseSize(AsmParser &parser, Attribute &size) {
  if (succeeded(parser.parseOptionalQuestion())) {
    size = UnitAttr::get(parser.getContext());
    return success();
  }
  int64_t value;
  OptionalParseResult number = parser.parseOptionalInteger(value);
  if (number.has_value()) {
    size = intExpr(parser.getContext(), value);
    return *number;
  }
  if (succeeded(parser.parseOptionalLParen()))
    return failure(failed(parser.parseAttribute(size)) ||
                   failed(parser.parseRParen()));
  FlatSymbolRefAttr symbol;
  if (failed(parser.parseAttribute(symbol)))
    return failure();
  size = symbol;
  return success();
}

static void printAxis(AsmPrinter &printer, AxisAttr axis) {
  printer << axis.getName() << " = ";
  if (!axis.isSum())
    return printSize(printer, axis.getSize());
  printer << '{';
  llvm::interleaveComma(axis.getParts(), printer, [&](AxisAttr part) {
    printer << part.getName() << ": ";
    if (!part.getKept().empty())
      printer << part.getKept() << " = ";
    printSize(printer, part.getSize());
  });
  printer << '}';
}

static FailureOr<AxisAttr> parseAxis(AsmParser &parser) {
  MLIRContext *ctx = parser.getContext();
  std::string name;
  if (failed(parser.parseKeywordOrString(&name)) || failed(parser.parseEqual()))
    return failure();
  if (failed(parser.parseOptionalLBrace())) {
    Attribute size;
    if (failed(parseSize(parser, size)))
      return failure();
    return AxisAttr::get(ctx, name, size, {});
  }
  SmallVector<AxisAttr> parts;
  do {
    std::string part, kept;
    Attribute size;
    if (failed(parser.parseKeywordOrString(&part)) ||
        failed(parser.parseColon()))
      return failure();
    if (succeeded(parser.parseOptionalKeywordOrString(&kept)) &&
        failed(parser.parseEqual()))
      return failure();
    if (failed(parseSize(parser, size)))
      return failure();
    parts.push_back(AxisAttr::get(ctx, part, size, {}, kept));
  } while (succeeded(parser.parseOptionalComma()));
  if (failed(parser.parseRBrace()))
    return failure();
  return AxisAttr::getSum(ctx, name, parts);
}

Attribute AxisAttr::parse(AsmParser &parser, Type) {
  if (failed(parser.parseLess()))
    return {};
  FailureOr<AxisAttr> axis = parseAxis(parser);
  if (failed(axis) || failed(parser.parseGreater()))
    return {};
  return *axis;
}

void AxisAttr::print(AsmPrinter &printer) const {
  printer << '<';
  printAxis(printer, *this);
  printer << '>';
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

SmallVector<AxisAttr> mbc::nn::TensorType::getAxes() const {
  SmallVector<AxisAttr> axes(getBatch());
  axes.append(getOut().begin(), getOut().end());
  axes.append(getIn().begin(), getIn().end());
  return axes;
}

AxisAttr mbc::nn::TensorType::findAxis(StringRef name) const {
  for (ArrayRef<AxisAttr> side : {getOut(), getBatch(), getIn()})
    for (AxisAttr axis : side)
      if (axis.getName() == name)
        return axis;
  return {};
}

std::optional<int64_t> mbc::nn::TensorType::getStaticElements() const {
  int64_t elements = 1;
  for (AxisAttr axis : getAxes()) {
    std::optional<int64_t> size = axis.getStaticSize();
    if (!size || __builtin_mul_overflow(elements, *size, &elements))
      return std::nullopt;
  }
  return elements;
}

mbc::nn::TensorType mbc::nn::TensorType::mapSizes(
    llvm::function_ref<Attribute(Attribute)> fn) const {
  auto map = [&](ArrayRef<AxisAttr> axes) {
    return llvm::map_to_vector(
        axes, [&](AxisAttr axis) { return axis.mapSizes(fn); });
  };
  return get(getContext(), map(getBatch()), map(getOut()), map(getIn()),
             getElem(), getPlacement());
}

mbc::nn::TensorType
mbc::nn::TensorType::withPlacement(Attribute placement) const {
  return get(getContext(), getBatch(), getOut(), getIn(), getElem(), placement);
}

std::string mbc::nn::TensorType::text() const {
  std::string text = "[";
  auto side = [&](ArrayRef<AxisAttr> axes) {
    for (auto [i, axis] : llvm::enumerate(axes))
      text += (i ? ", " : "") + axis.getName().str();
  };
  side(getBatch());
  text += getBatch().empty() ? "" : " : ";
  side(getOut());
  text += getIn().empty() ? "" : " ; ";
  side(getIn());
  return text + "]";
}

Type mbc::nn::TensorType::parse(AsmParser &parser) {
  SmallVector<AxisAttr> batch, out, in;
  auto list = [&](SmallVector<AxisAttr> &axes) -> ParseResult {
    do {
      FailureOr<AxisAttr> axis = parseAxis(parser);
      if (failed(axis))
        return failure();
      axes.push_back(*axis);
    } while (succeeded(parser.parseOptionalComma()));
    return success();
  };
  if (failed(parser.parseLess()) || failed(parser.parseLSquare()))
    return {};
  if (failed(parser.parseOptionalRSquare())) {
    if (failed(list(out)))
      return {};
    if (succeeded(parser.parseOptionalColon())) {
      batch.swap(out);
      if (failed(list(out)))
        return {};
    }
    if (succeeded(parser.parseOptionalVerticalBar()) && failed(list(in)))
      return {};
    if (failed(parser.parseRSquare()))
      return {};
  }
  StringRef elem;
  mbc::dist::PlacementAttr placement;
  if (failed(parser.parseComma()) || failed(parser.parseKeyword(&elem)) ||
      (succeeded(parser.parseOptionalComma()) &&
       failed(parser.parseAttribute(placement))) ||
      failed(parser.parseGreater()))
    return {};
  return get(parser.getContext(), batch, out, in, elem, placement);
}

void mbc::nn::TensorType::print(AsmPrinter &printer) const {
  auto list = [&](ArrayRef<AxisAttr> axes) {
    llvm::interleaveComma(axes, printer,
                          [&](AxisAttr axis) { printAxis(printer, axis); });
  };
  printer << "<[";
  if (!getBatch().empty()) {
    list(getBatch());
    printer << " : ";
  }
  list(getOut());
  if (!getIn().empty()) {
    printer << " | ";
    list(getIn());
  }
  printer << "], " << getElem();
  if (getPlacement())
    printer << ", " << getPlacement();
  printer << '>';
}
