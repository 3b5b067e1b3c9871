//===- Graphs.cpp ---------------------------------------------------------===//

#include "runtime/cuda/Graphs.h"

#include <algorithm>

namespace mbc::cuda {

/// Each takes a megabyte or so of the device.
constexpr size_t mostShapes = 64;

Status Graphs::run(const CallShape &shape,
                   const std::function<Expected<bool>()> &enqueue) {
  auto [place, added] = entries.try_emplace(shape);
  place->second.used = ++calls;
  // The first time, whatever is chosen or allocated once is; that may end in
  // `clear`.
  if (added) {
    if (entries.size() > mostShapes)
      forgetOldest();
    MBC_ASSIGN(bool repeats, enqueue());
    if (auto known = entries.find(shape); known != entries.end())
      known->second.repeats = repeats;
    return {};
  }
  if (Entry &entry = place->second; entry.repeats && !entry.graph) {
    MBC_ASSIGN(entry.graph, capture(enqueue));
    // A library may do what cannot be captured.
    entry.repeats = entry.graph != nullptr;
  }
  if (place->second.graph)
    return checked(
        device.api().cuGraphLaunch(place->second.graph, device.stream()),
        "launching a graph");
  MBC_ASSIGN(place->second.repeats, enqueue());
  return {};
}

Expected<CUgraphExec>
Graphs::capture(const std::function<Expected<bool>()> &enqueue) const {
  const Driver &api = device.api();
  MBC_TRY(checked(api.cuStreamBeginCapture(device.stream(),
                                           CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
                  "capturing a call"));
  Expected<bool> repeats = enqueue();
  CUgraph graph = nullptr;
  CUresult ended = api.cuStreamEndCapture(device.stream(), &graph);
  CUgraphExec executable = nullptr;
  if (repeats && *repeats && ended == CUDA_SUCCESS &&
      api.cuGraphInstantiate(&executable, graph, 0) != CUDA_SUCCESS)
    executable = nullptr;
  if (graph)
    api.cuGraphDestroy(graph);
  return executable;
}

void Graphs::forgetOldest() {
  auto oldest = std::ranges::min_element(
      entries, {}, [](const auto &entry) { return entry.second.used; });
  if (oldest->second.graph)
    device.api().cuGraphExecDestroy(oldest->second.graph);
  entries.erase(oldest);
}

void Graphs::clear() {
  for (auto &[shape, entry] : entries)
    if (entry.graph)
      device.api().cuGraphExecDestroy(entry.graph);
  entries.clear();
}

} // namespace mbc::cuda
