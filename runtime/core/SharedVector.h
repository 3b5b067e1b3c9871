//===- SharedVector.h - A vector that is copied when it changes -*- C++ -*-===//
#pragma once

#include <memory>
#include <utility>
#include <vector>

namespace mbc {

/// A list that many objects have and few change: a copy costs nothing until one
/// of the two is changed. Not for changes from several threads.
template <typename T> class SharedVector {
public:
  SharedVector() : list(std::make_shared<std::vector<T>>()) {}
  SharedVector(std::vector<T> values)
      : list(std::make_shared<std::vector<T>>(std::move(values))) {}

  const std::vector<T> &get() const { return *list; }
  const T &operator[](size_t index) const { return (*list)[index]; }
  size_t size() const { return list->size(); }

  void push_back(T value) { own().push_back(std::move(value)); }
  void append(const std::vector<T> &values) {
    if (!values.empty())
      own().insert(list->end(), values.begin(), values.end());
  }

private:
  /// The list, which nobody else has.
  std::vector<T> &own() {
    if (list.use_count() > 1)
      list = std::make_shared<std::vector<T>>(*list);
    return *list;
  }
  std::shared_ptr<std::vector<T>> list;
};

} // namespace mbc
