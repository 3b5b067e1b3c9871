#include "runtime/io/Pickle.h"
#include "runtime/io/PickleWriter.h"

#include <gtest/gtest.h>
#include <random>

using namespace mbc;
using namespace std::string_literals;

namespace {

Expected<Pickle> parse(std::string bytes,
                       const PickleGlobalPolicy &policy = anyPickleGlobal) {
  return Pickle::parse(std::move(bytes), "x.pkl", policy);
}

std::string errorOf(std::string bytes,
                    const PickleGlobalPolicy &policy = anyPickleGlobal) {
  auto pickle = parse(std::move(bytes), policy);
  if (pickle)
    return "none";
  EXPECT_EQ(pickle.error().kind, ErrorKind::Input);
  return pickle.error().message;
}

/// {'a': [1, 2.5, -3, 2**40, 2**70, None, True], 'b': (1, 'x', b'yz', {1, 2}),
///  'c': complex}, by Python's pickle.dumps.
const std::string python4 =
    "\x80\x04\x95g\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01"s
    "a\x94]\x94(K\x01G@\x04\x00\x00\x00\x00\x00\x00J\xfd\xff\xff\xff\x8a\x06"
    "\x00\x00\x00\x00\x00\x01\x8a\t\x00\x00\x00\x00\x00\x00\x00\x00@N\x88"
    "e\x8c\x01"s
    "b\x94(K\x01\x8c\x01x\x94"
    "C\x02yz\x94\x8f\x94(K\x01K\x02\x90t\x94\x8c\x01"
    "c\x94\x8c\x08"
    "builtins\x94\x8c\x07"
    "complex\x94\x93\x94u."s;
const std::string python2 =
    "\x80\x02}q\x00(X\x01\x00\x00\x00"s
    "aq\x01]q\x02(K\x01G@\x04\x00\x00\x00\x00\x00\x00J\xfd\xff\xff\xff\x8a\x06"
    "\x00\x00\x00\x00\x00\x01\x8a\t\x00\x00\x00\x00\x00\x00\x00\x00@N\x88"
    "eX\x01\x00\x00\x00"s
    "bq\x03(K\x01X\x01\x00\x00\x00xq\x04"
    "c_codecs\nencode\nq\x05X\x02\x00\x00\x00yzq\x06X\x06\x00\x00\x00latin1q"
    "\x07\x86q\x08Rq\tc__builtin__\nset\nq\n]q\x0b(K\x01K\x02"s
    "e\x85q\x0cRq\rtq\x0eX\x01\x00\x00\x00"s
    "cq\x0f"
    "c__builtin__\ncomplex\nq\x10u."s;

TEST(Pickle, ReadsWhatPythonWrites) {
  for (const std::string &bytes : {python4, python2}) {
    auto pickle = parse(bytes);
    ASSERT_TRUE(pickle) << pickle.error().message;
    PickleRef root = pickle->root();
    ASSERT_EQ(root.kind(), PickleKind::Dict);
    EXPECT_EQ(root.size(), 6u);
    PickleRef list = *root.find("a");
    EXPECT_EQ(list.kind(), PickleKind::List);
    EXPECT_EQ(list.item(0)->asInt(), 1);
    EXPECT_EQ(list.item(1)->asDouble(), 2.5);
    EXPECT_EQ(list.item(2)->asInt(), -3);
    EXPECT_EQ(list.item(3)->asInt(), int64_t(1) << 40);
    EXPECT_EQ(list.item(4)->kind(), PickleKind::Long);
    EXPECT_TRUE(list.item(5)->isNone());
    EXPECT_EQ(list.item(6)->asBool(), true);
    EXPECT_FALSE(list.item(7));
    PickleRef tuple = *root.find("b");
    EXPECT_EQ(tuple.size(), 4u);
    EXPECT_EQ(tuple.item(1)->asString(), "x");
    EXPECT_EQ(root.find("c")->globalName().second, "complex");
    EXPECT_FALSE(root.find("d"));
  }
}

TEST(Pickle, KindsBelowProtocol3AreCalls) {
  auto pickle = parse(python2);
  ASSERT_TRUE(pickle);
  PickleRef tuple = *pickle->root().find("b");
  EXPECT_TRUE(tuple.item(2)->isObject("_codecs", "encode"));
  EXPECT_EQ(tuple.item(2)->arguments().item(0)->asString(), "yz");
  EXPECT_TRUE(tuple.item(3)->isObject("__builtin__", "set"));
}

TEST(Pickle, WriterRoundTrips) {
  PickleValue value = PickleValue::dict(
      {{"none", PickleValue::none()},
       {"yes", PickleValue::boolean(true)},
       {"real", PickleValue::floating(-0.1)},
       {"text", PickleValue::string("caf\xc3\xa9")},
       {"empty", PickleValue::tuple({})},
       {"dict", PickleValue::dict({})},
       {"nested", PickleValue::list({PickleValue::tuple(
                      {PickleValue::list({}), PickleValue::integral(1)})})},
       {"global", PickleValue::global("torch", "bfloat16")},
       {"args", PickleValue::argparseNamespace(
                    {{"lr", PickleValue::floating(1e-3)}})}});
  std::vector<PickleValue> numbers;
  for (int shift = 0; shift < 64; ++shift)
    for (int64_t delta : {-1, 0, 1}) {
      auto number = int64_t((uint64_t(1) << shift) + uint64_t(delta));
      numbers.push_back(PickleValue::integral(number));
      numbers.push_back(PickleValue::integral(int64_t(-uint64_t(number))));
    }
  value.items.push_back(PickleValue::string("numbers"));
  value.items.push_back(PickleValue::list(numbers));

  PickleWriter writer;
  writer.value(value);
  std::string bytes = writer.finish();
  auto pickle = parse(bytes, commonPickleGlobal);
  ASSERT_TRUE(pickle) << pickle.error().message;
  auto copy = pickle->root().toValue();
  ASSERT_TRUE(copy) << copy.error().message;
  const PickleValue *list = copy->find("numbers");
  ASSERT_TRUE(list);
  ASSERT_EQ(list->items.size(), numbers.size());
  for (size_t i = 0; i < numbers.size(); ++i)
    EXPECT_EQ(list->items[i].integer, numbers[i].integer);
  EXPECT_EQ(copy->find("args")->find("lr")->real, 1e-3);
  PickleWriter again;
  again.value(*copy);
  EXPECT_EQ(again.finish(), bytes);
}

TEST(Pickle, ItemsThatArriveInBatches) {
  // Three batches for the outer list; another list grows before each ends.
  // ] ( 0 ] ( 7 e e ( 1 ] ( 7 e e ( 2 ] ( 7 e e .
  std::string bytes = "\x80\x02]"s;
  for (int i = 0; i < 3; ++i)
    bytes += "(K"s + char(i) + "](K\x07"s + "ee"s;
  bytes += "."s;
  auto pickle = parse(bytes);
  ASSERT_TRUE(pickle) << pickle.error().message;
  ASSERT_EQ(pickle->root().size(), 6u);
  int at = 0;
  for (PickleRef item : pickle->root().items()) {
    if (at % 2 == 0)
      EXPECT_EQ(item.asInt(), at / 2);
    else
      EXPECT_EQ(item.item(0)->asInt(), 7);
    ++at;
  }
  EXPECT_EQ(at, 6);
}

TEST(Pickle, ObjectsKeepStateAndItems) {
  // collections.OrderedDict() with an item set on it, then a state.
  auto pickle = parse(
      "\x80\x02"s
      "ccollections\nOrderedDict\n)R(X\x01\0\0\0kK\x05u}X\x01\0\0\0sK\x06sb."s);
  ASSERT_TRUE(pickle) << pickle.error().message;
  PickleRef root = pickle->root();
  EXPECT_TRUE(root.isObject("collections", "OrderedDict"));
  EXPECT_EQ(root.size(), 2u);
  EXPECT_EQ(root.item(1)->asInt(), 5);
  EXPECT_EQ(root.find("s")->asInt(), 6);
  EXPECT_EQ(root.describe(), "collections.OrderedDict");
}

TEST(Pickle, TruncationAnywhereIsAnError) {
  for (const std::string &bytes : {python4, python2})
    for (size_t length = 0; length < bytes.size(); ++length)
      EXPECT_NE(errorOf(bytes.substr(0, length)), "none") << length;
}

TEST(Pickle, RefusesByName) {
  EXPECT_EQ(errorOf("\x80\x02K\x01\x99."s),
            "x.pkl: pickle: unknown opcode 0x99 at byte 4");
  EXPECT_EQ(errorOf("\x80\x06N."s),
            "x.pkl: pickle: protocol 6, expected at most 5 at byte 0");
  EXPECT_EQ(errorOf("\x80\x02."s), "x.pkl: pickle: stack underflow at byte 2");
  EXPECT_EQ(errorOf("\x80\x02NR."s),
            "x.pkl: pickle: stack underflow at byte 3");
  EXPECT_EQ(errorOf("\x80\x02(\x85."s),
            "x.pkl: pickle: stack underflow at byte 3");
  EXPECT_EQ(errorOf("\x80\x02t."s),
            "x.pkl: pickle: no mark on the stack at byte 2");
  EXPECT_EQ(errorOf("\x80\x02h\x05."s),
            "x.pkl: pickle: memo entry 5 is used but never set at byte 2");
  EXPECT_EQ(errorOf("\x80\x02Nr\xff\xff\xff\xff."s),
            "x.pkl: pickle: memo index 4294967295 in a pickle of 9 bytes at "
            "byte 3");
  EXPECT_EQ(errorOf("\x80\x02NNa."s), "x.pkl: pickle: items are added to "
                                      "something that is no container at byte "
                                      "4");
  EXPECT_EQ(errorOf("\x80\x02}(Nu."s),
            "x.pkl: pickle: a dict with a key but no value at byte 5");
  EXPECT_EQ(errorOf("\x80\x02NNb."s), "x.pkl: pickle: a state is set on "
                                      "something that is no object at byte 4");
  EXPECT_EQ(errorOf("I1\n."s), "x.pkl: not a pickle of protocol 2 to 5");
  EXPECT_EQ(errorOf("\x80\x04NN\x93."s),
            "x.pkl: pickle: the name of a global is not a string at byte 4");
}

TEST(Pickle, ForbiddenGlobals) {
  std::string attack = "\x80\x02"
                       "cos\nsystem\nX\x02\0\0\0id\x85R."s;
  EXPECT_EQ(errorOf(attack, commonPickleGlobal),
            "x.pkl: pickle: forbidden global 'os.system' at byte 2");
  EXPECT_EQ(errorOf(attack, torchPickleGlobal),
            "x.pkl: pickle: forbidden global 'os.system' at byte 2");
  // Nothing runs where everything is allowed: it is a call, on record.
  auto pickle = parse(attack);
  ASSERT_TRUE(pickle);
  EXPECT_TRUE(pickle->root().isObject("os", "system"));
  EXPECT_EQ(errorOf("\x80\x04\x8c\x08"
                    "builtins\x8c\x04"
                    "eval\x93."s,
                    commonPickleGlobal),
            "x.pkl: pickle: forbidden global 'builtins.eval' at byte 18");
  EXPECT_FALSE(commonPickleGlobal("torchy", "x"));
  EXPECT_TRUE(commonPickleGlobal("megatron.core.enums", "ModelType"));
}

TEST(Pickle, SharedAndCyclicGraphsDoNotExplode) {
  // Each level is a tuple of the one below, twice: 2^60 values as a tree.
  std::string bytes = "\x80\x04K\x01\x94"s;
  for (int i = 0; i < 60; ++i)
    bytes += "h"s + char(i) + "\x86\x94"s;
  auto doubled = parse(bytes + "."s);
  ASSERT_TRUE(doubled) << doubled.error().message;
  auto value = doubled->root().toValue();
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().message,
            "x.pkl: pickle of too many values, most of them shared");

  auto cyclic = parse("\x80\x04]\x94h\x00"s
                      "a."s);
  ASSERT_TRUE(cyclic) << cyclic.error().message;
  value = cyclic->root().toValue();
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().message,
            "x.pkl: pickle nested more than 100 levels deep");
}

TEST(Pickle, DeepNestingIsNoRecursion) {
  std::string bytes = "\x80\x02N"s + std::string(1 << 20, '\x85') + "."s;
  auto pickle = parse(bytes);
  ASSERT_TRUE(pickle);
  EXPECT_FALSE(pickle->root().toValue());
}

TEST(Pickle, SurvivesDamage) {
  std::mt19937 random(1);
  for (const std::string &good : {python4, python2})
    for (int round = 0; round < 20000; ++round) {
      std::string bytes = good;
      for (unsigned i = 0; i <= random() % 4; ++i)
        bytes[random() % bytes.size()] = char(random());
      if (auto pickle = parse(bytes))
        (void)pickle->root().toValue();
    }
}

} // namespace
