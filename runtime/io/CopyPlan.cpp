//===- CopyPlan.cpp -------------------------------------------------------===//
#include "runtime/io/CopyPlan.h"

#include <fmt/format.h>

namespace mbc {

std::vector<uint8_t> serializePlan(const plan::PlanT &plan) {
  flatbuffers::FlatBufferBuilder builder;
  plan::FinishPlanBuffer(builder, plan::Plan::Pack(builder, &plan));
  return {builder.GetBufferPointer(),
          builder.GetBufferPointer() + builder.GetSize()};
}

namespace {

/// What the flatbuffer verifier leaves out. Unpacked, a plan must take no more
/// than its buffer holds: a hostile one can refer to the same text from
/// everywhere. And numbers must be aligned: the verifier looks at the length in
/// front of them alone.
class LayoutChecker {
public:
  explicit LayoutChecker(size_t bytes) : left(bytes) {}

  bool check(const plan::Plan &plan) {
    add(plan.model());
    add(plan.notes());
    addTables(plan.copies());
    addTables(plan.placements());
    addTables(plan.ties());
    addTables(plan.extras());
    addTables(plan.objects());
    return !damaged;
  }

private:
  void take(size_t bytes) {
    damaged |= bytes > left;
    left -= std::min(bytes, left);
  }
  void add(const flatbuffers::String *text) {
    if (text)
      take(text->size());
  }
  template <typename T> void add(const flatbuffers::Vector<T> *values) {
    if (!values)
      return;
    // Structs are stored in place, though the accessor's type is a pointer.
    using Stored = std::remove_pointer_t<T>;
    take(values->size() * sizeof(Stored));
    damaged |=
        reinterpret_cast<uintptr_t>(values->Data()) % alignof(Stored) != 0;
  }
  using Texts = flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>;
  void add(const Texts *texts) {
    if (!texts)
      return;
    take(texts->size() * 4);
    for (size_t i = 0; i < texts->size() && !damaged; ++i)
      add(texts->Get(i));
  }
  template <typename T>
  void addTables(const flatbuffers::Vector<flatbuffers::Offset<T>> *tables) {
    if (!tables)
      return;
    take(tables->size() * 4);
    for (size_t i = 0; i < tables->size() && !damaged; ++i)
      add(*tables->Get(i));
  }
  void add(const plan::Name *name) {
    if (!name)
      return;
    add(name->literals());
    add(name->holes());
  }
  void add(const plan::Loop &loop) {
    add(loop.index());
    add(loop.values());
  }
  void add(const plan::Copy &copy) {
    add(copy.path());
    addTables(copy.loops());
    add(copy.hf());
    add(copy.mcore());
    add(copy.axes());
    for (const auto *numbers :
         {copy.hf_shape(), copy.mcore_shape(), copy.extents(),
          copy.hf_strides(), copy.hf_loop_strides(), copy.mcore_strides(),
          copy.mcore_loop_strides()})
      add(numbers);
  }
  void add(const plan::Placement &placement) {
    add(placement.mcore());
    addTables(placement.loops());
    add(placement.segments());
    add(placement.ranks());
    add(placement.stack());
  }
  void add(const plan::Tie &tie) {
    add(tie.copy());
    add(tie.original());
    add(tie.shape());
  }
  void add(const plan::Extra &extra) {
    add(extra.name());
    add(extra.shape());
  }
  void add(const plan::Object &object) {
    add(object.name());
    addTables(object.loops());
  }

  size_t left;
  bool damaged = false;
};

/// Checks what the flatbuffer verifier cannot know: that numbers agree.
class PlanChecker {
public:
  PlanChecker(const plan::PlanT &plan, const std::string &origin)
      : plan(plan), origin(origin) {}

  Status check() {
    for (const auto &copy : plan.copies)
      MBC_TRY(checkCopy(*copy));
    for (const auto &placement : plan.placements) {
      MBC_TRY(checkName(placement->mcore.get(), placement->loops, "placement"));
      if (placement->segments.size() != placement->ranks.size())
        return bad("placement", "has segments without ranks");
    }
    for (const auto &object : plan.objects)
      MBC_TRY(checkName(object->name.get(), object->loops, "object"));
    return {};
  }

private:
  Failure bad(const std::string &what, const std::string &why) {
    return inputError(
        fmt::format("{}: damaged copy plan: {} {}", origin, what, why));
  }

  Status checkName(const plan::NameT *name,
                   const std::vector<std::unique_ptr<plan::LoopT>> &loops,
                   const std::string &what) {
    if (!name || name->literals.size() != name->holes.size() + 1)
      return bad(what, "has a malformed name");
    for (const plan::Hole &hole : name->holes)
      if (hole.loop() >= loops.size())
        return bad(what, "has a name with an unknown loop");
    for (const auto &loop : loops)
      for (const plan::IndexRun &run : loop->values)
        if (run.count() == 0 || run.count() > (1u << 24) ||
            (run.count() > 1 && run.step() == 0))
          return bad(what, "has an empty or endless loop");
    return {};
  }

  /// The farthest element of the box over all loop indices lies in the tensor.
  Status checkReach(const plan::CopyT &copy, const std::vector<int64_t> &shape,
                    const std::vector<int64_t> &strides, int64_t base,
                    const std::vector<int64_t> &loopStrides) {
    __int128 elements = 1, reach = base;
    for (int64_t size : shape) {
      if (size < 0)
        return bad(copy.path, "has a negative size");
      elements *= size;
      if (elements > INT64_MAX)
        return bad(copy.path, "has a tensor that is too large");
    }
    for (size_t d = 0; d < strides.size(); ++d) {
      if (strides[d] < 0 || copy.extents[d] <= 0)
        return bad(copy.path, "has a box of no or negative extent");
      reach += static_cast<__int128>(strides[d]) * (copy.extents[d] - 1);
    }
    for (size_t l = 0; l < loopStrides.size(); ++l) {
      const auto &values = copy.loops[l]->values;
      if (loopStrides[l] < 0 || values.empty())
        return bad(copy.path, "has a malformed loop");
      const plan::IndexRun &last = values.back();
      reach +=
          static_cast<__int128>(loopStrides[l]) *
          (last.first() + static_cast<int64_t>(last.count() - 1) * last.step());
    }
    if (base < 0 || reach >= elements)
      return bad(copy.path, "reaches outside its tensor");
    return {};
  }

  Status checkCopy(const plan::CopyT &copy) {
    MBC_TRY(checkName(copy.hf.get(), copy.loops, copy.path));
    MBC_TRY(checkName(copy.mcore.get(), copy.loops, copy.path));
    size_t rank = copy.extents.size(), depth = copy.loops.size();
    if (copy.axes.size() != rank || copy.hf_strides.size() != rank ||
        copy.mcore_strides.size() != rank ||
        copy.hf_loop_strides.size() != depth ||
        copy.mcore_loop_strides.size() != depth)
      return bad(copy.path, "has strides of another rank than its box");
    bool scaled = copy.hf_dtype == plan::DType::F8E4M3;
    if (scaled != !copy.hf_block.empty() || (scaled && copy.hf_scale.empty()))
      return bad(copy.path, "has FP8 elements without block scales, or block "
                            "scales without FP8 elements");
    if (scaled && (copy.hf_block.size() != 2 || copy.hf_block[0] <= 0 ||
                   copy.hf_block[1] <= 0 || copy.hf_shape.size() < 2))
      return bad(copy.path, "has block scales without the rows and columns of "
                            "a block");
    MBC_TRY(checkReach(copy, copy.hf_shape, copy.hf_strides, copy.hf_base,
                       copy.hf_loop_strides));
    return checkReach(copy, copy.mcore_shape, copy.mcore_strides,
                      copy.mcore_base, copy.mcore_loop_strides);
  }

  const plan::PlanT &plan;
  const std::string &origin;
};

} // namespace

Expected<plan::PlanT> parsePlan(std::span<const uint8_t> bytes,
                                const std::string &origin) {
  // A plan has a few tables a parameter family; the default limit of a million
  // is far above any real one and keeps a hostile file cheap to refuse.
  flatbuffers::Verifier verifier(bytes.data(), bytes.size());
  if (bytes.size() < 8 || !plan::PlanBufferHasIdentifier(bytes.data()) ||
      !plan::VerifyPlanBuffer(verifier) ||
      !LayoutChecker(bytes.size()).check(*plan::GetPlan(bytes.data())))
    return inputError(fmt::format("{}: not an mbc copy plan", origin));
  plan::PlanT plan;
  plan::GetPlan(bytes.data())->UnPackTo(&plan);
  if (plan.version > kPlanVersion)
    return inputError(fmt::format(
        "{}: copy plan of version {}, this mbc reads up to {}; use a newer mbc",
        origin, plan.version, kPlanVersion));
  MBC_TRY(PlanChecker(plan, origin).check());
  return plan;
}

std::string spell(const plan::NameT &name, std::span<const uint32_t> indices) {
  std::string text = name.literals.front();
  for (size_t h = 0; h < name.holes.size(); ++h) {
    const plan::Hole &hole = name.holes[h];
    text += std::to_string(static_cast<int64_t>(hole.scale()) *
                               indices[hole.loop()] +
                           hole.offset());
    text += name.literals[h + 1];
  }
  return text;
}

Status
forEachIndex(const std::vector<std::unique_ptr<plan::LoopT>> &loops,
             const std::function<Status(std::span<const uint32_t>)> &fn) {
  std::vector<uint32_t> indices(loops.size());
  std::function<Status(size_t)> nest = [&](size_t depth) -> Status {
    if (depth == loops.size())
      return fn(indices);
    for (const plan::IndexRun &run : loops[depth]->values)
      for (uint32_t k = 0; k < run.count(); ++k) {
        indices[depth] = run.first() + k * run.step();
        MBC_TRY(nest(depth + 1));
      }
    return {};
  };
  return nest(0);
}

} // namespace mbc
