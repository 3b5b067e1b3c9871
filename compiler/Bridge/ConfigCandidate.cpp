//===- ConfigCandidate.cpp ------------------------------------------------===//
#include "compiler/Bridge/ConfigCandidate.h"

#include "compiler/Bridge/StoredModules.h"
#include "compiler/Transforms/FormatProfile.h"
#include "compiler/Transforms/WMapGeometry.h"
#include "dialects/NN/Expr.h"
#include "dialects/NN/ExprFold.h"
#include "runtime/core/Text.h"

#include "llvm/ADT/StringSet.h"

#include <algorithm>
#include <fmt/format.h>

using namespace mlir;

namespace mbc {

namespace {

/// A parameter and the tensor that would hold it.
struct Expectation {
  const nn::LogicalParameter *parameter;
  wmap::KeyAttr key;
  std::string root, module;
  std::string fused; ///< `module`, or the linear that takes the norm in
};

std::set<std::string> layeredRoots(wmap::MappingOp mapping) {
  std::set<std::string> roots;
  for (auto entry : mapping.getOps<wmap::EntryOp>())
    if (entry.getMcoreAttr())
      if (wmap::KeyParts key = wmap::splitKey(entry.getMcoreAttr()); key.layer)
        roots.insert(key.root);
  return roots;
}

std::vector<Expectation> expectations(wmap::MappingOp mapping,
                                      ArrayRef<nn::LogicalParameter> parameters,
                                      const StoredModules &stored) {
  std::map<std::string, std::set<std::string>> modules;
  std::vector<Expectation> result;
  for (auto entry : mapping.getOps<wmap::EntryOp>()) {
    const nn::LogicalParameter *parameter =
        wmap::findParameter(parameters, entry.getPath());
    if (!parameter || !entry.getMcoreAttr())
      continue;
    wmap::KeyParts key = wmap::splitKey(entry.getMcoreAttr());
    auto [it, isNew] = modules.try_emplace(key.root);
    if (isNew)
      it->second = stored.modulesOf(key.root);
    Expectation expected{
        parameter, entry.getMcoreAttr(), key.root, key.module, {}};
    if (key.expert)
      expected.module += ".experts." + key.leaf;
    expected.fused =
        key.layer ? wmap::TorchDistTE::fuseNorm(expected.module, it->second)
                  : expected.module;
    result.push_back(std::move(expected));
  }
  return result;
}

/// The tensor of an expectation, or null. In a stack of different layers some
/// have the norm by itself.
const StoredModules::Module *storedOf(const Expectation &expected,
                                      const StoredModules &stored) {
  const StoredModules::Module *fused =
      stored.find(expected.root, expected.fused);
  return fused ? fused : stored.find(expected.root, expected.module);
}

Attribute valueOf(MLIRContext *ctx, const Json &value) {
  return nn::jsonToAttribute(ctx, value);
}

std::string fieldText(const MegatronFields &fields, StringRef field,
                      Attribute value) {
  return fmt::format("field '{}' = {}", fields.spelling(field.str()),
                     nn::exprText(value));
}

/// What a field says, or null: a name that is null is left to Megatron.
Attribute saidBy(const MegatronFields &fields, wmap::ConfigOp line) {
  const Json *value = fields.find(line.getField().str());
  if (!value || (value->isNull() && isa<FlatSymbolRefAttr>(line.getValue())))
    return {};
  return valueOf(line.getContext(), *value);
}

/// Equal as values; a frequency n and the list of its layers are one thing.
bool sameMeaning(Attribute a, Attribute b) {
  if (nn::equalValues(a, b))
    return true;
  if (isa<ArrayAttr>(b))
    std::swap(a, b);
  auto list = dyn_cast<ArrayAttr>(a);
  std::optional<int64_t> every = nn::asInt(b);
  if (!list || list.empty() || !every || *every < 1)
    return false;
  for (auto [i, element] : llvm::enumerate(list))
    if (nn::asInt(element) != int64_t(i % *every == 0))
      return false;
  return true;
}

/// Names in the attributes of an operation and those inside it.
void addNames(Operation *root, llvm::StringSet<> &names) {
  root->walk([&](Operation *op) {
    for (NamedAttribute attribute : op->getAttrs())
      attribute.getValue().walk(
          [&](FlatSymbolRefAttr symbol) { names.insert(symbol.getValue()); });
  });
}

/// Names on which an expression depends, through definitions.
void addDependencies(nn::ModelOp model, Attribute expr,
                     llvm::StringSet<> &names) {
  nn::forEachSymbol(expr, [&](StringRef name) {
    if (!names.insert(name).second)
      return;
    auto *op = SymbolTable::lookupSymbolIn(model, name);
    if (auto entry = dyn_cast_or_null<nn::ConfigOp>(op))
      addDependencies(model, entry.getExpr(), names);
    else if (auto dim = dyn_cast_or_null<nn::DimOp>(op))
      addDependencies(model, dim.getExpr(), names);
  });
}

} // namespace

Expected<ConfigCandidate> ConfigCandidate::make(const ModelLibrary &library,
                                                const DeclaredModel &declared) {
  ConfigCandidate candidate;
  MBC_ASSIGN(candidate.declaration,
             ProvedModel::declaration(library, declared));
  return candidate;
}

std::string ConfigCandidate::misfit(const TensorSet &tensors) const {
  StoredModules stored(tensors, layeredRoots(declaration->mapping()));
  auto parameters = nn::collectParameters(declaration->model());
  nn::ConfigSolver constants(declaration->model());
  constants.solve();
  std::set<std::pair<std::string, std::string>> known;
  for (const Expectation &expected :
       expectations(declaration->mapping(), parameters, stored)) {
    known.insert({expected.root, expected.module});
    known.insert({expected.root, expected.fused});
    nn::ParamOp op = expected.parameter->op;
    // A condition may hold for every configuration, or for none.
    auto when = dyn_cast_or_null<BoolAttr>(
        op.getWhen() ? constants.fold(*op.getWhen())
                     : nn::boolValue(op.getContext(), true));
    bool optional =
        !when || op.getTie() || expected.parameter->predicate ||
        (expected.parameter->stack && !stored.roots.contains(expected.root));
    const StoredModules::Module *module = storedOf(expected, stored);
    if (module && when && !when.getValue())
      return fmt::format("tensor {} {} is no parameter of it",
                         quote(module->name), shapeText(module->shape));
    if (!optional && when.getValue() && !module)
      return fmt::format("'{}' has no tensor", expected.parameter->path);
  }
  for (const auto &[root, modules] : stored.roots)
    for (const auto &[name, module] : modules)
      if (!known.contains({root, name}))
        return fmt::format("tensor {} {} is no parameter of it",
                           quote(module.name), shapeText(module.shape));
  return "";
}

std::optional<int64_t>
ConfigCandidate::vocabularyRows(const TensorSet &tensors) const {
  StoredModules stored(tensors, layeredRoots(declaration->mapping()));
  auto parameters = nn::collectParameters(declaration->model());
  for (const Expectation &expected :
       expectations(declaration->mapping(), parameters, stored))
    if (nn::ParamOp op = expected.parameter->op; op.getPad())
      if (const StoredModules::Module *module = storedOf(expected, stored);
          module && !module->shape.empty())
        return module->shape.front();
  return std::nullopt;
}

/// The tensors say which optional parameters there are, how many layers, and
/// what their sizes multiply to.
void ConfigCandidate::demandTensors(nn::ConfigSolver &solver,
                                    const TensorSet &tensors) {
  StoredModules stored(tensors, layeredRoots(declaration->mapping()));
  auto parameters = nn::collectParameters(declaration->model());
  MLIRContext *ctx = declaration->model().getContext();
  for (const Expectation &expected :
       expectations(declaration->mapping(), parameters, stored)) {
    const nn::LogicalParameter &parameter = *expected.parameter;
    nn::ParamOp op = parameter.op;
    const StoredModules::Module *module = storedOf(expected, stored);
    std::string source =
        module ? fmt::format("tensor {} {}", quote(module->name),
                             shapeText(module->shape))
               : fmt::format("the absence of '{}'", expected.fused);
    bool isThere = module != nullptr;
    nn::LayersOp stack = parameter.stack;
    if (stack && !parameter.predicate)
      solver.demand(stack.getCount(),
                    nn::intExpr(ctx, stored.layersOf(expected.root)),
                    fmt::format("the number of layers in '{}'", expected.root));
    if (stack && !stored.roots.contains(expected.root))
      continue;
    // A layer without the block has none of its parameters either.
    if (op.getWhen() && (isThere || !parameter.predicate))
      solver.demand(*op.getWhen(), nn::boolValue(ctx, isThere), source);
    if (op.getTie() && op.getTieWhen())
      solver.demand(*op.getTieWhen(), nn::boolValue(ctx, !isThere), source);
    if (!module)
      continue;
    auto sizes = wmap::storedSizes(parameter.type, expected.key.getView());
    if (!sizes || sizes->size() != module->shape.size()) {
      contradictions.push_back(
          fmt::format("{} has {} dimensions a layer, expected {}", source,
                      module->shape.size(), sizes ? sizes->size() : 0));
      continue;
    }
    for (auto [i, size] : llvm::enumerate(*sizes))
      if (i > 0 || !op.getPad()) // rows may be padded
        solver.demand(size, nn::intExpr(ctx, module->shape[i]), source);
  }
}

void ConfigCandidate::demandFields(nn::ConfigSolver &solver,
                                   const MegatronFields &fields) {
  MLIRContext *ctx = declaration->model().getContext();
  for (auto line : declaration->mapping().getOps<wmap::ConfigOp>()) {
    // What is free says nothing but while it binds.
    if (Attribute value = saidBy(fields, line))
      solver.demand(line.getValue(), value,
                    fieldText(fields, line.getField(), value),
                    line.getBindingAttr());
  }
  // Megatron holds no scaled tensors.
  for (auto scale : declaration->mapping().getOps<wmap::ScaleOp>())
    solver.demand(scale.getCondition(), nn::boolValue(ctx, false), "Megatron");
  for (auto require : declaration->model().getOps<nn::RequireOp>()) {
    std::string why;
    auto symbol = [](StringRef) { return Attribute(); };
    auto absent = [&](Attribute) -> Attribute { return UnitAttr::get(ctx); };
    auto holds = dyn_cast_or_null<BoolAttr>(
        nn::evaluate(require.getCondition(), {symbol, absent}, why));
    if (!holds || !holds.getValue()) // else it needs nothing said
      solver.demand(require.getCondition(), nn::boolValue(ctx, true),
                    "the declaration");
  }
}

/// Every definition that the computation uses has a field that something said,
/// or depends on a field of Megatron that did.
void ConfigCandidate::findMissing(nn::ConfigSolver &solver,
                                  const MegatronFields &fields) {
  nn::ModelOp model = declaration->model();
  llvm::StringSet<> direct, used, covered;
  for (Operation &op : *model.getBody().begin())
    if (!isa<nn::ConfigOp, nn::VariantOp, nn::RequireOp, nn::FieldsOp,
             nn::UnsupportedOp>(op))
      addNames(&op, direct);
  for (const auto &name : direct)
    addDependencies(
        model, FlatSymbolRefAttr::get(model.getContext(), name.getKey()), used);
  llvm::StringMap<std::vector<std::string>> carriers;
  for (auto line : declaration->mapping().getOps<wmap::ConfigOp>()) {
    llvm::StringSet<> names;
    addDependencies(model, line.getValue(), names);
    bool said =
        fields.find(line.getField().str()) != nullptr &&
        !(isa<FlatSymbolRefAttr>(line.getValue()) && !saidBy(fields, line));
    // A line that is free under what was found decides nothing.
    if (Attribute binding = line.getBindingAttr()) {
      auto holds = dyn_cast_or_null<BoolAttr>(solver.complete(binding));
      if (holds && !holds.getValue())
        continue;
    }
    for (const auto &name : names) {
      if (said)
        covered.insert(name.getKey());
      else
        carriers[name.getKey()].push_back(line.getField().str());
    }
    for (const auto &name : names)
      used.insert(name.getKey());
  }
  std::vector<std::string> unresolved = solver.unresolved();
  for (auto entry : model.getOps<nn::ConfigOp>()) {
    StringRef name = entry.getSymName();
    bool needed = llvm::is_contained(unresolved, name);
    std::string path;
    bool found = false;
    nn::forEachField(entry.getExpr(), [&](Attribute field) {
      std::string written = nn::ConfigSolver::writtenPath(field);
      found |= solver.isKnownField(written);
      if (path.empty())
        path = written;
    });
    if (path.empty() ||
        (!needed && (!used.contains(name) || found || solver.isKnown(name) ||
                     covered.contains(name))))
      continue;
    std::string text;
    for (const std::string &field : carriers[name])
      text += (text.empty() ? "'" : " or '") + fields.spelling(field) + "'";
    missing.push_back(
        text.empty() ? fmt::format("'{}' of config.json", path)
                     : fmt::format("{} ('{}' of config.json)", text, path));
  }
}

void ConfigCandidate::solve(const MegatronFields &fields,
                            const TensorSet *tensors) {
  nn::ConfigSolver solver(declaration->model());
  if (tensors)
    demandTensors(solver, *tensors);
  demandFields(solver, fields);
  solver.solve();
  for (auto line : declaration->mapping().getOps<wmap::HfFieldOp>()) {
    bool holds = true;
    if (line.getWhenAttr()) {
      auto flag = dyn_cast_or_null<BoolAttr>(solver.complete(*line.getWhen()));
      holds = flag && flag.getValue();
    }
    if (!holds)
      continue;
    if (Attribute value = solver.complete(line.getValue()))
      solver.assume(line.getField(), value);
  }
  contradictions.insert(contradictions.end(), solver.contradictions().begin(),
                        solver.contradictions().end());
  findMissing(solver, fields);
  Json found = solver.fields();
  found.set("architectures",
            Json::array({Json(declared().architectures.front())}));
  std::vector<Json::Member> members = found.members();
  std::ranges::sort(members, {}, &Json::Member::first);
  config = Json::object(std::move(members));
}

std::vector<std::string> fieldDifferences(ProvedModel &proved,
                                          const MegatronFields &fields) {
  nn::ModelOp model = proved.model();
  auto symbol = [&](StringRef name) { return wmap::configValue(model, name); };
  auto field = [](Attribute) { return Attribute(); };
  auto evaluated = [&](Attribute expr) {
    std::string why;
    return nn::evaluate(expr, {symbol, field}, why);
  };
  std::vector<std::string> differences;
  auto compare = [&](StringRef name, Attribute said, Attribute given) {
    if (given && !sameMeaning(said, given))
      differences.push_back(
          fmt::format("{}, the tensors and the other fields make it {}",
                      fieldText(fields, name, said), nn::exprText(given)));
  };
  for (auto line : proved.mapping().getOps<wmap::ConfigOp>()) {
    if (Attribute binding = line.getBindingAttr()) {
      auto holds = dyn_cast_or_null<BoolAttr>(evaluated(binding));
      if (holds && !holds.getValue())
        continue;
    }
    if (Attribute said = saidBy(fields, line))
      compare(line.getField(), said, evaluated(line.getValue()));
  }
  for (auto line : proved.mapping().getOps<wmap::NeutralOp>())
    if (const Json *said = fields.find(line.getField().str());
        said && !said->isNull())
      compare(line.getField(), valueOf(line.getContext(), *said),
              evaluated(line.getValue()));
  return differences;
}

} // namespace mbc
