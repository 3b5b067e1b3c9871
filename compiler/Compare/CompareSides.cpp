//===- CompareSides.cpp ---------------------------------------------------===//
#include "compiler/Compare/CompareSides.h"

#include "compiler/Compare/ReferenceMatch.h"
#include "compiler/Compare/Weights.h"
#include "runtime/core/Text.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace mbc {

using namespace compare;

/// The error that rounding to a type leaves in a layer, about: some units in
/// the last place of every weight and sum. Products of float32 lose more than
/// their last bit, as a thousand terms are summed in another order.
static double roundingOf(DType type) {
  switch (type) {
  case DType::F32:
    return 3e-5;
  case DType::F16:
    return 16 * 0x1p-11; // small weights have fewer bits than others
  case DType::BF16:
    return 8 * 0x1p-8;
  default:
    return 8 * 0x1p-4; // FP8, of three bits
  }
}

/// Whether weights are FP8 with scales, whose products are rounded to what is
/// computed in alone. A Megatron checkpoint of the same has them as bfloat16.
static bool scalesWeights(const Side &side) {
  return side.checkpoint().hfFolder() && !side.checkpoint().scaled().empty();
}
/// Parameters and tensors that a report has room for.
constexpr size_t mostFindings = 12;

static double coarser(double tolerance, DType type) {
  return std::max(tolerance, roundingOf(type));
}

static Status checkTokens(const Side &side, std::span<const int32_t> tokens) {
  std::optional<int64_t> vocab = side.value("vocab");
  for (size_t i = 0; i < tokens.size(); ++i)
    if (vocab && tokens[i] >= *vocab)
      return inputError(fmt::format("token {} at position {} is outside of the "
                                    "vocabulary of {}, which has {}",
                                    tokens[i], i, side.report().path, *vocab));
  return {};
}

/// Whether values of the one can be laid beside values of the other.
static Status checkComparable(const Side &a, const Side &b) {
  for (const char *name : {"vocab", "hidden", "layers"}) {
    std::optional<int64_t> left = a.value(name), right = b.value(name);
    if (left && right && *left != *right)
      return inputError(fmt::format(
          "the models cannot be compared: '{}' is {} in A ({}) and {} in B ({})"
          "{}",
          name, *left, quote(a.report().path), *right, quote(b.report().path),
          std::string_view(name) == "vocab"
              ? "; for a Megatron checkpoint whose vocabulary is padded, "
                "'--vocab-size' says how many tokens there are"
              : ""));
  }
  for (const Stage &stage : a.graph().stages) {
    const Stage *other = b.graph().findStack(stage.stack);
    if (other && other->depth != stage.depth)
      return inputError(fmt::format("the models cannot be compared: '{}' has "
                                    "{} layers in A and {} in B",
                                    stage.stack, stage.depth, other->depth));
  }
  return {};
}

/// What the programs read of the configurations and differs, by field.
static std::vector<std::string> configDifferences(const Side &a,
                                                  const Side &b) {
  std::vector<std::string> result;
  auto left = Json::parse(a.config(), "A"),
       right = Json::parse(b.config(), "B");
  if (!left || !right)
    return result;
  auto text = [](const Json *value) {
    return value ? value->dumpCompact() : std::string("absent");
  };
  for (const auto &[name, value] : left->members())
    if (const Json *other = right->find(name); !other || !(*other == value))
      result.push_back(
          fmt::format("{}: {} in A, {} in B", name, text(&value), text(other)));
  for (const auto &[name, value] : right->members())
    if (!left->find(name))
      result.push_back(
          fmt::format("{}: absent in A, {} in B", name, text(&value)));
  return result;
}

namespace {

/// One comparison while its report is filled.

class Comparison {
public:
  Comparison(Side &a, const ComparisonOptions &options)
      : a(a), options(options) {
    report.a = a.report();
    report.dtype = torchName(options.run.dtype);
    report.top = options.top;
  }

  Expected<Report> ofCheckpoints(Side &b, std::span<const int32_t> tokens);
  Expected<Report> ofReference(const ReferenceStates &states,
                               const std::string &path);

private:
  void chooseTolerance(const Side &b, const Weights &weights);
  /// Fills steps, first and logits.
  void compareOuter(const Graph &graph, const Values &left,
                    const Values &right);
  /// Compares the operations of the first step that differs. `layerOfB` gives
  /// their values on the other side, whose operations `other` lists.
  Status
  locate(std::span<const int32_t> tokens, const Graph &other, Values left,
         Values right,
         llvm::function_ref<Expected<Values>(const LayerKind &, const Step &)>
             layerOfB);
  /// Makes culprits of the guilty operations.
  void blame(const Values &left, const Values &right);
  static std::vector<Operation> outerOperations(const Graph &graph);
  /// Makes culprits of what reads weights that differ unseen.
  Status findHidden(const Side &b, const Weights &weights);
  /// What A does with a parameter: its operation, or what stands for it where
  /// the programs read it in none.
  static Operation readerOf(const Graph &graph, const std::string &path,
                            const std::string &stack, int64_t layer);
  Status explain(Culprit &culprit, const OperationComparison &comparison,
                 const Side *b, const Weights *weights);

  Side &a;
  const ComparisonOptions &options;
  Report report;
  /// Those of `report.culprits`, in their order.
  std::vector<OperationComparison> blamed;
};

} // namespace

void Comparison::chooseTolerance(const Side &b, const Weights &weights) {
  if (options.tolerance) {
    report.tolerance = *options.tolerance;
    report.toleranceWhy = "as --tolerance says";
  } else if (weights.types() == StoredTypes::Rounded) {
    report.tolerance =
        coarser(roundingOf(options.run.dtype), weights.narrowest());
    report.toleranceWhy =
        fmt::format("the weights of one side are rounded to {}",
                    safetensorsName(weights.narrowest()));
  } else if (scalesWeights(a) != scalesWeights(b) &&
             options.run.dtype != DType::BF16) {
    report.tolerance = coarser(roundingOf(options.run.dtype), DType::BF16);
    report.toleranceWhy =
        "the weights of one side are FP8, which the other has rounded to BF16";
  } else if (report.samePrograms || options.run.dtype == DType::F32) {
    // One compiler and one type: what is equal in weights and settings is
    // equal in bits.
    report.toleranceWhy =
        report.samePrograms
            ? "the same program: equal weights give equal bits"
            : "one compiler in float32: equal weights and settings give equal "
              "bits";
  } else {
    report.tolerance = roundingOf(options.run.dtype);
    report.toleranceWhy = fmt::format(
        "two programs, which round to {} at different places", report.dtype);
  }
}

void Comparison::compareOuter(const Graph &graph, const Values &left,
                              const Values &right) {
  report.steps = compareSteps(graph, left, right, report.tolerance);
  for (size_t i = 0; i < report.steps.size() && report.first < 0; ++i)
    if (!report.steps[i].agrees)
      report.first = static_cast<int64_t>(i);
  auto logitsA = left.find("logits"), logitsB = right.find("logits");
  if (logitsA == left.end() || logitsB == right.end() ||
      logitsA->second.width != logitsB->second.width)
    return;
  Rows rowsA = logitsA->second.layer(0), rowsB = logitsB->second.layer(0);
  for (int64_t row = 0; row < rowsA.rows; ++row)
    report.logits.push_back(
        agreementOf(rowsA.row(row), rowsB.row(row), options.top));
}

std::vector<Operation> Comparison::outerOperations(const Graph &graph) {
  std::vector<Operation> operations;
  for (const Stage &stage : graph.stages)
    if (stage.stack.empty())
      operations.push_back(stage.operation);
  return operations;
}

/// The experts that the result has numbers of; null where it has not, or the
/// sides chose others.
static const Array *sameExperts(const Result &result, const Values &left,
                                const Values &right) {
  auto l = left.find(result.chosenBy), r = right.find(result.chosenBy);
  return l != left.end() && r != right.end() && l->second.data == r->second.data
             ? &l->second
             : nullptr;
}

void Comparison::blame(const Values &left, const Values &right) {
  const Step &step = report.steps[report.first];
  for (size_t i = 0; i < report.operations.size(); ++i) {
    const OperationComparison &one = report.operations[i];
    // Outside of layers what comes later may read what the step left.
    if (!one.guilty || (step.stack.empty() && !report.culprits.empty()))
      continue;
    Culprit culprit;
    culprit.operation = one.operation.name;
    culprit.kind = one.operation.kind;
    culprit.place = one.operation.place;
    culprit.stack = step.stack;
    culprit.layer = step.layer;
    culprit.state = one.state;
    culprit.settings = one.settings;
    culprit.unseen = unseenBefore(report.operations, i);
    if (!one.operation.results.empty() &&
        one.state == OperationState::Differs) {
      const Result &result = one.operation.results.front();
      auto l = left.find(result.tap), r = right.find(result.tap);
      if (l != left.end() && r != right.end())
        culprit.where =
            placesOf(result, l->second, r->second, 0, 0, report.tolerance,
                     sameExperts(result, left, right));
    }
    // What is not seen before it is looked at with it.
    blamed.push_back(one);
    for (const OperationComparison &before : report.operations)
      if (std::ranges::count(culprit.unseen, before.operation.name) > 0)
        for (const std::string &path : before.operation.weights)
          blamed.back().operation.weights.push_back(path);
    report.culprits.push_back(std::move(culprit));
  }
}

/// Says why, as far as weights and settings tell.
Status Comparison::explain(Culprit &culprit,
                           const OperationComparison &comparison, const Side *b,
                           const Weights *weights) {
  const std::vector<std::string> &paths = comparison.operation.weights;
  std::string apart; // what differs of the first weight that does
  bool known = weights != nullptr;
  for (const std::string &path : paths) {
    ParameterReport parameter;
    if (weights) {
      MBC_ASSIGN(parameter, weights->parameter(path, culprit.layer));
      if (parameter.compared && !parameter.equal && apart.empty())
        apart = parameter.findings.front();
      known &= parameter.compared;
    } else {
      parameter.path = path;
      parameter.tensorsA =
          parameterNames(a.checkpoint(), path, culprit.layer).stored;
    }
    culprit.parameters.push_back(std::move(parameter));
  }
  if (culprit.state == OperationState::OnlyA ||
      culprit.state == OperationState::OnlyB) {
    culprit.cause =
        fmt::format("only {} has this operation",
                    culprit.state == OperationState::OnlyA ? "A" : "B");
    return {};
  }
  std::vector<std::string> causes;
  if (culprit.state == OperationState::Agrees)
    causes.push_back("its results are equal");
  if (!culprit.settings.empty())
    causes.push_back(fmt::format("its settings differ ({})",
                                 fmt::join(culprit.settings, "; ")));
  if (!apart.empty())
    causes.push_back("its weights differ: " + apart);
  if (causes.empty() && !b)
    causes.push_back("the reference computes it otherwise, from other weights "
                     "or with other settings");
  else if (causes.empty() && culprit.kind == "route" && report.tolerance > 0)
    causes.push_back("its scores agree within the tolerance, and choose other "
                     "experts where two are that near");
  else if (causes.empty() && paths.empty())
    causes.push_back("its settings are equal, and it reads no weights: the "
                     "programs compute it otherwise");
  else if (causes.empty() && known && weights->types() == StoredTypes::Rounded)
    causes.push_back("its settings are equal, and its weights once rounded: "
                     "what rounding does has grown beyond the tolerance");
  else if (causes.empty() && known)
    causes.push_back("its weights and settings are equal: the programs compute "
                     "it otherwise");
  else if (causes.empty())
    causes.push_back("it reads other parameters on either side");
  culprit.cause = fmt::format("{}", fmt::join(causes, ", and "));
  return {};
}

Status Comparison::locate(
    std::span<const int32_t> tokens, const Graph &other, Values left,
    Values right,
    llvm::function_ref<Expected<Values>(const LayerKind &, const Step &)>
        layerOfB) {
  const Step &step = report.steps[report.first];
  std::vector<Operation> mine = outerOperations(a.graph()),
                         theirs = outerOperations(other);
  if (!step.stack.empty()) {
    const Stage *stackA = a.graph().findStack(step.stack),
                *stackB = other.findStack(step.stack);
    const LayerKind *kindA = stackA ? stackA->kindOf(step.layer) : nullptr,
                    *kindB = stackB ? stackB->kindOf(step.layer) : nullptr;
    if (!kindA || !kindB)
      return {};
    mine = kindA->operations;
    theirs = kindB->operations;
    // What every layer left is not needed any more.
    left.clear();
    right.clear();
    MBC_ASSIGN(left, a.run(tokens, tapsOf(mine), step.layer));
    MBC_ASSIGN(right, layerOfB(*kindB, step));
  }
  report.operations =
      compareOperations(mine, theirs, left, right, 0, 0, report.tolerance);
  blame(left, right);
  return {};
}

Expected<Report> Comparison::ofCheckpoints(Side &b,
                                           std::span<const int32_t> tokens) {
  report.b = b.report();
  report.tokens.assign(tokens.begin(), tokens.end());
  if (a.hasDraft() && b.hasDraft()) {
    MBC_TRY(a.addDraft());
    MBC_TRY(b.addDraft());
  } else if (a.hasDraft() || b.hasDraft()) {
    report.notes.push_back(
        fmt::format("{} alone has layers for multi-token prediction, which are "
                    "left out",
                    a.hasDraft() ? "A" : "B"));
  }
  MBC_TRY(checkComparable(a, b));
  MBC_TRY(checkTokens(a, tokens));
  MBC_ASSIGN(std::unique_ptr<Weights> weights,
             Weights::open(a, b, options.run.threads, options.run.progress));
  MBC_ASSIGN(Values left, a.run(tokens, a.graph().outerTaps(), std::nullopt));
  MBC_ASSIGN(Values right, b.run(tokens, b.graph().outerTaps(), std::nullopt));
  report.samePrograms = a.commands() == b.commands();
  report.configDifferences = configDifferences(a, b);
  chooseTolerance(b, *weights);
  compareOuter(a.graph(), left, right);
  if (report.runsAgree()) {
    if (options.weights)
      MBC_TRY(findHidden(b, *weights));
    return std::move(report);
  }

  MBC_TRY(locate(tokens, b.graph(), std::move(left), std::move(right),
                 [&](const LayerKind &kind, const Step &step) {
                   return b.run(tokens, tapsOf(kind.operations), step.layer);
                 }));
  for (size_t i = 0; i < report.culprits.size(); ++i)
    MBC_TRY(explain(report.culprits[i], blamed[i], &b, weights.get()));
  MBC_ASSIGN(WholeModels whole, weights->all(mostFindings));
  report.weightFindings = std::move(whole.findings);
  return std::move(report);
}

Operation Comparison::readerOf(const Graph &graph, const std::string &path,
                               const std::string &stack, int64_t layer) {
  const Stage *stage = graph.findStack(stack);
  const LayerKind *kind = stage ? stage->kindOf(layer) : nullptr;
  for (const Operation &operation :
       kind ? kind->operations : outerOperations(graph))
    if (std::ranges::count(operation.weights, path) > 0)
      return operation;
  Operation none;
  none.name = path;
  none.kind = "a parameter that these programs do not read";
  none.weights = {path};
  return none;
}

Status Comparison::findHidden(const Side &b, const Weights &weights) {
  MBC_ASSIGN(WholeModels whole, weights.all(mostFindings));
  // Other values are expected where --tolerance asks for some, and rounding
  // that is not to the nearest leaves most tensors apart.
  bool expected = options.tolerance.value_or(0) > 0 ||
                  (weights.types() == StoredTypes::Rounded &&
                   2 * whole.differing > whole.tensors);
  report.hidden = !expected && !whole.parameters.empty();
  if (report.hidden || report.tolerance > 0)
    report.weightFindings = std::move(whole.findings);
  if (!report.hidden)
    return {};
  for (const auto &[path, layer] : whole.parameters) {
    if (report.culprits.size() == mostFindings)
      break;
    Culprit culprit;
    culprit.layer = layer;
    if (layer >= 0)
      culprit.stack = path.substr(0, path.find('.'));
    OperationComparison reader;
    reader.operation = readerOf(a.graph(), path, culprit.stack, layer);
    reader.operation.weights = {path};
    culprit.operation = reader.operation.name;
    culprit.kind = reader.operation.kind;
    culprit.place = reader.operation.place;
    culprit.state = OperationState::Agrees;
    MBC_TRY(explain(culprit, reader, &b, &weights));
    report.culprits.push_back(std::move(culprit));
  }
  return {};
}

Expected<Report> Comparison::ofReference(const ReferenceStates &states,
                                         const std::string &path) {
  report.b.path = path;
  report.b.format = "reference states";
  report.b.stored = safetensorsName(states.dtype());
  report.reference = true;
  report.tokens = states.tokens();
  MBC_TRY(checkTokens(a, report.tokens));
  MBC_ASSIGN(std::unique_ptr<ReferenceMatch> match,
             ReferenceMatch::create(states, a));
  if (!match->unmatched().empty())
    report.notes.push_back(fmt::format(
        "{} of {} reference states are no operation of {} and are left out: {}"
        "{}",
        match->unmatched().size(), states.names().size(), report.a.model,
        match->unmatched().front(),
        match->unmatched().size() > 1 ? ", ..." : ""));
  report.tolerance = options.tolerance.value_or(
      coarser(roundingOf(options.run.dtype), states.dtype()));
  report.toleranceWhy =
      options.tolerance ? "as --tolerance says"
                        : fmt::format("two programs, {} here and {} there",
                                      report.dtype, torchName(states.dtype()));
  MBC_ASSIGN(Values right, match->outer());
  MBC_ASSIGN(Values left,
             a.run(report.tokens, a.graph().outerTaps(), std::nullopt));
  compareOuter(a.graph(), left, right);
  if (report.runsAgree())
    return std::move(report);
  MBC_TRY(locate(report.tokens, a.graph(), std::move(left), std::move(right),
                 [&](const LayerKind &, const Step &step) {
                   return match->layer(step.stack, step.layer);
                 }));
  for (size_t i = 0; i < report.culprits.size(); ++i)
    MBC_TRY(explain(report.culprits[i], blamed[i], nullptr, nullptr));
  return std::move(report);
}

Expected<Report> compareSides(Side &a, Side &b, std::span<const int32_t> tokens,
                              const ComparisonOptions &options) {
  return Comparison(a, options).ofCheckpoints(b, tokens);
}

Expected<Report> compareWithReference(Side &a, const ReferenceStates &states,
                                      const std::string &path,
                                      const ComparisonOptions &options) {
  return Comparison(a, options).ofReference(states, path);
}

} // namespace mbc
