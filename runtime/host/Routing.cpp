//===- Routing.cpp --------------------------------------------------------===//

#include "runtime/host/Routing.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <limits>
#include <numeric>

namespace mbc::host {

namespace {

template <typename T> T *rowOf(const BoundView &view, int64_t row) {
  return reinterpret_cast<T *>(view.data) + row * view.strides[0];
}

/// What one worker needs for a row.
struct Scratch {
  std::vector<float> scores, choice;
  std::vector<std::pair<float, int64_t>> groups;
  std::vector<int32_t> order;
};

/// The best `count` of `items` come first, in order; ties by place.
template <typename T, typename Better>
void bestFirst(std::vector<T> &items, size_t count, Better better) {
  std::partial_sort(items.begin(), items.begin() + count, items.end(), better);
}

/// Experts of groups that are not chosen can not be.
void maskGroups(const program::RouteT &how, Scratch &s) {
  size_t size = s.choice.size() / how.groups;
  s.groups.clear();
  for (uint32_t group = 0; group < how.groups; ++group) {
    float best = -std::numeric_limits<float>::infinity(), second = best;
    for (size_t i = group * size; i < (group + 1) * size; ++i) {
      float score = s.choice[i];
      if (score > best)
        second = std::exchange(best, score);
      else
        second = std::max(second, score);
    }
    bool both = how.method == program::Method::NoauxTc && size > 1;
    s.groups.emplace_back(both ? best + second : best, group);
  }
  bestFirst(s.groups, how.group_topk, [](const auto &a, const auto &b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  for (size_t i = how.group_topk; i < s.groups.size(); ++i) {
    auto first = s.choice.begin() + s.groups[i].second * size;
    std::fill(first, first + size, -std::numeric_limits<float>::infinity());
  }
}

void routeRow(const program::RouteT &how, const float *logits,
              const float *correction, int64_t experts, int64_t topk,
              float *weights, int32_t *ids, Scratch &s) {
  s.scores.assign(logits, logits + experts);
  if (how.score == program::Score::Sigmoid) {
    for (float &score : s.scores)
      score = 1.0f / (1.0f + std::exp(-score));
  } else {
    float highest = *std::ranges::max_element(s.scores), sum = 0;
    for (float &score : s.scores)
      sum += score = std::exp(score - highest);
    for (float &score : s.scores)
      score /= sum;
  }
  s.choice = s.scores;
  if (correction)
    for (int64_t i = 0; i < experts; ++i)
      s.choice[i] += correction[i];
  if (how.method != program::Method::Greedy && how.group_topk < how.groups)
    maskGroups(how, s);
  s.order.resize(experts);
  std::iota(s.order.begin(), s.order.end(), 0);
  bestFirst(s.order, topk, [&](int32_t a, int32_t b) {
    return s.choice[a] != s.choice[b] ? s.choice[a] > s.choice[b] : a < b;
  });
  float total = 0;
  for (int64_t i = 0; i < topk; ++i) {
    ids[i] = s.order[i];
    weights[i] = s.scores[s.order[i]];
    total += weights[i];
  }
  for (int64_t i = 0; i < topk; ++i) {
    if (how.renorm)
      weights[i] /= total + 1e-20f;
    weights[i] *= static_cast<float>(how.scale);
  }
}

Status badPlace(int32_t place, int64_t rows) {
  return inputError(
      fmt::format("a row has place {} among {} of experts", place, rows));
}

} // namespace

void route(const program::RouteT &how, const BoundView &logits,
           const BoundView *correction, const BoundView &weights,
           const BoundView &ids, int64_t rows, ThreadPool &pool) {
  forRowsInTasks(rows, pool, [&](int64_t begin, int64_t end, unsigned) {
    Scratch scratch;
    for (int64_t row = begin; row < end; ++row)
      routeRow(how, rowOf<float>(logits, row),
               correction ? rowOf<float>(*correction, 0) : nullptr,
               logits.dims[1], ids.dims[1], rowOf<float>(weights, row),
               rowOf<int32_t>(ids, row), scratch);
  });
}

Status group(const BoundView &ids, const BoundView &place,
             const BoundView &offsets, int64_t rows) {
  int64_t experts = offsets.dims[0] - 1, topk = ids.dims[1];
  auto *starts = rowOf<int32_t>(offsets, 0);
  std::fill(starts, starts + experts + 1, 0);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t j = 0; j < topk; ++j) {
      int32_t id = rowOf<int32_t>(ids, row)[j];
      if (id < 0 || id >= experts)
        return inputError(
            fmt::format("a row has expert {} of {}", id, experts));
      ++starts[id + 1];
    }
  std::partial_sum(starts, starts + experts + 1, starts);
  std::vector<int32_t> next(starts, starts + experts);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t j = 0; j < topk; ++j)
      rowOf<int32_t>(place, row)[j] = next[rowOf<int32_t>(ids, row)[j]]++;
  return {};
}

Status scatter(const BoundView &x, const BoundView &place, const BoundView &out,
               int64_t rows, ThreadPool &pool) {
  int64_t topk = place.dims[1], bytes = x.dims[1] * int64_t(sizeOf(x.elem));
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t j = 0; j < topk; ++j)
      if (int32_t at = rowOf<int32_t>(place, row)[j];
          at < 0 || at >= rows * topk)
        return badPlace(at, rows * topk);
  forRowsInTasks(rows, pool, [&](int64_t begin, int64_t end, unsigned) {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t j = 0; j < topk; ++j)
        std::memcpy(out.data + rowOf<int32_t>(place, row)[j] * out.strides[0] *
                                   int64_t(sizeOf(out.elem)),
                    x.data + row * x.strides[0] * int64_t(sizeOf(x.elem)),
                    bytes);
  });
  return {};
}

Status combine(const BoundView &y, const BoundView &weights,
               const BoundView &place, const BoundView &out, int64_t rows,
               ThreadPool &pool) {
  int64_t topk = place.dims[1], width = out.dims[1];
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t j = 0; j < topk; ++j)
      if (int32_t at = rowOf<int32_t>(place, row)[j];
          at < 0 || at >= rows * topk)
        return badPlace(at, rows * topk);
  const Kernels &kernel = kernels();
  forRowsInTasks(rows, pool, [&](int64_t begin, int64_t end, unsigned) {
    std::vector<float> values(width), sum(width);
    for (int64_t row = begin; row < end; ++row) {
      std::ranges::fill(sum, 0.0f);
      for (int64_t j = 0; j < topk; ++j) {
        kernel.toFloat(y.elem,
                       y.data + rowOf<int32_t>(place, row)[j] * y.strides[0] *
                                    int64_t(sizeOf(y.elem)),
                       values.data(), width);
        kernel.mulScalar(values.data(), rowOf<float>(weights, row)[j],
                         values.data(), width);
        kernel.add(sum.data(), values.data(), sum.data(), width);
      }
      kernel.fromFloat(
          out.elem, sum.data(),
          out.data + row * out.strides[0] * int64_t(sizeOf(out.elem)), width);
    }
  });
  return {};
}

} // namespace mbc::host
