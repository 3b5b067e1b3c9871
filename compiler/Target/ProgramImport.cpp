//===- ProgramImport.cpp - From a program file to exec text and back ------===//
#include "compiler/Target/PlanTarget.h"
#include "compiler/Target/ProgramTarget.h"
#include "dialects/Dist/DistDialect.h"

#include "runtime/program/Program.h"

#include "mlir/Tools/mlir-translate/Translation.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;

namespace mbc::exec {

namespace {

/// Attributes of an `exec.program` that are about its file.
constexpr StringRef architecturesName = "architectures", configName = "config",
                    lengthName = "length", optionalName = "optional",
                    sequencesName = "sequences", restName = "rest";

/// What a program has beside that which ops and named attributes say.
program::ProgramT restOf(program::ProgramT program) {
  // Whatever else is in the schema stays.
  program.abi = 0;
  program.model.clear();
  program.vocab = program.positions = 0;
  program.dtype = program::ProgramT().dtype;
  program.digest.clear();
  program.config.clear();
  program.weights.clear();
  program.sources.clear();
  program.states.clear();
  program.ropes.clear();
  program.kernels.clear();
  program.entries.clear();
  program.code.clear();
  program.gpu_entries.clear();
  program.gpu_code.clear();
  program.functions.clear();
  program.locations.clear();
  program.length = 0;
  program.sequences = 1;
  program.architectures.clear();
  program.optional.clear();
  return program;
}

std::vector<uint8_t> bytesOf(const program::ProgramT &program) {
  flatbuffers::FlatBufferBuilder builder;
  program::FinishProgramBuffer(builder,
                               program::Program::Pack(builder, &program));
  return {builder.GetBufferPointer(),
          builder.GetBufferPointer() + builder.GetSize()};
}

template <typename T> SmallVector<int64_t> wide(const std::vector<T> &values) {
  return {values.begin(), values.end()};
}

class Importer {
public:
  Importer(MLIRContext *ctx, const program::ProgramT &program)
      : program(program), builder(ctx), unknown(builder.getUnknownLoc()) {}

  OwningOpRef<ModuleOp> run();

private:
  Type typeOf(plan::DType dtype) {
    switch (dtype) {
    case plan::DType::BF16:
      return builder.getBF16Type();
    case plan::DType::F16:
      return builder.getF16Type();
    case plan::DType::I32:
      return builder.getI32Type();
    case plan::DType::F8E4M3:
      return Float8E4M3FNType::get(builder.getContext());
    default:
      return builder.getF32Type();
    }
  }
  ArrayAttr strings(const std::vector<std::string> &values) {
    return builder.getStrArrayAttr(
        SmallVector<StringRef>(values.begin(), values.end()));
  }
  Location location(uint32_t number) {
    const program::LocationT &place = *program.locations[number];
    if (place.file.empty() && place.line == 0)
      return unknown;
    return FileLineColLoc::get(builder.getStringAttr(place.file), place.line,
                               place.column);
  }
  MemRefType weightType(const program::WeightT &weight) {
    SmallVector<int64_t> sizes;
    if (weight.batch != 1)
      sizes.push_back(weight.batch);
    if (weight.batch != 1 || weight.rows != 1)
      sizes.push_back(weight.rows);
    sizes.push_back(weight.cols);
    return MemRefType::get(sizes, typeOf(weight.dtype));
  }
  FlatSymbolRefAttr symbol(StringRef name) {
    return FlatSymbolRefAttr::get(builder.getContext(), name);
  }
  MemRefType portType(const program::PortT &port) {
    return MemRefType::get(wide(port.dims), typeOf(port.dtype));
  }

  void addFile(ProgramOp op);
  void addDeclarations();
  void addFunction(const program::FunctionT &table);
  void addBody(const program::BodyT &body);
  void addCommand(const program::CommandT &command);
  Value view(int64_t number);

  const program::ProgramT &program;
  OpBuilder builder;
  Location unknown;
  const program::FunctionT *function = nullptr;
  /// The block of the function; its arguments are the ports.
  Block *ports = nullptr;
};

/// A new window for every use: what the file calls one view is one again when
/// it is written.
Value Importer::view(int64_t number) {
  if (number < 0)
    return nullptr;
  const program::ViewT &table = *function->views[number];
  Type element = typeOf(table.dtype);
  MemRefType type = viewType(element, wide(table.dims), wide(table.strides));
  Value base;
  uint64_t offset = table.offset;
  switch (table.space) {
  case program::Space::Arena:
    return BufferOp::create(builder, unknown, type,
                            builder.getI64IntegerAttr(offset));
  case program::Space::Weight: {
    const program::WeightT &weight = *program.weights[table.index];
    base = UseOp::create(builder, unknown, weightType(weight),
                         symbol(weight.path));
    break;
  }
  case program::Space::Input:
    base = ports->getArgument(table.index);
    break;
  case program::Space::Output:
    base = ports->getArgument(function->inputs.size() + table.index);
    break;
  }
  if (base.getType() == type && offset == 0)
    return base;
  return SubviewOp::create(builder, unknown, type, base,
                           offset * 8 / element.getIntOrFloatBitWidth());
}

void Importer::addCommand(const program::CommandT &command) {
  Location loc = location(command.location);
  const program::OpUnion &op = command.op;
  if (const auto *embed = op.AsEmbed()) {
    Value ids = view(embed->ids), table = view(embed->table);
    EmbedOp::create(builder, loc, ids, table, view(embed->out));
  } else if (const auto *gemm = op.AsGemm()) {
    Value x = view(gemm->x), weight = view(gemm->weight),
          bias = view(gemm->bias);
    GemmOp::create(builder, loc, x, weight, bias, view(gemm->out));
  } else if (const auto *rows = op.AsRows()) {
    SmallVector<Value> views;
    for (uint32_t operand : rows->operands)
      views.push_back(view(operand));
    RowsOp::create(
        builder, loc, symbol(program.kernels[rows->kernel]->name), views,
        rows->code < 0 ? FlatSymbolRefAttr()
                       : symbol(program.entries[rows->code]->name),
        rows->gpu < 0 ? FlatSymbolRefAttr()
                      : symbol(program.gpu_entries[rows->gpu]->name));
  } else if (const auto *angles = op.AsAngles()) {
    Value positions = view(angles->positions);
    AnglesOp::create(builder, loc,
                     symbol("rope" + std::to_string(angles->rope)), positions,
                     view(angles->out));
  } else if (const auto *attention = op.AsAttention()) {
    Value q = view(attention->q), k = view(attention->k),
          v = view(attention->v), ends = view(attention->ends);
    AttentionOp::create(builder, loc, q, k, v, ends, view(attention->out),
                        attention->state < 0
                            ? FlatSymbolRefAttr()
                            : symbol(program.states[attention->state]->path),
                        builder.getF64FloatAttr(attention->scale),
                        builder.getBoolAttr(attention->causal),
                        builder.getI64IntegerAttr(attention->window));
  } else if (const auto *copy = op.AsCopy()) {
    Value from = view(copy->from);
    CopyOp::create(builder, loc, from, view(copy->to));
  } else if (const auto *tap = op.AsTap()) {
    Value from = view(tap->from);
    TapOp::create(builder, loc, from, view(tap->to));
  } else if (const auto *take = op.AsTake()) {
    Value x = view(take->x), rows = view(take->rows);
    TakeOp::create(builder, loc, x, rows, view(take->out));
  } else if (const auto *place = op.AsPlace()) {
    Value features = view(place->features), places = view(place->places);
    PlaceOp::create(builder, loc, features, places, view(place->out));
  } else if (const auto *route = op.AsRoute()) {
    Value logits = view(route->logits), correction = view(route->correction),
          weights = view(route->weights);
    RouteOp::create(builder, loc, logits, correction, weights, view(route->ids),
                    program::EnumNameScore(route->score),
                    program::EnumNameMethod(route->method), route->renorm,
                    route->groups, route->group_topk, APFloat(route->scale));
  } else if (const auto *group = op.AsGroup()) {
    Value ids = view(group->ids), place = view(group->place);
    GroupOp::create(builder, loc, ids, place, view(group->offsets));
  } else if (const auto *scatter = op.AsScatter()) {
    Value x = view(scatter->x), place = view(scatter->place);
    ScatterOp::create(builder, loc, x, place, view(scatter->out));
  } else if (const auto *gemm = op.AsGroupedGemm()) {
    Value x = view(gemm->x), weight = view(gemm->weight),
          offsets = view(gemm->offsets);
    GroupedGemmOp::create(builder, loc, x, weight, offsets, view(gemm->out));
  } else if (const auto *combine = op.AsCombine()) {
    Value y = view(combine->y), weights = view(combine->weights),
          place = view(combine->place);
    CombineOp::create(builder, loc, y, weights, place, view(combine->out));
  } else if (const auto *attention = op.AsLatentAttention()) {
    Value qNope = view(attention->q_nope), qRope = view(attention->q_rope),
          latent = view(attention->latent), kRope = view(attention->k_rope),
          up = view(attention->up);
    LatentAttentionOp::create(builder, loc, qNope, qRope, latent, kRope, up,
                              view(attention->out),
                              program.states[attention->state]->path,
                              APFloat(attention->scale), attention->absorbed);
  } else if (const auto *repeat = op.AsRepeat()) {
    SmallVector<Attribute> runs;
    for (const program::Run &run : repeat->runs)
      runs.push_back(
          builder.getDenseI64ArrayAttr({run.body(), run.first(), run.count()}));
    auto loop =
        RepeatOp::create(builder, loc, repeat->stack,
                         builder.getArrayAttr(runs), repeat->bodies.size());
    for (auto [region, body] : llvm::zip(loop.getBodies(), repeat->bodies)) {
      OpBuilder::InsertionGuard guard(builder);
      builder.createBlock(&region);
      addBody(*body);
    }
  }
}

void Importer::addBody(const program::BodyT &body) {
  for (const auto &command : body.commands)
    addCommand(*command);
}

void Importer::addFunction(const program::FunctionT &table) {
  SmallVector<StringRef> inputs, outputs;
  SmallVector<Type> types;
  for (const auto &port : table.inputs) {
    inputs.push_back(port->name);
    types.push_back(portType(*port));
  }
  for (const auto &port : table.outputs) {
    outputs.push_back(port->name);
    types.push_back(portType(*port));
  }
  auto op = FuncOp::create(
      builder, unknown, table.name, table.rows, builder.getStrArrayAttr(inputs),
      builder.getStrArrayAttr(outputs), builder.getI64IntegerAttr(table.arena));
  OpBuilder::InsertionGuard guard(builder);
  ports = builder.createBlock(&op.getBody());
  ports->addArguments(types, SmallVector<Location>(types.size(), unknown));
  function = &table;
  addBody(*table.body);
}

void Importer::addDeclarations() {
  for (const auto &weight : program.weights)
    WeightOp::create(builder, unknown, builder.getStringAttr(weight->path),
                     TypeAttr::get(weightType(*weight)),
                     weight->layers.empty()
                         ? DenseI64ArrayAttr()
                         : builder.getDenseI64ArrayAttr(wide(weight->layers)),
                     weight->block.empty()
                         ? DenseI64ArrayAttr()
                         : builder.getDenseI64ArrayAttr(wide(weight->block)));
  for (const auto &state : program.states)
    StateOp::create(builder, unknown, state->path, typeOf(state->dtype),
                    wide(state->widths), wide(state->layers));
  for (auto [index, rope] : llvm::enumerate(program.ropes))
    RopeOp::create(
        builder, unknown, "rope" + std::to_string(index), rope->inv_freq,
        APFloat(double(rope->attention_factor)),
        rope->dynamic ? builder.getDenseF64ArrayAttr(
                            {rope->theta, rope->factor, double(rope->original)})
                      : DenseF64ArrayAttr(),
        rope->axis.empty() ? DenseI64ArrayAttr()
                           : builder.getDenseI64ArrayAttr(wide(rope->axis)));
  for (const auto &kernel : program.kernels) {
    SmallVector<Attribute> steps;
    for (const auto &step : kernel->steps)
      steps.push_back(StepAttr::get(
          builder.getContext(), program::EnumNameRowKind(step->kind),
          wide(step->inputs), step->operand, step->vectors, step->width,
          builder.getF64FloatAttr(step->scalar)));
    KernelOp::create(builder, unknown, kernel->name, kernel->operands,
                     builder.getArrayAttr(steps));
  }
  for (const auto &entry : program.entries)
    EntryOp::create(builder, unknown, entry->name, entry->scratch);
  for (const auto &code : program.code)
    ImageOp::create(
        builder, unknown, code->target,
        ArrayRef(reinterpret_cast<const int8_t *>(code->image.data()),
                 code->image.size()));
  for (const auto &entry : program.gpu_entries) {
    SmallVector<int64_t> rows, parts;
    for (const program::GpuTask &task : entry->tasks) {
      rows.push_back(task.rows());
      parts.push_back(task.parts());
    }
    GpuEntryOp::create(builder, unknown, entry->name, entry->threads,
                       entry->shared, rows, parts);
  }
  for (const auto &code : program.gpu_code)
    GpuImageOp::create(
        builder, unknown, code->target, code->ptx,
        ArrayRef(reinterpret_cast<const int8_t *>(code->cubin.data()),
                 code->cubin.size()));
}

void Importer::addFile(ProgramOp op) {
  op->setAttr(architecturesName, strings(program.architectures));
  op->setAttr(configName, builder.getStringAttr(program.config));
  op->setAttr(lengthName, builder.getI64IntegerAttr(program.length));
  op->setAttr(optionalName, strings(program.optional));
  op->setAttr(sequencesName, builder.getI64IntegerAttr(program.sequences));
  std::vector<uint8_t> rest = bytesOf(restOf(program));
  if (rest == bytesOf(restOf({})))
    return;
  auto type = RankedTensorType::get({static_cast<int64_t>(rest.size())},
                                    builder.getI8Type());
  op->setAttr(restName,
              DenseElementsAttr::getFromRawBuffer(
                  type, ArrayRef(reinterpret_cast<const char *>(rest.data()),
                                 rest.size())));
}

OwningOpRef<ModuleOp> Importer::run() {
  OwningOpRef<ModuleOp> module = ModuleOp::create(unknown);
  builder.setInsertionPointToStart(module->getBody());
  auto op = ProgramOp::create(
      builder, unknown, program.model, typeOf(program.dtype),
      builder.getDictionaryAttr(
          {builder.getNamedAttr("positions",
                                builder.getI64IntegerAttr(program.positions)),
           builder.getNamedAttr("vocab",
                                builder.getI64IntegerAttr(program.vocab))}));
  addFile(op);
  builder.createBlock(&op.getBody());
  addDeclarations();
  for (const auto &table : program.functions)
    addFunction(*table);
  // In modules of their own: all are named after the model.
  for (const auto &source : program.sources)
    module->push_back(
        wmap::importPlan(builder.getContext(), *source).release());
  return module;
}

/// The bytes of a text that MLIR holds, or of a file.
std::span<const uint8_t> bytesOf(StringRef text) {
  return {reinterpret_cast<const uint8_t *>(text.data()), text.size()};
}

} // namespace

OwningOpRef<ModuleOp> importProgram(MLIRContext *ctx,
                                    const program::ProgramT &program) {
  ctx->loadDialect<ExecDialect>();
  return Importer(ctx, program).run();
}

FailureOr<program::ProgramT> exportProgramFile(ModuleOp module) {
  auto programs = module.getOps<ProgramOp>();
  if (!llvm::hasSingleElement(programs))
    return module.emitError("holds no exec.program, or several");
  ProgramOp op = *programs.begin();
  for (auto function : op.getOps<FuncOp>()) {
    if (!function.getArena())
      return function.emitOpError("has no arena; run exec-plan-memory first");
    WalkResult placed = function.walk([](BufferOp buffer) {
      if (buffer.getOffset())
        return WalkResult::advance();
      buffer.emitOpError("has no place in the arena; run exec-plan-memory "
                         "first");
      return WalkResult::interrupt();
    });
    if (placed.wasInterrupted())
      return failure();
  }
  program::ProgramT file;
  if (auto rest = op->getAttrOfType<DenseElementsAttr>(restName)) {
    std::span bytes =
        bytesOf(StringRef(rest.getRawData().data(), rest.getRawData().size()));
    flatbuffers::Verifier verifier(bytes.data(), bytes.size());
    if (rest.isSplat() || !program::VerifyProgramBuffer(verifier))
      return op.emitOpError() << "'" << restName << "' is damaged";
    program::GetProgram(bytes.data())->UnPackTo(&file);
  }
  program::ProgramT said = exportProgram(op);
  file.abi = said.abi;
  file.model = std::move(said.model);
  file.vocab = said.vocab;
  file.positions = said.positions;
  file.dtype = said.dtype;
  file.weights = std::move(said.weights);
  file.states = std::move(said.states);
  file.ropes = std::move(said.ropes);
  file.kernels = std::move(said.kernels);
  file.entries = std::move(said.entries);
  file.code = std::move(said.code);
  file.gpu_entries = std::move(said.gpu_entries);
  file.gpu_code = std::move(said.gpu_code);
  file.functions = std::move(said.functions);
  file.locations = std::move(said.locations);
  if (said.vision)
    file.vision = std::move(said.vision);
  auto text = [&](StringRef name, std::string &to) {
    if (auto attr = op->getAttrOfType<StringAttr>(name))
      to = attr.str();
  };
  auto texts = [&](StringRef name, std::vector<std::string> &to) {
    if (auto attr = op->getAttrOfType<ArrayAttr>(name))
      for (auto item : attr.getAsRange<StringAttr>())
        to.push_back(item.str());
  };
  auto number = [&](StringRef name, uint32_t &to) {
    if (auto attr = op->getAttrOfType<IntegerAttr>(name))
      to = attr.getInt();
  };
  texts(architecturesName, file.architectures);
  text(configName, file.config);
  number(lengthName, file.length);
  texts(optionalName, file.optional);
  number(sequencesName, file.sequences);
  for (auto holder : module.getOps<ModuleOp>())
    for (auto plan : holder.getOps<wmap::PlanOp>())
      file.sources.push_back(
          std::make_unique<plan::PlanT>(wmap::exportPlan(plan)));
  return file;
}

void registerProgramTranslations() {
  auto dialects = [](DialectRegistry &registry) {
    // The mesh stands beside the program.
    registry.insert<dist::DistDialect, ExecDialect, wmap::WMapDialect>();
  };
  static TranslateFromMLIRRegistration toProgram(
      "mlir-to-program", "write the program of a module as a file",
      [](ModuleOp module, raw_ostream &output) -> LogicalResult {
        auto program = exportProgramFile(module);
        if (failed(program))
          return failure();
        std::vector<uint8_t> bytes = serializeProgram(*program);
        // What is written can be read.
        if (auto read = parseProgram(bytes, "the program"); !read)
          return module.emitError(read.error().message);
        output.write(reinterpret_cast<const char *>(bytes.data()),
                     bytes.size());
        return success();
      },
      dialects);
  static TranslateRegistration fromProgram(
      "program-to-mlir", "print a program file as exec operations",
      [](const std::shared_ptr<llvm::SourceMgr> &sources, raw_ostream &output,
         MLIRContext *ctx) -> LogicalResult {
        const llvm::MemoryBuffer *buffer =
            sources->getMemoryBuffer(sources->getMainFileID());
        std::string name = buffer->getBufferIdentifier().str();
        auto program = parseProgram(bytesOf(buffer->getBuffer()), name);
        if (!program)
          return emitError(UnknownLoc::get(ctx)) << program.error().message;
        ctx->loadDialect<ExecDialect, wmap::WMapDialect>();
        // With the places in declarations, which are in the file too.
        importProgram(ctx, **program)
            ->print(output, OpPrintingFlags().enableDebugInfo());
        return success();
      });
}

} // namespace mbc::exec
