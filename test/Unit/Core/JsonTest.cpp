#include "runtime/core/Json.h"
#include "runtime/core/JsonReader.h"
#include "test/Unit/TempFolder.h"

#include <cmath>

using namespace mbc;
using namespace mbc::test;

static Json parsed(std::string_view text) {
  auto json = Json::parse(text, "t.json");
  EXPECT_TRUE(json) << messageOf(json);
  return json ? *json : Json();
}

TEST(Json, KeepsOrderAndSpelling) {
  Json json = parsed(R"( {"b": 1e-05, "a": [1.50, -0, 12345678901234567890],
                          "z": {"x": null, "y": [true, false]}} )");
  EXPECT_EQ(json.dumpCompact(),
            R"({"b":1e-05,"a":[1.50,-0,12345678901234567890],)"
            R"("z":{"x":null,"y":[true,false]}})");
}

TEST(Json, DumpsAsPythonDoes) {
  Json json = parsed(R"({"a":[],"b":{},"c":[1,[2,{"d":"e"}]],"f":"é\u00e9"})");
  EXPECT_EQ(json.dump(), R"({
  "a": [],
  "b": {},
  "c": [
    1,
    [
      2,
      {
        "d": "e"
      }
    ]
  ],
  "f": "éé"
})");
  EXPECT_EQ(Json("\x01\x1f\x7f\"\\/\b\f\n\r\t").dump(),
            "\"\\u0001\\u001f\x7f\\\"\\\\/\\b\\f\\n\\r\\t\"");
}

TEST(Json, SpellsDoublesAsPythonDoes) {
  auto text = [](double d) { return Json(d).dump(); };
  EXPECT_EQ(text(1e-5), "1e-05");
  EXPECT_EQ(text(0.0001), "0.0001");
  EXPECT_EQ(text(0.1), "0.1");
  EXPECT_EQ(text(500000), "500000.0");
  EXPECT_EQ(text(1e15), "1000000000000000.0");
  EXPECT_EQ(text(1e16), "1e+16");
  EXPECT_EQ(text(123456789012345680), "1.2345678901234568e+17");
  EXPECT_EQ(text(-0.0), "-0.0");
  EXPECT_EQ(text(5e-324), "5e-324");
  EXPECT_EQ(text(NAN), "null");
}

TEST(Json, Builds) {
  Json json;
  json.set("a", 1);
  json.set("b", "text").operator=(Json("other"));
  json.set("a", Json::array({1, 2.5, nullptr, true}));
  json.set("list", Json()).push(uint64_t(18446744073709551615u));
  EXPECT_EQ(
      json.dumpCompact(),
      R"({"a":[1,2.5,null,true],"b":"other","list":[18446744073709551615]})");
  EXPECT_TRUE(json.erase("b"));
  EXPECT_FALSE(json.erase("b"));
  EXPECT_EQ(json.find("b"), nullptr);
  EXPECT_EQ(json.members().size(), 2u);
}

TEST(Json, NumbersAndKinds) {
  EXPECT_EQ(parsed("9223372036854775807").asInt(), INT64_MAX);
  EXPECT_EQ(parsed("-9223372036854775808").asInt(), INT64_MIN);
  EXPECT_EQ(parsed("9223372036854775808").asInt(), std::nullopt);
  EXPECT_EQ(parsed("1.0").asInt(), std::nullopt);
  EXPECT_EQ(parsed("1e3").asInt(), std::nullopt);
  EXPECT_EQ(parsed("1e3").asDouble(), 1000.0);
  EXPECT_EQ(parsed("1E+2").asDouble(), 100.0);
  EXPECT_EQ(parsed("1e-400").asDouble(), 0.0);
  EXPECT_EQ(parsed("1e400").asDouble(), std::nullopt);
  EXPECT_EQ(parsed("\"1\"").asInt(), std::nullopt);
  EXPECT_EQ(parsed("\"1\"").asBool(), std::nullopt);
  EXPECT_EQ(parsed("null").asString(), nullptr);
  EXPECT_EQ(parsed("true").asBool(), true);
}

TEST(Json, Equality) {
  EXPECT_EQ(parsed(R"({"a":1e2,"b":[0]})"), parsed(R"({"b":[-0],"a":100})"));
  EXPECT_FALSE(parsed("[1,2]") == parsed("[2,1]"));
  EXPECT_FALSE(parsed("9007199254740993") == parsed("9007199254740992"));
  EXPECT_FALSE(parsed(R"({"a":1})") == parsed(R"({"b":1})"));
  EXPECT_FALSE(parsed("0") == parsed("false"));
}

TEST(Json, DecodesStrings) {
  EXPECT_EQ(*parsed(R"("a\"\\\/\b\f\n\r\tz")").asString(), "a\"\\/\b\f\n\r\tz");
  EXPECT_EQ(*parsed(R"("\u0041\u00e9\u20AC\ud83d\ude00")").asString(),
            "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
  EXPECT_EQ(*parsed(R"("\u0000x")").asString(), std::string("\0x", 2));
}

TEST(Json, RefusesWithPosition) {
  struct Case {
    std::string_view text, message;
  };
  const Case cases[] = {
      {"", "t.json: the JSON text ends where a value is expected; the file is "
           "truncated? at line 1 column 1"},
      {"{\"a\": 1", "the JSON text ends where ',' or '}' is expected; the file "
                    "is truncated? at line 1 column 8"},
      {"{\n  \"a\": tru\n}", "expected true, found 't' at line 2 column 8"},
      {"{\"é\": x}", "expected a value, found 'x' at line 1 column 7"},
      {"[1, 2", "the JSON text ends where ',' or ']'"},
      {"[1,]", "expected a value, found ']' at line 1 column 4"},
      {"[,1]", "expected a value, found ','"},
      {"[1 2]", "expected ',' or ']', found '2'"},
      {"{\"a\":1,}", "expected a key in double quotes, found '}'"},
      {"{a:1}", "expected a key in double quotes, found 'a'"},
      {"{\"a\" 1}", "expected ':', found '1'"},
      {"[1}", "expected ',' or ']', found '}'"},
      {"{} x", "expected the end of the text, found 'x' at line 1 column 4"},
      {"1 2", "expected the end of the text"},
      {"[NaN]", "'NaN' is not a JSON number at line 1 column 2"},
      {"[Infinity]", "'Infinity' is not a JSON number"},
      {"[-Infinity]", "'-Infinity' is not a JSON number"},
      {"[01]", "a number with a leading zero"},
      {"[1.]", "expected a digit, found ']'"},
      {"[.5]", "expected a value, found '.'"},
      {"[+1]", "expected a value, found '+'"},
      {"[-]", "expected a digit, found ']'"},
      {"[1e]", "expected a digit"},
      {"[1e+]", "expected a digit"},
      {"[0x10]", "expected ',' or ']', found 'x'"},
      {"\"abc", "ends inside the string; the file is truncated? it starts at "
                "line 1 column 1"},
      {"\"abc\\", "unknown escape sequence"},
      {"\"a\nb\"", "control character \\x0a in a string"},
      {"\"\\q\"", "unknown escape sequence"},
      {"\"\\u12g4\"", "four hexadecimal digits"},
      {"\"\\u12", "four hexadecimal digits"},
      {"\"\\ud800\"", "half of a surrogate pair"},
      {"\"\\ud800x\"", "half of a surrogate pair"},
      {"\"\\ud800\\u0041\"", "half of a surrogate pair"},
      {"\"\\udc00\"", "half of a surrogate pair"},
      {"\"\xff\"", "not valid UTF-8 at line 1 column 2"},
      {"\"\xed\xa0\x80\"", "not valid UTF-8"},
      {"[\xc3]", "not valid UTF-8"},
      {"\xef\xbb\xbf{}", "a byte order mark is not allowed"},
      {"// x\n{}", "expected a value, found '/'"},
      {"{\"a\":1,\"b\":2,\"a\":3}",
       "t.json: duplicate key 'a' at line 1 column 14"},
      {"{\"x\":{\"a\":1,\"\\u0061\":2}}", "duplicate key 'a'"},
  };
  for (const Case &c : cases)
    EXPECT_REFUSED(Json::parse(c.text, "t.json"), c.message);
  EXPECT_REFUSED(Json::parse(std::string_view("{}\0", 3), "t.json"),
                 "found '\\x00'");
}

TEST(Json, FindsDuplicatesInLargeObjects) {
  std::string text = "{";
  for (int i = 0; i < 1000; ++i)
    text += "\"k" + std::to_string(i) + "\":0,";
  EXPECT_TRUE(Json::parse(text + "\"last\":1}", "t"));
  EXPECT_REFUSED(Json::parse(text + "\"k3\":1}", "t"), "duplicate key 'k3'");
  EXPECT_REFUSED(Json::parse(text + "\"k999\":1}", "t"),
                 "duplicate key 'k999'");
}

TEST(Json, LimitsDepth) {
  auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_TRUE(Json::parse(nested(128), "t"));
  EXPECT_REFUSED(Json::parse(nested(129), "t"), "deeper than 128 levels");
  EXPECT_REFUSED(Json::parse(std::string(10'000'000, '['), "t"),
                 "deeper than 128 levels");
}

TEST(Json, EveryTruncationIsRefused) {
  std::string text = R"({"a":[1.5e3,true,null,"x\u00e9\n"],"b":{"c":-7}})";
  ASSERT_TRUE(Json::parse(text, "t"));
  for (size_t n = 0; n < text.size(); ++n)
    EXPECT_FALSE(Json::parse(std::string_view(text).substr(0, n), "t")) << n;
}

TEST(Json, ParseFileNamesThePath) {
  TempFolder folder;
  writeText(folder / "config.json", "{\"a\": }");
  EXPECT_REFUSED(Json::parseFile(folder / "config.json"),
                 (folder / "config.json").string() + ": invalid JSON");
  EXPECT_REFUSED(Json::parseFile(folder / "none.json"), "no such file");
  EXPECT_REFUSED(Json::parseFile(folder / "config.json", 3), "has 7 bytes");
}

TEST(JsonReader, SkipChecksWhatItDrops) {
  auto skip = [](std::string_view text) -> Status {
    JsonReader reader(text, "t");
    MBC_TRY(reader.skip());
    return reader.finish();
  };
  EXPECT_TRUE(skip(R"({"a":[1,"x",null,true,{}],"b":1.5})"));
  EXPECT_REFUSED(skip("{\"a\":[1,nul]}"), "expected null");
  EXPECT_REFUSED(skip("{\"a\":\"\xff\"}"), "not valid UTF-8");
}
