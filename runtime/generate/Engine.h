//===- Engine.h - Continuous batching of requests ---------------*- C++ -*-===//
#pragma once

#include "runtime/generate/Executor.h"
#include "runtime/generate/SlotMap.h"
#include "runtime/generate/StopStrings.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace mbc::generate {

/// Turns one sequence's tokens into text as they come.
class TokenText {
public:
  virtual ~TokenText() = default;
  /// What is now certain of the text: whole UTF-8 characters.
  virtual std::string push(int32_t id) = 0;
  /// The rest, at the end.
  virtual std::string finish() = 0;
};

/// A text to continue.
struct Request {
  std::vector<int32_t> prompt; ///< at least a token
  Pictures pictures = {};      ///< in the prompt
  int64_t maxNewTokens = 0;    ///< at least 1
  Sampling sampling;
  /// Tokens that end the text; not part of it.
  std::vector<int32_t> stopTokens;
  /// Texts that end it; not part of it. They need `EngineOptions::text`.
  std::vector<std::string> stop;
  /// < 0: no log-probabilities; else those of this many best tokens besides the
  /// chosen one's.
  int32_t logprobs = -1;
};

enum class Finish { StopToken, StopString, Length, Cancelled };
/// "stop_token", "stop_string", "length", "cancelled".
std::string_view finishName(Finish finish);

/// What became of tokens that were guessed.
struct DraftCounts {
  int64_t tried = 0, accepted = 0;

  /// The share that was right; 0 where none was tried.
  double rate() const {
    return tried ? static_cast<double>(accepted) / static_cast<double>(tried)
                 : 0;
  }
  void add(const DraftCounts &other) {
    tried += other.tried;
    accepted += other.accepted;
  }
};

/// What has become of a request. Seconds are since `submit`.
struct Result {
  /// Generated tokens in order, with the stop token or those of the stop
  /// string.
  std::vector<Choice> tokens;
  /// Without what stopped it. Empty without `EngineOptions::text`.
  std::string text;
  Finish finish = Finish::Length;
  int64_t promptTokens = 0;
  /// Of these, tokens that the state had from an earlier request.
  int64_t reusedTokens = 0;
  DraftCounts drafts;
  double firstTokenSeconds = 0, seconds = 0;
};

/// Called on the thread that steps. May `submit` and `cancel`.
struct Sink {
  /// A token, and the text that is certain now: none of a stop string, and
  /// whole characters. May be empty; it lags behind the tokens.
  std::function<void(const Choice &, std::string_view text)> token = {};
  /// Text that came free at the end without a token of its own.
  std::function<void(std::string_view text)> rest = {};
  /// The end: once for each request that was taken. An Error where the
  /// computation failed.
  std::function<void(Expected<Result>)> done = {};
};

struct EngineOptions {
  /// Most sequences at a time; 0: as many as the executor computes.
  int64_t sequences = 0;
  /// Makes the text of a sequence; none: tokens alone.
  std::function<std::unique_ptr<TokenText>()> text = {};
};

/// Sums over all steps. Those that have tokens of a prompt are prefill, though
/// other sequences get a token in them.
struct EngineStatistics {
  int64_t prefillTokens = 0, decodeTokens = 0, steps = 0;
  /// Tokens of sequences that had their prompt behind them, and how often one
  /// of these was in a step.
  int64_t continuedTokens = 0, continuations = 0;
  DraftCounts drafts;

  /// Tokens that a sequence got in a step; 0 where none was continued.
  double tokensPerStep() const {
    return continuations ? static_cast<double>(continuedTokens) /
                               static_cast<double>(continuations)
                         : 0;
  }
  double prefillSeconds = 0, decodeSeconds = 0;
};

/// Generates for any number of requests at once. In every step each sequence
/// that has its prompt behind it gets a token, or more where the executor
/// guesses ahead and was right, and prompts fill the rows that
/// are left, first come first served. A request is admitted once the state has
/// room for its prompt and all its new tokens; what a finished one leaves there
/// is kept until room is needed, and a prompt that begins alike begins there.
///
/// `step` and `run` belong to one thread; the rest may be called from any.
class Engine {
public:
  using Id = uint64_t;

  /// `executor` must outlive it.
  Engine(Executor &executor, EngineOptions options);
  ~Engine();

  /// An Input error that says what can never be computed: an empty prompt, a
  /// token outside of the vocabulary, a context that overflows, settings out of
  /// range.
  Status check(const Request &request) const;
  /// Queues a request that passes `check`.
  Expected<Id> submit(Request request, Sink sink);
  /// Ends a request where it is: its slots are free before the next step, and
  /// `done` is told on the thread that steps. Nothing for one that is over.
  void cancel(Id id);

  /// Requests that are queued or running.
  size_t pending() const;
  EngineStatistics statistics() const;

  /// Computes one step; false when there was nothing to do. An error ends every
  /// request that runs, after `done` was told of it.
  Expected<bool> step();
  /// Steps until no request is left.
  Status drain();
  /// Steps, and waits for requests, until `stop` is asked for; then everything
  /// is cancelled. Errors of steps go to the requests.
  void run(const std::stop_token &stop);

private:
  struct Sequence;
  using Sequences = std::deque<std::unique_ptr<Sequence>>;
  using Clock = std::chrono::steady_clock;

  bool takeInbox();
  void admit();
  std::optional<Finish> advance(Sequence &sequence, Choice choice);
  std::optional<Finish> advance(Sequence &sequence, const Part &part,
                                Continuation continuation);
  void finish(std::unique_ptr<Sequence> sequence, Finish why);
  void fail(const Error &error);
  void end(std::unique_ptr<Sequence> sequence, Expected<Result> result);
  void release(Sequence &sequence);

  Executor &executor;
  EngineOptions options;
  SlotMap slotMap;
  Sequences running; ///< as they were admitted
  Sequences waiting; ///< as they came

  mutable std::mutex mutex;
  std::condition_variable_any wake;
  Sequences inbox;
  std::vector<Id> cancelled;
  EngineStatistics sums;
  Id nextId = 1;
  size_t alive = 0;
};

} // namespace mbc::generate
