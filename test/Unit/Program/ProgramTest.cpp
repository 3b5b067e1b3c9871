#include "runtime/program/Program.h"
#include "test/Conformance/ProgramMaker.h"
#include "test/Unit/Program/TinyImage.h"
#include "test/Unit/TempFolder.h"

#include <cstring>
#include <random>

using namespace mbc;
using namespace mbc::test;
using plan::DType;
using program::RowKind;

namespace {

/// Numbers of what `decoder` makes, for those who damage it.
struct Decoder {
  ProgramMaker make{4};
  uint32_t tokens, positions, list, logits, table, x, angles, w, norm, qkv, q,
      k, v, out, flat, taken;
  program::BodyT *layer = nullptr;

  program::CommandT &command(size_t i) {
    return *make.function->body->commands[i];
  }
};

/// A program with every command: two layers of attention between an embedding
/// and a product.
Decoder decoder() {
  Decoder d;
  ProgramMaker &m = d.make;
  d.tokens = m.input("tokens", DType::I32, {4});
  d.positions = m.input("positions", DType::I32, {4});
  d.list = m.input("outputs", DType::I32, {2});
  d.logits = m.output({2, 9});
  d.table = m.weight("embed", DType::BF16, 9, 8);
  d.x = m.buffer(DType::BF16, {4, 8});
  d.angles = m.buffer(DType::F32, {4, 2});
  d.w = m.weight("decoder.qkv", DType::BF16, 12, 8, {0, 1});
  d.norm = m.weight("norm", DType::F32, 0, 8);
  d.qkv = m.buffer(DType::BF16, {4, 12});
  d.q = m.window(d.qkv, 0, {4, 2, 2, 2}, {12, 6, 2, 1});
  d.k = m.window(d.qkv, 2, {4, 2, 2}, {12, 6, 1});
  d.v = m.window(d.qkv, 4, {4, 2, 2}, {12, 6, 1});
  d.out = m.buffer(DType::BF16, {4, 2, 2, 2});
  d.flat = m.window(d.out, 0, {4, 8}, {8, 1});
  d.taken = m.buffer(DType::BF16, {2, 8});
  m.state(DType::BF16, {4, 4}, {0, 1});
  auto rope = std::make_unique<program::RopeT>();
  rope->inv_freq = {1.0f};
  m.program.ropes.push_back(std::move(rope));
  m.kernel({step(RowKind::Load, {}, 0, 1, 8), step(RowKind::Load, {}, 1, 1, 8),
            step(RowKind::Load, {}, 2, 1, 8),
            step(RowKind::Add, {0, 1}, 0, 1, 8),
            step(RowKind::RMSNorm, {3, 2}, 0, 1, 8, 1e-5),
            step(RowKind::Store, {4}, 0, 1, 8)},
           3);
  program::EmbedT embed;
  embed.ids = d.tokens;
  embed.table = d.table;
  embed.out = d.x;
  m.add(embed);
  program::AnglesT angles;
  angles.positions = d.positions;
  angles.out = d.angles;
  m.add(angles);
  program::RepeatT repeat;
  repeat.stack = "decoder";
  repeat.runs = {{0, 0, 2}};
  repeat.bodies.push_back(std::make_unique<program::BodyT>());
  d.layer = repeat.bodies[0].get();
  program::GemmT gemm;
  gemm.x = d.x;
  gemm.weight = d.w;
  gemm.out = d.qkv;
  m.add(gemm, d.layer);
  program::AttentionT attention;
  attention.q = d.q;
  attention.k = d.k;
  attention.v = d.v;
  attention.out = d.out;
  attention.state = 0;
  attention.scale = 0.5;
  attention.causal = true;
  m.add(attention, d.layer);
  program::RowsT rows;
  rows.operands = {d.x, d.flat, d.norm};
  m.add(rows, d.layer);
  m.add(std::move(repeat));
  program::CopyT copy;
  copy.from = d.x;
  copy.to = d.flat;
  m.add(copy);
  program::TakeT take;
  take.x = d.flat;
  take.rows = d.list;
  take.out = d.taken;
  m.add(take);
  program::GemmT head;
  head.x = d.taken;
  head.weight = d.table;
  head.out = d.logits;
  m.add(head);
  d.layer = d.command(2).op.AsRepeat()->bodies[0].get();
  return d;
}

Expected<std::unique_ptr<program::ProgramT>> parse(const Decoder &d) {
  return parseProgram(serializeProgram(d.make.program), "x.mbcp");
}

struct Damage {
  const char *number;
  const char *message;
  void (*apply)(Decoder &);
};

program::ViewT &viewOf(Decoder &d, uint32_t number) {
  return *d.make.function->views[number];
}
program::AttentionT &attentionOf(Decoder &d) {
  return *d.layer->commands[1]->op.AsAttention();
}

program::RowsT &rowsOf(Decoder &d) {
  return *d.layer->commands[2]->op.AsRows();
}

/// A program with native code for both targets.
void addCode(Decoder &d) {
  auto entry = std::make_unique<program::EntryT>();
  entry->name = "code0";
  d.make.program.entries.push_back(std::move(entry));
  for (const char *target : {"x86-64-v3", "x86-64-v4"}) {
    auto code = std::make_unique<program::NativeCodeT>();
    code->target = target;
    code->image = TinyImage({"code0"}).bytes();
    d.make.program.code.push_back(std::move(code));
  }
  rowsOf(d).code = 0;
}
/// The same for GPUs.
void addGpuCode(Decoder &d) {
  auto entry = std::make_unique<program::GpuEntryT>();
  entry->name = "mbc_rows_0";
  entry->threads = 256;
  entry->tasks.emplace_back(1, 2);
  d.make.program.gpu_entries.push_back(std::move(entry));
  for (const char *target : {"sm_80", "sm_90"}) {
    auto code = std::make_unique<program::GpuCodeT>();
    code->target = target;
    code->ptx = std::string(".version 8.0\n.target ") + target +
                "\n.visible .entry mbc_rows_0(\n";
    d.make.program.gpu_code.push_back(std::move(code));
  }
  rowsOf(d).gpu = 0;
}
const Damage damages[] = {
    {"P02", "is of program version 3, this mbc runs 4; compile it again",
     [](Decoder &d) { d.make.program.abi = 3; }},

    {"P03", "weight 'embed' is of no float type",
     [](Decoder &d) { d.make.program.weights[0]->dtype = DType::I32; }},
    {"P03", "weight 'embed' is of no float type",
     [](Decoder &d) { d.make.program.weights[0]->dtype = DType::F64; }},
    {"P03", "weight 'embed' has no size",
     [](Decoder &d) { d.make.program.weights[0]->rows = 0; }},
    {"P03", "weight 'embed' has no size",
     [](Decoder &d) {
       d.make.program.weights[0]->rows = 1u << 31;
       d.make.program.weights[0]->batch = 1u << 31;
     }},
    {"P03", "layers of weight 'decoder.qkv' do not ascend",
     [](Decoder &d) { d.make.program.weights[1]->layers = {1, 1}; }},
    {"P03", "state 'state' has no rows",
     [](Decoder &d) { d.make.program.states[0]->widths = {4}; }},
    {"P03", "state 'state' has no rows",
     [](Decoder &d) { d.make.program.states[0]->dtype = DType::I32; }},
    {"P03", "layers of state 'state' do not ascend",
     [](Decoder &d) { d.make.program.states[0]->layers = {1, 0}; }},

    {"P04", "a rope has 2 axes for 1 pairs",
     [](Decoder &d) { d.make.program.ropes[0]->axis = {0, 0}; }},
    {"P04", "a rope has 0 axes for 1 pairs",
     [](Decoder &d) { d.make.program.ropes[0]->axes = 0; }},
    {"P04", "a rope turns by number 1 of 1",
     [](Decoder &d) { d.make.program.ropes[0]->axis = {1}; }},

    {"P05", "kernel 'rows' has an unknown step",
     [](Decoder &d) {
       d.make.program.kernels[0]->steps[3]->kind = static_cast<RowKind>(99);
     }},
    {"P05", "kernel 'rows' has an unknown step",
     [](Decoder &d) { d.make.program.kernels[0]->steps[3]->inputs = {0}; }},
    {"P05", "kernel 'rows' has a step of 0 elements",
     [](Decoder &d) { d.make.program.kernels[0]->steps[0]->width = 0; }},
    {"P05", "kernel 'rows' uses a step that is not before it",
     [](Decoder &d) { d.make.program.kernels[0]->steps[3]->inputs = {0, 3}; }},
    {"P05", "kernel 'rows' joins 8 elements with 4",
     [](Decoder &d) { d.make.program.kernels[0]->steps[1]->width = 4; }},
    {"P05", "kernel 'rows' rotates 7 elements",
     [](Decoder &d) {
       for (auto &step : d.make.program.kernels[0]->steps)
         step->width = 7;
       d.make.program.kernels[0]->steps[4]->kind = RowKind::Rope;
     }},
    {"P05", "kernel 'rows' has no operand 3",
     [](Decoder &d) { d.make.program.kernels[0]->steps[0]->operand = 3; }},

    {"P06", "a view of 'f' has no shape",
     [](Decoder &d) { viewOf(d, d.x).strides.pop_back(); }},
    {"P06", "a view of 'f' has no shape",
     [](Decoder &d) { viewOf(d, d.x).dtype = DType::U8; }},
    {"P06", "a view of 'f' has no size",
     [](Decoder &d) { viewOf(d, d.x).dims = {4, 0}; }},
    {"P06", "a view of 'f' has no end",
     [](Decoder &d) {
       viewOf(d, d.x).dims = {1u << 30, 4};
       viewOf(d, d.x).strides = {~0u, 1};
     }},
    {"P06", "a view of 'f' is of no memory",
     [](Decoder &d) { viewOf(d, d.table).index = 7; }},
    {"P06", "a view of 'f' is of no memory",
     [](Decoder &d) { viewOf(d, d.tokens).index = 3; }},
    {"P06", "a view of 'f' is of no memory",
     [](Decoder &d) { viewOf(d, d.table).dtype = DType::F16; }},
    {"P06", "a view of 'f' is of no memory",
     [](Decoder &d) { viewOf(d, d.x).space = static_cast<program::Space>(9); }},
    {"P06", "a view of 'f' ends at byte",
     [](Decoder &d) { viewOf(d, d.x).offset = d.make.function->arena - 4; }},
    {"P06", "a view of 'f' ends at byte",
     [](Decoder &d) { viewOf(d, d.x).offset = ~uint64_t(0) - 8; }},
    {"P06", "a view of 'f' ends at byte 146 of 144",
     [](Decoder &d) { viewOf(d, d.table).offset = 2; }},
    {"P06", "a view of 'f' crosses the rows of an output",
     [](Decoder &d) {
       viewOf(d, d.logits).dims = {1, 9};
       viewOf(d, d.logits).offset = 36;
     }},

    {"P07", "a command of 'f' has no view 99",
     [](Decoder &d) { d.command(0).op.AsEmbed()->ids = 99; }},
    {"P07", "a command of 'f' has no view 4294967295",
     [](Decoder &d) { d.command(0).op.AsEmbed()->ids = ~0u; }},
    {"P07", "a command of 'f' has no view -2",
     [](Decoder &d) { d.command(5).op.AsGemm()->bias = -2; }},
    {"P07", "weight 'embed' is used outside of its layers",
     [](Decoder &d) { d.make.program.weights[0]->layers = {0}; }},
    {"P07", "weight 'decoder.qkv' is used outside of its layers",
     [](Decoder &d) { d.make.program.weights[1]->layers = {0, 2}; }},
    {"P07", "a command of 'f' has no kernel 1",
     [](Decoder &d) { d.layer->commands[2]->op.AsRows()->kernel = 1; }},
    {"P07", "a command of 'f' has no rope 1",
     [](Decoder &d) { d.command(1).op.AsAngles()->rope = 1; }},
    {"P07", "a command of 'f' has no state 1",
     [](Decoder &d) { attentionOf(d).state = 1; }},
    {"P07", "a command of 'f' has no place",
     [](Decoder &d) { d.command(0).location = 1; }},
    {"P07", "'f' has an unknown command",
     [](Decoder &d) { d.command(0).op.Reset(); }},

    {"P08", "the views of a embed of 'f' do not fit",
     [](Decoder &d) { d.command(0).op.AsEmbed()->ids = d.list; }},
    {"P08", "the views of a embed of 'f' do not fit",
     [](Decoder &d) { d.command(0).op.AsEmbed()->out = d.angles; }},
    {"P08", "the views of a embed of 'f' do not fit",
     [](Decoder &d) { viewOf(d, d.x).strides = {8, 0}; }},
    {"P08", "the views of a gemm of 'f' do not fit",
     [](Decoder &d) { d.layer->commands[0]->op.AsGemm()->out = d.flat; }},
    {"P08", "the views of a tap of 'f' do not fit",
     [](Decoder &d) {
       program::TapT tap;
       tap.from = d.x;
       tap.to = d.x;
       d.make.add(tap);
     }},
    // Two layers, an output for one.
    {"P08", "the views of a tap of 'f' do not fit",
     [](Decoder &d) {
       program::TapT tap;
       tap.from = d.x;
       tap.to = d.make.output({4, 1, 8});
       d.make.add(tap, d.layer);
     }},
    {"P08", "the views of a gemm of 'f' do not fit",
     [](Decoder &d) { d.layer->commands[0]->op.AsGemm()->bias = d.norm; }},
    {"P08", "the views of a row kernel of 'f' do not fit",
     [](Decoder &d) {
       d.layer->commands[2]->op.AsRows()->operands.pop_back();
     }},
    {"P08", "the views of a row kernel of 'f' do not fit",
     [](Decoder &d) {
       d.layer->commands[2]->op.AsRows()->operands[1] = d.taken;
     }},
    {"P08", "the views of a row kernel of 'f' do not fit",
     [](Decoder &d) {
       d.layer->commands[2]->op.AsRows()->operands[1] = d.qkv;
     }},
    {"P08", "the views of a rope of 'f' do not fit",
     [](Decoder &d) { d.make.program.ropes[0]->inv_freq = {1.0f, 0.5f}; }},
    {"P08", "the views of a rope of 'f' do not fit",
     [](Decoder &d) { d.make.program.ropes[0]->axes = 2; }},
    {"P08", "the views of a rope of 'f' do not fit",
     [](Decoder &d) { viewOf(d, d.angles).strides = {2, 0}; }},
    {"P08", "the views of a attention of 'f' do not fit",
     [](Decoder &d) { attentionOf(d).q = d.k; }},
    {"P08", "the views of a attention of 'f' do not fit",
     [](Decoder &d) { d.make.function->rows = 5; }},
    {"P08", "the views of a attention of 'f' do not fit",
     [](Decoder &d) { d.make.program.states[0]->widths = {4, 8}; }},
    {"P08", "the views of a attention of 'f' do not fit",
     [](Decoder &d) { d.make.program.states[0]->layers = {0}; }},
    {"P08", "the views of a attention of 'f' do not fit",
     [](Decoder &d) { viewOf(d, d.v).strides[2] = 2; }},
    {"P08", "the views of a copy of 'f' do not fit",
     [](Decoder &d) { d.command(3).op.AsCopy()->to = d.taken; }},
    {"P08", "the views of a take of 'f' do not fit",
     [](Decoder &d) { d.command(4).op.AsTake()->rows = d.tokens; }},
    {"P08", "the views of a take of 'f' do not fit",
     [](Decoder &d) { d.command(4).op.AsTake()->x = d.qkv; }},

    {"P09", "'f' repeats inside of layers",
     [](Decoder &d) {
       program::RepeatT inner;
       inner.runs = {{0, 0, 1}};
       inner.bodies.push_back(std::make_unique<program::BodyT>());
       d.make.add(std::move(inner), d.layer);
     }},
    {"P09", "the layers of 'f' have a gap",
     [](Decoder &d) { d.command(2).op.AsRepeat()->runs = {{0, 1, 1}}; }},
    {"P09", "the layers of 'f' have a gap",
     [](Decoder &d) { d.command(2).op.AsRepeat()->runs = {{1, 0, 2}}; }},
    {"P09", "the layers of 'f' have a gap",
     [](Decoder &d) { d.command(2).op.AsRepeat()->runs = {{0, 0, 0}}; }},
    {"P09", "the layers of 'f' have a gap",
     [](Decoder &d) { d.command(2).op.AsRepeat()->runs = {{0, 0, ~0u}}; }},
    {"P09", "'f' has a body that no layer runs",
     [](Decoder &d) {
       d.command(2).op.AsRepeat()->bodies.push_back(
           std::make_unique<program::BodyT>());
     }},

    {"P10", "function 'f' has no rows",
     [](Decoder &d) { d.make.function->rows = 0; }},
    {"P10", "function 'f' has no rows",
     [](Decoder &d) { d.make.function->rows = ~0u; }},
    {"P10", "function 'f' has no rows",
     [](Decoder &d) { d.make.function->arena = ~uint64_t(0); }},
    {"P10", "function 'f' has no rows",
     [](Decoder &d) { d.make.function->body.reset(); }},
    {"P10", "'tokens' of function 'f' has no size",
     [](Decoder &d) { d.make.function->inputs[0]->dims = {4, 0}; }},
    {"P10", "'out' of function 'f' has no shape",
     [](Decoder &d) { d.make.function->outputs[0]->dims = {5, 9}; }},
    {"P10", "'tokens' of function 'f' has no shape",
     [](Decoder &d) { d.make.function->inputs[0]->dtype = DType::I64; }},

    {"P12",
     "native code is for 'x86-64-v2'; expected each of x86-64-v3, "
     "x86-64-v4 once",
     [](Decoder &d) {
       addCode(d);
       d.make.program.code[0]->target = "x86-64-v2";
     }},
    {"P12", "native code is for 'x86-64-v4'; expected each of",
     [](Decoder &d) {
       addCode(d);
       d.make.program.code[0]->target = "x86-64-v4";
     }},
    {"P12", "native code for x86-64-v4 is no shared object for x86-64",
     [](Decoder &d) {
       addCode(d);
       d.make.program.code[1]->image.clear();
     }},
    {"P12", "native code for x86-64-v3 has no function 'code7'",
     [](Decoder &d) {
       addCode(d);
       d.make.program.entries[0]->name = "code7";
     }},
    {"P16", "code is for 'sm_70'; expected each of sm_80, sm_86, sm_89,",
     [](Decoder &d) {
       addGpuCode(d);
       d.make.program.gpu_code[0]->target = "sm_70";
     }},
    {"P16", "code is for 'sm_90'; expected each of sm_80, sm_86, sm_89,",
     [](Decoder &d) {
       addGpuCode(d);
       d.make.program.gpu_code[0] =
           std::make_unique<program::GpuCodeT>(*d.make.program.gpu_code[1]);
     }},
    {"P16", "code for sm_90 is no PTX for sm_90",
     [](Decoder &d) {
       addGpuCode(d);
       d.make.program.gpu_code[1]->ptx = d.make.program.gpu_code[0]->ptx;
     }},
    {"P16", "code for sm_80 is no text",
     [](Decoder &d) {
       addGpuCode(d);
       d.make.program.gpu_code[0]->ptx.insert(3, 1, '\0');
     }},
    {"P16", "code for sm_80 has no function 'mbc_rows_7'",
     [](Decoder &d) {
       addGpuCode(d);
       d.make.program.gpu_entries[0]->name = "mbc_rows_7";
     }},
    {"P16", "code for sm_80 has a cubin that is none",
     [](Decoder &d) {
       addGpuCode(d);
       d.make.program.gpu_code[0]->cubin.resize(64);
     }},
    {"P16", "entry 'mbc_rows_0' is no entry of code for GPUs",
     [](Decoder &d) {
       addGpuCode(d);
       d.make.program.gpu_entries[0]->threads = 2048;
     }},
    {"P16", "entry 'mbc_rows_0' is no entry of code for GPUs",
     [](Decoder &d) {
       addGpuCode(d);
       d.make.program.gpu_entries[0]->tasks[0] = program::GpuTask(0, 1);
     }},
    {"P16", "entry 'mbc_rows_0' is no entry of code for GPUs",
     [](Decoder &d) {
       addGpuCode(d);
       d.make.program.gpu_entries[0]->shared = 1 << 20;
     }},
    {"P13", "a command of 'f' has no entry 0 for GPUs",
     [](Decoder &d) { rowsOf(d).gpu = 0; }},
    {"P12", "entry 'code0' is no entry of native code",
     [](Decoder &d) {
       addCode(d);
       addCode(d);
     }},
    {"P12", "entry '' is no entry of native code",
     [](Decoder &d) {
       addCode(d);
       d.make.program.entries[0]->name.clear();
     }},
    {"P12", "entry 'code0' is no entry of native code",
     [](Decoder &d) {
       addCode(d);
       d.make.program.entries[0]->scratch = ~uint64_t(0);
     }},
    {"P13", "a command of 'f' has no entry 1",
     [](Decoder &d) {
       addCode(d);
       rowsOf(d).code = 1;
     }},
    {"P13", "a command of 'f' has no entry -2",
     [](Decoder &d) { rowsOf(d).code = -2; }},
};

} // namespace

TEST(Program, ReadsWhatItWrites) {
  Decoder d = decoder();
  auto parsed = parse(d);
  ASSERT_TRUE(parsed) << messageOf(parsed);
  EXPECT_EQ(serializeProgram(**parsed), serializeProgram(d.make.program));
  EXPECT_EQ(findFunction(**parsed, "f"), (*parsed)->functions[0].get());
  EXPECT_EQ(findFunction(**parsed, "g"), nullptr);
  EXPECT_EQ(bytesOf(*(*parsed)->weights[1]), 192u);
  EXPECT_EQ(instancesOf(*(*parsed)->weights[1]), 2u);
  EXPECT_EQ(instancesOf(*(*parsed)->weights[0]), 1u);
}

TEST(Program, MayBringCode) {
  Decoder d = decoder();
  addCode(d);
  auto parsed = parse(d);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ((*parsed)->code.size(), 2u);
  // Code for no machine at all: what is left is interpreted.
  d.make.program.code.clear();
  EXPECT_TRUE(parse(d));
}

TEST(Program, RefusesDamage) {
  for (const Damage &damage : damages) {
    SCOPED_TRACE(damage.number);
    Decoder d = decoder();
    damage.apply(d);
    EXPECT_REFUSED(parse(d), damage.message);
  }
}

TEST(Program, RefusesWhatIsNoProgram) { // P01
  std::vector<uint8_t> bytes = serializeProgram(decoder().make.program);
  EXPECT_REFUSED(parseProgram({}, "x.mbcp"),
                 "x.mbcp: is no program; expected a file written by mbc");
  // The last few bytes are padding.
  for (size_t size = 0; size + 4 < bytes.size(); ++size)
    EXPECT_REFUSED(parseProgram({bytes.data(), size}, "x.mbcp"), "x.mbcp: is ");
  EXPECT_REFUSED(parseProgram({bytes.data(), bytes.size() / 2}, "x.mbcp"),
                 "x.mbcp: is damaged: not a flatbuffer");
  bytes[5] ^= 1;
  EXPECT_REFUSED(parseProgram(bytes, "x.mbcp"), "x.mbcp: is no program");
}

TEST(Program, SurvivesRandomDamage) {
  const std::vector<uint8_t> good = serializeProgram(decoder().make.program);
  std::mt19937 random(7);
  size_t refused = 0, accepted = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::vector<uint8_t> bytes = good;
    for (unsigned flips = 1 + random() % 4; flips > 0; --flips)
      bytes[random() % bytes.size()] ^= 1u << random() % 8;
    auto parsed = parseProgram(bytes, "x.mbcp");
    ++(parsed ? accepted : refused);
    if (!parsed)
      EXPECT_EQ(parsed.error().kind, ErrorKind::Input);
    else // What is accepted can be written.
      EXPECT_FALSE(serializeProgram(**parsed).empty());
  }
  // Names and scalars may take any value; most of a program may not.
  EXPECT_GT(refused, 5'000u);
  EXPECT_GT(accepted, 500u);
}
