//===- Program.cpp --------------------------------------------------------===//
//
// Constraints P01.. of a program file; `README.md` lists them.
//
//===----------------------------------------------------------------------===//

#include "runtime/program/Program.h"

#include "runtime/core/DType.h"
#include "runtime/core/File.h"
#include "runtime/io/Digest.h"
#include "runtime/program/GpuCode.h"
#include "runtime/program/NativeImage.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <functional>
#include <set>

namespace mbc {

/// Digits of a digest, and what stands in its place while it is computed.
static const std::string noDigest(32, '0');

/// The bytes of a program's digest; empty where there is none.
static std::span<uint8_t> digestIn(std::span<uint8_t> bytes) {
  const auto *text = program::GetProgram(bytes.data())->digest();
  if (!text || text->size() != noDigest.size())
    return {};
  return bytes.subspan(text->Data() - bytes.data(), text->size());
}

static std::string_view textOf(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

std::vector<uint8_t> serializeProgram(const program::ProgramT &program) {
  program::ProgramT sealed = program;
  sealed.digest = noDigest;
  flatbuffers::FlatBufferBuilder builder(1 << 20);
  program::FinishProgramBuffer(builder,
                               program::Program::Pack(builder, &sealed));
  std::vector<uint8_t> bytes(builder.GetBufferPointer(),
                             builder.GetBufferPointer() + builder.GetSize());
  std::ranges::copy(digestText(textOf(bytes)), digestIn(bytes).begin());
  return bytes;
}

uint64_t elementsOf(const program::WeightT &weight) {
  return uint64_t(weight.batch) * weight.rows * weight.cols;
}
uint64_t bytesOf(const program::WeightT &weight) {
  return bytesOf(static_cast<DType>(weight.dtype),
                 static_cast<int64_t>(elementsOf(weight)));
}
uint64_t instancesOf(const program::WeightT &weight) {
  return weight.layers.empty() ? 1 : weight.layers.size();
}

std::string_view kindOf(const program::FunctionT &function) {
  std::string_view name = function.name;
  return name.substr(0, name.find('['));
}

const program::FunctionT *findFunction(const program::ProgramT &program,
                                       std::string_view kind, uint32_t rows) {
  const program::FunctionT *best = nullptr;
  for (const auto &function : program.functions) {
    if (kindOf(*function) != kind)
      continue;
    bool better =
        !best || (best->rows < rows
                      ? function->rows > best->rows
                      : function->rows >= rows && function->rows < best->rows);
    if (better)
      best = function.get();
  }
  return best;
}

namespace {

/// Most bytes of anything: sums of a few stay inside of 64 bits.
constexpr uint64_t limit = uint64_t(1) << 46;
/// Most packed tokens of a call, and most layers of a stack.
constexpr uint64_t mostRows = uint64_t(1) << 24, mostLayers = 1 << 16;

/// Layer numbers, ascending. No layers: a command outside of stacks.
using Layers = std::vector<uint32_t>;

bool ascend(const Layers &layers) {
  return std::is_sorted(layers.begin(), layers.end(), std::less_equal<>());
}

bool isKnown(plan::DType dtype) {
  return dtype == plan::DType::F32 || dtype == plan::DType::BF16 ||
         dtype == plan::DType::F16 || dtype == plan::DType::I32;
}

class Checker {
public:
  Checker(const program::ProgramT &program, const std::string &name)
      : program(program), name(name) {}

  Status run();

private:
  template <typename... Args>
  Failure bad(fmt::format_string<Args...> text, Args &&...args) {
    return inputError(
        fmt::format("{}: is damaged: {}", name,
                    fmt::format(text, std::forward<Args>(args)...)));
  }
  Status checkWeight(const program::WeightT &weight);
  Status checkState(const program::StateT &state);
  Status checkRope(const program::RopeT &rope);
  Status checkKernel(const program::RowKernelT &kernel);
  Status checkCode();
  Status checkGpuCode();
  Status checkVision();
  Status checkView(const program::FunctionT &function,
                   const program::ViewT &view);
  Status checkBody(const program::FunctionT &function,
                   const program::BodyT &body, const Layers &layers);
  Status checkCommand(const program::FunctionT &function,
                      const program::OpUnion &op, const Layers &layers);
  Status checkViews(const program::FunctionT &function, const Layers &layers,
                    std::initializer_list<int64_t> numbers,
                    int64_t factor = -1);

  const program::ProgramT &program;
  const std::string &name;
};

Status Checker::checkWeight(const program::WeightT &weight) {
  // (P15) an FP8 weight has blocks, of which each has a scale, and no other.
  bool scaled = weight.dtype == plan::DType::F8E4M3;
  if (weight.block.size() != (scaled ? 2 : 0) ||
      std::ranges::count(weight.block, 0u))
    return bad("weight '{}' has blocks without scales, or scales without "
               "blocks",
               weight.path);
  // (P03) a float weight of a size that can be; layers ascend.
  if (!scaled && (!isKnown(weight.dtype) || weight.dtype == plan::DType::I32))
    return bad("weight '{}' is of no float type", weight.path);
  if (weight.batch == 0 || weight.rows == 0 || weight.cols == 0 ||
      uint64_t(weight.batch) * weight.rows > limit / weight.cols ||
      bytesOf(weight) > limit / instancesOf(weight))
    return bad("weight '{}' has no size", weight.path);
  if (!ascend(weight.layers))
    return bad("layers of weight '{}' do not ascend", weight.path);
  return {};
}

Status Checker::checkState(const program::StateT &state) {
  // (P03) of states: keys and values.
  if (!isKnown(state.dtype) || state.dtype == plan::DType::I32 ||
      state.widths.size() != 2 || state.widths[0] == 0 || state.widths[1] == 0)
    return bad("state '{}' has no rows", state.path);
  if (!ascend(state.layers))
    return bad("layers of state '{}' do not ascend", state.path);
  return {};
}

Status Checker::checkRope(const program::RopeT &rope) {
  // (P04)
  if (rope.axes == 0 ||
      (!rope.axis.empty() && rope.axis.size() != rope.inv_freq.size()))
    return bad("a rope has {} axes for {} pairs", rope.axis.size(),
               rope.inv_freq.size());
  for (uint8_t axis : rope.axis)
    if (axis >= rope.axes)
      return bad("a rope turns by number {} of {}", axis, rope.axes);
  return {};
}

Status Checker::checkKernel(const program::RowKernelT &kernel) {
  static const std::pair<program::RowKind, size_t> inputs[] = {
      {program::RowKind::Load, 0},      {program::RowKind::Store, 1},
      {program::RowKind::Add, 2},       {program::RowKind::Sub, 2},
      {program::RowKind::Mul, 2},       {program::RowKind::AddScalar, 1},
      {program::RowKind::MulScalar, 1}, {program::RowKind::Silu, 1},
      {program::RowKind::Gelu, 1},      {program::RowKind::Sigmoid, 1},
      {program::RowKind::RMSNorm, 2},   {program::RowKind::LayerNorm, 3},
      {program::RowKind::Rope, 2},      {program::RowKind::RopePairs, 2}};
  // (P05) steps use earlier ones, of the sizes that they need.
  std::vector<uint64_t> sizes;
  for (const auto &step : kernel.steps) {
    const auto *known = std::find_if(
        std::begin(inputs), std::end(inputs),
        [&](const auto &kind) { return kind.first == step->kind; });
    if (known == std::end(inputs) || step->inputs.size() != known->second)
      return bad("kernel '{}' has an unknown step", kernel.name);
    uint64_t size = uint64_t(step->vectors) * step->width;
    if (size == 0 || size > (uint64_t(1) << 28))
      return bad("kernel '{}' has a step of {} elements", kernel.name, size);
    for (size_t i = 0; i < step->inputs.size(); ++i) {
      uint16_t input = step->inputs[i];
      if (input >= sizes.size() ||
          kernel.steps[input]->kind == program::RowKind::Store)
        return bad("kernel '{}' uses a step that is not before it",
                   kernel.name);
      bool vector = i > 0 && step->kind >= program::RowKind::RMSNorm;
      if (sizes[input] != (vector ? step->width : size))
        return bad("kernel '{}' joins {} elements with {}", kernel.name, size,
                   sizes[input]);
    }
    if (step->kind >= program::RowKind::Rope && step->width % 2 != 0)
      return bad("kernel '{}' rotates {} elements", kernel.name, step->width);
    if (step->kind <= program::RowKind::Store &&
        step->operand >= kernel.operands)
      return bad("kernel '{}' has no operand {}", kernel.name, step->operand);
    sizes.push_back(size);
  }
  return {};
}

Status Checker::checkView(const program::FunctionT &function,
                          const program::ViewT &view) {
  // (P06) a view has sizes, and lies inside of its memory.
  bool scaled = view.dtype == plan::DType::F8E4M3;
  if ((!isKnown(view.dtype) && !scaled) || view.dims.empty() ||
      view.dims.size() > 8 || view.dims.size() != view.strides.size())
    return bad("a view of '{}' has no shape", function.name);
  uint64_t span = 1, elements = 1;
  for (size_t i = 0; i < view.dims.size(); ++i) {
    if (view.dims[i] == 0 || elements > limit / view.dims[i])
      return bad("a view of '{}' has no size", function.name);
    elements *= view.dims[i];
    span += uint64_t(view.dims[i] - 1) * view.strides[i];
    if (span > limit)
      return bad("a view of '{}' has no end", function.name);
  }
  uint64_t size = 0, portRows = 1;
  plan::DType dtype = view.dtype;
  auto port = [&](const auto &ports) -> bool {
    if (view.index >= ports.size())
      return false;
    dtype = ports[view.index]->dtype;
    uint64_t count = 1;
    for (uint32_t dim : ports[view.index]->dims)
      count *= dim;
    size = bytesOf(static_cast<DType>(dtype), count);
    portRows = ports[view.index]->dims[0];
    return true;
  };
  bool found = true;
  switch (view.space) {
  case program::Space::Arena:
    size = function.arena;
    break;
  case program::Space::Weight:
    found = view.index < program.weights.size();
    if (found) {
      dtype = program.weights[view.index]->dtype;
      size = bytesOf(*program.weights[view.index]);
    }
    break;
  case program::Space::Input:
    found = port(function.inputs);
    break;
  case program::Space::Output:
    found = port(function.outputs);
    break;
  default:
    found = false;
  }
  if (!found || dtype != view.dtype)
    return bad("a view of '{}' is of no memory", function.name);
  // (P15) of an FP8 weight, all of it.
  if (scaled) {
    if (view.space != program::Space::Weight)
      return bad("a view of '{}' is FP8 and of no weight", function.name);
    const program::WeightT &weight = *program.weights[view.index];
    std::vector<uint32_t> dims{weight.rows, weight.cols},
        strides{weight.cols, 1};
    if (weight.batch > 1 || view.dims.size() == 3) {
      dims.insert(dims.begin(), weight.batch);
      strides.insert(strides.begin(), weight.rows * weight.cols);
    }
    if (view.offset != 0 || view.dims != dims || view.strides != strides)
      return bad("a view of '{}' is a part of FP8 weight '{}'", function.name,
                 weight.path);
  }
  uint64_t bytes = bytesOf(static_cast<DType>(view.dtype), span);
  if (view.offset > size || bytes > size - view.offset)
    return bad("a view of '{}' ends at byte {} of {}", function.name,
               view.offset + bytes, size);
  // Callers bring memory for the rows of the call alone: each row of the view
  // lies in the row of the array.
  if (view.space == program::Space::Output) {
    uint64_t row = size / portRows;
    span -= uint64_t(view.dims[0] - 1) * view.strides[0];
    if (view.dims[0] != portRows ||
        (portRows > 1 &&
         bytesOf(static_cast<DType>(view.dtype), view.strides[0]) != row) ||
        view.offset + bytesOf(static_cast<DType>(view.dtype), span) > row)
      return bad("a view of '{}' crosses the rows of an output", function.name);
  }
  return {};
}

Status Checker::checkViews(const program::FunctionT &function,
                           const Layers &layers,
                           std::initializer_list<int64_t> numbers,
                           int64_t factor) {
  for (int64_t number : numbers) {
    if (number == -1)
      continue;
    // (P07) commands are about views that are there, and only those in a
    // stack about weights of its layers.
    if (number < 0 || static_cast<size_t>(number) >= function.views.size())
      return bad("a command of '{}' has no view {}", function.name, number);
    const program::ViewT &view = *function.views[number];
    // (P15) products alone multiply with scales.
    if (view.dtype == plan::DType::F8E4M3 && number != factor)
      return bad("a command of '{}' other than a product uses FP8 weight '{}'",
                 function.name, program.weights[view.index]->path);
    if (view.space != program::Space::Weight)
      continue;
    const program::WeightT &weight = *program.weights[view.index];
    if (!weight.layers.empty() &&
        (layers.empty() || !std::ranges::includes(weight.layers, layers)))
      return bad("weight '{}' is used outside of its layers", weight.path);
  }
  return {};
}

Status Checker::checkCommand(const program::FunctionT &function,
                             const program::OpUnion &op, const Layers &layers) {
  auto dims = [&](int64_t number) -> const std::vector<uint32_t> & {
    return function.views[number]->dims;
  };
  auto dense = [&](std::initializer_list<uint32_t> numbers) {
    return std::ranges::all_of(numbers, [&](uint32_t number) {
      return function.views[number]->strides.back() == 1;
    });
  };
  using plan::DType;
  auto isOf = [&](DType dtype, std::initializer_list<uint32_t> numbers) {
    return std::ranges::all_of(numbers, [&](uint32_t number) {
      return function.views[number]->dtype == dtype;
    });
  };
  // (P08) sizes fit each other.
  auto unfit = [&](const char *what) {
    return bad("the views of a {} of '{}' do not fit", what, function.name);
  };
  if (const auto *embed = op.AsEmbed()) {
    MBC_TRY(
        checkViews(function, layers, {embed->ids, embed->table, embed->out}));
    if (dims(embed->ids).size() != 1 || dims(embed->table).size() != 2 ||
        dims(embed->out).size() != 2 ||
        dims(embed->out)[0] != dims(embed->ids)[0] ||
        dims(embed->out)[1] != dims(embed->table)[1] ||
        !dense({embed->ids, embed->table, embed->out}) ||
        function.views[embed->ids]->dtype != plan::DType::I32)
      return unfit("embed");
  } else if (const auto *gemm = op.AsGemm()) {
    MBC_TRY(checkViews(function, layers,
                       {gemm->x, gemm->weight, gemm->bias, gemm->out},
                       gemm->weight));
    if (dims(gemm->x).size() != 2 || dims(gemm->weight).size() != 2 ||
        dims(gemm->out).size() != 2 ||
        dims(gemm->x)[1] != dims(gemm->weight)[1] ||
        dims(gemm->out)[0] != dims(gemm->x)[0] ||
        dims(gemm->out)[1] != dims(gemm->weight)[0])
      return unfit("gemm");
    for (uint32_t number : {gemm->x, gemm->weight, gemm->out})
      if (!dense({number}) || function.views[number]->dtype == plan::DType::I32)
        return unfit("gemm");
    if (gemm->bias >= 0 && (dims(gemm->bias).size() != 1 ||
                            dims(gemm->bias)[0] != dims(gemm->out)[1] ||
                            !dense({static_cast<uint32_t>(gemm->bias)})))
      return unfit("gemm");
  } else if (const auto *rows = op.AsRows()) {
    if (rows->kernel >= program.kernels.size())
      return bad("a command of '{}' has no kernel {}", function.name,
                 rows->kernel);
    const program::RowKernelT &kernel = *program.kernels[rows->kernel];
    if (rows->operands.size() != kernel.operands)
      return unfit("row kernel");
    // (P13) code is an entry.
    if (rows->code != -1 &&
        (rows->code < 0 ||
         static_cast<size_t>(rows->code) >= program.entries.size()))
      return bad("a command of '{}' has no entry {}", function.name,
                 rows->code);
    if (rows->gpu != -1 && (rows->gpu < 0 || static_cast<size_t>(rows->gpu) >=
                                                 program.gpu_entries.size()))
      return bad("a command of '{}' has no entry {} for GPUs", function.name,
                 rows->gpu);
    uint32_t count = 0;
    for (uint32_t operand : rows->operands) {
      MBC_TRY(checkViews(function, layers, {operand}));
      if (function.views[operand]->space == program::Space::Weight)
        continue;
      if (count != 0 && dims(operand)[0] != count)
        return unfit("row kernel");
      count = dims(operand)[0];
    }
    for (const auto &step : kernel.steps) {
      if (step->kind > program::RowKind::Store)
        continue;
      const program::ViewT &view =
          *function.views[rows->operands[step->operand]];
      uint64_t elements = 1;
      size_t first = view.space == program::Space::Weight ? 0 : 1;
      for (size_t i = first; i < view.dims.size(); ++i)
        elements *= view.dims[i];
      if (elements != uint64_t(step->vectors) * step->width ||
          view.dtype == plan::DType::I32)
        return unfit("row kernel");
    }
  } else if (const auto *angles = op.AsAngles()) {
    MBC_TRY(checkViews(function, layers, {angles->positions, angles->out}));
    if (angles->rope >= program.ropes.size())
      return bad("a command of '{}' has no rope {}", function.name,
                 angles->rope);
    const program::RopeT &rope = *program.ropes[angles->rope];
    const auto &at = dims(angles->positions);
    if (dims(angles->out).size() != 2 ||
        dims(angles->out)[1] != 2 * rope.inv_freq.size() ||
        dims(angles->out)[0] != at[0] || at.size() > 2 ||
        (at.size() > 1 ? at[1] : 1) < rope.axes || !dense({angles->out}) ||
        (at.size() > 1 && !dense({angles->positions})) ||
        function.views[angles->out]->dtype != plan::DType::F32 ||
        function.views[angles->positions]->dtype != plan::DType::I32)
      return unfit("rope");
  } else if (const auto *attention = op.AsAttention()) {
    MBC_TRY(checkViews(function, layers,
                       {attention->q, attention->k, attention->v,
                        attention->out, attention->ends}));
    const auto &q = dims(attention->q), &k = dims(attention->k),
               &v = dims(attention->v), &out = dims(attention->out);
    if (q[0] != function.rows || q.size() != 4 || k.size() != 3 ||
        v.size() != 3 || out.size() != 4 || k[0] != q[0] || v[0] != q[0] ||
        out[0] != q[0] || k[1] != q[1] || v[1] != q[1] || out[1] != q[1] ||
        out[2] != q[2] || k[2] != q[3] || out[3] != v[2])
      return unfit("attention");
    if (!dense({attention->q, attention->k, attention->v, attention->out}))
      return unfit("attention");
    if (attention->ends >= 0) {
      // Parts are of rows of one call alone.
      auto ends = static_cast<uint32_t>(attention->ends);
      if (attention->state >= 0 || dims(ends) != std::vector<uint32_t>{q[0]} ||
          !dense({ends}) || !isOf(DType::I32, {ends}))
        return unfit("attention");
    }
    if (attention->state >= 0) {
      if (static_cast<size_t>(attention->state) >= program.states.size())
        return bad("a command of '{}' has no state {}", function.name,
                   attention->state);
      const program::StateT &state = *program.states[attention->state];
      if (state.widths[0] != uint64_t(k[1]) * k[2] ||
          state.widths[1] != uint64_t(v[1]) * v[2] ||
          state.layers.empty() != layers.empty() ||
          !std::ranges::includes(state.layers, layers))
        return unfit("attention");
    }
  } else if (const auto *copy = op.AsCopy()) {
    MBC_TRY(checkViews(function, layers, {copy->from, copy->to}));
    if (dims(copy->from) != dims(copy->to))
      return unfit("copy");
  } else if (const auto *tap = op.AsTap()) {
    MBC_TRY(checkViews(function, layers, {tap->from, tap->to}));
    std::vector<uint32_t> expected = dims(tap->from);
    const auto &to = dims(tap->to);
    uint32_t slots = to.size() > 1 ? to[1] : 0;
    expected.insert(expected.begin() + 1, slots);
    if (function.views[tap->to]->space != program::Space::Output ||
        to != expected || (layers.empty() ? 0 : layers.back()) >= slots ||
        function.views[tap->to]->dtype != plan::DType::F32)
      return unfit("tap");
  } else if (const auto *take = op.AsTake()) {
    MBC_TRY(checkViews(function, layers, {take->x, take->rows, take->out}));
    if (dims(take->x).size() != 2 || dims(take->rows).size() != 1 ||
        dims(take->out).size() != 2 ||
        dims(take->out)[0] != dims(take->rows)[0] ||
        dims(take->out)[1] != dims(take->x)[1] ||
        !dense({take->x, take->rows, take->out}) ||
        function.views[take->rows]->dtype != plan::DType::I32 ||
        function.views[take->x]->dtype != function.views[take->out]->dtype)
      return unfit("take");
  } else if (const auto *place = op.AsPlace()) {
    MBC_TRY(checkViews(function, layers,
                       {place->features, place->places, place->out}));
    const auto &features = dims(place->features), &out = dims(place->out);
    if (features.size() != 2 || out.size() != 2 || features[1] != out[1] ||
        dims(place->places) != std::vector<uint32_t>{out[0]} ||
        !isOf(DType::I32, {place->places}) ||
        isOf(DType::I32, {place->features}) || isOf(DType::I32, {place->out}) ||
        !dense({place->features, place->places, place->out}) ||
        function.views[place->features]->space == program::Space::Weight)
      return unfit("place");
  } else if (const auto *route = op.AsRoute()) {
    MBC_TRY(checkViews(
        function, layers,
        {route->logits, route->correction, route->weights, route->ids}));
    const auto &logits = dims(route->logits), &ids = dims(route->ids);
    bool fit =
        logits.size() == 2 && ids.size() == 2 && ids[0] == logits[0] &&
        dims(route->weights) == ids &&
        dense({route->logits, route->weights, route->ids}) &&
        isOf(DType::F32, {route->logits, route->weights}) &&
        isOf(DType::I32, {route->ids}) && route->score <= program::Score::MAX &&
        route->method <= program::Method::MAX && route->groups > 0 &&
        route->group_topk > 0 && route->group_topk <= route->groups &&
        logits[1] % route->groups == 0 &&
        ids[1] <= logits[1] / route->groups * uint64_t(route->group_topk);
    if (fit && route->correction >= 0) {
      auto correction = static_cast<uint32_t>(route->correction);
      fit = dims(correction) == std::vector<uint32_t>{logits[1]} &&
            dense({correction}) && isOf(DType::F32, {correction});
    }
    if (!fit)
      return unfit("route");
  } else if (const auto *group = op.AsGroup()) {
    MBC_TRY(checkViews(function, layers,
                       {group->ids, group->place, group->offsets}));
    if (dims(group->ids).size() != 2 ||
        dims(group->place) != dims(group->ids) ||
        dims(group->offsets).size() != 1 ||
        !dense({group->ids, group->place, group->offsets}) ||
        !isOf(DType::I32, {group->ids, group->place, group->offsets}))
      return unfit("group");
  } else if (const auto *scatter = op.AsScatter()) {
    MBC_TRY(checkViews(function, layers,
                       {scatter->x, scatter->place, scatter->out}));
    const auto &x = dims(scatter->x), &place = dims(scatter->place),
               &out = dims(scatter->out);
    if (x.size() != 2 || place.size() != 2 || out.size() != 2 ||
        place[0] != x[0] || out[0] != uint64_t(place[0]) * place[1] ||
        out[1] != x[1] || !isOf(DType::I32, {scatter->place}) ||
        !dense({scatter->x, scatter->place, scatter->out}) ||
        function.views[scatter->x]->dtype !=
            function.views[scatter->out]->dtype)
      return unfit("scatter");
  } else if (const auto *gemm = op.AsGroupedGemm()) {
    MBC_TRY(checkViews(function, layers,
                       {gemm->x, gemm->weight, gemm->offsets, gemm->out},
                       gemm->weight));
    const auto &x = dims(gemm->x), &weight = dims(gemm->weight),
               &offsets = dims(gemm->offsets), &out = dims(gemm->out);
    if (x.size() != 2 || weight.size() != 3 || offsets.size() != 1 ||
        out.size() != 2 || offsets[0] != weight[0] + 1 || weight[2] != x[1] ||
        out[0] != x[0] || out[1] != weight[1] ||
        !isOf(DType::I32, {gemm->offsets}) || isOf(DType::I32, {gemm->x}) ||
        isOf(DType::I32, {gemm->weight}) || isOf(DType::I32, {gemm->out}) ||
        !dense({gemm->x, gemm->weight, gemm->offsets, gemm->out}) ||
        function.views[gemm->weight]->strides[0] !=
            uint64_t(weight[1]) * function.views[gemm->weight]->strides[1])
      return unfit("grouped gemm");
  } else if (const auto *combine = op.AsCombine()) {
    MBC_TRY(checkViews(
        function, layers,
        {combine->y, combine->weights, combine->place, combine->out}));
    const auto &y = dims(combine->y), &place = dims(combine->place),
               &out = dims(combine->out);
    if (y.size() != 2 || place.size() != 2 || out.size() != 2 ||
        dims(combine->weights) != place ||
        y[0] != uint64_t(place[0]) * place[1] || out[0] != place[0] ||
        out[1] != y[1] || !isOf(DType::I32, {combine->place}) ||
        !isOf(DType::F32, {combine->weights}) ||
        isOf(DType::I32, {combine->y}) || isOf(DType::I32, {combine->out}) ||
        !dense({combine->y, combine->weights, combine->place, combine->out}))
      return unfit("combine");
  } else if (const auto *attention = op.AsLatentAttention()) {
    MBC_TRY(checkViews(function, layers,
                       {attention->q_nope, attention->q_rope, attention->latent,
                        attention->k_rope, attention->up, attention->out}));
    const auto &nope = dims(attention->q_nope), &rope = dims(attention->q_rope),
               &latent = dims(attention->latent),
               &key = dims(attention->k_rope), &up = dims(attention->up),
               &out = dims(attention->out);
    bool fit = nope.size() == 3 && rope.size() == 3 && latent.size() == 2 &&
               key.size() == 2 && up.size() == 3 && out.size() == 3;
    for (const auto *other : {&nope, &rope, &latent, &key, &out})
      fit = fit && (*other)[0] == function.rows;
    fit = fit && rope[1] == nope[1] && up[0] == nope[1] && out[1] == nope[1] &&
          key[1] == rope[2] && up[1] == uint64_t(nope[2]) + out[2] &&
          up[2] == latent[1];
    for (uint32_t number :
         {attention->q_nope, attention->q_rope, attention->latent,
          attention->k_rope, attention->up, attention->out})
      fit = fit && dense({number}) && !isOf(DType::I32, {number});
    if (!fit)
      return unfit("latent attention");
    if (attention->state >= program.states.size())
      return bad("a command of '{}' has no state {}", function.name,
                 attention->state);
    const program::StateT &state = *program.states[attention->state];
    if (state.widths[0] != latent[1] || state.widths[1] != key[1] ||
        state.layers.empty() != layers.empty() ||
        !std::ranges::includes(state.layers, layers))
      return unfit("latent attention");
  } else if (const auto *repeat = op.AsRepeat()) {
    // (P09) one level of repeats; runs are of bodies that are there.
    if (!layers.empty())
      return bad("'{}' repeats inside of layers", function.name);
    uint64_t next = 0;
    std::vector<Layers> layersOf(repeat->bodies.size());
    for (const program::Run &run : repeat->runs) {
      if (run.body() >= repeat->bodies.size() || run.first() != next ||
          run.count() == 0 || run.count() > mostLayers - next)
        return bad("the layers of '{}' have a gap", function.name);
      for (uint32_t i = 0; i < run.count(); ++i)
        layersOf[run.body()].push_back(run.first() + i);
      next += run.count();
    }
    for (size_t i = 0; i < layersOf.size(); ++i) {
      if (layersOf[i].empty())
        return bad("'{}' has a body that no layer runs", function.name);
      MBC_TRY(checkBody(function, *repeat->bodies[i], layersOf[i]));
    }
  } else {
    return bad("'{}' has an unknown command", function.name);
  }
  return {};
}

Status Checker::checkBody(const program::FunctionT &function,
                          const program::BodyT &body, const Layers &layers) {
  for (const auto &command : body.commands) {
    if (command->location >= program.locations.size())
      return bad("a command of '{}' has no place", function.name);
    MBC_TRY(checkCommand(function, command->op, layers));
  }
  return {};
}

Status Checker::checkCode() {
  // (P12) entries have names of their own; every image is for another known
  // processor, and is one that can be loaded without running anything.
  std::set<std::string_view> names, targets;
  for (const auto &entry : program.entries)
    if (entry->name.empty() || entry->scratch > limit ||
        !names.insert(entry->name).second)
      return bad("entry '{}' is no entry of native code", entry->name);
  for (const auto &code : program.code) {
    if (std::ranges::find(codeTargets, code->target) == codeTargets.end() ||
        !targets.insert(code->target).second)
      return bad("native code is for '{}'; expected each of {} once",
                 code->target, fmt::join(codeTargets, ", "));
    if (std::string fault = faultOfImage(code->image, names); !fault.empty())
      return bad("native code for {} {}", code->target, fault);
  }
  return {};
}

Status Checker::checkGpuCode() {
  // (P16) as P12, of code for GPUs; blocks are ones that a GPU starts.
  std::set<std::string_view> names, targets;
  for (const auto &entry : program.gpu_entries) {
    bool fits = !entry->name.empty() && names.insert(entry->name).second &&
                entry->threads >= 32 && entry->threads <= 1024 &&
                entry->threads % 32 == 0 && entry->shared <= mostGpuShared &&
                !entry->tasks.empty();
    for (const program::GpuTask &task : entry->tasks)
      fits = fits && task.rows() > 0 && task.rows() <= entry->threads &&
             task.parts() > 0 && task.parts() <= mostRows;
    if (!fits)
      return bad("entry '{}' is no entry of code for GPUs", entry->name);
  }
  for (const auto &code : program.gpu_code) {
    if (!findGpuTarget(code->target) || !targets.insert(code->target).second)
      return bad("code is for '{}'; expected each of {} once", code->target,
                 gpuTargetNames());
    if (std::string fault = faultOfGpuCode(*code, names); !fault.empty())
      return bad("code for {} {}", code->target, fault);
  }
  return {};
}

Status Checker::checkVision() {
  // (P14) pictures are cut into patches of some size; sums of rows and columns
  // stay in 32 bits.
  if (!program.vision)
    return {};
  const program::VisionT &vision = *program.vision;
  constexpr uint32_t most = 1 << 16;
  for (uint32_t size : {vision.channels, vision.frames, vision.patch,
                        vision.fold, vision.window})
    if (size == 0 || size > most)
      return bad("pictures are cut into patches of size {}", size);
  return {};
}

Status Checker::run() {
  MBC_TRY(checkVision());
  for (const auto &weight : program.weights)
    MBC_TRY(checkWeight(*weight));
  for (const auto &state : program.states)
    MBC_TRY(checkState(*state));
  for (const auto &rope : program.ropes)
    MBC_TRY(checkRope(*rope));
  for (const auto &kernel : program.kernels)
    MBC_TRY(checkKernel(*kernel));
  MBC_TRY(checkCode());
  MBC_TRY(checkGpuCode());
  for (const auto &function : program.functions) {
    // (P10) rows of ports are those of the function, or fewer.
    if (function->rows == 0 || function->rows > mostRows ||
        function->arena > limit || !function->body)
      return bad("function '{}' has no rows", function->name);
    for (const auto *ports : {&function->inputs, &function->outputs})
      for (const auto &port : *ports) {
        uint64_t count = 1;
        for (uint32_t dim : port->dims) {
          if (dim == 0 || count > limit / dim)
            return bad("'{}' of function '{}' has no size", port->name,
                       function->name);
          count *= dim;
        }
        if (port->dims.empty() || port->dims[0] > function->rows ||
            !isKnown(port->dtype))
          return bad("'{}' of function '{}' has no shape", port->name,
                     function->name);
      }
    for (const auto &view : function->views)
      MBC_TRY(checkView(*function, *view));
    MBC_TRY(checkBody(*function, *function->body, {}));
  }
  return {};
}

} // namespace

Expected<std::unique_ptr<program::ProgramT>>
parseProgram(std::span<const uint8_t> bytes, const std::string &name) {
  // (P01) the format, of this version.
  flatbuffers::Verifier verifier(bytes.data(), bytes.size(), /*max_depth=*/64,
                                 /*max_tables=*/10'000'000);
  if (bytes.size() < 8 || !program::ProgramBufferHasIdentifier(bytes.data()))
    return inputError(fmt::format(
        "{}: is no program; expected a file written by mbc compile", name));
  if (!program::VerifyProgramBuffer(verifier))
    return inputError(fmt::format("{}: is damaged: not a flatbuffer", name));
  const program::Program *raw = program::GetProgram(bytes.data());
  // (P02)
  if (raw->abi() != programAbi)
    return inputError(
        fmt::format("{}: is of program version {}, this mbc runs {}; compile "
                    "it again",
                    name, raw->abi(), programAbi));
  std::unique_ptr<program::ProgramT> program(raw->UnPack());
  MBC_TRY(Checker(*program, name).run());
  return program;
}

Expected<std::unique_ptr<program::ProgramT>>
readProgram(const std::filesystem::path &path) {
  std::error_code code;
  if (std::filesystem::is_directory(path, code))
    return inputError(
        fmt::format("{}: is a folder; expected a file written by mbc compile",
                    path.string()));
  MBC_ASSIGN(std::string text, readWholeFile(path, uint64_t(1) << 31));
  std::span<uint8_t> bytes(reinterpret_cast<uint8_t *>(text.data()),
                           text.size());
  MBC_ASSIGN(auto program, parseProgram(bytes, path.string()));
  // (P11) what was written; numbers alone would not tell.
  std::span<uint8_t> digest = digestIn(bytes);
  std::ranges::copy(noDigest.substr(0, digest.size()), digest.begin());
  if (digest.empty() || digestText(text) != program->digest)
    return inputError(fmt::format("{}: is damaged: its digest is another one; "
                                  "copy or compile it again",
                                  path.string()));
  return program;
}

} // namespace mbc
