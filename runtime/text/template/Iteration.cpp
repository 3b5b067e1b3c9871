#include "runtime/text/template/Iteration.h"

#include "runtime/core/Text.h"
#include "runtime/text/template/Unicode.h"

#include <algorithm>
#include <fmt/format.h>

namespace mbc::text::jinja {
namespace {

/// Of List, Tuple, and of items that were made for it.
class Items : public Iterator {
public:
  explicit Items(Value sequence) : sequence(std::move(sequence)) {
    depth = this->sequence.depth() + 1;
  }
  bool next(Run &run, Value &item) override {
    run.step();
    if (position == sequence.items().size())
      return false;
    item = sequence.items()[position++];
    return true;
  }

private:
  Value sequence;
  size_t position = 0;
};

class Characters : public Iterator {
public:
  explicit Characters(Value text) : text(std::move(text)) {}
  bool next(Run &run, Value &item) override {
    std::string_view rest = std::string_view(text.text()).substr(offset);
    if (rest.empty())
      return false;
    unsigned length = utf8Length(rest);
    item = run.str(std::string(rest.substr(0, length)), text.isMarkup());
    run.step();
    offset += length;
    return true;
  }

private:
  Value text;
  size_t offset = 0;
};

class Entries : public Iterator {
public:
  Entries(Value dict, View::Part part) : dict(std::move(dict)), part(part) {
    depth = this->dict.depth() + 1;
  }
  bool next(Run &run, Value &item) override {
    run.step();
    const auto &entries = dict.mapping().entries;
    if (position == entries.size())
      return false;
    const auto &[key, value] = entries[position++];
    item = part == View::Part::Keys     ? key
           : part == View::Part::Values ? value
                                        : run.tuple({key, value});
    return true;
  }

private:
  Value dict;
  View::Part part;
  size_t position = 0;
};

class Numbers : public Iterator {
public:
  explicit Numbers(const Range &range) : range(range), size(range.size()) {}
  bool next(Run &run, Value &item) override {
    run.step();
    if (position == size)
      return false;
    item = Value::integer(range.at(position++));
    return true;
  }

private:
  Range range;
  int64_t size, position = 0;
};

class Generator : public Iterator {
public:
  Generator(std::shared_ptr<Iterator> source, NextItem make)
      : source(std::move(source)), make(std::move(make)) {
    depth = this->source->depth + 1;
  }
  bool next(Run &run, Value &item) override {
    Run::Deeper deeper(run);
    run.step();
    return !done && (make(run, *source, item) || !(done = true));
  }

private:
  std::shared_ptr<Iterator> source;
  NextItem make;
  bool done = false;
};

class Deferred : public Iterator {
public:
  Deferred(const std::vector<Value> &held, std::function<Value(Run &)> make)
      : make(std::move(make)) {
    // `make` may put a generator of its own around what it holds.
    for (const Value &value : held)
      depth = std::max(depth, value.depth() + 3);
  }
  bool next(Run &run, Value &item) override {
    Run::Deeper deeper(run);
    if (!source) {
      source = iterate(run, make(run));
      make = nullptr;
    }
    return source->next(run, item);
  }

private:
  std::function<Value(Run &)> make;
  std::shared_ptr<Iterator> source;
};

} // namespace

std::shared_ptr<Iterator> iterate(Run &run, const Value &value) {
  run.allocate(sizeof(Items));
  switch (value.kind()) {
  case Kind::Undefined:
    return std::make_shared<Items>(Value::tuple({}));
  case Kind::List:
  case Kind::Tuple:
    return std::make_shared<Items>(value);
  case Kind::Str:
    return std::make_shared<Characters>(value);
  case Kind::Dict:
    return std::make_shared<Entries>(value, View::Part::Keys);
  case Kind::View:
    return std::make_shared<Entries>(value.as<View>().dict,
                                     value.as<View>().part);
  case Kind::Range:
    return std::make_shared<Numbers>(value.as<Range>());
  case Kind::Iterator:
    return std::static_pointer_cast<Iterator>(value.pointer());
  default:
    throw Problem{fmt::format("a {} cannot be iterated over", typeName(value))};
  }
}

bool isIterable(const Value &value) {
  switch (value.kind()) {
  case Kind::Undefined:
  case Kind::List:
  case Kind::Tuple:
  case Kind::Str:
  case Kind::Dict:
  case Kind::View:
  case Kind::Range:
  case Kind::Iterator:
  case Kind::Loop:
    return true;
  default:
    return false;
  }
}

std::vector<Value> itemsOf(Run &run, const Value &value) {
  if (value.is(Kind::List) || value.is(Kind::Tuple)) {
    run.allocate(value.items().size() * sizeof(Value));
    return value.items();
  }
  std::vector<Value> items;
  auto source = iterate(run, value);
  for (Value item; source->next(run, item);) {
    run.allocate(sizeof(Value));
    items.push_back(std::move(item));
  }
  return items;
}

std::optional<int64_t> lengthOf(Run &run, const Value &value) {
  switch (value.kind()) {
  case Kind::Undefined:
    return 0;
  case Kind::Str:
    run.step(value.text().size() / 64);
    return codePoints(value.text());
  case Kind::List:
  case Kind::Tuple:
    return value.items().size();
  case Kind::Dict:
    return value.mapping().entries.size();
  case Kind::View:
    return value.as<View>().dict.mapping().entries.size();
  case Kind::Range:
    return value.as<Range>().size();
  default:
    return std::nullopt;
  }
}

Value deferred(const std::vector<Value> &held,
               std::function<Value(Run &)> make) {
  return Value::of(Kind::Iterator,
                   std::make_shared<Deferred>(held, std::move(make)));
}

Value generator(Run &run, const Value &source, NextItem next) {
  return Value::of(Kind::Iterator, std::make_shared<Generator>(
                                       iterate(run, source), std::move(next)));
}

Value generatorOf(std::vector<Value> items) {
  return Value::of(Kind::Iterator,
                   std::make_shared<Items>(Value::list(std::move(items))));
}

} // namespace mbc::text::jinja
