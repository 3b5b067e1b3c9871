//===- Iteration.h - Going through values -----------------------*- C++ -*-===//
#pragma once

#include "runtime/text/template/Run.h"

#include <functional>

namespace mbc::text::jinja {

/// A generator of Python: what it has given is gone.
struct Iterator : Object {
  /// False at the end.
  virtual bool next(Run &run, Value &item) = 0;
};

/// Python's iter(); a Problem for what is not iterable.
std::shared_ptr<Iterator> iterate(Run &run, const Value &value);
bool isIterable(const Value &value);
/// Python's list().
std::vector<Value> itemsOf(Run &run, const Value &value);
/// Python's len(); none for what has no length.
std::optional<int64_t> lengthOf(Run &run, const Value &value);

/// A generator, which does nothing before it is asked for its first item: then
/// `make` says what to go through. `held` is what `make` refers to.
Value deferred(const std::vector<Value> &held,
               std::function<Value(Run &)> make);
/// A generator whose items `next` makes, of what it takes from `source`.
using NextItem = std::function<bool(Run &, Iterator &source, Value &item)>;
Value generator(Run &run, const Value &source, NextItem next);
/// A generator of items that are there already.
Value generatorOf(std::vector<Value> items);

} // namespace mbc::text::jinja
