#include "runtime/text/template/ChatTemplate.h"

#include "test/Unit/TempFolder.h"

#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace mbc;
using namespace mbc::text;
using mbc::test::TempFolder;
using testing::HasSubstr;
using testing::StartsWith;

static std::string failure(std::string source,
                           Json variables = Json::object()) {
  auto chat = ChatTemplate::parse(std::move(source), "t.jinja");
  if (!chat)
    return chat.error().message;
  auto rendered = chat->render(variables);
  return rendered ? "rendered: " + rendered->substr(0, 200)
                  : rendered.error().message;
}

static std::string render(std::string source, Json variables = Json::object()) {
  auto chat = ChatTemplate::parse(std::move(source), "t.jinja");
  if (!chat)
    return chat.error().message;
  auto rendered = chat->render(variables);
  return rendered ? *rendered : rendered.error().message;
}

TEST(ChatTemplate, RendersMessages) {
  Json variables = Json::object(
      {{"messages",
        Json::array({Json::object({{"role", "user"}, {"content", " hi "}})})},
       {"add_generation_prompt", true}});
  EXPECT_EQ(render("{% for m in messages %}<{{ m.role }}>{{ m['content'] | "
                   "trim }}\n{% endfor %}\n{% if add_generation_prompt "
                   "%}<assistant>{% endif %}\n",
                   variables),
            "<user>hi\n<assistant>");
}

TEST(ChatTemplate, SetInALoopIsGoneWithTheTurn) {
  EXPECT_EQ(render("{% set x = 0 %}{% for i in [1, 2] %}{{ x }}{% set x = i "
                   "%}{{ x }}{% endfor %}{{ x }}"),
            "01020");
  EXPECT_EQ(render("{% if false %}{% set x = 1 %}{% endif %}[{{ x }}]"), "[]");
}

TEST(ChatTemplate, ParseErrorsHaveAPlace) {
  EXPECT_THAT(failure("a\n{% foo %}"),
              StartsWith("t.jinja:2:4: error: unknown tag 'foo'; supported"));
  EXPECT_THAT(failure("{{ x | nope }}"),
              StartsWith("t.jinja:1:8: error: unknown filter 'nope'; supported "
                         "are abs, "));
  EXPECT_THAT(failure("{% if x %}"), HasSubstr("1:4: error: the block has no "
                                               "end"));
  EXPECT_THAT(failure("{{ 'a }}"), HasSubstr("1:4: error: the string has no "
                                             "end"));
  EXPECT_THAT(failure("{% break %}"), HasSubstr("outside of a loop"));
  EXPECT_THAT(failure("é{{ ? }}"), HasSubstr("t.jinja:1:5: error: '?'"));
  EXPECT_THAT(failure("\xff"), HasSubstr("not UTF-8 at byte 0"));
}

TEST(ChatTemplate, UnknownFilterInAnIfIsAnErrorWhenReached) {
  EXPECT_EQ(render("{% if false %}{{ 1 | nope }}{% endif %}a"), "a");
  EXPECT_THAT(failure("{% if true %}{{ 1 | nope }}{% endif %}"),
              HasSubstr("unknown filter 'nope'"));
}

TEST(ChatTemplate, RefusalsSayWhoRefuses) {
  EXPECT_EQ(failure("\n{{ raise_exception('roles must alternate') }}"),
            "t.jinja:2:19: error: the template refuses the conversation: roles "
            "must alternate");
  EXPECT_EQ(failure("{{ messages[0].role }}"),
            "t.jinja:1:12: error: the variable 'messages' is undefined");
}

TEST(ChatTemplate, NeverAWrongInteger) {
  EXPECT_THAT(failure("{{ 9223372036854775807 + 1 }}"),
              HasSubstr("beyond 64 bits"));
  EXPECT_EQ(render("{{ 12345678901234567890 }}"), "12345678901234567890");
}

TEST(ChatTemplate, HostileTemplatesEnd) {
  EXPECT_THAT(failure("{% for a in range(99999) %}{% for b in range(99999) %}"
                      "{% endfor %}{% endfor %}"),
              HasSubstr("million steps"));
  EXPECT_THAT(failure("{% set ns = namespace(a='x') %}{% for i in range(99) %}"
                      "{% set ns.a = ns.a + ns.a %}{% endfor %}"),
              HasSubstr("MiB"));
  EXPECT_THAT(failure("{{ 'x' * 99999999999 }}"), HasSubstr("MiB"));
  EXPECT_THAT(failure("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
              HasSubstr("inside of each other"));
  EXPECT_THAT(failure("{% set ns = namespace(a=[]) %}{% for i in range(999) %}"
                      "{% set ns.a = [ns.a] %}{% endfor %}"),
              HasSubstr("inside of each other"));
  EXPECT_THAT(failure("{% set ns = namespace(a=[1]) %}{% for i in range(999) "
                      "%}{% set ns.a = ns.a | map('string') %}{% endfor %}"),
              HasSubstr("inside of each other"));
  EXPECT_THAT(failure("{{ " + std::string(5000, '(') + "1"),
              HasSubstr("inside of each other"));
  std::string sum = "{{ 1";
  for (int i = 0; i != 5000; ++i)
    sum += " + 1";
  EXPECT_THAT(failure(sum + " }}"), HasSubstr("inside of each other"));
}

TEST(ChatTemplate, NamespacesMayHoldThemselves) {
  EXPECT_EQ(render("{% set ns = namespace() %}{% set ns.a = ns %}{% macro m() "
                   "%}{% endmacro %}{% set ns.m = m %}ok"),
            "ok");
}

TEST(ChatTemplate, OpensWhatAFolderHolds) {
  TempFolder folder;
  auto none = ChatTemplate::open(folder.path());
  ASSERT_TRUE(none);
  EXPECT_FALSE(none->has_value());

  std::ofstream(folder.path() / "tokenizer_config.json")
      << R"({"chat_template": [{"name": "default", "template": "plain"},)"
      << R"( {"name": "tool_use", "template": "tools"}]})";
  auto both = ChatTemplate::open(folder.path());
  ASSERT_TRUE(both && *both);
  EXPECT_EQ(*(*both)->render(Json::object()), "plain");
  EXPECT_EQ(*(*both)->render(Json::object({{"tools", Json::array()}})),
            "tools");

  std::ofstream(folder.path() / "chat_template.jinja") << "file";
  auto file = ChatTemplate::open(folder.path());
  ASSERT_TRUE(file && *file);
  EXPECT_EQ(*(*file)->render(Json::object()), "file");
}
