//===- Fusion.cpp ---------------------------------------------------------===//

#include "runtime/cuda/Fusion.h"

#include "runtime/core/DType.h"

#include <algorithm>

namespace mbc::cuda {

using program::RowKind;
using program::Space;

static bool isFloat(const program::ViewT &view) {
  return view.dtype == plan::DType::F32 || view.dtype == plan::DType::BF16 ||
         view.dtype == plan::DType::F16;
}

/// Whether a product's kernel of few rows takes it; `normed`: whatever its
/// input is.
static bool isInPieces(const program::FunctionT &function,
                       const program::GemmT &product, bool normed) {
  const program::ViewT &x = *function.views[product.x],
                       &weight = *function.views[product.weight],
                       &out = *function.views[product.out];
  auto ofWeights = [&](int32_t view) {
    return view < 0 || function.views[view]->space == Space::Weight;
  };
  if (!isFloat(weight) || x.dtype != weight.dtype || weight.dims.size() != 2 ||
      weight.space != Space::Weight || !ofWeights(product.bias) ||
      !regionOf(out).dense)
    return false;
  uint32_t piece = weight.dtype == plan::DType::F32 ? 4 : 8;
  if (weight.dims[1] % piece != 0 || weight.strides[0] % piece != 0 ||
      weight.offset % 16 != 0)
    return false;
  return normed ||
         (regionOf(x).dense && x.offset % 16 == 0 && x.strides[0] % piece == 0);
}

namespace {

/// The steps of a row kernel: a norm of whole rows at most, with what belongs
/// to it alone, and pointwise ones.
class Steps {
public:
  Steps(const program::ProgramT &program, const program::FunctionT &function,
        const program::RowsT &rows)
      : function(function), rows(rows),
        steps(program.kernels[rows.kernel]->steps), users(steps.size()) {}

  /// False where there is anything else.
  bool read();

  const program::ViewT &viewOf(size_t step) const {
    return *function.views[viewNumber(step)];
  }
  uint32_t viewNumber(size_t step) const {
    return rows.operands[steps[step]->operand];
  }
  const program::RowStepT &operator[](size_t step) const {
    return *steps[step];
  }
  size_t size() const { return steps.size(); }
  bool hasOwnStore() const;
  /// The steps that stores other than the norm's need, and `more` if it is one.
  std::vector<bool> needed(int64_t more) const;
  bool is(size_t step, RowKind kind) const { return steps[step]->kind == kind; }

  uint32_t width = 0, rowCount = 0; ///< of all pointwise values
  int64_t norm = -1, normStore = -1;
  FusedProduct::Norm found{};

private:
  bool readNorm();
  /// Of a vector that scales a norm: its view.
  int64_t vectorOf(size_t step) const;
  bool isOfRow(size_t step) const;

  const program::FunctionT &function;
  const program::RowsT &rows;
  const std::vector<std::unique_ptr<program::RowStepT>> &steps;
  std::vector<std::vector<size_t>> users;
};

} // namespace

bool Steps::read() {
  for (size_t i = 0; i < steps.size(); ++i) {
    for (uint16_t input : steps[i]->inputs)
      users[input].push_back(i);
    switch (steps[i]->kind) {
    case RowKind::Rope:
    case RowKind::RopePairs:
      return false;
    case RowKind::RMSNorm:
    case RowKind::LayerNorm:
      if (norm >= 0)
        return false;
      norm = static_cast<int64_t>(i);
      break;
    case RowKind::Store:
      width = steps[i]->vectors * steps[i]->width;
      rowCount = viewOf(i).dims[0];
      // Loads come first: what is loaded is what was there before.
      for (size_t j = i + 1; j < steps.size(); ++j)
        if (is(j, RowKind::Load) &&
            overlap(regionOf(viewOf(i)), regionOf(viewOf(j))))
          return false;
      break;
    default:
      break;
    }
  }
  if (norm >= 0 && !readNorm())
    return false;
  std::vector<bool> all = needed(norm < 0 ? -1 : steps[norm]->inputs[0]);
  for (size_t i = 0; i < steps.size(); ++i)
    if (all[i] && !isOfRow(i))
      return false;
  return normStore < 0 || isOfRow(normStore);
}

/// Whether a step is of `width` elements that lie, or will lie, without gaps.
bool Steps::isOfRow(size_t i) const {
  if (steps[i]->vectors * steps[i]->width != width ||
      static_cast<int64_t>(i) == norm)
    return false;
  bool stores = is(i, RowKind::Store);
  if (!is(i, RowKind::Load) && !stores)
    return true;
  Region region = regionOf(viewOf(i));
  bool weight = region.space == Space::Weight;
  return isFloat(viewOf(i)) && region.dense && !(weight && stores) &&
         (weight || region.rows == rowCount);
}

int64_t Steps::vectorOf(size_t step) const {
  if (!is(step, RowKind::Load))
    return -1;
  const program::ViewT &view = viewOf(step);
  Region region = regionOf(view);
  return view.space == Space::Weight && isFloat(view) && region.dense &&
                 view.offset % 16 == 0 &&
                 steps[step]->vectors * steps[step]->width == width
             ? viewNumber(step)
             : -1;
}

bool Steps::readNorm() {
  const program::RowStepT &step = *steps[norm];
  if (step.vectors != 1 || step.width != width || users[norm].size() != 1 ||
      !is(users[norm][0], RowKind::Store))
    return false;
  normStore = static_cast<int64_t>(users[norm][0]);
  found.centred = step.kind == RowKind::LayerNorm;
  found.epsilon = static_cast<float>(step.scalar);
  found.rows = &rows;
  size_t weight = step.inputs[1];
  if (is(weight, RowKind::AddScalar)) {
    found.offset = static_cast<float>(steps[weight]->scalar);
    weight = steps[weight]->inputs[0];
  }
  int64_t vector = vectorOf(weight);
  found.weight = static_cast<uint32_t>(vector);
  if (found.centred)
    found.bias = static_cast<int32_t>(vectorOf(step.inputs[2]));
  return vector >= 0 && (!found.centred || found.bias >= 0);
}

bool Steps::hasOwnStore() const {
  for (size_t i = 0; i < steps.size(); ++i)
    if (is(i, RowKind::Store) && static_cast<int64_t>(i) != normStore)
      return true;
  return false;
}

std::vector<bool> Steps::needed(int64_t more) const {
  std::vector<bool> marked(steps.size());
  for (size_t i = steps.size(); i-- > 0;) {
    auto number = static_cast<int64_t>(i);
    if ((is(i, RowKind::Store) && number != normStore) || number == more)
      marked[i] = true;
    if (marked[i])
      for (uint16_t input : steps[i]->inputs)
        marked[input] = true;
  }
  return marked;
}

namespace {

/// Makes the steps of a row kernel those of the product before it.
class Follower {
public:
  Follower(const program::FunctionT &function, const program::GemmT &product,
           const Steps &steps, FusedProduct &into)
      : function(function), out(*function.views[product.out]), product(product),
        steps(steps), into(into) {}

  /// False where the product's kernel cannot; `handed`: the step whose value is
  /// handed over, or -1. `keepsRow`: somebody reads the product later on.
  bool follow(int64_t handed, bool keepsRow);

private:
  bool addLoad(size_t step);
  bool addStore(int16_t value, int32_t view);
  /// Whether blocks may write there while others still read.
  bool mayStore(uint32_t view) const;

  const program::FunctionT &function;
  const program::ViewT &out;
  const program::GemmT &product;
  const Steps &steps;
  FusedProduct &into;
  std::map<size_t, int16_t> values; ///< of steps
};

} // namespace

bool Follower::addLoad(size_t step) {
  ElementArguments &to = into.elements;
  const program::ViewT &view = steps.viewOf(step);
  Region region = regionOf(view), row = regionOf(out);
  if (!overlap(region, row)) {
    if (to.loadCount == ElementArguments::maxLoads)
      return false;
    values[step] = static_cast<int16_t>(to.segments + to.loadCount++);
    into.loads.push_back(static_cast<int32_t>(steps.viewNumber(step)));
    return true;
  }
  // A part of the product's row, behind others of the same width.
  if (view.dtype != out.dtype || region.begin < row.begin ||
      (region.rows > 1 && region.rowStride != row.rowStride) ||
      (region.begin - row.begin) % region.rowBytes != 0 ||
      region.begin + region.rowBytes > row.begin + row.rowBytes)
    return false;
  values[step] =
      static_cast<int16_t>((region.begin - row.begin) / region.rowBytes);
  return true;
}

bool Follower::mayStore(uint32_t number) const {
  const program::ViewT &view = *function.views[number];
  Region region = regionOf(view);
  auto isApart = [&](int64_t other) {
    return !overlap(region, regionOf(*function.views[other]));
  };
  if (!into.norm ? !isApart(product.x)
                 : into.norm->x >= 0 && !isApart(into.norm->x))
    return false;
  if (into.elements.keepsRow && !isApart(product.out))
    return false;
  for (int32_t load : into.loads)
    if (!isApart(load) && !areSame(view, *function.views[load]))
      return false;
  return std::ranges::all_of(
      into.stores, [&](int32_t other) { return other < 0 || isApart(other); });
}

bool Follower::addStore(int16_t value, int32_t view) {
  ElementArguments &to = into.elements;
  if (into.stores.size() == ElementArguments::maxLoads ||
      to.stepCount == ElementArguments::maxSteps)
    return false;
  if (view >= 0 && !mayStore(view))
    return false;
  to.steps[to.stepCount++] = {static_cast<int16_t>(RowKind::Store),
                              {value, 0},
                              static_cast<int16_t>(into.stores.size()),
                              0};
  into.stores.push_back(view);
  return true;
}

bool Follower::follow(int64_t handed, bool keepsRow) {
  ElementArguments &to = into.elements;
  uint32_t columns = function.views[product.weight]->dims[0];
  if (columns % steps.width != 0 ||
      columns / steps.width > ElementArguments::maxSegments ||
      out.dims[0] != steps.rowCount)
    return false;
  to.segments = static_cast<int32_t>(columns / steps.width);
  to.width = static_cast<int32_t>(steps.width);
  to.keepsRow = keepsRow;
  std::vector<bool> needed = steps.needed(handed);
  bool takesProduct = false;
  for (size_t i = 0; i < steps.size(); ++i)
    if (needed[i] && steps.is(i, RowKind::Load)) {
      if (!addLoad(i))
        return false;
      takesProduct |= values[i] < to.segments;
    }
  if (!takesProduct)
    return false;
  // A value handed over is stored where it is known: it may be a load.
  auto hand = [&](size_t step) {
    return static_cast<int64_t>(step) != handed || addStore(values[step], -1);
  };
  for (size_t i = 0; i < steps.size(); ++i) {
    if (!needed[i])
      continue;
    const program::RowStepT &step = steps[i];
    if (step.kind == RowKind::Store) {
      if (!addStore(values[step.inputs[0]],
                    static_cast<int32_t>(steps.viewNumber(i))))
        return false;
      continue;
    }
    if (step.kind != RowKind::Load) {
      if (to.stepCount == ElementArguments::maxSteps)
        return false;
      values[i] =
          static_cast<int16_t>(to.segments + to.loadCount + to.stepCount);
      ElementArguments::Step &as = to.steps[to.stepCount++];
      as.kind = static_cast<int16_t>(step.kind);
      for (size_t n = 0; n < step.inputs.size(); ++n)
        as.inputs[n] = values[step.inputs[n]];
      as.scalar = static_cast<float>(step.scalar);
    }
    if (!hand(i))
      return false;
  }
  return true;
}

Fusion::Fusion(const program::ProgramT &program,
               const program::FunctionT &function, bool norms)
    : program(program), function(function), norms(norms) {
  fuseBody(*function.body, -1);
}

void Fusion::fuseBody(const program::BodyT &body, int64_t repeat) {
  for (size_t i = 0; i < body.commands.size(); ++i) {
    const program::OpUnion &op = body.commands[i]->op;
    if (const auto *rows = op.AsRows(); rows && fuseRows(body, i, repeat))
      done.insert(rows);
    if (const auto *inner = op.AsRepeat())
      for (const auto &layer : inner->bodies)
        fuseBody(*layer, static_cast<int64_t>(i));
  }
}

bool Fusion::fuseRows(const program::BodyT &body, size_t number,
                      int64_t repeat) {
  const program::RowsT &rows = *body.commands[number]->op.AsRows();
  Steps steps(program, function, rows);
  if (!steps.read())
    return false;

  // The products that take the norm, and nobody else.
  std::vector<const program::GemmT *> takers;
  int64_t source = -1;
  if (steps.norm >= 0) {
    source = steps[steps.norm].inputs[0];
    uint32_t made = steps.viewNumber(steps.normStore);
    if (!norms || uint64_t(steps.width) * sizeof(float) > mostRowBytes)
      return false;
    size_t next = number + 1;
    for (; next < body.commands.size(); ++next) {
      const auto *taker = body.commands[next]->op.AsGemm();
      if (!taker ||
          !areSame(*function.views[taker->x], *function.views[made]) ||
          !isInPieces(function, *taker, true))
        break;
      takers.push_back(taker);
    }
    if (takers.empty() ||
        !isDeadAfter(program, function, {&body, next - 1, repeat}, made))
      return false;
  }

  FusedProduct::Norm norm = steps.found;
  if (steps.hasOwnStore() ||
      (source >= 0 && !steps.is(source, RowKind::Load))) {
    const auto *product =
        number > 0 ? body.commands[number - 1]->op.AsGemm() : nullptr;
    if (!product)
      return false;
    auto before = products.find(product);
    FusedProduct fused =
        before == products.end() ? FusedProduct{} : before->second;
    bool keepsRow =
        !isDeadAfter(program, function, {&body, number, repeat}, product->out);
    if (!isInPieces(function, *product, fused.norm.has_value()) ||
        !Follower(function, *product, steps, fused).follow(source, keepsRow))
      return false;
    if (source >= 0) {
      // Not the one that the product itself may take.
      fused.hand = norm.hand = nextHand;
      nextHand = (nextHand + 1) % hands;
      norm.x = -1;
      widestHanded = std::max(widestHanded, steps.width);
    }
    products[product] = std::move(fused);
  } else if (source >= 0) {
    // The row is read where it lies, later than it was.
    const program::ViewT &x = steps.viewOf(source);
    norm.x = static_cast<int32_t>(steps.viewNumber(source));
    if (x.offset % 16 != 0 || x.space == Space::Weight)
      return false;
    for (const program::GemmT *taker : takers)
      if (overlap(regionOf(x), regionOf(*function.views[taker->out])))
        return false;
  } else {
    return false;
  }
  for (const program::GemmT *taker : takers) {
    FusedProduct &fused = products[taker];
    fused.norm = norm;
    fused.elements.segments = 1;
    fused.elements.width =
        static_cast<int32_t>(function.views[taker->weight]->dims[0]);
    fused.elements.keepsRow = true;
  }
  return true;
}

} // namespace mbc::cuda
