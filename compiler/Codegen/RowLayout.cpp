//===- RowLayout.cpp ------------------------------------------------------===//

#include "compiler/Codegen/RowLayout.h"
#include "dialects/Exec/ExecDialect.h"

using namespace mlir;

namespace mbc::codegen {

/// The view of memory that `view` is a window of, and the elements before it.
static std::pair<Value, int64_t> sourceOf(Value view) {
  if (auto window = view.getDefiningOp<exec::SubviewOp>())
    return {window.getSource(), window.getOffset()};
  return {view, 0};
}

RowLayout layoutOf(Value view) {
  auto type = cast<MemRefType>(view.getType());
  SmallVector<int64_t> strides = exec::stridesOf(type);
  RowLayout layout;
  layout.element = type.getElementType();
  layout.shared =
      isa_and_nonnull<exec::UseOp>(sourceOf(view).first.getDefiningOp());
  layout.rowStride = layout.shared ? 0 : strides[0];
  for (size_t i = layout.shared ? 0 : 1; i < strides.size(); ++i) {
    int64_t size = type.getDimSize(i);
    if (size == 1)
      continue;
    if (!layout.sizes.empty() && layout.strides.back() == size * strides[i]) {
      layout.sizes.back() *= size;
      layout.strides.back() = strides[i];
    } else {
      layout.sizes.push_back(size);
      layout.strides.push_back(strides[i]);
    }
  }
  if (layout.sizes.empty()) {
    layout.sizes.push_back(1);
    layout.strides.push_back(1);
  }
  return layout;
}

namespace {

/// Bytes [begin, end).
struct Bytes {
  int64_t begin, end;
};

/// A view's memory: what it is in, and where its first row is.
struct Place {
  const void *memory;
  int64_t begin; ///< bytes
  int64_t rowBytes, rows;
  RowLayout layout;

  explicit Place(Value view) : layout(layoutOf(view)) {
    auto [source, elements] = sourceOf(view);
    auto type = cast<MemRefType>(view.getType());
    memory = source.getAsOpaquePointer();
    begin = exec::bytesOf(type, elements);
    // Planned buffers of a function are places of one arena.
    if (auto buffer = source.getDefiningOp<exec::BufferOp>();
        buffer && buffer.getOffset()) {
      memory = buffer->getParentOfType<exec::FuncOp>();
      begin += static_cast<int64_t>(*buffer.getOffset());
    }
    if (auto use = source.getDefiningOp<exec::UseOp>())
      memory = use.getWeightAttr().getAsOpaquePointer();
    rowBytes = exec::bytesOf(type, layout.rowStride);
    rows = layout.shared ? 1 : type.getDimSize(0);
  }

  int64_t bytesOf(int64_t elements) const {
    return elements * layout.element.getIntOrFloatBitWidth() / 8;
  }

  /// The runs of the first row, gaps inside of a run included.
  SmallVector<Bytes> runs() const {
    SmallVector<Bytes> result{
        {begin, begin + bytesOf((layout.run() - 1) * layout.step() + 1)}};
    for (size_t i = layout.sizes.size() - 1; i-- > 0;) {
      size_t inner = result.size();
      for (int64_t k = 1; k < layout.sizes[i]; ++k)
        for (size_t j = 0; j < inner; ++j) {
          int64_t by = bytesOf(k * layout.strides[i]);
          result.push_back({result[j].begin + by, result[j].end + by});
        }
    }
    return result;
  }
};

} // namespace

int64_t alignmentOf(Value view) {
  Place place(view);
  int64_t all = 16 | place.begin | place.rowBytes;
  for (int64_t stride : ArrayRef(place.layout.strides).drop_back())
    all |= place.bytesOf(stride);
  return all & -all;
}

Overlap overlapOf(Value left, Value right) {
  Place a(left), b(right);
  if (a.memory != b.memory)
    return Overlap::None;
  if (a.begin == b.begin && a.layout == b.layout && !a.layout.shared)
    return Overlap::Same;
  SmallVector<Bytes> inA = a.runs(), inB = b.runs();
  auto extent = [](const Place &place, ArrayRef<Bytes> runs) {
    Bytes all = runs[0];
    for (const Bytes &run : runs)
      all = {std::min(all.begin, run.begin), std::max(all.end, run.end)};
    return all;
  };
  Bytes allA = extent(a, inA), allB = extent(b, inB);
  auto apart = [](const Bytes &x, const Bytes &y) {
    return x.end <= y.begin || y.end <= x.begin;
  };
  // All rows of one before all of the other.
  auto ofAllRows = [](Bytes row, const Place &place) {
    return Bytes{row.begin, row.end + (place.rows - 1) * place.rowBytes};
  };
  if (apart(ofAllRows(allA, a), ofAllRows(allB, b)))
    return Overlap::None;
  // Rows of both beside each other in rows of one memory.
  if (a.rowBytes == b.rowBytes && !a.layout.shared && !b.layout.shared &&
      std::max(allA.end, allB.end) - std::min(allA.begin, allB.begin) <=
          a.rowBytes) {
    auto begins = [](const Bytes &x, const Bytes &y) {
      return x.begin < y.begin;
    };
    llvm::sort(inA, begins);
    llvm::sort(inB, begins);
    for (size_t i = 0, j = 0; i < inA.size() && j < inB.size();) {
      if (!apart(inA[i], inB[j]))
        return Overlap::Other;
      ++(inA[i].end <= inB[j].begin ? i : j);
    }
    return Overlap::None;
  }
  return Overlap::Other;
}

} // namespace mbc::codegen
