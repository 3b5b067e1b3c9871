//===- LowerOperator.cpp - The table of operators -------------------------===//

#include "compiler/Frontend/OperatorCall.h"
#include "dialects/NN/Expr.h"

using namespace mbc;
using llvm::StringRef;
using mlir::Attribute;
using mlir::FailureOr;
using mlir::LogicalResult;
using mlir::Value;
using nn::TensorType;

namespace {

/// Counts of positional arguments, and keywords, separated by blanks.
struct Operator {
  StringRef name;
  unsigned least, most;
  StringRef required = "", optional = "";
};

constexpr Operator operators[] = {
    {"embedding", 2, 2},
    {"linear", 2, 3},
    {"rms_norm", 2, 2, "eps"},
    {"layer_norm", 3, 3, "eps"},
    {"split", 2, 2},
    {"join", 2, 64},
    {"rope", 2, 2, "theta scaling", "interleaved positions axial"},
    {"attention", 3, 3, "causal scale", "window"},
    {"mla_attention", 5, 5, "causal scale"},
    {"silu", 1, 1},
    {"gelu", 1, 1},
    {"sigmoid", 1, 1},
    {"route", 2, 2, "score topk renorm groups group_topk scale", "method"},
    {"dispatch", 2, 2},
    {"grouped_linear", 2, 2},
    {"combine", 3, 3},
    {"merge", 3, 3},
    {"place", 3, 3, "token"},
    {"reorder", 2, 2},
    {"shift", 2, 2},
    {"cross_entropy", 2, 2}};

const Operator *findOperator(StringRef name) {
  for (const Operator &op : operators)
    if (op.name == name)
      return &op;
  return nullptr;
}

llvm::SmallVector<StringRef> words(StringRef text) {
  llvm::SmallVector<StringRef> result;
  text.split(result, ' ', -1, /*KeepEmpty=*/false);
  return result;
}

} // namespace

bool mbc::isOperator(StringRef name) { return findOperator(name); }

//===----------------------------------------------------------------------===//
// Arguments
//===----------------------------------------------------------------------===//

LogicalResult OperatorCall::checkArguments() {
  const Operator &spec = *findOperator(call.name.name);
  auto required = words(spec.required), optional = words(spec.optional);
  unsigned positional = 0;
  llvm::StringSet<> seen;
  for (const ast::Argument &argument : call.arguments) {
    const ast::Ident &keyword = argument.keyword;
    if (keyword.name.empty()) {
      ++positional;
      continue;
    }
    // (L47)
    if (!llvm::is_contained(required, keyword.name) &&
        !llvm::is_contained(optional, keyword.name))
      return lowering.error(keyword.loc)
             << "'" << spec.name << "' has no argument named '" << keyword.name
             << "'";
    if (!seen.insert(keyword.name).second)
      return lowering.error(keyword.loc)
             << "argument '" << keyword.name << "' is there twice";
  }
  for (StringRef keyword : required)
    if (!seen.contains(keyword))
      return lowering.error(call.name.loc)
             << "'" << spec.name << "' needs the argument '" << keyword << ":'";
  // (L46)
  if (positional >= spec.least && positional <= spec.most)
    return mlir::success();
  auto diag = lowering.error(call.name.loc)
              << "'" << spec.name << "' needs " << spec.least;
  if (spec.most > spec.least)
    diag << (spec.most == spec.least + 1 ? " or " : " to ") << spec.most;
  diag << (spec.most == 1 ? " argument" : " arguments")
       << " without name, found " << positional;
  return diag;
}

LogicalResult OperatorCall::lowerPositional(unsigned first) {
  for (const ast::Argument &argument : call.arguments) {
    if (!argument.keyword.name.empty() || first > 0) {
      first -= argument.keyword.name.empty();
      continue;
    }
    FailureOr<Operand> operand = lowering.lowerOperand(*argument.value, scope);
    if (failed(operand))
      return mlir::failure();
    if (!operand->value && !operand->isNone()) // (L62)
      return lowering.error(argument.value->loc)
             << "expected a tensor, found '" << nn::exprText(operand->scalar)
             << "'";
    values.push_back(operand->value);
  }
  return mlir::success();
}

LogicalResult OperatorCall::lowerKeywords() {
  for (const ast::Argument &argument : call.arguments) {
    StringRef keyword = argument.keyword.name;
    if (keyword.empty())
      continue;
    FailureOr<Operand> operand = lowering.lowerOperand(*argument.value, scope);
    if (failed(operand))
      return mlir::failure();
    bool mayBeTensor = keyword == "positions" || keyword == "window";
    if (operand->value && !mayBeTensor) // (L62)
      return lowering.error(argument.value->loc)
             << "'" << keyword << "' must be no tensor";
    if (operand->value)
      tensors[keyword] = operand->value;
    else if (keyword == "positions" && !operand->isNone()) // (L62)
      return lowering.error(argument.value->loc)
             << "'positions' must be a tensor";
    else if (!mayBeTensor || !operand->isNone())
      scalars[keyword] = operand->scalar;
  }
  return mlir::success();
}

TensorType OperatorCall::type(unsigned i) const {
  if (i >= values.size() || !values[i])
    return {};
  return llvm::cast<TensorType>(values[i].getType());
}

FailureOr<ast::Ident> OperatorCall::nameArgument(unsigned i) {
  const ast::Expr &expr = *call.arguments[i].value;
  if (expr.kind == ast::Expr::Kind::Name)
    return expr.name;
  return lowering.error(expr.loc) // (L41)
         << "'" << call.name.name << "' needs the name of an axis here";
}

FailureOr<Attribute> OperatorCall::scalarArgument(unsigned i) {
  return lowering.lowerScalar(*call.arguments[i].value, scope);
}

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

/// (L48) The axis rule has reported what does not fit.
template <typename OpT, typename... Args>
FailureOr<Operands> OperatorCall::make(nn::AxisResult type, Args &&...args) {
  if (failed(type))
    return mlir::failure();
  auto op = OpT::create(builder, lowering.at(call.loc), *type,
                        std::forward<Args>(args)...);
  return Operands{{op.getResult(), {}}};
}

template <typename OpT, typename... Args>
FailureOr<Operands> OperatorCall::makeMany(nn::AxisResults types,
                                           Args &&...args) {
  if (failed(types))
    return mlir::failure();
  llvm::SmallVector<mlir::Type> list(types->begin(), types->end());
  auto op = OpT::create(builder, lowering.at(call.loc), mlir::TypeRange(list),
                        std::forward<Args>(args)...);
  Operands results;
  for (Value result : op.getResults())
    results.push_back({result, {}});
  return results;
}

/// Operators whose arguments are not all tensors.
FailureOr<Operands> OperatorCall::structural() {
  StringRef name = call.name.name;
  auto emit = [&] { return lowering.error(call.name.loc); };
  if (name == "join") {
    FailureOr<ast::Ident> axis = nameArgument(0);
    if (failed(axis) || failed(lowerPositional(1)))
      return mlir::failure();
    nn::AxisAttr sum = scope.sumAxes.lookup(axis->name);
    if (!sum)
      sum = lowering.top.sumAxes.lookup(axis->name);
    if (!sum) // (L41)
      return lowering.error(axis->loc)
             << "unknown sum axis '" << axis->name << "'";
    llvm::SmallVector<TensorType> types;
    for (auto [i, value] : llvm::enumerate(values)) {
      if (!value) // (L62)
        return emit() << "'join' needs a tensor for each part";
      types.push_back(type(i));
    }
    return make<nn::JoinOp>(nn::inferJoin(emit, sum, types), values, sum);
  }
  FailureOr<Value> x = lowering.lowerValue(*call.arguments[0].value, scope);
  if (failed(x))
    return mlir::failure();
  auto xType = llvm::cast<TensorType>(x->getType());
  if (name == "split") {
    FailureOr<ast::Ident> axis = nameArgument(1);
    if (failed(axis))
      return mlir::failure();
    auto atAxis = [&] { return lowering.error(axis->loc); };
    return makeMany<nn::SplitOp>(nn::inferSplit(atAxis, xType, axis->name), *x,
                                 axis->name);
  }
  FailureOr<Attribute> count =
      name == "merge" ? lowering.lowerSize(*call.arguments[1].value, scope)
                      : scalarArgument(1);
  if (failed(count))
    return mlir::failure();
  if (name == "shift")
    return make<nn::ShiftOp>(nn::inferShift(emit, xType), *x, *count);
  FailureOr<ast::Ident> axis = nameArgument(2);
  if (failed(axis))
    return mlir::failure();
  return make<nn::MergeOp>(nn::inferMerge(emit, xType, *count, axis->name), *x,
                           *count, builder.getStringAttr(axis->name));
}

FailureOr<Operands> OperatorCall::dense() {
  StringRef name = call.name.name;
  auto emit = [&] { return lowering.error(call.name.loc); };
  if (name == "embedding")
    return make<nn::EmbeddingOp>(nn::inferEmbedding(emit, type(0), type(1)),
                                 values[0], values[1]);
  if (name == "linear")
    return make<nn::LinearOp>(nn::inferLinear(emit, type(0), type(1), type(2)),
                              values[0], values[1],
                              values.size() > 2 ? values[2] : Value());
  if (name == "rms_norm")
    return make<nn::RMSNormOp>(nn::inferNorm(emit, type(0), type(1), {}),
                               values[0], values[1], scalar("eps"));
  if (name == "layer_norm")
    return make<nn::LayerNormOp>(nn::inferNorm(emit, type(0), type(1), type(2)),
                                 values[0], values[1], values[2],
                                 scalar("eps"));
  if (name == "rope") {
    Value positions = tensor("positions");
    return makeMany<nn::RopeOp>(
        nn::inferRope(emit, type(0), type(1),
                      positions ? llvm::cast<TensorType>(positions.getType())
                                : TensorType()),
        values[0], values[1], positions, scalar("theta"), scalar("scaling"),
        scalar("interleaved"), scalar("axial"));
  }
  if (name == "attention") {
    Value windows = tensor("window");
    return make<nn::AttentionOp>(
        nn::inferAttention(emit, type(0), type(1), type(2),
                           windows ? llvm::cast<TensorType>(windows.getType())
                                   : TensorType()),
        values[0], values[1], values[2], windows, scalar("causal"),
        scalar("scale"), scalar("window"));
  }
  if (name == "mla_attention")
    return make<nn::MLAAttentionOp>(
        nn::inferMLAAttention(emit, type(0), type(1), type(2), type(3),
                              type(4)),
        values[0], values[1], values[2], values[3], values[4], scalar("causal"),
        scalar("scale"));
  return make<nn::MapOp>(nn::inferMap(emit, name, {type(0)}, false), values,
                         builder.getStringAttr(name), Attribute());
}

FailureOr<Operands> OperatorCall::experts() {
  StringRef name = call.name.name;
  auto emit = [&] { return lowering.error(call.name.loc); };
  if (name == "route")
    return makeMany<nn::RouteOp>(
        nn::inferRoute(emit, type(0), type(1), scalar("topk")), values[0],
        values[1], scalar("score"), scalar("topk"), scalar("renorm"),
        scalar("groups"), scalar("group_topk"), scalar("scale"),
        scalar("method"));
  if (name == "dispatch")
    return make<nn::DispatchOp>(nn::inferDispatch(emit, type(0), type(1)),
                                values[0], values[1]);
  if (name == "grouped_linear")
    return make<nn::GroupedLinearOp>(
        nn::inferGroupedLinear(emit, type(0), type(1)), values[0], values[1]);
  if (name == "combine")
    return make<nn::CombineOp>(
        nn::inferCombine(emit, type(0), type(1), type(2)), values[0], values[1],
        values[2]);
  if (name == "place")
    return make<nn::PlaceOp>(nn::inferPlace(emit, type(0), type(1), type(2)),
                             values[0], values[1], values[2], scalar("token"));
  if (name == "reorder")
    return make<nn::ReorderOp>(nn::inferReorder(emit, type(0), type(1)),
                               values[0], values[1]);
  return make<nn::CrossEntropyOp>(nn::inferCrossEntropy(emit, type(0), type(1)),
                                  values[0], values[1]);
}

FailureOr<Operands> OperatorCall::lower() {
  if (failed(checkArguments()))
    return mlir::failure();
  StringRef name = call.name.name;
  if (llvm::is_contained({"split", "join", "merge", "shift"}, name))
    return structural();
  if (failed(lowerPositional()) || failed(lowerKeywords()))
    return mlir::failure();
  // (L62) `none` stands only for a bias and a correction.
  for (auto [i, value] : llvm::enumerate(values))
    if (!value && !(name == "linear" && i == 2) && !(name == "route" && i == 1))
      return lowering.error(call.name.loc)
             << "argument " << i + 1 << " of '" << name << "' cannot be none";
  if (llvm::is_contained({"route", "dispatch", "grouped_linear", "combine",
                          "place", "reorder", "cross_entropy"},
                         name))
    return experts();
  return dense();
}
