//===- template_probe.cpp - Renders templates for the parity tests --------===//
//
// A JSON object a line: {"template": TEXT, "variables": {...}}, or "same" for
// the template of the line before. Prints a JSON string a line, the rendered
// text, or {"error": MESSAGE}. With --repeat N it renders each line N times
// more and prints the microseconds of one rendering instead.
//
//===----------------------------------------------------------------------===//

#include "runtime/text/template/ChatTemplate.h"

#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>

using namespace mbc;

static Expected<text::ChatTemplate> parse(const Json &source) {
  return text::ChatTemplate::parse(*source.asString(), "template");
}

static std::string render(const text::ChatTemplate &chat,
                          const Json &variables) {
  Expected<std::string> rendered = chat.render(variables);
  return rendered ? Json(std::move(*rendered)).dumpCompact()
                  : Json::object({{"error", rendered.error().message}})
                        .dumpCompact();
}

static double microseconds(const text::ChatTemplate &chat,
                           const Json &variables, int repeat) {
  auto start = std::chrono::steady_clock::now();
  for (int i = 0; i != repeat; ++i)
    if (!chat.render(variables))
      return -1;
  std::chrono::duration<double, std::micro> spent =
      std::chrono::steady_clock::now() - start;
  return spent.count() / repeat;
}

int main(int argc, char **argv) {
  int repeat =
      argc == 3 && std::string(argv[1]) == "--repeat" ? std::stoi(argv[2]) : 0;
  Expected<text::ChatTemplate> chat = inputError("there is no template yet");
  for (std::string line; std::getline(std::cin, line);) {
    Expected<Json> request = Json::parse(line, "request");
    if (!request) {
      std::fprintf(stderr, "%s\n", request.error().message.c_str());
      return 2;
    }
    if (const Json *source = request->find("template"))
      chat = parse(*source);
    const Json &variables = *request->find("variables");
    if (!chat)
      std::cout << Json::object({{"error", chat.error().message}}).dumpCompact()
                << '\n';
    else if (repeat)
      std::cout << microseconds(*chat, variables, repeat) << '\n';
    else
      std::cout << render(*chat, variables) << '\n';
  }
}
