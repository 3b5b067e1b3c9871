#include "runtime/core/Text.h"
#include "runtime/text/template/Access.h"
#include "runtime/text/template/Case.h"
#include "runtime/text/template/Filters.h"
#include "runtime/text/template/Iteration.h"
#include "runtime/text/template/Operators.h"
#include "runtime/text/template/Printing.h"
#include "runtime/text/template/Tests.h"

#include <algorithm>
#include <fmt/format.h>

namespace mbc::text::jinja {
namespace {

/// A filter that is a generator in Jinja: its errors come with its first item,
/// which may never be asked for.
template <Value (*filter)(Run &, const Value &, const Arguments &)>
Value lazily(Run &, const Value &self, const Arguments &arguments) {
  std::vector<Value> held = arguments.positional;
  for (const auto &[name, value] : arguments.keywords)
    held.push_back(value);
  held.push_back(self);
  return deferred(held, [self, arguments](Run &run) {
    return filter(run, self, arguments);
  });
}

/// Texts are compared without their case unless it is asked for.
Value folded(const Value &value, bool caseSensitive) {
  return value.isStr() && !caseSensitive
             ? Value::str(lowerCase(value.text()), value.isMarkup())
             : value;
}

Value undefinedEmpty(std::string_view which) {
  return Value::undefined(
      fmt::format("there is no {} item, the sequence was empty", which));
}

Value list(Run &run, const Value &self, const Arguments &arguments) {
  bindArguments(arguments, "the filter 'list'", {});
  return run.list(itemsOf(run, self));
}

Value first(Run &run, const Value &self, const Arguments &arguments) {
  bindArguments(arguments, "the filter 'first'", {});
  Value item;
  return iterate(run, self)->next(run, item) ? item : undefinedEmpty("first");
}

/// What Python's reversed() takes.
bool isReversible(const Value &value) {
  switch (value.kind()) {
  case Kind::Undefined:
  case Kind::Str:
  case Kind::List:
  case Kind::Tuple:
  case Kind::Dict:
  case Kind::View:
  case Kind::Range:
    return true;
  default:
    return false;
  }
}

Value last(Run &run, const Value &self, const Arguments &arguments) {
  bindArguments(arguments, "the filter 'last'", {});
  if (!isReversible(self))
    throw Problem{fmt::format("a {} has no last item", typeName(self))};
  std::vector<Value> items = itemsOf(run, self);
  return items.empty() ? undefinedEmpty("last") : items.back();
}

Value reverse(Run &run, const Value &self, const Arguments &arguments) {
  bindArguments(arguments, "the filter 'reverse'", {});
  if (self.isStr())
    return slice(run, self, {}, {}, Value::integer(-1));
  std::vector<Value> items = itemsOf(run, self);
  std::ranges::reverse(items);
  return isReversible(self) ? generatorOf(std::move(items))
                            : run.list(std::move(items));
}

Value join(Run &run, const Value &self, const Arguments &arguments) {
  auto values =
      bindArguments(arguments, "the filter 'join'", {"d", "attribute"});
  std::string separator =
      values[0].is(Kind::Missing) ? "" : printed(run, values[0]);
  std::vector<Value> path = attributePath(values[1]);
  std::string out;
  bool first = true;
  auto source = iterate(run, self);
  for (Value item; source->next(run, item); first = false) {
    if (!first) {
      run.allocate(separator.size());
      out += separator;
    }
    print(run, out, follow(run, item, path));
  }
  return Value::str(std::move(out));
}

Value items(Run &run, const Value &self, const Arguments &arguments) {
  bindArguments(arguments, "the filter 'items'", {});
  if (self.is(Kind::Undefined))
    return generatorOf({});
  if (!self.is(Kind::Dict))
    throw Problem{fmt::format("the filter 'items' needs a dict, not a {}",
                              typeName(self))};
  std::vector<Value> pairs;
  for (const auto &[key, value] : self.mapping().entries)
    pairs.push_back(run.tuple({key, value}));
  return generatorOf(std::move(pairs));
}

void sortBy(Run &run, std::vector<Mapping::Entry> &keyed, bool reverse) {
  std::ranges::stable_sort(keyed, [&](const auto &a, const auto &b) {
    return compare(run, "<", reverse ? b.first : a.first,
                   reverse ? a.first : b.first);
  });
}

std::vector<Value> valuesOf(std::vector<Mapping::Entry> keyed) {
  std::vector<Value> values;
  for (auto &[key, value] : keyed)
    values.push_back(std::move(value));
  return values;
}

Value dictSort(Run &run, const Value &self, const Arguments &arguments) {
  auto values = bindArguments(arguments, "the filter 'dictsort'",
                              {"case_sensitive", "by", "reverse"});
  std::string by =
      values[1].is(Kind::Missing) ? "key" : requireText(values[1], "'by'");
  if (by != "key" && by != "value")
    throw Problem{fmt::format("dictsort sorts by 'key' or 'value', not by {}",
                              quote(by))};
  if (!self.is(Kind::Dict))
    throw Problem{self.is(Kind::Undefined)
                      ? self.text()
                      : fmt::format("the filter 'dictsort' needs a dict, not "
                                    "a {}",
                                    typeName(self))};
  std::vector<Mapping::Entry> keyed;
  for (const auto &[key, value] : self.mapping().entries)
    keyed.emplace_back(
        folded(by == "key" ? key : value, flagOr(values[0], false)),
        run.tuple({key, value}));
  sortBy(run, keyed, flagOr(values[2], false));
  return run.list(valuesOf(std::move(keyed)));
}

/// "a,b.c": the paths of the attributes to sort by.
std::vector<std::vector<Value>> attributePaths(const Value &attribute) {
  if (!attribute.isStr())
    return {attributePath(attribute)};
  std::vector<std::vector<Value>> paths;
  std::string_view rest = attribute.text();
  while (true) {
    std::string_view part = rest.substr(0, rest.find(','));
    paths.push_back(attributePath(Value::str(std::string(part))));
    if (part.size() == rest.size())
      return paths;
    rest.remove_prefix(part.size() + 1);
  }
}

Value sort(Run &run, const Value &self, const Arguments &arguments) {
  auto values = bindArguments(arguments, "the filter 'sort'",
                              {"reverse", "case_sensitive", "attribute"});
  auto paths = attributePaths(values[2]);
  std::vector<Mapping::Entry> keyed;
  for (const Value &item : itemsOf(run, self)) {
    std::vector<Value> key;
    for (const auto &path : paths)
      key.push_back(folded(follow(run, item, path), flagOr(values[1], false)));
    keyed.emplace_back(run.list(std::move(key)), item);
  }
  sortBy(run, keyed, flagOr(values[0], false));
  return run.list(valuesOf(std::move(keyed)));
}

Value unique(Run &run, const Value &self, const Arguments &arguments) {
  auto values = bindArguments(arguments, "the filter 'unique'",
                              {"case_sensitive", "attribute"});
  auto path = attributePath(values[1]);
  bool caseSensitive = flagOr(values[0], false);
  auto seen = std::make_shared<std::vector<Value>>();
  return generator(run, self, [=](Run &run, Iterator &source, Value &item) {
    while (source.next(run, item)) {
      Value key = folded(follow(run, item, path), caseSensitive);
      requireHashable(key);
      if (std::ranges::any_of(*seen, [&](const Value &other) {
            return compare(run, "==", key, other) && (run.step(), true);
          }))
        continue;
      run.step(seen->size());
      seen->push_back(std::move(key));
      return true;
    }
    return false;
  });
}

template <bool largest>
Value extreme(Run &run, const Value &self, const Arguments &arguments) {
  auto values = bindArguments(arguments, "the filter 'min' or 'max'",
                              {"case_sensitive", "attribute"});
  auto path = attributePath(values[1]);
  Value best, bestKey;
  auto source = iterate(run, self);
  for (Value item; source->next(run, item);) {
    Value key = folded(follow(run, item, path), flagOr(values[0], false));
    if (best.is(Kind::Missing) ||
        compare(run, "<", largest ? bestKey : key, largest ? key : bestKey)) {
      best = item;
      bestKey = key;
    }
  }
  return best.is(Kind::Missing) ? undefinedEmpty("smallest or largest") : best;
}

Value sum(Run &run, const Value &self, const Arguments &arguments) {
  auto values =
      bindArguments(arguments, "the filter 'sum'", {"attribute", "start"});
  auto path = attributePath(values[0]);
  Value total = values[1].is(Kind::Missing) ? Value::integer(0) : values[1];
  if (total.isStr())
    throw Problem{"sum does not add texts; use join"};
  auto source = iterate(run, self);
  for (Value item; source->next(run, item);)
    total = binary(run, "+", total, follow(run, item, path));
  return total;
}

Value batch(Run &run, const Value &self, const Arguments &arguments) {
  auto values = bindArguments(arguments, "the filter 'batch'",
                              {"linecount", "fill_with"}, 1);
  int64_t size = integerOr(values[0], 0, "'linecount' of batch");
  std::vector<Value> rows, row;
  auto close = [&](bool fills) {
    if (fills && !values[1].is(Kind::Missing) && !values[1].is(Kind::None) &&
        int64_t(row.size()) < size) {
      run.allocate(std::min<uint64_t>(size, Run::byteLimit) * sizeof(Value));
      row.resize(size, values[1]);
    }
    rows.push_back(run.list(std::move(row)));
    row.clear();
  };
  for (const Value &item : itemsOf(run, self)) {
    if (int64_t(row.size()) == size)
      close(false);
    row.push_back(item);
  }
  if (!row.empty())
    close(true);
  return generatorOf(std::move(rows));
}

Value slices(Run &run, const Value &self, const Arguments &arguments) {
  auto values = bindArguments(arguments, "the filter 'slice'",
                              {"slices", "fill_with"}, 1);
  int64_t count = integerOr(values[0], 0, "'slices' of slice");
  if (count == 0)
    throw Problem{"a sequence cannot be cut in 0 slices"};
  std::vector<Value> all = itemsOf(run, self), rows;
  int64_t size = all.size(), each = count > 0 ? size / count : 0;
  int64_t longer = count > 0 ? size % count : 0, at = 0;
  for (int64_t i = 0; i < count; ++i) {
    int64_t end = at + each + (i < longer);
    run.step();
    std::vector<Value> row(all.begin() + at, all.begin() + end);
    if (!values[1].is(Kind::Missing) && !values[1].is(Kind::None) &&
        i >= longer)
      row.push_back(values[1]);
    rows.push_back(run.list(std::move(row)));
    at = end;
  }
  return generatorOf(std::move(rows));
}

Value groupBy(Run &run, const Value &self, const Arguments &arguments) {
  auto values = bindArguments(arguments, "the filter 'groupby'",
                              {"attribute", "default", "case_sensitive"}, 1);
  auto path = attributePath(values[0]);
  bool caseSensitive = flagOr(values[2], false);
  std::vector<Mapping::Entry> keyed;
  for (const Value &item : itemsOf(run, self))
    keyed.emplace_back(
        folded(follow(run, item, path, values[1]), caseSensitive), item);
  sortBy(run, keyed, false);
  std::vector<Value> groups;
  for (size_t i = 0; i != keyed.size();) {
    Value key = keyed[i].first;
    std::vector<Value> group;
    for (; i != keyed.size() && compare(run, "==", keyed[i].first, key); ++i)
      group.push_back(keyed[i].second);
    if (!caseSensitive)
      key = follow(run, group[0], path, values[1]);
    auto tuple = std::make_shared<Sequence>();
    tuple->group = true;
    tuple->items = {key, run.list(std::move(group))};
    tuple->depth = std::max(key.depth(), tuple->items[1].depth()) + 1;
    groups.push_back(Value::of(Kind::Tuple, std::move(tuple)));
  }
  return run.list(std::move(groups));
}

//===-- Filters that apply filters and tests ------------------------------===//

Value map(Run &run, const Value &self, const Arguments &given) {
  if (!truthy(self))
    return generatorOf({});
  Arguments arguments = given;
  if (arguments.positional.empty()) {
    Value attribute = arguments.takeKeyword("attribute");
    if (attribute.is(Kind::Missing))
      throw Problem{"map needs the name of a filter or 'attribute'"};
    Value fallback = arguments.takeKeyword("default");
    if (!arguments.keywords.empty())
      throw Problem{fmt::format("map has no argument {}",
                                quote(arguments.keywords[0].first))};
    auto path = attributePath(attribute);
    return generator(run, self, [=](Run &run, Iterator &source, Value &item) {
      if (!source.next(run, item))
        return false;
      item = follow(run, item, path, fallback);
      return true;
    });
  }
  std::string name = requireText(arguments.positional[0], "the filter of map");
  const Filter *filter = findFilter(name);
  if (!filter)
    throw Problem{unknownFilter(name)};
  arguments.positional.erase(arguments.positional.begin());
  return generator(
      run, self, [filter, arguments](Run &run, Iterator &source, Value &item) {
        if (!source.next(run, item))
          return false;
        item = filter->apply(run, item, arguments);
        return true;
      });
}

template <bool wanted, bool ofAttribute>
Value select(Run &run, const Value &self, const Arguments &given) {
  if (!truthy(self))
    return generatorOf({});
  Arguments arguments = given;
  std::vector<Value> path;
  if (ofAttribute) {
    if (arguments.positional.empty())
      throw Problem{"selectattr and rejectattr need the name of an attribute"};
    path = attributePath(arguments.positional[0]);
    arguments.positional.erase(arguments.positional.begin());
  }
  const Test *test = nullptr;
  if (!arguments.positional.empty()) {
    std::string name =
        requireText(arguments.positional[0], "the test of select");
    test = findTest(name);
    if (!test)
      throw Problem{unknownTest(name)};
    arguments.positional.erase(arguments.positional.begin());
  }
  return generator(run, self, [=](Run &run, Iterator &source, Value &item) {
    while (source.next(run, item)) {
      Value looked = follow(run, item, path);
      if ((test ? applyTest(run, *test, looked, arguments) : truthy(looked)) ==
          wanted)
        return true;
    }
    return false;
  });
}

} // namespace

const std::vector<Filter> &sequenceFilters() {
  static const std::vector<Filter> filters = {
      {"batch", lazily<batch>},
      {"dictsort", dictSort},
      {"first", first},
      {"groupby", groupBy},
      {"items", lazily<items>},
      {"join", join},
      {"last", last},
      {"list", list},
      {"map", lazily<map>},
      {"max", extreme<true>},
      {"min", extreme<false>},
      {"reject", lazily<select<false, false>>},
      {"rejectattr", lazily<select<false, true>>},
      {"reverse", reverse},
      {"select", lazily<select<true, false>>},
      {"selectattr", lazily<select<true, true>>},
      {"slice", lazily<slices>},
      {"sort", sort},
      {"sum", sum},
      {"unique", lazily<unique>},
  };
  return filters;
}

} // namespace mbc::text::jinja
