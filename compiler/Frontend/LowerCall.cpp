//===- LowerCall.cpp - Blocks, stacks and functions -----------------------===//

#include "compiler/Frontend/ModelLowering.h"
#include "compiler/Frontend/OperatorCall.h"
#include "dialects/NN/AxisRulesImpl.h"
#include "dialects/NN/Expr.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringExtras.h"

using namespace mbc;
using llvm::StringRef;
using mlir::Attribute;
using mlir::FailureOr;
using mlir::LogicalResult;
using mlir::Value;
using nn::AxisAttr;
using nn::TensorType;

static TensorType typeOf(Value value) {
  return llvm::cast<TensorType>(value.getType());
}

FailureOr<Operands> ModelLowering::lowerCall(const ast::Expr &call,
                                             BodyScope &scope) {
  StringRef name = call.name.name;
  if (const ast::Block *block = blocks.lookup(name))
    return lowerBlockCall(call, *block, scope);
  if (call.instance || !call.dimArgs.empty()) { // (L44) (L67)
    if (isOperator(name) || isExprFunction(name))
      return error(call.instance ? call.instance->loc : call.name.loc)
             << "'" << name << "' is no block and takes no "
             << (call.instance ? "'as'" : "dimensions");
    return error(call.name.loc) << "unknown block '" << name << "'";
  }
  for (const ast::Layers &layers : model.layers)
    if (layers.name.name == name)
      return lowerRun(call, layers, scope);
  if (isOperator(name))
    return OperatorCall(*this, call, scope).lower();
  return error(call.name.loc) << "unknown function '" << name << "'"; // (L40)
}

/// (L46) (L47) Arguments of blocks and stacks have no keywords.
FailureOr<llvm::SmallVector<Value>>
ModelLowering::lowerArguments(const ast::Expr &call, unsigned expected,
                              BodyScope &scope) {
  if (call.arguments.size() != expected)
    return error(call.name.loc)
           << "'" << call.name.name << "' needs " << expected
           << (expected == 1 ? " argument" : " arguments") << ", found "
           << call.arguments.size();
  llvm::SmallVector<Value> values;
  for (const ast::Argument &argument : call.arguments) {
    if (!argument.keyword.name.empty())
      return error(argument.keyword.loc)
             << "'" << call.name.name << "' has no argument named '"
             << argument.keyword.name << "'";
    FailureOr<Value> value = lowerValue(*argument.value, scope);
    if (failed(value))
      return mlir::failure();
    values.push_back(*value);
  }
  return values;
}

/// The type of a formal that says its axes: the first may be of the data.
FailureOr<TensorType> ModelLowering::lowerFormal(const ast::Formal &formal,
                                                 BodyScope &scope) {
  llvm::SmallVector<AxisAttr> axes;
  llvm::StringMap<llvm::SMLoc> seen;
  for (const ast::Ident &axis : formal.axes) {
    auto [it, inserted] = seen.try_emplace(axis.name, axis.loc);
    if (!inserted) { // (L56)
      auto diag = error(axis.loc)
                  << "axis '" << axis.name << "' is there twice";
      diag.attachNote(at(it->second)) << "the first is here";
      return diag;
    }
    AxisAttr sum = scope.sumAxes.lookup(axis.name);
    const NameScope::Entry *entry =
        sum ? nullptr : scope.names.lookup(axis.name);
    if (sum)
      axes.push_back(sum);
    else if (entry)
      axes.push_back(AxisAttr::get(context, axis.name, entry->expr));
    else if (axes.empty())
      axes.push_back(AxisAttr::get(context, axis.name, builder.getUnitAttr()));
    else // (L41)
      return error(axis.loc) << "unknown axis '" << axis.name
                             << "'; only the first may be of the data";
  }
  bool ids = axes.size() == 1 && axes.front().isData();
  return nn::activation(context, axes, ids ? "i32" : "act");
}

/// (L48) The arguments are what typed formals say.
LogicalResult ModelLowering::checkArguments(const ast::Expr &call,
                                            llvm::ArrayRef<ast::Formal> formals,
                                            llvm::ArrayRef<TensorType> types,
                                            BodyScope &inner) {
  for (auto [i, type] : llvm::enumerate(types)) {
    const ast::Formal &formal = formals[i];
    if (!formal.typed)
      continue;
    FailureOr<TensorType> expected = lowerFormal(formal, inner);
    if (failed(expected))
      return mlir::failure();
    std::string why = nn::mismatch(expected->getOut(), type.getOut());
    if (why.empty() && type.getElem() != "weight")
      continue;
    auto diag = error(call.arguments[i].value->loc)
                << "argument '" << formal.name.name << "' of '"
                << call.name.name
                << "': " << (why.empty() ? "a parameter is no value" : why);
    diag.attachNote(at(formal.name.loc)) << "it is declared here";
    return diag;
  }
  return mlir::success();
}

/// (L52) Finds recursion while a body is lowered.
LogicalResult ModelLowering::enter(StringRef name, llvm::SMLoc call) {
  for (auto [i, outer] : llvm::enumerate(active)) {
    if (outer.name != name)
      continue;
    auto diag = error(call) << "'" << name << "' contains itself";
    for (const Activation &link :
         llvm::ArrayRef<Activation>(active).drop_front(i + 1))
      diag.attachNote(at(link.call)) << "through '" << link.name << "'";
    return diag;
  }
  active.push_back({name, call});
  return mlir::success();
}

//===----------------------------------------------------------------------===//
// Blocks
//===----------------------------------------------------------------------===//

FailureOr<Operands> ModelLowering::lowerBlockCall(const ast::Expr &call,
                                                  const ast::Block &block,
                                                  BodyScope &scope) {
  usedBodies.insert(&block);
  if (!call.instance) // (L58)
    return error(call.name.loc)
           << "a call of block '" << block.name.name
           << "' needs a name for its parameters: " << block.name.name
           << "(...) as NAME";
  for (llvm::StringMap<llvm::SMLoc> *names :
       {&scope.instances, &scope.paramLocs}) {
    auto it = names->find(call.instance->name);
    if (it == names->end())
      continue;
    // (L51)
    auto diag = error(call.instance->loc)
                << "'" << call.instance->name << "' is defined twice";
    diag.attachNote(at(it->second)) << "the first definition is here";
    return diag;
  }
  scope.instances[call.instance->name] = call.instance->loc;
  if (call.dimArgs.size() != block.dimParams.size()) // (L46)
    return error(call.name.loc)
           << "block '" << block.name.name << "' needs "
           << block.dimParams.size()
           << (block.dimParams.size() == 1 ? " dimension" : " dimensions")
           << ", found " << call.dimArgs.size();
  llvm::SmallVector<Attribute> dims;
  for (const ast::ExprPtr &dim : call.dimArgs) {
    FailureOr<Attribute> size = lowerSize(*dim, scope);
    if (failed(size))
      return mlir::failure();
    dims.push_back(*size);
  }
  auto arguments = lowerArguments(call, block.formals.size(), scope);
  if (failed(arguments))
    return mlir::failure();
  nn::BlockOp callee =
      instantiate(block, call, dims, llvm::map_to_vector(*arguments, typeOf));
  if (!callee)
    return mlir::failure();
  auto op = nn::CallOp::create(
      builder, at(call.name.loc),
      callee.getBody().front().getTerminator()->getOperandTypes(),
      callee.getSymName(), *arguments, call.instance->name);
  Operands results;
  for (Value result : op.getResults())
    results.push_back({result, {}});
  return results;
}

/// The block for these dimensions and types, lowered on first use.
nn::BlockOp ModelLowering::instantiate(const ast::Block &block,
                                       const ast::Expr &call,
                                       llvm::ArrayRef<Attribute> dims,
                                       llvm::ArrayRef<TensorType> types) {
  BodyScope scope(&names);
  std::string symbol = block.name.name.str();
  for (auto [param, size] : llvm::zip(block.dimParams, dims)) {
    scope.names.define(param.name, NameScope::Kind::DimParam, size, param.loc,
                       /*own=*/false);
    std::string text = nn::exprText(size);
    llvm::erase_if(text, [](char c) { return !llvm::isAlnum(c) && c != '_'; });
    symbol += "_" + text;
  }
  if (failed(checkArguments(call, block.formals, types, scope)))
    return {};
  std::string key;
  llvm::raw_string_ostream stream(key);
  stream << block.name.name;
  for (Attribute dim : dims)
    stream << '|' << dim;
  for (TensorType type : types)
    stream << '|' << type;
  if (nn::BlockOp done = instances.lookup(key))
    return done;
  if (failed(enter(block.name.name, call.name.loc)))
    return {};
  llvm::scope_exit leave([&] { active.pop_back(); });
  if (unsigned count = instanceNames[symbol]++; count || declared.count(symbol))
    if (count || !dims.empty())
      symbol += "_" + std::to_string(count + 1);

  mlir::OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(current);
  auto op = nn::BlockOp::create(builder, at(block.name.loc), symbol);
  mlir::Operation *outer = std::exchange(current, op);
  llvm::scope_exit restore([&] { current = outer; });
  scope.qualifier = symbol;
  mlir::Block &body = op.getBody().emplaceBlock();
  for (auto [formal, type] : llvm::zip(block.formals, types)) {
    Value value = body.addArgument(type, at(formal.name.loc));
    if (scope.values.contains(formal.name.name)) { // (L51)
      error(formal.name.loc) << "'" << formal.name.name << "' is defined twice";
      return {};
    }
    scope.values[formal.name.name] = {value, {}};
  }
  builder.setInsertionPointToStart(&body);
  if (failed(lowerItems(block.body, scope)))
    return {};
  if (body.empty() || !llvm::isa<nn::YieldOp>(body.back())) { // (L65)
    error(block.name.loc) << "block '" << block.name.name
                          << "' must end with 'yield'";
    return {};
  }
  return instances[key] = op;
}

//===----------------------------------------------------------------------===//
// Stacks
//===----------------------------------------------------------------------===//

FailureOr<Operands> ModelLowering::lowerRun(const ast::Expr &call,
                                            const ast::Layers &layers,
                                            BodyScope &scope) {
  usedBodies.insert(&layers);
  bool indexed = layers.formals.size() > 1;
  auto arguments = lowerArguments(call, layers.formals.size() - indexed, scope);
  if (failed(arguments))
    return mlir::failure();
  auto types = llvm::map_to_vector(*arguments, typeOf);
  BodyScope outer(&names);
  if (failed(checkArguments(call, layers.formals, types, outer)))
    return mlir::failure();
  nn::LayersOp stack = lowerLayers(layers, call.name.loc, types);
  if (!stack)
    return mlir::failure();
  for (auto [i, type] : llvm::enumerate(types)) {
    auto first =
        llvm::cast<TensorType>(stack.getBody().getArgument(i).getType());
    std::string why = nn::mismatch(first.getOut(), type.getOut());
    if (why.empty())
      continue;
    // (L48) One body has one type.
    return error(call.arguments[i].value->loc)
           << "layers '" << layers.name.name
           << "' are run with other axes: " << why;
  }
  auto op = nn::RunOp::create(builder, at(call.name.loc), types.front(),
                              layers.name.name, *arguments);
  return Operands{{op.getResult(), {}}};
}

nn::LayersOp ModelLowering::lowerLayers(const ast::Layers &layers,
                                        llvm::SMLoc call,
                                        llvm::ArrayRef<TensorType> types) {
  StringRef name = layers.name.name;
  if (auto it = stacks.find(name); it != stacks.end())
    return it->second;
  usedBodies.insert(&layers);
  if (failed(enter(name, call)))
    return {};
  llvm::scope_exit leave([&] { active.pop_back(); });
  stacks[name] = {};
  BodyScope scope(&names);
  scope.qualifier = name.str();
  FailureOr<Attribute> count = lowerSize(*layers.count, top);
  if (failed(count))
    return {};
  names.defineStack(name, *count);
  bool indexed = layers.formals.size() > 1;
  mlir::StringAttr index;
  if (indexed) {
    const ast::Ident &formal = layers.formals.back().name;
    if (const NameScope::Entry *first = names.own(formal.name)) { // (L51)
      auto diag = error(formal.loc) << "the layer index '" << formal.name
                                    << "' has the name of a configuration name";
      diag.attachNote(at(first->loc)) << "defined here";
      return {};
    }
    index = builder.getStringAttr(formal.name);
    scope.names.define(formal.name, NameScope::Kind::Index,
                       mlir::FlatSymbolRefAttr::get(index), formal.loc,
                       /*own=*/false);
  }
  mlir::OpBuilder::InsertionGuard guard(builder);
  if (current)
    builder.setInsertionPoint(current);
  auto stack = nn::LayersOp::create(builder, at(layers.name.loc), name, *count,
                                    index, nullptr);
  mlir::Operation *outer = std::exchange(current, stack);
  llvm::scope_exit restore([&] { current = outer; });
  mlir::Block &body = stack.getBody().emplaceBlock();
  llvm::ArrayRef<ast::Formal> formals(layers.formals);
  for (auto [i, formal] : llvm::enumerate(formals.drop_back(indexed))) {
    TensorType type = i < types.size() ? types[i] : TensorType();
    if (!type) {
      FailureOr<TensorType> declared = lowerFormal(formal, scope);
      if (failed(declared))
        return {};
      type = *declared;
    }
    scope.values[formal.name.name] = {
        body.addArgument(type, at(formal.name.loc)), {}};
  }
  builder.setInsertionPointToStart(&body);
  if (failed(lowerItems(layers.body, scope)))
    return {};
  const ast::Ident &carried = layers.formals.front().name;
  if (body.empty() || !llvm::isa<nn::YieldOp>(body.back()))
    nn::YieldOp::create(builder, at(layers.name.loc),
                        scope.values[carried.name].value);
  mlir::Operation &yield = body.back();
  mlir::Type carriedType = body.getArgument(0).getType();
  if (yield.getNumOperands() != 1 ||
      yield.getOperand(0).getType() != carriedType) { // (L64)
    auto diag = error(layers.name.loc)
                << "layers '" << name << "' must give back "
                << llvm::cast<TensorType>(carriedType).text();
    if (yield.getNumOperands() == 1)
      diag << ", found " << typeOf(yield.getOperand(0)).text();
    else
      diag << " alone, found " << yield.getNumOperands() << " values";
    return {};
  }
  return stacks[name] = stack;
}

//===----------------------------------------------------------------------===//
// Functions
//===----------------------------------------------------------------------===//

void ModelLowering::lowerFunction(const ast::Function &function) {
  StringRef name = function.name.name;
  if (failed(declare(function.name)))
    return;
  llvm::SmallVector<StringRef> inputs;
  for (const auto &formal : function.formals)
    inputs.push_back(formal.name.name);
  auto op = nn::FuncOp::create(builder, at(function.name.loc), name,
                               builder.getStrArrayAttr(inputs));
  mlir::OpBuilder::InsertionGuard guard(builder);
  current = op;
  llvm::scope_exit restore([&] { current = nullptr; });
  BodyScope scope(&names);
  scope.qualifier = name.str();
  mlir::Block &body = op.getBody().emplaceBlock();
  unsigned last = function.formals.size() - 1;
  for (auto [i, formal] : llvm::enumerate(function.formals)) {
    // Not typed: ids of tokens; those of the loss before the labels are what
    // the forward function gives.
    TensorType type = nn::activation(
        context,
        AxisAttr::get(context, name == "loss" ? "tokens" : formal.name.name,
                      builder.getUnitAttr()),
        "i32");
    if (formal.typed) {
      FailureOr<TensorType> declared = lowerFormal(formal, scope);
      if (failed(declared))
        return;
      type = *declared;
    } else if (name == "loss" && i != last && i < forwardTypes.size()) {
      type = forwardTypes[i];
    }
    scope.values[formal.name.name] = {
        body.addArgument(type, at(formal.name.loc)), {}};
  }
  builder.setInsertionPointToStart(&body);
  if (failed(lowerItems(function.body, scope)))
    return;
  if (body.empty() || !llvm::isa<nn::YieldOp>(body.back())) { // (L65)
    error(function.name.loc) << "'" << name << "' must end with 'yield'";
    return;
  }
  if (name == "forward")
    for (Value value : body.back().getOperands())
      forwardTypes.push_back(typeOf(value));
}
