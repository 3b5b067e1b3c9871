//===- Pickle.cpp - Python pickles as plain data --------------------------===//
#include "runtime/io/Pickle.h"

#include "runtime/core/Text.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <fmt/format.h>

using namespace mbc;

//===----------------------------------------------------------------------===//
// Cells: four bits of tag, sixty of payload
//===----------------------------------------------------------------------===//

namespace {

enum Tag : uint8_t {
  TagNone,
  TagBool,
  TagInt,     // payload: the value, signed
  TagWideInt, // payload: index into Pickle::wide
  TagLong,    // payload: offset and length in Pickle::bytes
  TagDouble,  // payload: index into Pickle::wide
  TagString,
  TagBytes,
  TagTuple,     // payload: first cell and count
  TagList,      // payload: index into Pickle::runs
  TagDict,      // the same
  TagSet,       // the same
  TagGlobal,    // payload: first of two cells: module, name
  TagObject,    // payload: first of four: class, arguments, state, items
  TagPersistent // payload: its cell
};

/// A tuple has its count in the cell.
constexpr unsigned countBits = 28;

constexpr uint64_t makeCell(Tag tag, uint64_t payload) {
  return payload << 4 | tag;
}
constexpr Tag tagOf(uint64_t cell) { return Tag(cell & 15); }
constexpr uint64_t payloadOf(uint64_t cell) { return cell >> 4; }

/// Offset and length share the payload, which bounds the input.
constexpr unsigned lengthBits = 30;
constexpr uint64_t maxBytes = (uint64_t(1) << lengthBits) - 1;

constexpr uint64_t makeView(Tag tag, uint64_t offset, uint64_t length) {
  return makeCell(tag, offset << lengthBits | length);
}
std::string_view viewOf(const std::string &bytes, uint64_t cell) {
  uint64_t payload = payloadOf(cell);
  return std::string_view(bytes).substr(payload >> lengthBits,
                                        payload & maxBytes);
}

} // namespace

//===----------------------------------------------------------------------===//
// Policies
//===----------------------------------------------------------------------===//

bool mbc::anyPickleGlobal(std::string_view, std::string_view) { return true; }

bool mbc::harmlessPickleGlobal(std::string_view module, std::string_view name) {
  static constexpr std::string_view packages[] = {
      "os",       "posix",   "nt",        "subprocess", "sys",
      "shutil",   "pty",     "socket",    "runpy",      "code",
      "commands", "pickle",  "ctypes",    "importlib",  "webbrowser",
      "platform", "_pickle", "posixpath", "asyncio",    "multiprocessing"};
  if (std::ranges::find(packages, module.substr(0, module.find('.'))) !=
      std::end(packages))
    return false;
  if (module != "builtins" && module != "__builtin__")
    return true;
  static constexpr std::string_view functions[] = {
      "eval", "exec",       "execfile", "compile", "open",
      "file", "__import__", "input",    "globals", "breakpoint"};
  return std::ranges::find(functions, name) == std::end(functions);
}

bool mbc::torchPickleGlobal(std::string_view module, std::string_view name) {
  if (module == "torch")
    return true; // dtypes, typed storages, Size, device, Tensor
  if (module == "torch._utils")
    return name.starts_with("_rebuild_");
  if (module == "torch.storage")
    return name == "UntypedStorage" || name == "TypedStorage";
  if (module == "torch._tensor")
    return name == "_rebuild_from_type_v2";
  if (module == "torch.serialization")
    return name == "_get_layout";
  if (module == "torch.nn.parameter")
    return name == "Parameter";
  if (module == "collections")
    return name == "OrderedDict" || name == "Counter";
  if (module == "_codecs")
    return name == "encode";
  if (module == "builtins" || module == "__builtin__")
    return name == "set" || name == "bytearray" || name == "complex";
  return false;
}

bool mbc::commonPickleGlobal(std::string_view module, std::string_view name) {
  if (torchPickleGlobal(module, name))
    return true;
  // Enums and configuration classes of the libraries that write checkpoints;
  // only names are kept, so a whole package may be let in.
  for (std::string_view package :
       {"torch", "megatron", "transformer_engine", "numpy"})
    if (module.starts_with(package) &&
        (module.size() == package.size() || module[package.size()] == '.'))
      return true;
  static constexpr std::pair<std::string_view, std::string_view> others[] = {
      {"argparse", "Namespace"},
      {"types", "SimpleNamespace"},
      {"collections", "defaultdict"},
      {"collections", "deque"},
      {"pathlib", "PosixPath"},
      {"pathlib", "PurePosixPath"},
      {"pathlib", "Path"},
      {"pathlib._local", "PosixPath"},
      {"signal", "Signals"},
      {"io", "BytesIO"},
      {"_io", "BytesIO"},
      {"datetime", "timedelta"},
      {"datetime", "datetime"},
      {"functools", "partial"},
      {"copyreg", "_reconstructor"},
      {"builtins", "object"},
      {"builtins", "dict"},
      {"builtins", "list"},
      {"builtins", "frozenset"},
      {"builtins", "range"},
      {"builtins", "slice"},
      // Python 3.11.2 pickles the members of an enum as getattr(cls, name).
      {"builtins", "getattr"},
  };
  return std::ranges::find(others, std::pair(module, name)) != std::end(others);
}

//===----------------------------------------------------------------------===//
// Parser
//===----------------------------------------------------------------------===//

namespace mbc {

/// The stack machine. Every method returns false after setting `message`.
class PickleParser {
public:
  PickleParser(Pickle &out, const PickleGlobalPolicy &policy)
      : out(out), policy(policy),
        data(reinterpret_cast<const uint8_t *>(out.bytes.data())),
        size(out.bytes.size()) {}

  Status parse();

private:
  using Run = Pickle::Run;

  bool step(uint8_t op);
  bool fail(std::string text) {
    message = std::move(text);
    return false;
  }
  bool need(uint64_t count) {
    if (count <= size - at)
      return true;
    return fail(fmt::format("truncated: {} more bytes are needed, {} are left",
                            count, size - at));
  }
  /// Reads a little-endian number of `width` bytes.
  bool number(unsigned width, uint64_t &value) {
    if (!need(width))
      return false;
    value = 0;
    for (unsigned i = 0; i < width; ++i)
      value |= uint64_t(data[at + i]) << 8 * i;
    at += width;
    return true;
  }
  bool view(Tag tag, unsigned lengthWidth) {
    uint64_t length;
    if (!number(lengthWidth, length) || !need(length))
      return false;
    stack.push_back(makeView(tag, at, length));
    at += length;
    return true;
  }
  bool line(uint64_t &cell) {
    const void *end = std::memchr(data + at, '\n', size - at);
    if (!end)
      return fail("truncated: no end of line");
    uint64_t length = static_cast<const uint8_t *>(end) - (data + at);
    cell = makeView(TagString, at, length);
    at += length + 1;
    return true;
  }
  void pushInt(int64_t value) {
    // Sign extension must give the value back.
    if (value << 4 >> 4 == value) {
      stack.push_back(makeCell(TagInt, uint64_t(value)));
      return;
    }
    stack.push_back(makeCell(TagWideInt, out.wide.size()));
    out.wide.push_back(uint64_t(value));
  }
  bool pushLong(unsigned lengthWidth) {
    uint64_t length;
    if (!number(lengthWidth, length) || !need(length))
      return false;
    if (length > 8) {
      stack.push_back(makeView(TagLong, at, length));
      at += length;
      return true;
    }
    uint64_t value = 0;
    if (!number(unsigned(length), value))
      return false;
    if (length > 0 && length < 8 && value >> (8 * length - 1) & 1)
      value |= ~uint64_t(0) << 8 * length;
    pushInt(int64_t(value));
    return true;
  }

  /// At least `count` values above the innermost mark.
  bool have(size_t count) {
    size_t floor = marks.empty() ? 0 : marks.back();
    if (stack.size() - floor >= count)
      return true;
    return fail("stack underflow");
  }
  uint64_t pop() {
    uint64_t cell = stack.back();
    stack.pop_back();
    return cell;
  }
  bool popMark(size_t &begin) {
    if (marks.empty())
      return fail("no mark on the stack");
    begin = marks.back();
    marks.pop_back();
    return true;
  }

  uint32_t addCells(const uint64_t *first, size_t count) {
    uint32_t index = uint32_t(out.cells.size());
    out.cells.insert(out.cells.end(), first, first + count);
    return index;
  }
  uint64_t growing(Tag tag, const uint64_t *first, size_t count) {
    uint32_t index = uint32_t(out.runs.size());
    out.runs.push_back({addCells(first, count), uint32_t(count), 0, index});
    return makeCell(tag, index);
  }
  uint64_t fixed(const uint64_t *first, size_t count) {
    return makeCell(TagTuple,
                    uint64_t(addCells(first, count)) << countBits | count);
  }
  /// Replaces everything above the mark by one container of it.
  bool collect(Tag tag) {
    size_t begin;
    if (!popMark(begin))
      return false;
    if (tag == TagDict && (stack.size() - begin) % 2)
      return fail("a dict with a key but no value");
    const uint64_t *first = stack.data() + begin;
    size_t count = stack.size() - begin;
    if (tag == TagTuple && count >> countBits)
      return fail("a tuple that is too long");
    uint64_t cell =
        tag == TagTuple ? fixed(first, count) : growing(tag, first, count);
    stack.resize(begin);
    stack.push_back(cell);
    return true;
  }
  bool tuple(size_t count) {
    if (!have(count))
      return false;
    uint64_t cell = fixed(stack.data() + stack.size() - count, count);
    stack.resize(stack.size() - count);
    stack.push_back(cell);
    return true;
  }
  /// Moves the values from `begin` up into the container below them.
  bool extend(Tag tag, size_t begin) {
    if (begin == 0 || begin <= (marks.empty() ? 0 : marks.back()))
      return fail("stack underflow");
    uint64_t target = stack[begin - 1];
    if (tagOf(target) != tag && tagOf(target) != TagObject)
      return fail("items are added to something that is no container");
    size_t count = stack.size() - begin;
    if (tag == TagDict && count % 2)
      return fail("a dict with a key but no value");
    if (count == 0)
      return true;
    // An object gets a run of its own when the first item is added.
    uint32_t head = uint32_t(payloadOf(target));
    if (tagOf(target) == TagObject) {
      uint64_t &items = out.cells[head + 3];
      if (items == 0)
        items = payloadOf(growing(TagList, nullptr, 0));
      head = uint32_t(items);
    }
    uint32_t last = out.runs[head].last;
    Run &tail = out.runs[last];
    if (tail.count == 0)
      tail.first = uint32_t(out.cells.size());
    if (tail.first + tail.count == out.cells.size()) {
      tail.count += uint32_t(count);
    } else {
      uint32_t next = uint32_t(out.runs.size());
      tail.next = next;
      out.runs[head].last = next;
      out.runs.push_back(
          {uint32_t(out.cells.size()), uint32_t(count), 0, next});
    }
    out.cells.insert(out.cells.end(), stack.begin() + begin, stack.end());
    stack.resize(begin);
    return true;
  }
  bool extendFromMark(Tag tag) {
    size_t begin;
    return popMark(begin) && extend(tag, begin);
  }
  bool object(uint64_t callee, uint64_t arguments) {
    uint64_t parts[] = {callee, arguments, makeCell(TagNone, 0), 0};
    stack.push_back(makeCell(TagObject, addCells(parts, 4)));
    return true;
  }
  bool global(uint64_t module, uint64_t name) {
    std::string_view m = viewOf(out.bytes, module), n = viewOf(out.bytes, name);
    if (!policy(m, n))
      return fail(fmt::format("forbidden global {}",
                              quote(fmt::format("{}.{}", m, n))));
    uint64_t parts[] = {module, name};
    stack.push_back(makeCell(TagGlobal, addCells(parts, 2)));
    return true;
  }
  bool put(uint64_t index) {
    if (!have(1))
      return false;
    // Picklers number memo entries from 0 on, two bytes at least for each; a
    // huge number must not make the memo huge.
    if (index > size)
      return fail(
          fmt::format("memo index {} in a pickle of {} bytes", index, size));
    if (index >= memo.size())
      memo.resize(index + 1, noValue);
    memo[index] = stack.back();
    return true;
  }
  bool get(uint64_t index) {
    if (index >= memo.size() || memo[index] == noValue)
      return fail(fmt::format("memo entry {} is used but never set", index));
    stack.push_back(memo[index]);
    return true;
  }

  static constexpr uint64_t noValue = ~uint64_t(0);

  Pickle &out;
  const PickleGlobalPolicy &policy;
  const uint8_t *data;
  uint64_t size;
  uint64_t at = 0;
  bool stopped = false;
  std::string message;
  std::vector<uint64_t> stack;
  std::vector<size_t> marks;
  std::vector<uint64_t> memo;
};

} // namespace mbc

bool PickleParser::step(uint8_t op) {
  uint64_t n;
  size_t begin;
  switch (op) {
  case 0x80: // PROTO
    if (!number(1, n))
      return false;
    if (n > 5)
      return fail(fmt::format("protocol {}, expected at most 5", n));
    return true;
  case '.': // STOP
    if (stack.empty())
      return fail("stack underflow");
    stopped = true;
    return true;
  case 0x95: // FRAME: a hint of sizes for buffered readers
    return number(8, n);
  case '(': // MARK
    marks.push_back(stack.size());
    return true;
  case '0': // POP
    if (!marks.empty() && marks.back() == stack.size())
      return popMark(begin);
    if (!have(1))
      return false;
    stack.pop_back();
    return true;
  case '1': // POP_MARK
    if (!popMark(begin))
      return false;
    stack.resize(begin);
    return true;
  case '2': // DUP
    if (!have(1))
      return false;
    stack.push_back(stack.back());
    return true;

  case 'N': // NONE
    stack.push_back(makeCell(TagNone, 0));
    return true;
  case 0x88: // NEWTRUE
  case 0x89: // NEWFALSE
    stack.push_back(makeCell(TagBool, op == 0x88));
    return true;
  case 'K': // BININT1
    if (!number(1, n))
      return false;
    pushInt(int64_t(n));
    return true;
  case 'M': // BININT2
    if (!number(2, n))
      return false;
    pushInt(int64_t(n));
    return true;
  case 'J': // BININT
    if (!number(4, n))
      return false;
    pushInt(int32_t(uint32_t(n)));
    return true;
  case 0x8a: // LONG1
    return pushLong(1);
  case 0x8b: // LONG4
    return pushLong(4);
  case 'G': // BINFLOAT, big-endian
    if (!number(8, n))
      return false;
    stack.push_back(makeCell(TagDouble, out.wide.size()));
    out.wide.push_back(__builtin_bswap64(n));
    return true;
  case 0x8c: // SHORT_BINUNICODE
  case 'U':  // SHORT_BINSTRING
    return view(TagString, 1);
  case 'X': // BINUNICODE
  case 'T': // BINSTRING
    return view(TagString, 4);
  case 0x8d: // BINUNICODE8
    return view(TagString, 8);
  case 'C': // SHORT_BINBYTES
    return view(TagBytes, 1);
  case 'B': // BINBYTES
    return view(TagBytes, 4);
  case 0x8e: // BINBYTES8
  case 0x96: // BYTEARRAY8
    return view(TagBytes, 8);

  case ')': // EMPTY_TUPLE
    stack.push_back(fixed(nullptr, 0));
    return true;
  case 't': // TUPLE
    return collect(TagTuple);
  case 0x85: // TUPLE1
  case 0x86: // TUPLE2
  case 0x87: // TUPLE3
    return tuple(op - 0x84);
  case ']': // EMPTY_LIST
    stack.push_back(growing(TagList, nullptr, 0));
    return true;
  case 'l': // LIST
    return collect(TagList);
  case 'a': // APPEND
    return have(2) && extend(TagList, stack.size() - 1);
  case 'e': // APPENDS
    return extendFromMark(TagList);
  case '}': // EMPTY_DICT
    stack.push_back(growing(TagDict, nullptr, 0));
    return true;
  case 'd': // DICT
    return collect(TagDict);
  case 's': // SETITEM
    return have(3) && extend(TagDict, stack.size() - 2);
  case 'u': // SETITEMS
    return extendFromMark(TagDict);
  case 0x8f: // EMPTY_SET
    stack.push_back(growing(TagSet, nullptr, 0));
    return true;
  case 0x90: // ADDITEMS
    return extendFromMark(TagSet);
  case 0x91: // FROZENSET
    return collect(TagSet);

  case 'c': { // GLOBAL
    uint64_t module, name;
    return line(module) && line(name) && global(module, name);
  }
  case 0x93: { // STACK_GLOBAL
    if (!have(2))
      return false;
    uint64_t name = pop(), module = pop();
    if (tagOf(name) != TagString || tagOf(module) != TagString)
      return fail("the name of a global is not a string");
    return global(module, name);
  }
  case 'R':    // REDUCE
  case 0x81: { // NEWOBJ
    if (!have(2))
      return false;
    uint64_t arguments = pop(), callee = pop();
    return object(callee, arguments);
  }
  case 0x92: { // NEWOBJ_EX: arguments and keywords, kept as a pair
    if (!have(3) || !tuple(2))
      return false;
    uint64_t arguments = pop(), callee = pop();
    return object(callee, arguments);
  }
  case 'b': { // BUILD
    if (!have(2))
      return false;
    uint64_t state = pop();
    if (tagOf(stack.back()) != TagObject)
      return fail("a state is set on something that is no object");
    out.cells[payloadOf(stack.back()) + 2] = state;
    return true;
  }
  case 'Q': { // BINPERSID
    if (!have(1))
      return false;
    uint64_t id = pop();
    stack.push_back(makeCell(TagPersistent, addCells(&id, 1)));
    return true;
  }

  case 'q': // BINPUT
    return number(1, n) && put(n);
  case 'r': // LONG_BINPUT
    return number(4, n) && put(n);
  case 0x94: // MEMOIZE
    return put(memo.size());
  case 'h': // BINGET
    return number(1, n) && get(n);
  case 'j': // LONG_BINGET
    return number(4, n) && get(n);
  }
  return fail(fmt::format("unknown opcode 0x{:02x}", op));
}

Status PickleParser::parse() {
  if (size > maxBytes)
    return inputError(fmt::format("{}: pickle of {} bytes, the limit is {}",
                                  out.where, size, maxBytes));
  if (size < 2 || data[0] != 0x80)
    return inputError(
        fmt::format("{}: not a pickle of protocol 2 to 5", out.where));
  // Reserved, not touched: an under-estimate costs a copy, not memory.
  out.cells.reserve(size / 2);
  out.runs.reserve(size / 16);
  out.runs.emplace_back();
  while (!stopped) {
    uint64_t begin = at;
    if (at == size)
      fail("truncated: no STOP opcode");
    else if (step(data[at++]))
      continue;
    return inputError(
        fmt::format("{}: pickle: {} at byte {}", out.where, message, begin));
  }
  out.top = stack.back();
  return {};
}

Expected<Pickle> Pickle::parse(std::string bytes, std::string_view where,
                               const PickleGlobalPolicy &policy) {
  Pickle pickle;
  pickle.bytes = std::move(bytes);
  pickle.where = where;
  MBC_TRY(PickleParser(pickle, policy).parse());
  return pickle;
}

//===----------------------------------------------------------------------===//
// References
//===----------------------------------------------------------------------===//

PickleKind PickleRef::kind() const {
  static constexpr PickleKind kinds[] = {
      PickleKind::None,   PickleKind::Bool,   PickleKind::Int,
      PickleKind::Int,    PickleKind::Long,   PickleKind::Double,
      PickleKind::String, PickleKind::Bytes,  PickleKind::Tuple,
      PickleKind::List,   PickleKind::Dict,   PickleKind::Set,
      PickleKind::Global, PickleKind::Object, PickleKind::Persistent};
  return kinds[tagOf(cell)];
}

std::optional<bool> PickleRef::asBool() const {
  if (tagOf(cell) != TagBool)
    return std::nullopt;
  return payloadOf(cell) != 0;
}

std::optional<int64_t> PickleRef::asInt() const {
  if (tagOf(cell) == TagInt)
    return int64_t(cell) >> 4;
  if (tagOf(cell) == TagWideInt)
    return int64_t(pickle->wide[payloadOf(cell)]);
  return std::nullopt;
}

std::optional<double> PickleRef::asDouble() const {
  if (tagOf(cell) != TagDouble)
    return std::nullopt;
  return std::bit_cast<double>(pickle->wide[payloadOf(cell)]);
}

std::optional<std::string_view> PickleRef::asString() const {
  if (tagOf(cell) != TagString)
    return std::nullopt;
  return viewOf(pickle->bytes, cell);
}

std::optional<std::string_view> PickleRef::asBytes() const {
  if (tagOf(cell) != TagBytes)
    return std::nullopt;
  return viewOf(pickle->bytes, cell);
}

PickleItems PickleRef::items() const {
  uint64_t payload = payloadOf(cell);
  switch (tagOf(cell)) {
  case TagTuple:
    return {pickle, uint32_t(payload >> countBits),
            uint32_t(payload & ((1u << countBits) - 1)), 0};
  case TagList:
  case TagDict:
  case TagSet:
    return {pickle, 0, 0, uint32_t(payload)};
  case TagPersistent:
    return {pickle, uint32_t(payload), 1, 0};
  case TagObject:
    return {pickle, 0, 0, uint32_t(pickle->cells[payload + 3])};
  default:
    return {pickle, 0, 0, 0};
  }
}

size_t PickleRef::size() const {
  PickleItems range = items();
  size_t count = range.count;
  for (uint32_t run = range.next; run; run = pickle->runs[run].next)
    count += pickle->runs[run].count;
  return count;
}

std::optional<PickleRef> PickleRef::item(size_t index) const {
  PickleItems range = items();
  if (index < range.count)
    return PickleRef(*pickle, pickle->cells[range.first + index]);
  index -= range.count;
  for (uint32_t run = range.next; run; run = pickle->runs[run].next) {
    const Pickle::Run &r = pickle->runs[run];
    if (index < r.count)
      return PickleRef(*pickle, pickle->cells[r.first + index]);
    index -= r.count;
  }
  return std::nullopt;
}

std::optional<PickleRef> PickleRef::find(std::string_view key) const {
  if (tagOf(cell) == TagObject) {
    PickleRef attributes = state();
    if (attributes.kind() == PickleKind::Dict)
      return attributes.find(key);
    return std::nullopt;
  }
  if (tagOf(cell) != TagDict)
    return std::nullopt;
  PickleItems range = items();
  for (auto it = range.begin(); it != range.end(); ++it) {
    bool found = (*it).asString() == key;
    ++it;
    if (found)
      return *it;
  }
  return std::nullopt;
}

PickleRef PickleRef::part(unsigned index) const {
  return {*pickle, pickle->cells[payloadOf(cell) + index]};
}
PickleRef PickleRef::callee() const { return part(0); }
PickleRef PickleRef::arguments() const { return part(1); }
PickleRef PickleRef::state() const { return part(2); }

std::pair<std::string_view, std::string_view> PickleRef::globalName() const {
  if (tagOf(cell) == TagGlobal)
    return {*part(0).asString(), *part(1).asString()};
  if (tagOf(cell) == TagObject && callee().kind() == PickleKind::Global)
    return callee().globalName();
  return {};
}

bool PickleRef::isGlobal(std::string_view module, std::string_view name) const {
  return tagOf(cell) == TagGlobal && globalName() == std::pair(module, name);
}

bool PickleRef::isObject(std::string_view module, std::string_view name) const {
  return tagOf(cell) == TagObject && globalName() == std::pair(module, name);
}

std::string PickleRef::describe() const {
  static constexpr std::string_view names[] = {
      "None",    "a bool",   "an int",   "an int",    "a long int",
      "a float", "a string", "bytes",    "a tuple",   "a list",
      "a dict",  "a set",    "a global", "an object", "a persistent id"};
  auto [module, name] = globalName();
  if (!name.empty())
    return fmt::format("{}.{}", module, name);
  return std::string(names[tagOf(cell)]);
}

Status PickleRef::copyInto(PickleValue &out, unsigned depth,
                           size_t &budget) const {
  if (depth > 100)
    return inputError(fmt::format("{}: pickle nested more than 100 levels deep",
                                  pickle->where));
  out.kind = kind();
  // What is shared is copied wherever it is.
  size_t cost = 1;
  if (out.kind == PickleKind::String || out.kind == PickleKind::Bytes ||
      out.kind == PickleKind::Long)
    cost += viewOf(pickle->bytes, cell).size() / sizeof(PickleValue);
  if (cost > budget)
    return inputError(fmt::format(
        "{}: pickle of too many values, most of them shared", pickle->where));
  budget -= cost;
  switch (tagOf(cell)) {
  case TagNone:
    return {};
  case TagBool:
    out.integer = *asBool();
    return {};
  case TagInt:
  case TagWideInt:
    out.integer = *asInt();
    return {};
  case TagDouble:
    out.real = *asDouble();
    return {};
  case TagString:
  case TagBytes:
  case TagLong:
    out.text = viewOf(pickle->bytes, cell);
    return {};
  case TagGlobal:
    out.text = globalName().first;
    out.name = globalName().second;
    return {};
  case TagObject:
    for (unsigned i = 0; i < 3; ++i)
      MBC_TRY(part(i).copyInto(out.items.emplace_back(), depth + 1, budget));
    break;
  default:
    break;
  }
  for (PickleRef item : items())
    MBC_TRY(item.copyInto(out.items.emplace_back(), depth + 1, budget));
  return {};
}

Expected<PickleValue> PickleRef::toValue() const {
  PickleValue value;
  size_t budget =
      std::min<size_t>(1'000'000, 10'000 + 16 * pickle->bytes.size());
  MBC_TRY(copyInto(value, 0, budget));
  return value;
}

PickleRef PickleItems::iterator::operator*() const {
  return {*pickle, pickle->cells[at]};
}

void PickleItems::iterator::settle() {
  while (at == end && next) {
    const Pickle::Run &run = pickle->runs[next];
    at = run.first;
    end = run.first + run.count;
    next = run.next;
  }
}

//===----------------------------------------------------------------------===//
// Owning values
//===----------------------------------------------------------------------===//

PickleValue PickleValue::boolean(bool value) {
  PickleValue result;
  result.kind = PickleKind::Bool;
  result.integer = value;
  return result;
}

PickleValue PickleValue::integral(int64_t value) {
  PickleValue result;
  result.kind = PickleKind::Int;
  result.integer = value;
  return result;
}

PickleValue PickleValue::floating(double value) {
  PickleValue result;
  result.kind = PickleKind::Double;
  result.real = value;
  return result;
}

PickleValue PickleValue::string(std::string_view value) {
  PickleValue result;
  result.kind = PickleKind::String;
  result.text = value;
  return result;
}

PickleValue PickleValue::tuple(std::vector<PickleValue> items) {
  PickleValue result;
  result.kind = PickleKind::Tuple;
  result.items = std::move(items);
  return result;
}

PickleValue PickleValue::list(std::vector<PickleValue> items) {
  PickleValue result;
  result.kind = PickleKind::List;
  result.items = std::move(items);
  return result;
}

PickleValue
PickleValue::dict(std::vector<std::pair<std::string, PickleValue>> entries) {
  PickleValue result;
  result.kind = PickleKind::Dict;
  for (auto &[key, value] : entries) {
    result.items.push_back(string(key));
    result.items.push_back(std::move(value));
  }
  return result;
}

PickleValue PickleValue::global(std::string_view module,
                                std::string_view name) {
  PickleValue result;
  result.kind = PickleKind::Global;
  result.text = module;
  result.name = name;
  return result;
}

PickleValue PickleValue::argparseNamespace(
    std::vector<std::pair<std::string, PickleValue>> entries) {
  PickleValue result;
  result.kind = PickleKind::Object;
  result.items.push_back(global("argparse", "Namespace"));
  result.items.push_back(tuple({}));
  result.items.push_back(dict(std::move(entries)));
  return result;
}

const PickleValue *PickleValue::find(std::string_view key) const {
  if (kind == PickleKind::Object)
    return items[2].kind == PickleKind::Dict ? items[2].find(key) : nullptr;
  if (kind == PickleKind::Dict)
    for (size_t i = 0; i + 1 < items.size(); i += 2)
      if (items[i].kind == PickleKind::String && items[i].text == key)
        return &items[i + 1];
  return nullptr;
}
