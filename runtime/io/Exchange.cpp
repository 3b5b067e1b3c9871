//===- Exchange.cpp - What stands in another's place ----------------------===//
#include "runtime/io/Exchange.h"

#include "runtime/core/Parallel.h"
#include "runtime/core/Text.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <set>

namespace mbc {

using Place = PlanPlaces::Place;

//===----------------------------------------------------------------------===//
// Whole tensors
//===----------------------------------------------------------------------===//

namespace {

/// "decoder.mlp" of "decoder.mlp.fc1" and "decoder.mlp.fc2".
std::string commonModule(std::string_view a, std::string_view b) {
  std::string x = std::string(a) + ".", y = std::string(b) + ".";
  size_t length = std::ranges::mismatch(x, y).in1 - x.begin();
  size_t end = length == 0 ? x.npos : x.rfind('.', length - 1);
  return end == x.npos ? std::string() : x.substr(0, end);
}

/// Two indices of one loop whose tensors changed places.
struct LoopExchange {
  std::string over, index;
  std::vector<uint32_t> outer; ///< indices of the loops before it
  std::string outerText;       ///< " (l = 5)"
  uint32_t i, j;

  auto key() const { return std::tie(over, outer, i, j); }
  bool operator<(const LoopExchange &other) const {
    return key() < other.key();
  }
};

/// The loop in which two tensors of one family differ; none when they differ
/// in several, or are of two families.
std::optional<LoopExchange> loopBetween(const Place &a, const Place &b) {
  if (a.copy->path != b.copy->path || a.copy->part != b.copy->part ||
      a.indices.size() != b.indices.size())
    return std::nullopt;
  std::optional<size_t> loop;
  for (size_t i = 0; i < a.indices.size(); ++i) {
    if (a.indices[i] == b.indices[i])
      continue;
    if (loop)
      return std::nullopt;
    loop = i;
  }
  if (!loop)
    return std::nullopt;
  LoopExchange result;
  result.over = a.copy->loops[*loop]->over;
  result.index = a.copy->loops[*loop]->index;
  result.outer.assign(a.indices.begin(), a.indices.begin() + *loop);
  for (size_t i = 0; i < *loop; ++i)
    result.outerText += fmt::format("{}{} = {}", i ? ", " : " (",
                                    a.copy->loops[i]->index, a.indices[i]);
  if (*loop > 0)
    result.outerText += ")";
  std::tie(result.i, result.j) =
      std::minmax(a.indices[*loop], b.indices[*loop]);
  return result;
}

/// Exchanges of one kind, and the pairs of names that make it up.
struct Group {
  std::vector<std::pair<std::string, std::string>> pairs;
  std::string module; ///< that all of them are in
  size_t total = 0;   ///< tensors at one of the two indices
};

std::string loopText(const LoopExchange &loop, const std::string &module) {
  // The loop over a stack counts its layers.
  bool stack = module == loop.over || module.starts_with(loop.over + ".");
  return fmt::format("{} {} and {} of {}{} are exchanged",
                     stack ? "layers" : loop.over, loop.i, loop.j,
                     stack ? loop.over : module, loop.outerText);
}

} // namespace

std::vector<Exchange> nameExchanges(std::span<const Holding> holdings,
                                    const PlanPlaces *places) {
  std::map<std::string, std::string> ownerOf;
  for (const Holding &holding : holdings)
    ownerOf[holding.holder] = holding.owner;

  std::vector<Exchange> result;
  std::map<LoopExchange, Group> groups;
  for (const Holding &holding : holdings) {
    const auto &[x, y] = holding;
    auto back = ownerOf.find(y);
    if (back == ownerOf.end() || back->second != x) {
      result.push_back(
          {fmt::format("{} holds what {} should hold", quote(x), quote(y)),
           {x}});
      continue;
    }
    if (y < x)
      continue; // said once
    const Place *a = places ? places->find(x) : nullptr,
                *b = places ? places->find(y) : nullptr;
    std::string both =
        fmt::format("{} and {} are exchanged", quote(x), quote(y));
    if (!a || !b) {
      result.push_back({both, {x, y}});
      continue;
    }
    if (auto loop = loopBetween(*a, *b)) {
      Group &group = groups[*loop];
      group.module = group.pairs.empty()
                         ? a->copy->path
                         : commonModule(group.module, a->copy->path);
      group.pairs.emplace_back(x, y);
      std::vector<uint32_t> at = loop->outer;
      at.push_back(loop->i);
      group.total = places->count(a->copy->loops[0]->over, at);
      continue;
    }
    if (a->copy->path == b->copy->path && a->indices == b->indices &&
        a->copy->part != b->copy->part) {
      result.push_back({fmt::format("{} and {} of {} are exchanged: {} and {}",
                                    a->copy->part, b->copy->part, placeText(*a),
                                    quote(x), quote(y)),
                        {x, y}});
      continue;
    }
    result.push_back(
        {fmt::format("{}: {} and {}", both, placeText(*a), placeText(*b)),
         {x, y}});
  }
  for (const auto &[loop, group] : groups) {
    std::vector<std::string> names;
    for (const auto &[x, y] : group.pairs)
      names.insert(names.end(), {x, y});
    // One family of many is not the layer. (What is equal in both places does
    // not differ, so that it need not be all of them.)
    if (group.pairs.size() * 2 > group.total) {
      result.push_back(
          {fmt::format("{} ({} of {} tensors{})", loopText(loop, group.module),
                       group.pairs.size(), group.total,
                       group.pairs.size() < group.total
                           ? "; the others do not differ so"
                           : ""),
           names});
      continue;
    }
    for (const auto &[x, y] : group.pairs)
      result.push_back({fmt::format("{}: {} and {}",
                                    loopText(loop, places->find(x)->copy->path),
                                    quote(x), quote(y)),
                        {x, y}});
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Slices
//===----------------------------------------------------------------------===//

namespace {

/// 128 bits, so that equal digests mean equal contents.
struct Digest {
  uint64_t low = 0, high = 0;
  auto operator<=>(const Digest &) const = default;
};

uint64_t fold(uint64_t x, uint64_t y) {
  auto product = static_cast<unsigned __int128>(x) * y;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

/// What an element adds to the digest of a slice, whatever its position is.
struct Mixed {
  explicit Mixed(uint64_t value)
      : low(fold(value ^ 0x9e3779b97f4a7c15u, 0xd6e8feb86659fd93u)),
        high(fold(value ^ 0x9e3779b97f4a7c15u, 0xe7037ed1a0b428dbu)) {}
  uint64_t low, high;
};

/// Adds an element at a position of a slice. A sum, so that elements may come
/// in any order.
void add(Digest &digest, Mixed value, uint64_t position) {
  uint64_t y = position ^ 0xc2b2ae3d27d4eb4fu;
  digest.low += fold(value.low ^ y, 0xa0761d6478bd642fu);
  digest.high += fold(value.high ^ y, 0x8ebc6af09c88c6e3u);
}

/// The axes of a tensor that are longer than 1: those of its box in the plan,
/// or its own dimensions; slowest first. `strides` in elements of the row-major
/// tensor.
struct Axes {
  std::vector<std::string> names;
  std::vector<int64_t> sizes, strides;
};

Axes axesOf(const TensorInfo &info, const Place *place) {
  Axes axes;
  if (place) {
    const plan::CopyT &copy = *place->copy;
    int64_t elements = 1;
    std::vector<size_t> order(copy.extents.size());
    std::iota(order.begin(), order.end(), 0);
    std::ranges::sort(order, std::greater<>(),
                      [&](size_t i) { return copy.hf_strides[i]; });
    for (size_t i : order) {
      elements *= copy.extents[i];
      axes.names.push_back(copy.axes[i]);
      axes.sizes.push_back(copy.extents[i]);
      axes.strides.push_back(copy.hf_strides[i]);
    }
    if (elements == info.elements())
      return axes;
    axes = {}; // The box is a part of the tensor.
  }
  for (size_t i = 0; i < info.shape.size(); ++i) {
    if (info.shape[i] == 1)
      continue;
    axes.names.push_back(fmt::format("dimension {}", i));
    axes.sizes.push_back(info.shape[i]);
    axes.strides.push_back(std::accumulate(info.shape.begin() + i + 1,
                                           info.shape.end(), int64_t(1),
                                           std::multiplies<>()));
  }
  return axes;
}

/// Axes [first, last): a slice is one tuple of their indices. An empty range
/// is the whole tensor.
struct Range {
  size_t first, last;
};

/// A way to number the elements of slices: axis i moves to slice
/// + slice[i] and to position + inner[i].
struct Cut {
  Range range;
  std::vector<int64_t> slice, inner;
  int64_t slices = 1;
  std::vector<int64_t> innerSizes{};
};

/// Row-major positions over axes in a given order; 0 for those left out.
std::vector<int64_t> positions(std::span<const int64_t> sizes,
                               std::span<const size_t> order) {
  std::vector<int64_t> result(sizes.size(), 0);
  int64_t stride = 1;
  for (size_t i = order.size(); i-- > 0;) {
    result[order[i]] = stride;
    stride *= sizes[order[i]];
  }
  return result;
}

Cut cutAt(const Axes &axes, Range range) {
  Cut cut{range, {}, {}};
  std::vector<size_t> outer, inner;
  for (size_t i = 0; i < axes.sizes.size(); ++i) {
    bool out = i >= range.first && i < range.last;
    (out ? outer : inner).push_back(i);
    if (out)
      cut.slices *= axes.sizes[i];
    else
      cut.innerSizes.push_back(axes.sizes[i]);
  }
  cut.slice = positions(axes.sizes, outer);
  cut.inner = positions(axes.sizes, inner);
  return cut;
}

/// The whole tensor with axes [first, middle) and [middle, last) swapped.
Cut reordered(const Axes &axes, size_t first, size_t middle, size_t last) {
  std::vector<size_t> order(axes.sizes.size());
  std::iota(order.begin(), order.end(), 0);
  std::rotate(order.begin() + first, order.begin() + middle,
              order.begin() + last);
  Cut cut = cutAt(axes, {0, 0});
  cut.inner = positions(axes.sizes, order);
  return cut;
}

/// Reads tensors and digests them under several cuts at once.
class Digester {
public:
  explicit Digester(const TensorSet &set) : set(set), reader(set) {}

  /// One list of slices for each cut.
  Expected<std::vector<std::vector<Digest>>> digest(size_t tensor, DType dtype,
                                                    const Axes &axes,
                                                    std::span<const Cut> cuts) {
    constexpr int64_t block = 1 << 18;
    std::vector<std::vector<Digest>> result;
    for (const Cut &cut : cuts)
      result.emplace_back(cut.slices);
    std::vector<int64_t> index(axes.sizes.size(), 0), slice(cuts.size(), 0),
        inner(cuts.size(), 0);
    int64_t elements = set.tensors()[tensor].elements();
    size_t width = bytesOf(dtype, 1);
    for (int64_t at = 0; at < elements; at += block) {
      int64_t count = std::min(block, elements - at);
      buffer.resize(bytesOf(dtype, count));
      extents.clear();
      set.locate(tensor, at, count, 0, extents);
      MBC_TRY(reader.gather(extents, dtype, buffer));
      for (int64_t i = 0; i < count; ++i) {
        uint64_t value = 0;
        std::memcpy(&value, buffer.data() + i * width, width);
        Mixed mixed(value);
        for (size_t c = 0; c < cuts.size(); ++c)
          add(result[c][slice[c]], mixed, inner[c]);
        for (size_t axis = axes.sizes.size(); axis-- > 0;) {
          bool wraps = ++index[axis] == axes.sizes[axis];
          int64_t steps = wraps ? 1 - axes.sizes[axis] : 1;
          for (size_t c = 0; c < cuts.size(); ++c) {
            slice[c] += steps * cuts[c].slice[axis];
            inner[c] += steps * cuts[c].inner[axis];
          }
          if (!wraps)
            break;
          index[axis] = 0;
        }
      }
    }
    return result;
  }

private:
  const TensorSet &set;
  ExtentReader reader;
  std::vector<std::byte> buffer;
  std::vector<Extent> extents;
};

/// A differing tensor and what is known of its slices.
struct Case {
  const Suspect *suspect;
  const TensorInfo *info;
  const Place *place;
  Axes axes;
  std::vector<Cut> cuts;                 ///< ranges, the whole first
  std::vector<std::vector<Digest>> a, b; ///< one for each cut
  struct Order {
    size_t first, middle, last;
    Digest digest; ///< of A in that order
  };
  std::vector<Order> orders;
  bool explained = false;
};

/// A slice of a case.
struct Slice {
  uint32_t of, cut;
  int64_t index;
  auto operator<=>(const Slice &) const = default;
};

class Finder {
public:
  Finder(const TensorSet &a, const TensorSet &b, const PlanPlaces *places,
         unsigned threads)
      : a(a), b(b), places(places),
        threads(threads ? threads : defaultThreads()) {}

  Expected<std::vector<Exchange>> run(std::span<const Suspect> suspects) {
    for (const Suspect &suspect : suspects) {
      const TensorInfo &info = a.tensors()[suspect.a];
      if (bitsOf(suspect.dtype) % 8 != 0 || bitsOf(suspect.dtype) > 64)
        continue;
      const Place *place = places ? places->find(info.name) : nullptr;
      Case item{&suspect, &info, place, axesOf(info, place), {}, {}, {}, {}};
      item.cuts.push_back(cutAt(item.axes, {0, 0}));
      // Whole tensors of one shape may change places, whatever their axes are.
      item.cuts.back().innerSizes = info.shape;
      cases.push_back(std::move(item));
    }
    MBC_TRY(digestAll());
    findTensors();
    // What is not explained as a whole is looked into.
    std::erase_if(cases, [](const Case &item) { return item.explained; });
    int64_t elements = 0;
    std::erase_if(cases, [&](const Case &item) {
      elements += item.info->elements();
      return item.axes.sizes.size() < 2 || elements > sliceBudget;
    });
    int64_t left = slicesOfAll;
    for (Case &item : cases)
      addCuts(item, left);
    MBC_TRY(digestAll());
    findSlices();
    return std::move(result);
  }

private:
  /// At 64 bytes a slice.
  static constexpr int64_t slicesOfCut = 1 << 18, slicesOfAll = 1 << 20;

  Status digestAll() {
    std::vector<std::unique_ptr<Digester>> readA(threads), readB(threads);
    return parallelFor(
        threads, cases.size(), [&](size_t index, unsigned worker) -> Status {
          if (!readA[worker]) {
            readA[worker] = std::make_unique<Digester>(a);
            readB[worker] = std::make_unique<Digester>(b);
          }
          Case &item = cases[index];
          std::vector<Cut> cuts = item.cuts;
          for (const Case::Order &order : item.orders)
            cuts.push_back(
                reordered(item.axes, order.first, order.middle, order.last));
          MBC_ASSIGN(item.a,
                     readA[worker]->digest(item.suspect->a, item.suspect->dtype,
                                           item.axes, cuts));
          for (size_t i = 0; i < item.orders.size(); ++i)
            item.orders[i].digest = item.a[item.cuts.size() + i][0];
          MBC_ASSIGN(item.b,
                     readB[worker]->digest(item.suspect->b, item.suspect->dtype,
                                           item.axes, item.cuts));
          return {};
        });
  }

  /// Every range of neighbouring axes, but not all of them: single elements
  /// are equal by chance. `left`: slices that there is still memory for.
  static void addCuts(Case &item, int64_t &left) {
    size_t rank = item.axes.sizes.size();
    for (size_t length = 1; length < rank; ++length)
      for (size_t first = 0; first + length <= rank; ++first) {
        Cut cut = cutAt(item.axes, {first, first + length});
        if (cut.slices > std::min(left, slicesOfCut))
          continue;
        left -= cut.slices;
        item.cuts.push_back(std::move(cut));
      }
    for (size_t first = 0; first < rank; ++first)
      for (size_t last = first + 2; last <= rank; ++last)
        for (size_t middle = first + 1; middle < last; ++middle)
          item.orders.push_back({first, middle, last, {}});
  }

  /// What slices with these contents could stand in each other's place.
  Digest keyOf(const Case &item, size_t cut, Digest digest) const {
    uint64_t position = ~uint64_t(0);
    add(digest, Mixed(static_cast<uint64_t>(item.suspect->dtype)), position);
    for (int64_t size : item.cuts[cut].innerSizes)
      add(digest, Mixed(static_cast<uint64_t>(size)), --position);
    return digest;
  }

  void findTensors() {
    std::map<Digest, std::set<std::string>> owners;
    for (const Case &item : cases)
      owners[keyOf(item, 0, item.a[0][0])].insert(item.info->name);
    std::vector<Holding> holdings;
    for (Case &item : cases) {
      auto it = owners.find(keyOf(item, 0, item.b[0][0]));
      if (it == owners.end() || it->second.size() != 1)
        continue;
      item.explained = true;
      holdings.push_back({item.info->name, *it->second.begin()});
    }
    result = nameExchanges(holdings, places);
  }

  std::string nameOf(const Case &item) const {
    return item.place ? fmt::format("{} = {}", quote(item.info->name),
                                    placeText(*item.place))
                      : quote(item.info->name);
  }

  /// The order of axes in which B stores the values of A; null when none is.
  static const Case::Order *orderOf(const Case &item) {
    auto it =
        std::ranges::find(item.orders, item.b[0][0], &Case::Order::digest);
    return it == item.orders.end() ? nullptr : &*it;
  }

  void reportOrder(const Case &item, const Case::Order &order) {
    std::span<const std::string> names = item.axes.names;
    auto list = [&](size_t first, size_t last) {
      return fmt::format("{}",
                         fmt::join(names.subspan(first, last - first), ", "));
    };
    bool whole = order.first == 0 && order.last == names.size();
    result.push_back({fmt::format("{} {} with ({}) before ({})", nameOf(item),
                                  whole ? "is transposed, stored" : "is stored",
                                  list(order.middle, order.last),
                                  list(order.first, order.middle)),
                      {item.info->name}});
  }

  void findSlices() {
    // Where contents belong. Those that differ come first: two of them that
    // changed places are likelier than a copy of a third.
    std::vector<std::pair<Digest, Slice>> owners;
    for (uint32_t c = 0; c < cases.size(); ++c)
      for (uint32_t k = 1; k < cases[c].cuts.size(); ++k)
        for (int64_t s = 0; s < cases[c].cuts[k].slices; ++s)
          owners.push_back({keyOf(cases[c], k, cases[c].a[k][s]), {c, k, s}});
    std::ranges::sort(owners);
    auto differs = [&](const Slice &slice) {
      const Case &item = cases[slice.of];
      return item.a[slice.cut][slice.index] != item.b[slice.cut][slice.index];
    };
    auto ownerOf = [&](const Slice &slice) -> std::optional<Slice> {
      const Case &item = cases[slice.of];
      Digest key = keyOf(item, slice.cut, item.b[slice.cut][slice.index]);
      std::optional<Slice> differing, any;
      size_t differingCount = 0, count = 0;
      for (auto it = std::ranges::lower_bound(owners, key, {},
                                              &std::pair<Digest, Slice>::first);
           it != owners.end() && it->first == key; ++it) {
        const Slice &owner = it->second;
        if (owner.of == slice.of && owner.cut != slice.cut)
          continue; // another way to see the same tensor
        any = owner;
        ++count;
        if (differs(owner)) {
          differing = owner;
          ++differingCount;
        }
      }
      return differingCount == 1        ? differing
             : !differing && count == 1 ? any
                                        : std::nullopt;
    };

    std::map<Slice, Slice> moves;
    for (uint32_t c = 0; c < cases.size(); ++c) {
      const Case &item = cases[c];
      std::vector<std::pair<Slice, Slice>> best;
      for (uint32_t k = 1; k < item.cuts.size(); ++k) {
        std::vector<std::pair<Slice, Slice>> found;
        bool all = true;
        for (int64_t s = 0; s < item.cuts[k].slices && all; ++s) {
          Slice slice{c, k, s};
          if (!differs(slice))
            continue;
          auto owner = ownerOf(slice);
          all = owner.has_value() && *owner != slice;
          if (all)
            found.emplace_back(slice, *owner);
        }
        if (all && !found.empty() &&
            (best.empty() || found.size() < best.size()))
          best = std::move(found);
      }
      // Two slices that changed places are simpler than another order of axes,
      // more of them are not.
      const Case::Order *order = orderOf(item);
      if (order && best.size() != 2)
        reportOrder(item, *order);
      else
        moves.insert(best.begin(), best.end());
    }
    report(moves);
  }

  /// "(kv_heads, slot.q) 3 and 5 of 6", and its like.
  std::string axesText(const Slice &slice) const {
    const Case &item = cases[slice.of];
    Range range = item.cuts[slice.cut].range;
    std::span<const std::string> names =
        std::span(item.axes.names)
            .subspan(range.first, range.last - range.first);
    return names.size() == 1 ? names[0]
                             : fmt::format("({})", fmt::join(names, ", "));
  }

  void report(const std::map<Slice, Slice> &moves) {
    /// A tensor in which many slices moved is told in one line.
    constexpr size_t shown = 8;
    std::map<uint32_t, size_t> told;
    std::set<Slice> done;
    for (const auto &[slice, owner] : moves) {
      const Case &item = cases[slice.of], &other = cases[owner.of];
      auto back = moves.find(owner);
      bool exchanged = back != moves.end() && back->second == slice;
      if (done.contains(slice) || ++told[slice.of] > shown)
        continue;
      std::string text;
      if (exchanged && slice.of == owner.of)
        text = fmt::format("{}: {} {} and {} of {} are exchanged", nameOf(item),
                           axesText(slice), slice.index, owner.index,
                           item.cuts[slice.cut].slices);
      else
        text = fmt::format(
            "{} {} of {} {} {} {} of {}{}", axesText(slice), slice.index,
            nameOf(item), exchanged ? "and" : "holds what", axesText(owner),
            owner.index, slice.of == owner.of ? "it" : nameOf(other),
            exchanged ? " are exchanged" : " should hold");
      if (exchanged)
        done.insert(owner);
      Exchange exchange{std::move(text), {item.info->name}};
      if (exchanged && owner.of != slice.of)
        exchange.tensors.push_back(other.info->name);
      result.push_back(std::move(exchange));
    }
    for (auto [index, count] : told)
      if (count > shown)
        result.push_back(
            {fmt::format("{}: {} more like these",
                         quote(cases[index].info->name), count - shown),
             {cases[index].info->name}});
  }

  const TensorSet &a, &b;
  const PlanPlaces *places;
  unsigned threads;
  std::vector<Case> cases;
  std::vector<Exchange> result;
};

} // namespace

Expected<std::vector<Exchange>> findExchanges(const TensorSet &a,
                                              const TensorSet &b,
                                              std::span<const Suspect> suspects,
                                              const PlanPlaces *places,
                                              unsigned threads) {
  return Finder(a, b, places, threads).run(suspects);
}

} // namespace mbc
