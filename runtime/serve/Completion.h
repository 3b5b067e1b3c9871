//===- Completion.h - A request on its way through the engine ---*- C++ -*-===//
#pragma once

#include "runtime/serve/CompletionRequest.h"
#include "runtime/serve/Exchange.h"
#include "runtime/serve/Reply.h"
#include "runtime/serve/ServedModel.h"

#include <atomic>
#include <memory>

namespace mbc::serve {

/// Sums over all requests.
struct Totals {
  std::atomic<int64_t> promptTokens = 0, completionTokens = 0;
};

/// One request's texts: from the engine to the client. After `start` all of it
/// is on the engine's thread.
class Completion : public std::enable_shared_from_this<Completion> {
public:
  /// Makes tokens of the prompts and hands them to the engine; the answer goes
  /// to `exchange` as it comes. An error, which is still to be told: what the
  /// model refuses, and status 429 where more than `capacity` texts would be in
  /// the engine. One at a time.
  static ApiResult<void> start(const ServedModel &model,
                               CompletionRequest request,
                               std::shared_ptr<Exchange> exchange,
                               int64_t capacity, Totals &totals);

  Completion(const ServedModel &model, CompletionRequest request,
             std::shared_ptr<Exchange> exchange, Totals &totals);

private:
  /// A text that is made.
  struct Text {
    std::string before; ///< the prompt's, with echo
    bool begun = false;
    /// Of which nothing was told yet, for their log-probabilities.
    std::vector<generate::Choice> tokens;
    int64_t offset = 0;
    std::optional<generate::Result> result;
  };

  ApiResult<std::vector<generate::Request>> requests();
  ApiResult<generate::EncodedPrompt> encode(size_t prompt) const;
  ApiResult<generate::Request> oneRequest(generate::EncodedPrompt prompt) const;
  generate::Sink sink(size_t index);
  Json logprobs(Text &text) const;
  void tell(size_t index, std::string_view more,
            std::optional<generate::Finish> finish = {});
  void end(size_t index, Expected<generate::Result> result);
  void fail(const ApiError &error);
  void finish();

  const ServedModel &model;
  CompletionRequest request;
  std::shared_ptr<Exchange> exchange;
  Totals &totals;
  Reply reply;
  std::vector<int32_t> stopTokens;
  std::vector<Text> texts; ///< those of a prompt one after another
  size_t left = 0;
  bool begun = false, failed = false;
};

} // namespace mbc::serve
