//===- Loop.h - The variable `loop` -----------------------------*- C++ -*-===//
#pragma once

#include "runtime/text/template/Ast.h"
#include "runtime/text/template/Frame.h"
#include "runtime/text/template/Iteration.h"

namespace mbc::text::jinja {

/// Looks at the items that come next only when it is asked, as Jinja: a loop's
/// filter may read what its body sets.
struct Loop : Object {
  std::shared_ptr<Iterator> source;
  /// Of what is iterated over; none: not known before its end.
  std::optional<int64_t> size;
  int64_t index0 = -1, depth0 = 0;
  /// The loop and what is around it, when it is recursive.
  const Stmt *recursive = nullptr;
  std::shared_ptr<Frame> around;

  bool next(Run &run, Value &item) {
    if (!after.is(Kind::Missing)) {
      item = std::move(after);
      after = {};
    } else if (!source->next(run, item)) {
      return false;
    }
    ++index0;
    before = std::move(current);
    current = item;
    return true;
  }

  int64_t length(Run &run) {
    if (!size) {
      std::vector<Value> rest;
      for (Value item; source->next(run, item);) {
        run.allocate(sizeof(Value));
        rest.push_back(std::move(item));
      }
      size = int64_t(rest.size()) + index0 + 1 + !after.is(Kind::Missing);
      source = iterate(run, Value::list(std::move(rest)));
    }
    return *size;
  }

  /// Missing at the end.
  const Value &peek(Run &run) {
    if (after.is(Kind::Missing) && !source->next(run, after))
      after = {};
    return after;
  }
  const Value &previous() const { return before; }

  bool changed(const Value &values) {
    bool differs = !equal(lastValues, values);
    if (differs)
      lastValues = values;
    return differs;
  }

private:
  Value before, current, after, lastValues;
};

} // namespace mbc::text::jinja
