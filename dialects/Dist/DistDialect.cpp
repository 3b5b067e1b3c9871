//===- DistDialect.cpp - Spelling and checks of placements and meshes -----===//
//
// Numbers are those of README.md.
//
//===----------------------------------------------------------------------===//

#include "dialects/Dist/DistDialect.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/SmallSet.h"
#include "llvm/ADT/TypeSwitch.h"

#include <numeric>

using namespace mlir;
using namespace mbc::dist;

#include "dialects/Dist/DistDialect.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/Dist/DistAttrs.cpp.inc"

#define GET_OP_CLASSES
#include "dialects/Dist/DistOps.cpp.inc"

namespace {

/// Placements are on every value: a module's text says each once.
struct PlacementAliases : OpAsmDialectInterface {
  using OpAsmDialectInterface::OpAsmDialectInterface;

  AliasResult getAlias(Attribute attr, raw_ostream &os) const override {
    if (!isa<PlacementAttr>(attr))
      return AliasResult::NoAlias;
    os << "placement";
    return AliasResult::OverridableAlias;
  }
};

} // namespace

void DistDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/Dist/DistAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/Dist/DistOps.cpp.inc"
      >();
  addInterfaces<PlacementAliases>();
}

//===----------------------------------------------------------------------===//
// Placements
//===----------------------------------------------------------------------===//

std::optional<Kind> PlacementAttr::getKind(StringRef axis) const {
  for (auto [name, kind] : llvm::zip(getAxes(), getKinds()))
    if (name == axis)
      return kind;
  return std::nullopt;
}

LogicalResult PlacementAttr::verify(function_ref<InFlightDiagnostic()> emit,
                                    ArrayRef<StringAttr> axes,
                                    ArrayRef<Kind> kinds) {
  // (D01) one kind an axis.
  if (axes.size() != kinds.size())
    return emit() << "placement has " << axes.size() << " axes and "
                  << kinds.size() << " kinds";
  llvm::SmallSet<StringRef, 8> names;
  for (StringAttr axis : axes)
    if (!names.insert(axis.getValue()).second)
      return emit() << "axis '" << axis.getValue()
                    << "' is in a placement twice";
  return success();
}

Attribute PlacementAttr::parse(AsmParser &parser, Type) {
  SmallVector<StringAttr> axes;
  SmallVector<Kind> kinds;
  auto item = [&]() -> ParseResult {
    std::string name;
    StringRef kind;
    if (parser.parseKeywordOrString(&name) || parser.parseEqual())
      return failure();
    SMLoc place = parser.getCurrentLocation();
    if (parser.parseKeyword(&kind))
      return failure();
    if (kind.size() != 1 || !StringRef("RIVP").contains(kind)) // (D02)
      return parser.emitError(place) << "placement over '" << name << "' is '"
                                     << kind << "', expected R, I, V or P";
    axes.push_back(StringAttr::get(parser.getContext(), name));
    kinds.push_back(static_cast<Kind>(kind.front()));
    return success();
  };
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::LessGreater, item))
    return {};
  return parser.getChecked<PlacementAttr>(parser.getContext(), axes, kinds);
}

void PlacementAttr::print(AsmPrinter &printer) const {
  printer << '<';
  llvm::interleaveComma(llvm::zip(getAxes(), getKinds()), printer,
                        [&](auto item) {
                          printer << std::get<0>(item).getValue() << " = "
                                  << static_cast<char>(std::get<1>(item));
                        });
  printer << '>';
}

//===----------------------------------------------------------------------===//
// Meshes
//===----------------------------------------------------------------------===//

static std::optional<int64_t> find(ArrayAttr axes, ArrayRef<int64_t> sizes,
                                   StringRef axis) {
  for (auto [name, size] : llvm::zip(axes.getAsValueRange<StringAttr>(), sizes))
    if (name == axis)
      return size;
  return std::nullopt;
}

std::optional<int64_t> MeshOp::getSize(StringRef axis) {
  if (std::optional<int64_t> size = find(getAxes(), getSizes(), axis))
    return size;
  return find(getExpertAxes(), getExpertSizes(), axis);
}

LogicalResult MeshOp::verify() {
  // (D03) axes have names, each its own, and sizes.
  for (auto [axes, sizes] : {std::pair(getAxes(), getSizes()),
                             std::pair(getExpertAxes(), getExpertSizes())}) {
    if (axes.size() != sizes.size())
      return emitOpError() << "has " << axes.size() << " axes and "
                           << sizes.size() << " sizes";
    llvm::SmallSet<StringRef, 8> names;
    for (auto [axis, size] :
         llvm::zip(axes.getAsValueRange<StringAttr>(), sizes)) {
      if (!names.insert(axis).second)
        return emitOpError() << "names axis '" << axis << "' twice";
      if (size <= 0)
        return emitOpError() << "axis '" << axis << "' has size " << size
                             << ", expected a positive one";
    }
  }
  // (D04) both are factorisations of the same ranks.
  for (auto [axis, size] :
       llvm::zip(getAxes().getAsValueRange<StringAttr>(), getSizes()))
    if (auto other = find(getExpertAxes(), getExpertSizes(), axis);
        other && *other != size)
      return emitOpError() << "axis '" << axis << "' has size " << size
                           << ", and " << *other << " for experts";
  auto ranks = [](ArrayRef<int64_t> sizes) {
    return std::accumulate(sizes.begin(), sizes.end(), int64_t(1),
                           std::multiplies<>());
  };
  if (ranks(getSizes()) != ranks(getExpertSizes()))
    return emitOpError() << "has " << ranks(getSizes()) << " ranks, and "
                         << ranks(getExpertSizes()) << " for experts";
  return success();
}
