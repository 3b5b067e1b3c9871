//===- Session.cpp --------------------------------------------------------===//

#include "runtime/cuda/Session.h"

#include "runtime/core/Text.h"
#include "runtime/cuda/GeneratedRows.h"
#include "runtime/cuda/Launcher.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <thread>

namespace mbc::cuda {

/// Outputs of more go straight to where the caller wants them.
constexpr uint64_t mostResults = 64 << 20;

Session::Session(const program::ProgramT &program,
                 const SessionOptions &options)
    : program(program), options(options), scales(program) {}

Session::~Session() {
  if (!gpu)
    return;
  // Nothing that is under way may lose its memory.
  (void)gpu->enter();
  (void)gpu->wait("ending");
  for (CallBuffers &of : buffers)
    if (of.done)
      gpu->api().cuEventDestroy(of.done);
}

/// The steps of a kernel as the device reads them; `total`: floats of a row.
static std::vector<RowStep> stepsOf(const program::RowKernelT &kernel,
                                    int32_t &total) {
  std::vector<RowStep> steps;
  total = 0;
  for (const auto &step : kernel.steps) {
    RowStep &of = steps.emplace_back();
    of.kind = static_cast<int32_t>(step->kind);
    for (size_t i = 0; i < step->inputs.size() && i < 3; ++i)
      of.inputs[i] = steps[step->inputs[i]].offset;
    of.operand = step->operand;
    of.vectors = static_cast<int32_t>(step->vectors);
    of.width = static_cast<int32_t>(step->width);
    of.scalar = static_cast<float>(step->scalar);
    of.offset = total;
    total += of.vectors * of.width;
  }
  return steps;
}

Expected<std::unique_ptr<Session>>
Session::create(const program::ProgramT &program,
                const SessionOptions &options) {
  std::unique_ptr<Session> session(new Session(program, options));
  // Finding the library takes as long as a quarter of starting the GPU.
  std::jthread libraries([] { (void)cublasLt(); });
  MBC_ASSIGN(session->gpu, Device::open(options.device));
  const Device &gpu = *session->gpu;
  session->layout = layoutMemory(program, options.slots);
  const MemoryLayout &layout = session->layout;
  uint64_t ports = 0, inputs = 0, choices = 0;
  for (const auto &function : program.functions) {
    ports = std::max(ports, Launcher::portBytes(*function));
    inputs = std::max(inputs, Launcher::numberBytes(*function));
    for (const auto &port : function->outputs)
      choices = std::max<uint64_t>(choices, port->dims[0]);
  }
  MBC_ASSIGN(uint64_t free, gpu.freeBytes());
  uint64_t weights = layout.weights + session->scales.bytes(),
           values = Launcher::valueBytes(program),
           scratch = layout.arena + values,
           needed = weights + layout.states + scratch + ports;
  if (needed > free)
    return inputError(fmt::format(
        "{} are needed on GPU {} ({}), {} are free: weights {}, a state of {} "
        "tokens {}, scratch {}, inputs and outputs {}; fewer sequences or a "
        "smaller length make the state smaller, a smaller chunk the scratch",
        sizeText(needed), gpu.facts().ordinal, gpu.facts().name, sizeText(free),
        sizeText(weights), options.slots, sizeText(layout.states),
        sizeText(scratch), sizeText(ports)));
  MBC_ASSIGN(session->weights, gpu.allocate(layout.weights, "weights"));
  MBC_TRY(session->scales.allocate(gpu));
  MBC_ASSIGN(session->states, gpu.allocate(layout.states, "the state"));
  MBC_ASSIGN(session->arena, gpu.allocate(layout.arena, "scratch"));
  if (values)
    MBC_TRY(session->scratch(values));
  MBC_ASSIGN(session->ports, gpu.allocate(ports, "inputs and outputs"));
  MBC_ASSIGN(session->chosen,
             gpu.allocate(choices * sizeof(ChosenToken), "chosen tokens"));
  for (CallBuffers &of : session->buffers) {
    MBC_ASSIGN(of.staging, gpu.allocatePinned(inputs));
    std::memset(of.staging.data(), 0, inputs);
    MBC_TRY(checked(gpu.api().cuEventCreate(&of.done, CU_EVENT_DISABLE_TIMING),
                    "making an event"));
  }
  std::vector<int32_t> zeros(16 << 10);
  MBC_ASSIGN(session->arrived, gpu.allocate(zeros.size() * 4, "counters"));
  MBC_TRY(gpu.upload(session->arrived.data(), zeros.data(),
                     session->arrived.size(), "clearing counters"));
  MBC_TRY(gpu.wait("clearing counters"));
  MBC_ASSIGN(session->kernels, Kernels::load(gpu));
  libraries.join();
  MBC_ASSIGN(session->runsGenerated,
             loadGeneratedRows(program, gpu, *session->kernels));
  // Without the library mbc's own products do, slowly: see `notes`.
  if (cublasLt()) {
    MBC_ASSIGN(session->products, CublasLt::create(gpu));
  }
  for (const auto &kernel : program.kernels) {
    std::vector<RowStep> steps =
        stepsOf(*kernel, session->stepFloats.emplace_back());
    Memory &memory = session->steps.emplace_back();
    MBC_ASSIGN(memory, gpu.allocate(steps.size() * sizeof(RowStep),
                                    "fused operations"));
    MBC_TRY(gpu.upload(memory.data(), steps.data(), memory.size(),
                       "copying fused operations"));
    MBC_TRY(gpu.wait("copying fused operations"));
  }
  for (const auto &rope : program.ropes) {
    Memory &memory = session->ropes.emplace_back();
    uint64_t pairs = rope->inv_freq.size() * sizeof(float);
    MBC_ASSIGN(memory, gpu.allocate(pairs + rope->axis.size(), "frequencies"));
    MBC_TRY(gpu.upload(memory.data(), rope->inv_freq.data(), pairs,
                       "copying frequencies"));
    MBC_TRY(gpu.upload(memory.data() + pairs, rope->axis.data(),
                       rope->axis.size(), "copying frequencies"));
    MBC_TRY(gpu.wait("copying frequencies"));
  }
  session->ropeLengths.assign(program.ropes.size(), 0);
  auto is = [](const char *name, std::string_view value) {
    const char *given = std::getenv(name);
    return given && given == value;
  };
  if (const char *given = std::getenv("MBC_CUDA_DECODE_PARTS")) {
    std::string_view text = given;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(),
                                        session->decodeParts);
    if (error != std::errc() || end != text.data() + text.size() ||
        session->decodeParts < 0 ||
        session->decodeParts > DecodeArguments::mostParts)
      return inputError(
          fmt::format("MBC_CUDA_DECODE_PARTS is '{}'; expected 0 to {}", text,
                      DecodeArguments::mostParts));
  }
  if (!is("MBC_CUDA_FUSE", "0")) {
    session->turns = headTurns(program);
    MBC_TRY(session->fuse());
  }
  session->waitsForEach = is("MBC_CUDA_WAIT", "1");
  session->mayRunAhead = !session->waitsForEach && !is("MBC_CUDA_AHEAD", "0");
  session->decodesLatents = !is("MBC_CUDA_LATENT", "plain");
  if (!session->waitsForEach && !is("MBC_CUDA_GRAPHS", "0"))
    session->graphs = std::make_unique<Graphs>(gpu);
  return session;
}

Status Session::fuse() {
  uint32_t widest = 0;
  for (const auto &function : program.functions) {
    auto [made, _] =
        fusions.emplace(function.get(), Fusions{{program, *function, true},
                                                {program, *function, false}});
    widest = std::max(widest, made->second.ofOneRow.handedWidth());
  }
  handedBytes = aligned(widest * sizeof(float));
  MBC_ASSIGN(handed, gpu->allocate(Fusion::hands * handedBytes,
                                   "rows that products hand over"));
  return {};
}

std::byte *Session::weightAt(size_t weight, size_t instance) const {
  return weights.data() + layout.weightOffsets[weight] +
         instance * layout.instanceBytes[weight];
}

Status Session::setWeight(size_t weight, size_t instance, const void *from) {
  MBC_TRY(gpu->upload(weightAt(weight, instance), from,
                      bytesOf(*program.weights[weight]), "copying weights"));
  return gpu->wait("copying weights");
}

std::vector<std::string> Session::notes() const {
  std::vector<std::string> notes;
  if (!products)
    notes.push_back(
        fmt::format("{}: {}", cublasLt().error().message, costOfNoCublasLt));
  if (!withoutCudnn.empty())
    notes.push_back(fmt::format("{}: {}", withoutCudnn, costOfNoCudnn));
  const DeviceFacts &facts = gpu->facts();
  const GpuTarget *target = gpuTargetOf(facts.major, facts.minor);
  if (!runsGenerated && !program.kernels.empty() && target)
    notes.push_back(fmt::format(
        "the program has no code for this GPU, and fused operations are "
        "interpreted, which takes longer; compile it with --target {}",
        target->name));
  return notes;
}

Cudnn *Session::cudnn() {
  if (!startedCudnn) {
    const char *use = std::getenv("MBC_CUDNN");
    bool off = use && std::string_view(use) == "off";
    startedCudnn.emplace();
    if (!off) {
      if (auto started = Cudnn::create(*gpu))
        *startedCudnn = std::move(*started);
      else
        withoutCudnn = started.error().message;
    }
  }
  return startedCudnn->get();
}

Expected<std::byte *> Session::scratch(uint64_t bytes) {
  if (bytes > work.size()) {
    // What is under way may use the old one.
    MBC_TRY(gpu->wait("waiting for scratch"));
    if (graphs)
      graphs->clear();
    work = Memory();
    MBC_ASSIGN(work, gpu->allocate(bytes, "scratch of a command"));
  }
  return work.data();
}

Expected<DrawRow *> Session::drawRows(int64_t rows) {
  uint64_t bytes = rows * sizeof(DrawRow);
  if (bytes > draws.size()) {
    // What is under way may use the old ones.
    MBC_TRY(gpu->wait("waiting for drawn tokens"));
    if (graphs)
      graphs->clear();
    draws = Memory();
    MBC_ASSIGN(draws, gpu->allocate(bytes, "drawing tokens"));
    std::vector<std::byte> zeros(bytes);
    MBC_TRY(gpu->upload(draws.data(), zeros.data(), bytes, "clearing counts"));
    MBC_TRY(gpu->wait("clearing counts"));
  }
  return reinterpret_cast<DrawRow *>(draws.data());
}

Status Session::start(const program::FunctionT &function, const Call &call,
                      bool follows) {
  // The thread need not be the one that made the session.
  MBC_TRY(gpu->enter());
  MBC_ASSIGN(BoundCall bound, bindCall(program, function, call, options.slots));
  size_t number = started % buffers.size();
  CallBuffers &own = buffers[number];
  auto launcher = std::make_unique<Launcher>(*this, function, call,
                                             std::move(bound), number, follows);
  uint64_t results = launcher->resultBytes();
  if (results > own.results.size() && results <= mostResults) {
    // What is under way may be a graph.
    MBC_TRY(gpu->wait("waiting for pinned memory"));
    if (graphs)
      graphs->clear();
    MBC_ASSIGN(own.results, gpu->allocatePinned(std::bit_ceil(results)));
  }
  launcher->stageInputs();
  auto enqueue = [&] { return launcher->enqueue(); };
  if (graphs && !profiled && launcher->isSmall())
    MBC_TRY(graphs->run(launcher->shape(), enqueue));
  else if (auto done = enqueue(); !done)
    return Failure(done.error());
  MBC_TRY(checked(gpu->api().cuEventRecord(own.done, gpu->stream()),
                  "recording an event"));
  underWay[number] = std::move(launcher);
  ++started;
  return {};
}

Status Session::finish() {
  size_t number = finished++ % buffers.size();
  std::unique_ptr<Launcher> launcher = std::move(underWay[number]);
  MBC_TRY(checked(gpu->api().cuEventSynchronize(buffers[number].done),
                  fmt::format("running '{}'", launcher->name())));
  launcher->deliver();
  return {};
}

Status Session::run(const program::FunctionT &function, const Call &call) {
  MBC_TRY(start(function, call, false));
  while (finished < started)
    MBC_TRY(finish());
  return {};
}

} // namespace mbc::cuda
