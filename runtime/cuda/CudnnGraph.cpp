//===- CudnnGraph.cpp - cuDNN's graphs of attention -----------------------===//
//
// The one file that is compiled with cuDNN's C++ frontend, which takes most of
// a minute: nothing else belongs here.
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/Cudnn.h"
#include "runtime/cuda/KeptPlans.h"

#include <cudnn_frontend.h>
#include <fmt/format.h>
#include <map>

namespace cudnn_frontend {
// How it is told of the library that was opened.
void *cudnn_dlhandle = nullptr;
} // namespace cudnn_frontend

namespace mbc::cuda {

namespace fe = cudnn_frontend;
using fe::graph::Tensor_attributes;

namespace {

/// Names of arrays in a plan.
enum Place : int64_t {
  Q = 1,
  K,
  V,
  Out,
  Rows,
  Keys,
  QAt,
  KAt,
  VAt,
  OutAt,
};

std::string textOf(const CudnnShape &s) {
  return fmt::format("attention {} {} {} | {} {} {} | {} {} {} {} | {} {} "
                     "{} {} {} {} {} {} | "
                     "{:a}",
                     int(s.elem), s.causal, s.window, s.sequences, s.rows,
                     s.keys, s.heads, s.kvHeads, s.width, s.valueWidth, s.qRow,
                     s.kRow, s.vRow, s.outRow, s.qHead, s.kHead, s.vHead,
                     s.outHead, s.scale);
}

std::shared_ptr<fe::graph::Graph> describe(const CudnnShape &s) {
  auto graph = std::make_shared<fe::graph::Graph>();
  auto type =
      s.elem == Elem::BF16 ? fe::DataType_t::BFLOAT16 : fe::DataType_t::HALF;
  graph->set_io_data_type(type)
      .set_intermediate_data_type(fe::DataType_t::FLOAT)
      .set_compute_data_type(fe::DataType_t::FLOAT);
  auto numbers = [&](Place place, fe::DataType_t of, int64_t count) {
    return graph->tensor(Tensor_attributes()
                             .set_uid(place)
                             .set_dim({count, 1, 1, 1})
                             .set_stride({1, 1, 1, 1})
                             .set_data_type(of));
  };
  // [sequence, head, row, element]; the offset says where a sequence begins, so
  // that the stride of sequences is never used.
  auto array = [&](Place place, Place at, int64_t heads, int64_t rows,
                   int64_t width, int64_t row, int64_t head) {
    return Tensor_attributes()
        .set_uid(place)
        .set_dim({s.sequences, heads, rows, width})
        .set_stride({rows * row, head, row, 1})
        .set_data_type(type)
        .set_ragged_offset(numbers(at, fe::DataType_t::INT64, s.sequences + 1));
  };
  auto q =
      graph->tensor(array(Q, QAt, s.heads, s.rows, s.width, s.qRow, s.qHead));
  auto k =
      graph->tensor(array(K, KAt, s.kvHeads, s.keys, s.width, s.kRow, s.kHead));
  auto v = graph->tensor(
      array(V, VAt, s.kvHeads, s.keys, s.valueWidth, s.vRow, s.vHead));
  auto options =
      fe::graph::SDPA_attributes()
          .set_generate_stats(false)
          .set_attn_scale(s.scale)
          .set_padding_mask(true)
          .set_seq_len_q(numbers(Rows, fe::DataType_t::INT32, s.sequences))
          .set_seq_len_kv(numbers(Keys, fe::DataType_t::INT32, s.sequences));
  // The last row of a sequence sees its last key: others come before them.
  if (s.causal)
    options.set_diagonal_alignment(fe::DiagonalAlignment_t::BOTTOM_RIGHT)
        .set_diagonal_band_right_bound(0);
  if (s.window > 0)
    options.set_diagonal_band_left_bound(s.window);
  auto [out, stats] = graph->sdpa(q, k, v, options);
  *out = array(Out, OutAt, s.heads, s.rows, s.valueWidth, s.outRow, s.outHead);
  out->set_output(true);
  return graph;
}

class CudnnOfDevice : public Cudnn {
public:
  CudnnOfDevice(const Device &device, const CudnnLibrary &library)
      : device(device), library(library) {}
  ~CudnnOfDevice() override {
    plans.clear();
    if (handle)
      fe::detail::destroy_handle(handle);
  }

  Status start() {
    fe::cudnn_dlhandle = library.handle;
    if (auto status = fe::detail::create_handle(&handle);
        status != CUDNN_STATUS_SUCCESS)
      return systemError(fmt::format("cuDNN does not start: {}",
                                     fe::detail::get_error_string(status)));
    if (auto status = fe::detail::set_stream(
            handle, reinterpret_cast<cudaStream_t>(device.stream()));
        status != CUDNN_STATUS_SUCCESS)
      return systemError(fmt::format("cuDNN does not take a stream: {}",
                                     fe::detail::get_error_string(status)));
    return {};
  }

  std::optional<uint64_t> scratchFor(const CudnnShape &shape) override {
    auto [place, added] = plans.try_emplace(shape);
    if (added)
      place->second = make(shape);
    if (!place->second.graph)
      return std::nullopt;
    return place->second.scratch;
  }

  Status attend(const CudnnShape &shape, const CudnnArrays &a,
                std::byte *scratch) override {
    auto found = plans.find(shape);
    if (found == plans.end() || !found->second.graph)
      return systemError("cuDNN has no plan for an attention");
    auto at = [](const void *data) { return const_cast<void *>(data); };
    std::unordered_map<int64_t, void *> arrays = {
        {Q, at(a.q)},        {K, at(a.k)},       {V, at(a.v)},
        {Out, a.out},        {Rows, at(a.rows)}, {Keys, at(a.keys)},
        {QAt, at(a.qAt)},    {KAt, at(a.kAt)},   {VAt, at(a.vAt)},
        {OutAt, at(a.outAt)}};
    return checked(
        [&] { return found->second.graph->execute(handle, arrays, scratch); });
  }

private:
  struct Plan {
    std::shared_ptr<fe::graph::Graph> graph; ///< null: it does not take these
    uint64_t scratch = 0;
  };

  /// The frontend throws where a library of CUDA lacks something.
  template <typename Function> static Status checked(const Function &function) {
    try {
      fe::error_object status = function();
      if (status.is_good())
        return {};
      return systemError("cuDNN: " + status.get_message());
    } catch (const std::exception &thrown) {
      return systemError(fmt::format("cuDNN: {}", thrown.what()));
    }
  }

  Plan make(const CudnnShape &shape) const;
  Plan finished(std::shared_ptr<fe::graph::Graph> graph) const {
    int64_t bytes = 0;
    if (!checked([&] { return graph->get_workspace_size(bytes); }))
      return {};
    return {std::move(graph), static_cast<uint64_t>(bytes)};
  }

  const Device &device;
  const CudnnLibrary &library;
  cudnnHandle_t handle = nullptr;
  std::map<CudnnShape, Plan> plans;
};

CudnnOfDevice::Plan CudnnOfDevice::make(const CudnnShape &shape) const {
  // A kept plan saves the search and the compilation of its kernel.
  KeptPlans kept(device, fmt::format("cuDNN {} {}", library.version,
                                     CUDNN_FRONTEND_VERSION));
  std::string name = textOf(shape);
  if (std::optional<std::string> text = kept.find(name)) {
    auto graph = std::make_shared<fe::graph::Graph>();
    std::vector<uint8_t> bytes(text->begin(), text->end());
    if (checked(
            [&] { return graph->deserialize(handle, bytes, false, false); }))
      if (Plan plan = finished(std::move(graph)); plan.graph)
        return plan;
  }
  auto graph = describe(shape);
  graph->set_sm_version(device.facts().major * 10 + device.facts().minor);
  Status built = checked([&]() -> fe::error_object {
    if (auto status = graph->validate(); status.is_bad())
      return status;
    if (auto status = graph->build_operation_graph(handle); status.is_bad())
      return status;
    if (auto status = graph->create_execution_plans({fe::HeurMode_t::A});
        status.is_bad())
      return status;
    if (auto status = graph->check_support(); status.is_bad())
      return status;
    return graph->build_plans();
  });
  if (!built)
    return {};
  if (std::vector<uint8_t> bytes;
      checked([&] { return graph->serialize(bytes); }))
    kept.store(name, std::string(bytes.begin(), bytes.end()));
  return finished(std::move(graph));
}

} // namespace

Expected<std::unique_ptr<Cudnn>> Cudnn::create(const Device &device) {
  MBC_ASSIGN(const CudnnLibrary *library, cudnn());
  auto result = std::make_unique<CudnnOfDevice>(device, *library);
  MBC_TRY(result->start());
  return result;
}

} // namespace mbc::cuda
