//===- LaunchExperts.cpp --------------------------------------------------===//

#include "runtime/cuda/Launcher.h"

#include <algorithm>

namespace mbc::cuda {

Status Launcher::route(const program::RouteT &command) {
  View logits = view(command.logits), weights = view(command.weights),
       ids = view(command.ids);
  RouteArguments arguments{};
  arguments.logits = static_cast<const float *>(logits.data);
  if (command.correction >= 0)
    arguments.correction = static_cast<const float *>(
        view(static_cast<uint32_t>(command.correction)).data);
  arguments.weights = static_cast<float *>(weights.data);
  arguments.ids = static_cast<int32_t *>(ids.data);
  arguments.logitsRow = logits.strides[0];
  arguments.weightsRow = weights.strides[0];
  arguments.idsRow = ids.strides[0];
  arguments.experts = static_cast<int32_t>(logits.dims[1]);
  arguments.topk = static_cast<int32_t>(ids.dims[1]);
  arguments.groups = static_cast<int32_t>(command.groups);
  arguments.groupTopk = static_cast<int32_t>(command.group_topk);
  arguments.sigmoid = command.score == program::Score::Sigmoid;
  arguments.method = static_cast<int32_t>(command.method);
  arguments.renorm = command.renorm;
  arguments.scale = static_cast<float>(command.scale);
  // Scores and orders of experts, orders of groups, the chosen.
  auto shared = static_cast<unsigned>(
      (2 * arguments.experts + arguments.groups + arguments.topk) *
      sizeof(float));
  return session.kernels->launch(
      "mbc_route", {.x = rowsIn(logits), .threads = 32, .shared = shared},
      arguments, countOf(logits));
}

Status Launcher::group(const program::GroupT &command) {
  View ids = view(command.ids), place = view(command.place),
       offsets = view(command.offsets);
  // Few rows a thread, which go through them one after another.
  auto threads = static_cast<unsigned>(
      std::clamp<int64_t>((rowsIn(ids) + 31) / 32 * 32, 32, 1024));
  return session.kernels->launch(
      "mbc_group", {.x = offsets.dims[0] - 1, .threads = threads},
      static_cast<const int32_t *>(ids.data), ids.strides[0],
      static_cast<int32_t *>(place.data), place.strides[0],
      static_cast<int32_t *>(offsets.data), static_cast<int>(ids.dims[1]),
      countOf(ids));
}

Status Launcher::scatter(const program::ScatterT &command) {
  View x = view(command.x), place = view(command.place),
       out = view(command.out);
  return session.kernels->launch(
      "mbc_scatter",
      {.x = rowsIn(x),
       .threads = threadsFor(x.dims[1] * elemBytes(x.elem) / 16)},
      x, place, out, countOf(x));
}

Status Launcher::combine(const program::CombineT &command) {
  View y = view(command.y), weights = view(command.weights),
       place = view(command.place), out = view(command.out);
  return session.kernels->launch(
      "mbc_combine", {.x = rowsIn(out), .threads = threadsFor(out.dims[1] / 8)},
      y, weights, place, out, countOf(out));
}

} // namespace mbc::cuda
