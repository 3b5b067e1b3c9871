//===- CutConfig.cpp ------------------------------------------------------===//
#include "compiler/Bridge/CutConfig.h"

#include "compiler/Frontend/Import.h"
#include "compiler/Transforms/ConfigFile.h"
#include "dialects/NN/Expr.h"
#include "dialects/NN/Parameters.h"
#include "dialects/WMap/WMapDialect.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <fmt/format.h>

using namespace mlir;

namespace mbc {

namespace {

/// The member at "a.b.c".
Json *memberAt(Json &json, StringRef path) {
  Json *at = &json;
  while (at && !path.empty()) {
    auto [head, rest] = path.split('.');
    at = at->find(std::string_view(head.data(), head.size()));
    path = rest;
  }
  return at;
}

class Cutter {
public:
  Cutter(nn::ModelOp model, const Json &config)
      : model(model), original(model.getContext(), config), result(config) {}

  Expected<Json> cut(const CutSizes &sizes) {
    if (sizes.layers)
      MBC_TRY(cutLayers(*sizes.layers));
    if (sizes.experts)
      MBC_TRY(cutExperts(*sizes.experts));
    return result;
  }

private:
  /// Calls `fn` with the path of every field that a configuration name (or an
  /// expression over such names) is made from and that the file has.
  void forEachPath(Attribute expr, llvm::function_ref<void(StringRef)> fn) {
    nn::forEachField(expr, [&](Attribute field) {
      std::string path;
      Attribute value = original.lookup(field, &path);
      if (value && !isa<UnitAttr>(value))
        fn(path);
    });
    nn::forEachSymbol(expr, [&](StringRef name) {
      if (auto config = model.lookupSymbol<nn::ConfigOp>(name))
        forEachPath(config.getExpr(), fn);
    });
  }

  std::optional<int64_t> intAt(StringRef path) {
    Json *member = memberAt(result, path);
    return member ? member->asInt() : std::nullopt;
  }
  void setInt(StringRef path, int64_t value) {
    *memberAt(result, path) = Json(value);
  }

  /// Sets the one field that holds the size `what`.
  Status setSize(Attribute expr, const char *option, const char *what,
                 int64_t size, int64_t &before) {
    SmallVector<std::string> paths;
    forEachPath(expr, [&](StringRef path) { paths.push_back(path.str()); });
    if (paths.empty() || !intAt(paths[0]))
      return inputError(fmt::format("option '{}': no field of config.json "
                                    "gives the number of {}",
                                    option, what));
    before = *intAt(paths[0]);
    if (size < 1 || size > before)
      return inputError(fmt::format("option '{}': the model has {} {}, cannot "
                                    "keep {}",
                                    option, before, what, size));
    for (const std::string &path : paths)
      setInt(path, size);
    return {};
  }

  Status cutLayers(int64_t count) {
    nn::LayersOp decoder;
    for (nn::LayersOp stack : model.getOps<nn::LayersOp>())
      if (stack.getSymName() == "decoder")
        decoder = stack;
    if (!decoder)
      return inputError("option '--layers': the model has no stack 'decoder'");
    int64_t before = 0;
    MBC_TRY(
        setSize(decoder.getCountAttr(), "--layers", "layers", count, before));
    for (const nn::LogicalParameter &parameter : nn::collectParameters(model))
      if (parameter.stack == decoder && parameter.predicate)
        cutCondition(parameter.predicate, parameter.indexName, count);
    // One item a layer, in lists that the declaration speaks of.
    auto shorten = [&](Attribute expr) {
      forEachPath(expr, [&](StringRef path) {
        Json *member = memberAt(result, path);
        if (member && member->isArray() &&
            static_cast<int64_t>(member->elements().size()) == before &&
            std::ranges::none_of(member->elements(), &Json::isNumber))
          *member = Json::array(
              {member->elements().begin(), member->elements().begin() + count});
      });
    };
    for (nn::ConfigOp op : model.getOps<nn::ConfigOp>())
      shorten(op.getExpr());
    for (nn::RequireOp op : model.getOps<nn::RequireOp>())
      shorten(op.getCondition());
    for (nn::UnsupportedOp op : model.getOps<nn::UnsupportedOp>())
      shorten(op.getCondition());
    return {};
  }

  /// `l in list` loses layers that are gone; the bound of `l < bound` is one.
  void cutCondition(Attribute condition, StringRef index, int64_t count) {
    auto op = dyn_cast<nn::ExprAttr>(condition);
    if (!op)
      return;
    for (Attribute operand : op.getOperands())
      cutCondition(operand, index, count);
    if (op.getOperands().size() != 2)
      return;
    auto symbol = dyn_cast<FlatSymbolRefAttr>(op.getOperands()[0]);
    if (!symbol || symbol.getValue() != index)
      return;
    forEachPath(op.getOperands()[1], [&](StringRef path) {
      Json *member = memberAt(result, path);
      if (op.getOp() == "in" && member->isArray()) {
        std::vector<Json> kept;
        for (const Json &item : member->elements())
          if (!item.asInt() || *item.asInt() < count)
            kept.push_back(item);
        *member = Json::array(std::move(kept));
      } else if (op.getOp() == "<" && member->asInt()) {
        setInt(path, std::min(*member->asInt(), count));
      }
    });
  }

  Status cutExperts(int64_t count) {
    Attribute size;
    for (const nn::LogicalParameter &parameter : nn::collectParameters(model))
      for (nn::AxisAttr axis : parameter.type.getBatch())
        if (axis.getName() == "experts")
          size = axis.getSize();
    if (!size)
      return inputError("option '--experts': the model has no experts");
    int64_t before = 0;
    MBC_TRY(setSize(size, "--experts", "experts", count, before));
    model.walk([&](nn::RouteOp route) { cutRoute(route, count); });
    return {};
  }

  /// Groups stay where the experts that are left fill them, two a group at
  /// least (a group is judged by its two best); else there is one group.
  void cutRoute(nn::RouteOp route, int64_t count) {
    auto least = [&](Attribute expr, int64_t most) {
      int64_t value = most;
      forEachPath(expr, [&](StringRef path) {
        if (auto old = intAt(path)) {
          value = std::min(*old, most);
          setInt(path, value);
        }
      });
      return value;
    };
    int64_t groups = 1;
    forEachPath(route.getGroups(),
                [&](StringRef path) { groups = intAt(path).value_or(1); });
    if (groups > 1 && (count % groups != 0 || count / groups < 2))
      groups = 1;
    least(route.getGroups(), groups);
    int64_t chosen = least(route.getGroupTopk(), groups);
    least(route.getTopk(), groups > 1 ? count / groups * chosen : count);
  }

  nn::ModelOp model;
  nn::ConfigFile original;
  Json result;
};

} // namespace

Expected<Json> cutConfig(const ModelLibrary &library,
                         const DeclaredModel &declared, const Json &config,
                         const CutSizes &sizes) {
  MLIRContext context(MLIRContext::Threading::DISABLED);
  context.loadDialect<nn::NNDialect, wmap::WMapDialect>();
  llvm::SourceMgr sources;
  sources.setVirtualFileSystem(library.fileSystem());
  std::string text;
  llvm::raw_string_ostream stream(text);
  SourceMgrDiagnosticHandler handler(sources, &context, stream);
  OwningOpRef<ModuleOp> module =
      importFiles(context, sources, {declared.modelFile});
  if (!module)
    return inputError(text);
  return Cutter(*module->getOps<nn::ModelOp>().begin(), config).cut(sizes);
}

} // namespace mbc
