// Runs the sampler on cases of a file, for a comparison with transformers.
//
//   sampler_tool CASES VOCABULARY < LOGITS > PROCESSED
//
// CASES has a line of JSON for each case: the members of
// generation_config.json, and "text", the token ids so far. LOGITS and
// PROCESSED hold VOCABULARY floats for each.
#include "runtime/core/Json.h"
#include "runtime/generate/Sampler.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

using namespace mbc;

int main(int argc, char **argv) {
  if (argc != 3)
    return 2;
  std::ifstream cases(argv[1]);
  std::vector<float> logits(std::strtoul(argv[2], nullptr, 10));
  for (std::string line; std::getline(cases, line);) {
    auto json = Json::parse(line, argv[1]);
    if (!json || std::fread(logits.data(), sizeof(float), logits.size(),
                            stdin) != logits.size())
      return 2;
    auto number = [&](const char *name, double fallback) {
      const Json *value = json->find(name);
      return value ? *value->asDouble() : fallback;
    };
    generate::Sampling sampling;
    sampling.draw = *json->find("do_sample")->asBool();
    sampling.temperature = number("temperature", 1);
    sampling.topK = static_cast<uint64_t>(number("top_k", 0));
    sampling.topP = number("top_p", 1);
    sampling.minP = number("min_p", 0);
    sampling.repetitionPenalty = number("repetition_penalty", 1);
    std::vector<int32_t> text;
    for (const Json &id : json->find("text")->elements())
      text.push_back(static_cast<int32_t>(*id.asInt()));
    generate::processLogits(logits, sampling, text);
    std::fwrite(logits.data(), sizeof(float), logits.size(), stdout);
  }
}
