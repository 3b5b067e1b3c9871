//===- Completion.cpp - The bodies of requests to a server ----------------===//

#include "runtime/serve/CompletionRequest.h"
#include "test/Fuzz/FuzzTarget.h"

using namespace mbc;
using namespace mbc::serve;

const fuzz::MemoryLimit fuzz::memoryLimit{400, 1 << 16};

void fuzz::fuzz(std::string_view input) {
  for (bool chat : {false, true}) {
    auto request = CompletionRequest::parse(input, chat);
    if (!request) {
      MBC_FUZZ_REQUIRE(request.error().status == 400);
      MBC_FUZZ_REQUIRE(!request.error().message.empty());
      // What is told is JSON, whatever was in the body.
      MBC_FUZZ_REQUIRE(
          Json::parse(request.error().body().dumpCompact(), "error"));
      continue;
    }
    MBC_FUZZ_REQUIRE(request->choices >= 1 && request->choices <= mostChoices);
    MBC_FUZZ_REQUIRE(request->maxTokens.value_or(1) >= 1);
    MBC_FUZZ_REQUIRE(std::ssize(request->stop) <= mostStops);
    MBC_FUZZ_REQUIRE(request->logprobs >= -1 &&
                     request->logprobs <= mostLogprobs);
    MBC_FUZZ_REQUIRE(chat ? !request->messages.elements().empty()
                          : !request->prompts.empty());
    // Every setting that passes is one that the sampler takes.
    MBC_FUZZ_REQUIRE(
        generate::GenerationConfig().resolve(request->sampling, ""));
  }
}
