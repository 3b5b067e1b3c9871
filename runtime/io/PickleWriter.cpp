//===- PickleWriter.cpp - Writes pickles of protocol 2 --------------------===//
#include "runtime/io/PickleWriter.h"

#include "runtime/core/Text.h"

#include <bit>

using namespace mbc;

PickleWriter::PickleWriter() { out = "\x80\x02"; }

void PickleWriter::little(uint64_t value, unsigned width) {
  for (unsigned i = 0; i < width; ++i)
    op(char(value >> 8 * i));
}

void PickleWriter::integer(int64_t value) {
  if (value >= 0 && value < 1 << 8) {
    op('K');
    little(uint64_t(value), 1);
  } else if (value >= 0 && value < 1 << 16) {
    op('M');
    little(uint64_t(value), 2);
  } else if (value == int32_t(value)) {
    op('J');
    little(uint64_t(value), 4);
  } else {
    // Two's complement in as few bytes as keep the sign.
    unsigned width = 5;
    while (width < 8 && value >> (8 * width - 1) != 0 &&
           value >> (8 * width - 1) != -1)
      ++width;
    op('\x8a');
    little(width, 1);
    little(uint64_t(value), width);
  }
}

void PickleWriter::real(double value) {
  op('G');
  little(__builtin_bswap64(std::bit_cast<uint64_t>(value)), 8);
}

void PickleWriter::string(std::string_view value) {
  op('X');
  little(value.size(), 4);
  out += value;
}

void PickleWriter::recurring(std::string_view value) {
  auto [it, isNew] = strings.try_emplace(std::string(value), 0);
  if (!isNew)
    return get(it->second);
  string(value);
  it->second = put();
}

void PickleWriter::bytes(std::string_view value) {
  global("_codecs", "encode");
  // Latin-1 maps the bytes to the code points 0 to 255; here they are UTF-8.
  std::string text;
  for (unsigned char c : value)
    appendUtf8(text, c);
  string(text);
  string("latin1");
  tuple(2);
  reduce();
}

void PickleWriter::global(std::string_view module, std::string_view name) {
  std::string line;
  line.reserve(module.size() + name.size() + 2);
  line.append(module).append("\n").append(name).append("\n");
  auto [it, isNew] = globals.try_emplace(std::move(line), 0);
  if (!isNew)
    return get(it->second);
  op('c');
  out += it->first;
  it->second = put();
}

void PickleWriter::tuple(std::span<const int64_t> values) {
  if (values.empty())
    return emptyTuple();
  if (values.size() > 3)
    mark();
  for (int64_t value : values)
    integer(value);
  if (values.size() > 3)
    tuple();
  else
    tuple(unsigned(values.size()));
}

void PickleWriter::torchSize(std::span<const int64_t> values) {
  global("torch", "Size");
  tuple(values);
  tuple(1);
  reduce();
}

uint32_t PickleWriter::put() {
  if (memoSize < 256) {
    op('q');
    little(memoSize, 1);
  } else {
    op('r');
    little(memoSize, 4);
  }
  return memoSize++;
}

void PickleWriter::get(uint32_t index) {
  if (index < 256) {
    op('h');
    little(index, 1);
  } else {
    op('j');
    little(index, 4);
  }
}

void PickleWriter::value(const PickleValue &v) {
  // Where items begin and which opcodes frame them.
  auto items = [&](size_t begin, void (PickleWriter::*close)()) {
    if (v.items.size() == begin)
      return;
    mark();
    for (size_t i = begin; i < v.items.size(); ++i)
      value(v.items[i]);
    (this->*close)();
  };
  switch (v.kind) {
  case PickleKind::None:
    return none();
  case PickleKind::Bool:
    return boolean(v.integer != 0);
  case PickleKind::Int:
    return integer(v.integer);
  case PickleKind::Long:
    op('\x8a');
    little(v.text.size(), 1);
    out += v.text;
    return;
  case PickleKind::Double:
    return real(v.real);
  case PickleKind::String:
    return string(v.text);
  case PickleKind::Bytes:
    return bytes(v.text);
  case PickleKind::Tuple:
    if (v.items.empty())
      return emptyTuple();
    return items(0, &PickleWriter::tuple);
  case PickleKind::List:
    emptyList();
    return items(0, &PickleWriter::appends);
  case PickleKind::Dict:
    emptyDict();
    return items(0, &PickleWriter::setItems);
  case PickleKind::Set:
    global("__builtin__", "set");
    emptyList();
    items(0, &PickleWriter::appends);
    tuple(1);
    return reduce();
  case PickleKind::Global:
    return global(v.text, v.name);
  case PickleKind::Object: {
    value(v.items[0]);
    value(v.items[1]);
    const PickleValue &state = v.items[2];
    if (state.kind == PickleKind::None) {
      reduce();
    } else {
      newObject();
      value(state);
      build();
    }
    return items(3, &PickleWriter::setItems);
  }
  case PickleKind::Persistent:
    value(v.items[0]);
    return persistentId();
  }
}

std::string PickleWriter::finish() {
  op('.');
  std::string result = std::move(out);
  *this = PickleWriter();
  return result;
}
