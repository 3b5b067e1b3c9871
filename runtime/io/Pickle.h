//===- Pickle.h - Python pickles as plain data ------------------*- C++ -*-===//
//
// A pickle is a program for Python's object machine. This reader runs none of
// it: a class or function stays a name, a call stays a record of its callee and
// arguments, and the result is a tree (a graph, where objects are shared).
// Protocols 2 to 5, as CPython's `pickle` module writes them.
//
// A checkpoint's metadata can be a pickle of tens of megabytes, so the tree is
// compact: eight bytes a value, small integers inline, strings as references
// into the pickle. Memory is bounded by a small multiple of the input.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/core/Error.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mbc {

enum class PickleKind : uint8_t {
  None,
  Bool,
  Int,  ///< fits int64
  Long, ///< an integer of more than 64 bits, kept as bytes
  Double,
  String,
  Bytes,
  Tuple,
  List,
  Dict,
  Set,
  Global,    ///< a class or function, by module and name
  Object,    ///< a call: class or function, arguments, state, appended items
  Persistent ///< a persistent id: torch's reference to a storage
};

/// Says whether a pickle may mention the global `module.name`.
using PickleGlobalPolicy =
    std::function<bool(std::string_view module, std::string_view name)>;

/// Everything: for pickles from which only known parts are taken.
bool anyPickleGlobal(std::string_view module, std::string_view name);
/// Everything but the functions with which a pickle runs commands: for the
/// metadata, from which only known parts are taken, and whose classes are those
/// of any program. Nothing is ever called; a file that asks for it is refused.
bool harmlessPickleGlobal(std::string_view module, std::string_view name);
/// What torch.load(weights_only=True) accepts by default for tensors.
bool torchPickleGlobal(std::string_view module, std::string_view name);
/// What the common state of a Megatron checkpoint may hold: torch, numpy,
/// Megatron and Transformer Engine types and harmless containers.
bool commonPickleGlobal(std::string_view module, std::string_view name);

/// A value that owns its parts, to build pickles from and to hold small ones.
struct PickleValue {
  PickleKind kind = PickleKind::None;
  int64_t integer = 0; ///< Int; Bool as 0 or 1
  double real = 0;     ///< Double
  std::string text;    ///< String, Bytes, Long; the module of a Global
  std::string name;    ///< the name of a Global
  /// Tuple, List, Set: the items. Dict: key, value, key, value. Object: class,
  /// arguments, state, then appended items. Persistent: the id.
  std::vector<PickleValue> items;

  static PickleValue none() { return {}; }
  static PickleValue boolean(bool value);
  static PickleValue integral(int64_t value);
  static PickleValue floating(double value);
  static PickleValue string(std::string_view value);
  static PickleValue tuple(std::vector<PickleValue> items);
  static PickleValue list(std::vector<PickleValue> items);
  static PickleValue
  dict(std::vector<std::pair<std::string, PickleValue>> entries);
  static PickleValue global(std::string_view module, std::string_view name);
  /// `argparse.Namespace(**attributes)`: how Megatron-LM stores its arguments.
  static PickleValue
  argparseNamespace(std::vector<std::pair<std::string, PickleValue>> entries);

  /// The value of a string key of a Dict, or of an attribute in the state of an
  /// Object; null when there is none.
  const PickleValue *find(std::string_view key) const;
};

class Pickle;
class PickleItems;

/// A value inside a `Pickle`, which must outlive it. Cheap to copy.
class PickleRef {
public:
  PickleRef(const Pickle &pickle, uint64_t cell)
      : pickle(&pickle), cell(cell) {}

  PickleKind kind() const;
  bool isNone() const { return kind() == PickleKind::None; }
  std::optional<bool> asBool() const;
  std::optional<int64_t> asInt() const;
  std::optional<double> asDouble() const;
  std::optional<std::string_view> asString() const;
  std::optional<std::string_view> asBytes() const;

  /// Tuple, List, Set: the items. Dict: keys and values in turn. Object: the
  /// items that were appended or set on it. Persistent: its id. Else nothing.
  PickleItems items() const;
  /// Number of `items()`.
  size_t size() const;
  /// The `index`-th of `items()`, or nothing.
  std::optional<PickleRef> item(size_t index) const;
  /// The value of a string key of a Dict; or of an attribute in the state of an
  /// Object when that is a Dict.
  std::optional<PickleRef> find(std::string_view key) const;

  /// Global: {module, name}; Object: those of its class. Else empty views.
  std::pair<std::string_view, std::string_view> globalName() const;
  bool isGlobal(std::string_view module, std::string_view name) const;
  /// An Object whose class (or callee) is `module.name`.
  bool isObject(std::string_view module, std::string_view name) const;
  /// "module.name", or the kind of value: for messages.
  std::string describe() const;

  /// Parts of an Object; must be one.
  PickleRef callee() const;
  PickleRef arguments() const;
  PickleRef state() const;

  /// A copy that owns its parts. Error when the graph, written out as a tree,
  /// is deeper than 100 levels or out of proportion to the pickle.
  Expected<PickleValue> toValue() const;

private:
  PickleRef part(unsigned index) const;
  Status copyInto(PickleValue &out, unsigned depth, size_t &budget) const;
  const Pickle *pickle;
  uint64_t cell;
};

/// A parsed pickle. Owns the bytes.
class Pickle {
public:
  /// Parses up to STOP. `where` names the source in errors, which are Input
  /// errors with the byte offset (of the pickle) of the offending opcode.
  static Expected<Pickle> parse(std::string bytes, std::string_view where,
                                const PickleGlobalPolicy &policy);

  PickleRef root() const { return PickleRef(*this, top); }

private:
  friend class PickleRef;
  friend class PickleItems;
  friend class PickleParser;

  /// A run of cells of a container that can grow. What is added after another
  /// container has grown goes to a further run; `last` is kept in the first.
  /// Containers of fixed length are runs of cells that their cell refers to.
  struct Run {
    uint32_t first = 0;
    uint32_t count = 0;
    uint32_t next = 0; ///< 0: none
    uint32_t last = 0;
  };

  std::string bytes;
  std::string where;
  std::vector<uint64_t> cells; ///< items of all containers
  std::vector<uint64_t> wide;  ///< doubles, and integers of 61 to 64 bits
  std::vector<Run> runs;       ///< of lists, dicts and sets; [0] is not used
  uint64_t top = 0;
};

/// The items of a container, as a range.
class PickleItems {
public:
  class iterator {
  public:
    PickleRef operator*() const;
    iterator &operator++() {
      ++at;
      settle();
      return *this;
    }
    bool operator==(std::default_sentinel_t) const { return at == end; }

  private:
    friend class PickleItems;
    iterator(const Pickle *pickle, uint32_t first, uint32_t count,
             uint32_t next)
        : pickle(pickle), at(first), end(first + count), next(next) {
      settle();
    }
    /// Goes on to the next run that is not empty.
    void settle();
    const Pickle *pickle;
    uint32_t at, end, next;
  };

  iterator begin() const { return {pickle, first, count, next}; }
  std::default_sentinel_t end() const { return {}; }

private:
  friend class PickleRef;
  PickleItems(const Pickle *pickle, uint32_t first, uint32_t count,
              uint32_t next)
      : pickle(pickle), first(first), count(count), next(next) {}
  const Pickle *pickle;
  uint32_t first, count, next; ///< cells, then the run to go on with
};

} // namespace mbc
