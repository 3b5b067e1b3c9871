//===- Access.h - Attributes, items and slices ------------------*- C++ -*-===//
//
// As jinja2's immutable sandbox has them: what begins with an underscore and
// what would change a list or a dict is undefined.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/text/template/Run.h"

namespace mbc::text::jinja {

/// `object.name`: the attribute or method, else the item of this key, else
/// Undefined.
Value member(Run &run, const Value &object, const std::string &name);
/// `object[key]`: the item, else the attribute, else Undefined.
Value item(Run &run, const Value &object, const Value &key);
/// `object[start:stop:step]`; Missing and None: not given.
Value slice(Run &run, const Value &object, const Value &start,
            const Value &stop, const Value &step);

/// The steps of an attribute name of a filter: "a.b", 3, "a.0".
std::vector<Value> attributePath(const Value &attribute);
/// Missing as `fallback`: there is none.
Value follow(Run &run, Value object, const std::vector<Value> &path,
             const Value &fallback = {});

} // namespace mbc::text::jinja
