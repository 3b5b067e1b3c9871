//===- Weights.cpp --------------------------------------------------------===//
#include "compiler/Compare/Weights.h"

#include "runtime/core/Text.h"
#include "runtime/io/NumberText.h"
#include "runtime/io/PlanPlaces.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>

namespace mbc {

/// Bits of a float's significand and of its exponent, which both decide what
/// is lost.
static int widthOf(DType type) {
  switch (type) {
  case DType::F64:
    return 64;
  case DType::F32:
    return 32;
  case DType::F16:
    return 17;
  case DType::BF16:
    return 16;
  default:
    return 8;
  }
}

Expected<std::unique_ptr<Weights>> Weights::open(const Side &a, const Side &b,
                                                 unsigned threads,
                                                 Progress::Mode progress) {
  std::unique_ptr<Weights> weights(new Weights(a, b, threads, progress));
  const TensorSet &left = a.checkpoint().values(),
                  &right = b.checkpoint().values();
  weights->setA = &left;
  weights->setB = &right;
  std::vector<DType> typesA, typesB;
  std::vector<std::string> apart;
  for (const TensorInfo &info : left.tensors())
    typesA.push_back(info.dtype);
  for (const TensorInfo &info : right.tensors())
    typesB.push_back(info.dtype);
  PlanPlaces places(a.checkpoint().plan());
  DType narrow = DType::F64;
  for (size_t i = 0; i < typesA.size(); ++i) {
    const TensorInfo &info = left.tensors()[i];
    int64_t other = right.find(info.name);
    if (other < 0 || !places.find(info.name) || typesB[other] == typesA[i])
      continue;
    DType least =
        widthOf(typesA[i]) < widthOf(typesB[other]) ? typesA[i] : typesB[other];
    typesA[i] = typesB[other] = least;
    if (widthOf(least) < widthOf(narrow))
      narrow = least;
    apart.push_back(info.name);
  }
  if (apart.empty())
    return weights;
  weights->kind = StoredTypes::Widened;
  MBC_ASSIGN(CompareReport report,
             weights->compareNames(apart, "comparing types"));
  // Rounding changes nearly every number, an error few.
  int64_t differing = 0;
  for (const TensorComparison &difference : report.differences)
    differing += difference.differing;
  if (2 * static_cast<uint64_t>(differing) <= report.elements)
    return weights;
  weights->kind = StoredTypes::Rounded;
  weights->narrow = narrow;
  weights->castA = std::make_unique<CastTensors>(left, typesA);
  weights->castB = std::make_unique<CastTensors>(right, typesB);
  weights->setA = weights->castA.get();
  weights->setB = weights->castB.get();
  return weights;
}

Expected<CompareReport>
Weights::compareNames(const std::vector<std::string> &names,
                      const char *title) const {
  std::vector<size_t> inA, inB;
  for (const std::string &name : names) {
    if (int64_t index = setA->find(name); index >= 0)
      inA.push_back(index);
    if (int64_t index = setB->find(name); index >= 0)
      inB.push_back(index);
  }
  SomeTensors someA(*setA, inA), someB(*setB, inB);
  CompareOptions options;
  options.threads = threads;
  options.valuesOnly = true;
  options.plan = &a.checkpoint().plan();
  Progress bar(title, 0, progress);
  MBC_ASSIGN(CompareReport report, compareTensors(someA, someB, options, bar));
  bar.finish();
  return report;
}

/// Whether the index of a loop stands in the name.
static bool spells(const plan::NameT &name, size_t loop) {
  return std::ranges::any_of(
      name.holes, [&](const plan::Hole &hole) { return hole.loop() == loop; });
}

ParameterNames parameterNames(const Checkpoint &checkpoint,
                              const std::string &path, int64_t layer) {
  ParameterNames names;
  auto add = [](std::vector<std::string> &to, std::string name) {
    if (std::ranges::count(to, name) == 0)
      to.push_back(std::move(name));
  };
  bool megatron = checkpoint.megatronTensors() != nullptr;
  for (const auto &copy : checkpoint.plan().copies) {
    if (copy->path != path)
      continue;
    (void)forEachIndex(copy->loops, [&](std::span<const uint32_t> indices) {
      if (layer >= 0 && (indices.empty() || indices[0] != layer))
        return Status();
      std::string hf = spell(*copy->hf, indices);
      std::string stored = hf;
      if (megatron) {
        stored = spell(*copy->mcore, indices);
        for (size_t loop = 0; loop < indices.size(); ++loop)
          if (!spells(*copy->mcore, loop))
            stored += fmt::format("[{}]", indices[loop]);
      }
      add(names.huggingFace, std::move(hf));
      add(names.stored, std::move(stored));
      return Status();
    });
  }
  return names;
}

/// Exchanges first: they say why tensors differ.
static std::vector<std::string> findingsOf(const CompareReport &report,
                                           size_t most) {
  std::vector<std::string> findings;
  std::set<std::string> explained;
  for (const Exchange &exchange : report.exchanges) {
    findings.push_back(exchange.text);
    explained.insert(exchange.tensors.begin(), exchange.tensors.end());
  }
  size_t left = 0;
  for (const TensorComparison &difference : report.differences) {
    if (explained.count(difference.name))
      continue;
    if (findings.size() < most)
      findings.push_back(difference.text());
    else
      ++left;
  }
  if (left)
    findings.push_back(fmt::format("and {} more tensors", groupedNumber(left)));
  return findings;
}

Expected<compare::ParameterReport>
Weights::parameter(const std::string &path, int64_t layer, bool compare) const {
  compare::ParameterReport report;
  report.path = path;
  ParameterNames left = parameterNames(a.checkpoint(), path, layer),
                 right = parameterNames(b.checkpoint(), path, layer);
  report.tensorsA = left.stored;
  report.tensorsB = right.stored;
  if (!compare || left.huggingFace.empty() || right.huggingFace.empty())
    return report;
  std::vector<std::string> names = left.huggingFace;
  for (const std::string &name : right.huggingFace)
    if (std::ranges::count(names, name) == 0)
      names.push_back(name);
  MBC_ASSIGN(CompareReport compared, compareNames(names, "comparing weights"));
  report.compared = true;
  report.equal = compared.same();
  report.findings = findingsOf(compared, 6);
  return report;
}

Expected<WholeModels> Weights::all(size_t most) const {
  std::vector<std::string> names;
  for (const Side *side : {&a, &b}) {
    PlanPlaces places(side->checkpoint().plan());
    for (const TensorInfo &info : side->checkpoint().values().tensors())
      if (places.find(info.name) &&
          (side == &a || a.checkpoint().values().find(info.name) < 0))
        names.push_back(info.name);
  }
  MBC_ASSIGN(CompareReport report, compareNames(names, "comparing weights"));
  WholeModels result;
  result.tensors = report.tensors;
  result.differing = report.differences.size();
  if (report.same()) {
    result.findings.push_back(fmt::format(
        "all {} tensors are equal{}", groupedNumber(report.tensors),
        kind == StoredTypes::Rounded ? " once rounded to the narrower type"
                                     : " in every value"));
    return result;
  }
  result.findings.push_back(fmt::format("{} of {} tensors differ",
                                        groupedNumber(result.differing),
                                        groupedNumber(report.tensors)));
  std::ranges::move(findingsOf(report, most),
                    std::back_inserter(result.findings));
  PlanPlaces places(a.checkpoint().plan());
  for (const TensorComparison &difference : report.differences) {
    const PlanPlaces::Place *place = places.find(difference.name);
    if (difference.verdict != Verdict::Differs || !place)
      continue;
    const plan::CopyT &copy = *place->copy;
    bool ofLayer =
        !copy.loops.empty() && copy.path.starts_with(copy.loops[0]->over + ".");
    std::pair<std::string, int64_t> parameter{
        copy.path, ofLayer ? int64_t(place->indices[0]) : -1};
    if (std::ranges::count(result.parameters, parameter) == 0)
      result.parameters.push_back(std::move(parameter));
  }
  return result;
}

} // namespace mbc
