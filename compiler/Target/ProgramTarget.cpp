//===- ProgramTarget.cpp - A dumb walk ------------------------------------===//
#include "compiler/Target/ProgramTarget.h"

#include "runtime/program/Program.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace mbc::exec {

static plan::DType dtypeOf(Type type) {
  if (type.isBF16())
    return plan::DType::BF16;
  if (type.isF16())
    return plan::DType::F16;
  if (isa<Float8E4M3FNType>(type))
    return plan::DType::F8E4M3;
  if (type.isInteger(32))
    return plan::DType::I32;
  return plan::DType::F32;
}

template <typename T> static std::vector<T> numbers(ArrayRef<int64_t> values) {
  return {values.begin(), values.end()};
}

namespace {

class Exporter {
public:
  explicit Exporter(ProgramOp op) : op(op) {}

  program::ProgramT run() {
    program.abi = programAbi;
    program.model = op.getSymName().str();
    program.dtype = dtypeOf(op.getDtype());
    if (auto vocab = op.getValues().getAs<IntegerAttr>("vocab"))
      program.vocab = vocab.getInt();
    if (auto positions = op.getValues().getAs<IntegerAttr>("positions"))
      program.positions = positions.getInt();
    program.vision = visionOf(op.getValues());
    // An empty location is number 0.
    program.locations.push_back(std::make_unique<program::LocationT>());
    for (auto weight : op.getOps<WeightOp>())
      addWeight(weight);
    for (auto state : op.getOps<StateOp>()) {
      index[state] = program.states.size();
      auto &table =
          program.states.emplace_back(std::make_unique<program::StateT>());
      table->path = state.getSymName().str();
      table->dtype = dtypeOf(state.getDtype());
      table->widths = numbers<uint32_t>(state.getWidths());
      table->layers = numbers<uint32_t>(state.getLayers());
    }
    for (auto rope : op.getOps<RopeOp>())
      addRope(rope);
    for (auto kernel : op.getOps<KernelOp>())
      addKernel(kernel);
    for (auto entry : op.getOps<EntryOp>()) {
      index[entry] = program.entries.size();
      auto &table =
          program.entries.emplace_back(std::make_unique<program::EntryT>());
      table->name = entry.getSymName().str();
      table->scratch = entry.getScratch();
    }
    for (auto image : op.getOps<ImageOp>()) {
      auto &table =
          program.code.emplace_back(std::make_unique<program::NativeCodeT>());
      table->target = image.getTarget().str();
      table->image.assign(image.getBytes().begin(), image.getBytes().end());
    }
    addGpuCode();
    for (auto function : op.getOps<FuncOp>())
      addFunction(function);
    return std::move(program);
  }

private:
  void addGpuCode() {
    for (auto entry : op.getOps<GpuEntryOp>()) {
      index[entry] = program.gpu_entries.size();
      auto &table = program.gpu_entries.emplace_back(
          std::make_unique<program::GpuEntryT>());
      table->name = entry.getSymName().str();
      table->threads = entry.getThreads();
      table->shared = entry.getShared();
      for (auto [rows, parts] : llvm::zip(entry.getRows(), entry.getParts()))
        table->tasks.emplace_back(rows, parts);
    }
    for (auto image : op.getOps<GpuImageOp>()) {
      auto &table =
          program.gpu_code.emplace_back(std::make_unique<program::GpuCodeT>());
      table->target = image.getTarget().str();
      table->ptx = image.getPtx().str();
      table->cubin.assign(image.getCubin().begin(), image.getCubin().end());
    }
  }

  void addWeight(WeightOp weight) {
    index[weight] = program.weights.size();
    auto &table =
        program.weights.emplace_back(std::make_unique<program::WeightT>());
    auto type = cast<MemRefType>(weight.getType());
    table->path = weight.getSymName().str();
    table->dtype = dtypeOf(type.getElementType());
    ArrayRef<int64_t> sizes = type.getShape();
    table->cols = sizes.back();
    if (sizes.size() >= 2)
      table->rows = sizes[sizes.size() - 2];
    if (sizes.size() == 3)
      table->batch = sizes[0];
    if (weight.getLayers())
      table->layers = numbers<uint32_t>(*weight.getLayers());
    if (weight.getBlock())
      table->block = numbers<uint32_t>(*weight.getBlock());
  }

  void addRope(RopeOp rope) {
    index[rope] = program.ropes.size();
    auto &table =
        program.ropes.emplace_back(std::make_unique<program::RopeT>());
    table->inv_freq = rope.getInvFreq();
    table->attention_factor = rope.getAttentionFactor().convertToDouble();
    if (auto dynamic = rope.getDynamic()) {
      table->dynamic = true;
      table->theta = (*dynamic)[0];
      table->factor = (*dynamic)[1];
      table->original = (*dynamic)[2];
    }
    if (auto axis = rope.getAxis()) {
      table->axes = *llvm::max_element(*axis) + 1;
      table->axis = numbers<uint8_t>(*axis);
    }
  }

  void addKernel(KernelOp kernel) {
    index[kernel] = program.kernels.size();
    auto &table =
        program.kernels.emplace_back(std::make_unique<program::RowKernelT>());
    table->name = kernel.getSymName().str();
    table->operands = kernel.getOperands();
    for (auto attr : kernel.getSteps().getAsRange<StepAttr>()) {
      auto step = std::make_unique<program::RowStepT>();
      for (program::RowKind kind : program::EnumValuesRowKind())
        if (attr.getKind() == program::EnumNameRowKind(kind))
          step->kind = kind;
      step->inputs = numbers<uint16_t>(attr.getInputs());
      step->operand = attr.getOperand();
      step->vectors = attr.getVectors();
      step->width = attr.getWidth();
      step->scalar = attr.getScalar().getValueAsDouble();
      table->steps.push_back(std::move(step));
    }
  }

  std::unique_ptr<program::PortT> port(StringRef name, Type type) {
    auto table = std::make_unique<program::PortT>();
    auto view = cast<MemRefType>(type);
    table->name = name.str();
    table->dtype = dtypeOf(view.getElementType());
    table->dims = numbers<uint32_t>(view.getShape());
    return table;
  }

  void addFunction(FuncOp op) {
    function = std::make_unique<program::FunctionT>();
    views.clear();
    seen.clear();
    function->name = op.getSymName().str();
    function->rows = op.getRows();
    function->arena = op.getArena().value_or(0);
    size_t inputs = op.getInputNames().size();
    for (auto [i, name] :
         llvm::enumerate(op.getInputNames().getAsValueRange<StringAttr>()))
      function->inputs.push_back(
          port(name, op.getBody().getArgument(i).getType()));
    for (auto [i, name] :
         llvm::enumerate(op.getOutputNames().getAsValueRange<StringAttr>()))
      function->outputs.push_back(
          port(name, op.getBody().getArgument(inputs + i).getType()));
    this->inputs = inputs;
    function->body = body(op.getBody().front());
    program.functions.push_back(std::move(function));
  }

  /// The number of the view that a value is.
  uint32_t view(Value value) {
    auto known = views.find(value);
    if (known != views.end())
      return known->second;
    program::ViewT table;
    Value base = value;
    int64_t elements = 0;
    if (auto window = value.getDefiningOp<SubviewOp>()) {
      base = window.getSource();
      elements = window.getOffset();
    }
    auto type = cast<MemRefType>(value.getType());
    if (auto buffer = base.getDefiningOp<BufferOp>()) {
      table.space = program::Space::Arena;
      table.offset = *buffer.getOffset();
    } else if (auto use = base.getDefiningOp<UseOp>()) {
      table.space = program::Space::Weight;
      table.index = index.lookup(op.lookupSymbol(use.getWeightAttr()));
    } else {
      unsigned number = cast<BlockArgument>(base).getArgNumber();
      table.space =
          number < inputs ? program::Space::Input : program::Space::Output;
      table.index = number < inputs ? number : number - inputs;
    }
    table.offset += bytesOf(type, elements);
    table.dtype = dtypeOf(type.getElementType());
    table.dims = numbers<uint32_t>(type.getShape());
    table.strides = numbers<uint32_t>(stridesOf(type));
    auto key = std::tuple(table.space, table.index, table.offset, table.dtype,
                          table.dims, table.strides);
    auto [it, inserted] = seen.try_emplace(key, function->views.size());
    if (inserted)
      function->views.push_back(std::make_unique<program::ViewT>(table));
    views[value] = it->second;
    return it->second;
  }

  int32_t optional(Value value) {
    return value ? static_cast<int32_t>(view(value)) : -1;
  }

  uint32_t location(Location loc) {
    auto file = loc->findInstanceOf<FileLineColLoc>();
    if (!file)
      return 0;
    // By what the file says of it: an attribute may also know where it ends.
    auto key =
        std::tuple(file.getFilename().str(), file.getLine(), file.getColumn());
    auto [it, inserted] = places.try_emplace(key, program.locations.size());
    if (inserted) {
      auto table = std::make_unique<program::LocationT>();
      table->file = file.getFilename().str();
      table->line = file.getLine();
      table->column = file.getColumn();
      program.locations.push_back(std::move(table));
    }
    return it->second;
  }

  std::unique_ptr<program::BodyT> body(Block &block) {
    auto table = std::make_unique<program::BodyT>();
    for (Operation &op : block) {
      auto command = std::make_unique<program::CommandT>();
      fill(&op, command->op);
      if (command->op.type == program::Op::NONE)
        continue;
      command->location = location(op.getLoc());
      table->commands.push_back(std::move(command));
    }
    return table;
  }

  uint32_t symbol(FlatSymbolRefAttr name) {
    return index.lookup(op.lookupSymbol(name));
  }

  void fill(Operation *command, program::OpUnion &out) {
    llvm::TypeSwitch<Operation *>(command)
        .Case([&](EmbedOp embed) {
          program::EmbedT table;
          table.ids = view(embed.getIds());
          table.table = view(embed.getTable());
          table.out = view(embed.getOut());
          out.Set(std::move(table));
        })
        .Case([&](GemmOp gemm) {
          program::GemmT table;
          table.x = view(gemm.getX());
          table.weight = view(gemm.getWeight());
          table.bias = optional(gemm.getBias());
          table.out = view(gemm.getOut());
          out.Set(std::move(table));
        })
        .Case([&](RowsOp rows) {
          program::RowsT table;
          table.kernel = symbol(rows.getKernelAttr());
          for (Value operand : rows.getViews())
            table.operands.push_back(view(operand));
          if (rows.getCodeAttr())
            table.code = symbol(rows.getCodeAttr());
          if (rows.getGpuAttr())
            table.gpu = symbol(rows.getGpuAttr());
          out.Set(std::move(table));
        })
        .Case([&](AnglesOp angles) {
          program::AnglesT table;
          table.rope = symbol(angles.getRopeAttr());
          table.positions = view(angles.getPositions());
          table.out = view(angles.getOut());
          out.Set(std::move(table));
        })
        .Case([&](AttentionOp attention) {
          program::AttentionT table;
          table.q = view(attention.getQ());
          table.k = view(attention.getK());
          table.v = view(attention.getV());
          table.out = view(attention.getOut());
          if (attention.getStateAttr())
            table.state = symbol(attention.getStateAttr());
          table.scale = attention.getScale().convertToDouble();
          table.causal = attention.getCausal();
          table.window = attention.getWindow();
          table.ends = optional(attention.getEnds());
          out.Set(std::move(table));
        })
        .Case([&](CopyOp copy) {
          program::CopyT table;
          table.from = view(copy.getFrom());
          table.to = view(copy.getTo());
          out.Set(std::move(table));
        })
        .Case([&](TapOp tap) {
          program::TapT table;
          table.from = view(tap.getFrom());
          table.to = view(tap.getTo());
          out.Set(std::move(table));
        })
        .Case([&](TakeOp take) {
          program::TakeT table;
          table.x = view(take.getX());
          table.rows = view(take.getRows());
          table.out = view(take.getOut());
          out.Set(std::move(table));
        })
        .Case([&](PlaceOp place) {
          program::PlaceT table;
          table.features = view(place.getFeatures());
          table.places = view(place.getPlaces());
          table.out = view(place.getOut());
          out.Set(std::move(table));
        })
        .Case([&](RouteOp route) {
          program::RouteT table;
          table.logits = view(route.getLogits());
          table.correction = optional(route.getCorrection());
          table.weights = view(route.getWeights());
          table.ids = view(route.getIds());
          for (program::Score score : program::EnumValuesScore())
            if (route.getScore() == program::EnumNameScore(score))
              table.score = score;
          for (program::Method method : program::EnumValuesMethod())
            if (route.getMethod() == program::EnumNameMethod(method))
              table.method = method;
          table.renorm = route.getRenorm();
          table.groups = route.getGroups();
          table.group_topk = route.getGroupTopk();
          table.scale = route.getScale().convertToDouble();
          out.Set(std::move(table));
        })
        .Case([&](GroupOp group) {
          program::GroupT table;
          table.ids = view(group.getIds());
          table.place = view(group.getPlace());
          table.offsets = view(group.getOffsets());
          out.Set(std::move(table));
        })
        .Case([&](ScatterOp scatter) {
          program::ScatterT table;
          table.x = view(scatter.getX());
          table.place = view(scatter.getPlace());
          table.out = view(scatter.getOut());
          out.Set(std::move(table));
        })
        .Case([&](GroupedGemmOp gemm) {
          program::GroupedGemmT table;
          table.x = view(gemm.getX());
          table.weight = view(gemm.getWeight());
          table.offsets = view(gemm.getOffsets());
          table.out = view(gemm.getOut());
          out.Set(std::move(table));
        })
        .Case([&](CombineOp combine) {
          program::CombineT table;
          table.y = view(combine.getY());
          table.weights = view(combine.getWeights());
          table.place = view(combine.getPlace());
          table.out = view(combine.getOut());
          out.Set(std::move(table));
        })
        .Case([&](LatentAttentionOp attention) {
          program::LatentAttentionT table;
          table.q_nope = view(attention.getQNope());
          table.q_rope = view(attention.getQRope());
          table.latent = view(attention.getLatent());
          table.k_rope = view(attention.getKRope());
          table.up = view(attention.getUp());
          table.out = view(attention.getOut());
          table.state = symbol(attention.getStateAttr());
          table.scale = attention.getScale().convertToDouble();
          table.absorbed = attention.getAbsorbed();
          out.Set(std::move(table));
        })
        .Case([&](RepeatOp repeat) {
          program::RepeatT table;
          table.stack = repeat.getStack().str();
          for (auto run : repeat.getRuns().getAsRange<DenseI64ArrayAttr>())
            table.runs.emplace_back(run[0], run[1], run[2]);
          for (Region &region : repeat.getBodies())
            table.bodies.push_back(body(region.front()));
          out.Set(std::move(table));
        });
  }

  using ViewKey = std::tuple<program::Space, uint32_t, uint64_t, plan::DType,
                             std::vector<uint32_t>, std::vector<uint32_t>>;

  ProgramOp op;
  program::ProgramT program;
  std::unique_ptr<program::FunctionT> function;
  size_t inputs = 0;
  DenseMap<Operation *, uint32_t> index;
  DenseMap<Value, uint32_t> views;
  std::map<ViewKey, uint32_t> seen;
  std::map<std::tuple<std::string, unsigned, unsigned>, uint32_t> places;
};

} // namespace

std::unique_ptr<program::VisionT> visionOf(DictionaryAttr values) {
  bool whole = true;
  auto number = [&](StringRef name, int64_t least = 1) -> int64_t {
    auto value = values.getAs<IntegerAttr>(name);
    bool fits = value && value.getInt() >= least;
    whole &= fits;
    return fits ? value.getInt() : 1;
  };
  auto vision = std::make_unique<program::VisionT>();
  vision->image_token = number("image_token", 0);
  vision->video_token = number("video_token", 0);
  vision->channels = number("channels");
  vision->frames = number("frames");
  vision->patch = number("patch");
  vision->fold = number("fold");
  vision->window = number("window") / vision->fold / vision->patch;
  return whole ? std::move(vision) : nullptr;
}

program::ProgramT exportProgram(ProgramOp op) { return Exporter(op).run(); }

} // namespace mbc::exec
