//===- RowStages.cpp ------------------------------------------------------===//

#include "compiler/Codegen/RowStages.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/raw_ostream.h"

#include <numeric>
#include <set>

using namespace mlir;
using mbc::program::RowKind;

namespace mbc::codegen {

RowKernel::RowKernel(exec::KernelOp kernel, OperandRange views) {
  for (auto attr : kernel.getSteps().getAsRange<exec::StepAttr>()) {
    Step &step = steps.emplace_back();
    for (RowKind kind : program::EnumValuesRowKind())
      if (attr.getKind() == program::EnumNameRowKind(kind))
        step.kind = kind;
    llvm::append_range(step.inputs, attr.getInputs());
    step.operand = attr.getOperand();
    step.vectors = attr.getVectors();
    step.width = attr.getWidth();
    step.scalar = attr.getScalar().getValueAsDouble();
  }
  for (Value view : views) {
    operands.push_back(layoutOf(view));
    alignments.push_back(alignmentOf(view));
  }
  for (Value a : views)
    for (Value b : views)
      overlaps.push_back(overlapOf(a, b));
  // What is only read may lie anywhere.
  std::vector<bool> written(operands.size());
  for (const Step &step : steps)
    if (step.kind == RowKind::Store)
      written[step.operand] = true;
  for (size_t a = 0; a < operands.size(); ++a)
    for (size_t b = 0; b < operands.size(); ++b)
      if (!written[a] && !written[b])
        overlaps[a * operands.size() + b] = Overlap::None;
}

std::string RowKernel::key(StringRef name, bool aligned) const {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << name;
  for (const RowLayout &layout : operands) {
    os << ';' << layout.element << (layout.shared ? 's' : 'r')
       << layout.rowStride;
    for (auto [size, stride] : llvm::zip(layout.sizes, layout.strides))
      os << ',' << size << ':' << stride;
  }
  os << ';';
  for (Overlap overlap : overlaps)
    os << static_cast<int>(overlap);
  if (aligned)
    for (int64_t alignment : alignments)
      os << ';' << alignment;
  return text;
}

namespace {

/// Floats of a segment that fit registers: what its sums needed is still there
/// for its elements.
constexpr int64_t registerFloats = 128;

/// What a root is computed from, up to loads and kept values.
struct Cone {
  std::set<std::pair<int64_t, Path>> steps;
  int64_t width = 0;
  Points points = Points::One;

  bool has(int64_t step, Path path) const {
    return steps.count({step, path}) != 0;
  }
};

class Planner {
public:
  Planner(const RowKernel &kernel, bool recomputes)
      : kernel(kernel), recomputes(recomputes) {
    plan.kept.resize(kernel.steps.size());
  }

  StagePlan run() {
    // Keeping one more value changes what else must be kept; at worst all are.
    while (!tryPlan())
      ;
    plan.scratchOffset.assign(kernel.steps.size(), -1);
    for (size_t i = 0; i < kernel.steps.size(); ++i)
      if (plan.kept[i]) {
        plan.scratchOffset[i] = plan.scratchFloats;
        plan.scratchFloats += llvm::alignTo(kernel.steps[i].count(), 16);
      }
    return std::move(plan);
  }

private:
  const Step &step(int64_t i) const { return kernel.steps[i]; }
  const RowLayout &layout(int64_t i) const {
    return kernel.operands[step(i).operand];
  }
  Overlap overlap(int64_t load, int64_t store) const {
    return kernel.overlap(step(load).operand, step(store).operand);
  }
  bool keep(int64_t i) {
    plan.kept[i] = true;
    return false;
  }

  bool tryPlan();
  /// Fills the cone of a root; false when something had to be kept for it.
  bool explore(int64_t root, Cone &cone);
  bool visit(int64_t i, Path path, bool isRoot, Cone &cone);
  bool checkCosts(const Cone &cone);
  bool join(Stage &stage, Cone &all, int64_t root, const Cone &cone) const;
  bool checkOrder();
  void setChunk(Stage &stage, const Cone &cone) const;

  const RowKernel &kernel;
  const bool recomputes;
  StagePlan plan;
  std::vector<Cone> cones; ///< of the stages
};

} // namespace

bool Planner::visit(int64_t i, Path path, bool isRoot, Cone &cone) {
  if (!cone.steps.insert({i, path}).second)
    return true;
  const Step &s = step(i);
  if ((plan.kept[i] && !isRoot) || s.kind == RowKind::Load)
    return true;
  if (!s.isNorm() && !s.isRope())
    return llvm::all_of(s.inputs, [&](int64_t input) {
      return visit(input, path, false, cone);
    });
  // A norm or a rope is at home in segments of its width.
  if (path != Path::Main || (cone.width != 0 && cone.width != s.width))
    return keep(i);
  cone.width = s.width;
  if (s.isRope()) {
    Points points = s.kind == RowKind::Rope ? Points::Halves : Points::Pairs;
    if (cone.points != Points::One && cone.points != points)
      return keep(i);
    cone.points = points;
  }
  for (auto [n, input] : llvm::enumerate(s.inputs)) {
    Path of = n == 0 ? Path::Main : s.isNorm() ? Path::Weight : Path::Angle;
    if (!visit(input, of, false, cone))
      return false;
  }
  return true;
}

bool Planner::checkCosts(const Cone &cone) {
  // A norm takes its input twice: for its sums, and for its elements. Where
  // registers do not hold it and it takes long, it is kept.
  if (!recomputes || cone.width <= registerFloats)
    return true;
  for (auto [i, path] : cone.steps) {
    if (!step(i).isNorm() || path != Path::Main)
      continue;
    int64_t x = step(i).inputs[0];
    if (plan.kept[x] || step(x).kind == RowKind::Load)
      continue;
    Cone inner;
    visit(x, Path::Main, false, inner);
    int64_t reads = 0;
    for (auto [j, at] : inner.steps) {
      const Step &s = step(j);
      if (plan.kept[j] || s.kind == RowKind::Load)
        ++reads;
      else if (s.isCostly() || s.isNorm() || s.isRope())
        return keep(x);
    }
    if (reads > 2)
      return keep(x);
  }
  return true;
}

bool Planner::explore(int64_t root, Cone &cone) {
  bool isStore = step(root).kind == RowKind::Store;
  int64_t first = isStore ? step(root).inputs[0] : root;
  if (!visit(first, Path::Main, !isStore, cone) || !checkCosts(cone))
    return false;
  if (cone.points != Points::Pairs)
    return true;
  // Both of a pair must lie in one run.
  for (auto [i, path] : cone.steps)
    if (!plan.kept[i] && step(i).kind == RowKind::Load && path != Path::Angle &&
        layout(i).run() % 2 != 0)
      return keep(i);
  if (isStore && layout(root).run() % 2 != 0)
    return keep(first);
  return true;
}

/// Whether `root` can be computed in the loops of `stage`.
bool Planner::join(Stage &stage, Cone &all, int64_t root,
                   const Cone &cone) const {
  if (stage.count != step(root).count() ||
      (stage.width && cone.width && stage.width != cone.width) ||
      (stage.points != Points::One && cone.points != Points::One &&
       stage.points != cone.points))
    return false;
  Cone both = all;
  both.steps.insert(cone.steps.begin(), cone.steps.end());
  std::vector<int64_t> roots = stage.roots;
  roots.push_back(root);
  Points points = stage.points != Points::One ? stage.points : cone.points;
  for (int64_t r : stage.roots)
    if (plan.kept[r] &&
        llvm::any_of(cone.steps, [&](const auto &at) { return at.first == r; }))
      return false;
  for (int64_t r : roots) {
    if (step(r).kind != RowKind::Store)
      continue;
    if (points == Points::Pairs && layout(r).run() % 2 != 0)
      return false;
    for (int64_t other : roots)
      if (other != r && step(other).kind == RowKind::Store &&
          overlap(other, r) == Overlap::Other)
        return false;
    for (auto [i, path] : both.steps)
      if (step(i).kind == RowKind::Load &&
          (!plan.kept[i] || llvm::is_contained(roots, i)) &&
          overlap(i, r) != Overlap::None &&
          (r < i || overlap(i, r) == Overlap::Other || path != Path::Main))
        return false;
  }
  if (points == Points::Pairs)
    for (auto [i, path] : both.steps)
      if (step(i).kind == RowKind::Load && path != Path::Angle &&
          !plan.kept[i] && layout(i).run() % 2 != 0)
        return false;
  all.steps = std::move(both.steps);
  stage.roots = std::move(roots);
  stage.points = points;
  stage.width = std::max(stage.width, cone.width);
  return true;
}

/// A load sees memory as it was at its step, although it is done where its
/// value is needed; false when one had to be kept for that.
bool Planner::checkOrder() {
  for (int64_t load = 0; load < std::ssize(kernel.steps); ++load) {
    if (step(load).kind != RowKind::Load || plan.kept[load])
      continue;
    for (int64_t store = 0; store < std::ssize(kernel.steps); ++store) {
      if (step(store).kind != RowKind::Store ||
          overlap(load, store) == Overlap::None)
        continue;
      if (overlap(load, store) == Overlap::Other || store < load)
        return keep(load);
      // Element by element the load comes first in a loop of both.
      bool stored = false;
      for (auto [stage, cone] : llvm::zip(plan.stages, cones)) {
        if (stored &&
            (cone.has(load, Path::Main) || cone.has(load, Path::Weight) ||
             cone.has(load, Path::Angle)))
          return keep(load);
        stored |= llvm::is_contained(stage.roots, store);
        if (stored &&
            (cone.has(load, Path::Weight) || cone.has(load, Path::Angle)))
          return keep(load);
      }
    }
  }
  return true;
}

void Planner::setChunk(Stage &stage, const Cone &cone) const {
  if (stage.width == 0)
    stage.width = stage.count;
  stage.chunk = stage.places();
  auto fit = [&](const RowLayout &layout, Path path) {
    int64_t run = layout.run();
    if (stage.points == Points::Pairs && path != Path::Angle)
      run /= 2;
    stage.chunk = std::gcd(stage.chunk, run);
  };
  for (auto [i, path] : cone.steps) {
    if (step(i).kind == RowKind::Load &&
        (!plan.kept[i] || llvm::is_contained(stage.roots, i)))
      fit(layout(i), path);
    if (step(i).isNorm() && path == Path::Main &&
        (!plan.kept[i] || llvm::is_contained(stage.roots, i)))
      stage.norms.push_back(i);
  }
  for (int64_t root : stage.roots)
    if (step(root).kind == RowKind::Store)
      fit(layout(root), Path::Main);
}

bool Planner::tryPlan() {
  plan.stages.clear();
  cones.clear();
  for (int64_t i = 0; i < std::ssize(kernel.steps); ++i) {
    if (step(i).kind != RowKind::Store && !plan.kept[i])
      continue;
    Cone cone;
    if (!explore(i, cone))
      return false;
    if (!plan.stages.empty() && join(plan.stages.back(), cones.back(), i, cone))
      continue;
    Stage &stage = plan.stages.emplace_back();
    stage.roots = {i};
    stage.count = step(i).count();
    stage.width = cone.width;
    stage.points = cone.points;
    cones.push_back(std::move(cone));
  }
  if (!checkOrder())
    return false;
  for (auto [stage, cone] : llvm::zip(plan.stages, cones))
    setChunk(stage, cone);
  return true;
}

StagePlan planStages(const RowKernel &kernel, bool recomputes) {
  return Planner(kernel, recomputes).run();
}

} // namespace mbc::codegen
