//===- Engine.cpp ---------------------------------------------------------===//
#include "runtime/generate/Engine.h"

#include <algorithm>
#include <fmt/format.h>

namespace mbc::generate {

std::string_view finishName(Finish finish) {
  switch (finish) {
  case Finish::StopToken:
    return "stop_token";
  case Finish::StopString:
    return "stop_string";
  case Finish::Length:
    return "length";
  case Finish::Cancelled:
    return "cancelled";
  }
  return "cancelled";
}

struct Engine::Sequence {
  Sequence(Id id, Request request, Sink sink)
      : id(id), request(std::move(request)), sink(std::move(sink)),
        stops(this->request.stop), tokens(this->request.prompt) {
    result.promptTokens = static_cast<int64_t>(tokens.size());
    for (const PlacedPicture &of : this->request.pictures.list)
      marks.push_back({of.first, of.count, of.picture->digest});
  }

  double seconds() const {
    return std::chrono::duration<double>(Clock::now() - submitted).count();
  }
  int64_t left() const { return static_cast<int64_t>(tokens.size()) - cached; }
  /// Whether its prompt is behind it.
  bool decodes() const { return !result.tokens.empty(); }
  /// New tokens that may still come.
  int64_t wanted() const {
    return request.maxNewTokens - static_cast<int64_t>(result.tokens.size());
  }
  /// Of tokens [cached, cached + count).
  std::span<const int32_t> positions(int64_t count) const {
    std::span<const int32_t> all = request.pictures.positions;
    return all.empty() ? all : all.subspan(3 * cached, 3 * count);
  }
  /// Takes the pixels of pictures that the state holds from memory.
  void dropSeen() {
    for (PlacedPicture &of : request.pictures.list)
      if (of.first + of.count <= cached)
        of.picture.reset();
  }

  Id id;
  Request request;
  Sink sink;
  Clock::time_point submitted = Clock::now();
  StopStrings stops;
  std::unique_ptr<TokenText> text;
  /// Prompt and generated ones, and at the end `drafts` that are guessed; the
  /// state holds the first `cached`.
  std::vector<int32_t> tokens;
  int64_t cached = 0, drafts = 0;
  std::vector<PictureMark> marks;
  SlotRange range;
  Result result;
};

Engine::Engine(Executor &executor, EngineOptions options)
    : executor(executor), options(std::move(options)),
      slotMap(executor.slots()) {}
Engine::~Engine() = default;

//===----------------------------------------------------------------------===//
// From any thread
//===----------------------------------------------------------------------===//

Status Engine::check(const Request &request) const {
  auto prompt = static_cast<int64_t>(request.prompt.size());
  if (prompt == 0)
    return inputError("the prompt is empty: it needs at least one token");
  for (int32_t id : request.prompt)
    if (id < 0 || id >= executor.vocabulary())
      return inputError(
          fmt::format("token {} of the prompt is outside of the vocabulary, "
                      "which has {}",
                      id, executor.vocabulary()));
  if (const Pictures &pictures = request.pictures; !pictures.list.empty()) {
    if (!executor.sees())
      return inputError("the model sees no pictures: leave them out");
    if (std::ssize(pictures.positions) != 3 * prompt)
      return inputError("a prompt with pictures needs three numbers for the "
                        "position of each token");
  }
  if (request.maxNewTokens < 1)
    return inputError(fmt::format("{} new tokens are asked for, expected at "
                                  "least 1",
                                  request.maxNewTokens));
  int64_t most = std::min(executor.length(), executor.slots());
  if (prompt > most || request.maxNewTokens > most - prompt)
    return inputError(fmt::format(
        "the prompt has {} tokens and {} new ones are asked for; the context "
        "holds {}",
        prompt, request.maxNewTokens, most));
  if (!request.stop.empty() && !options.text)
    return inputError("stop strings need a tokenizer");
  return checkSampling(request.sampling, "");
}

Expected<Engine::Id> Engine::submit(Request request, Sink sink) {
  MBC_TRY(check(request));
  std::scoped_lock lock(mutex);
  Id id = nextId++;
  inbox.push_back(
      std::make_unique<Sequence>(id, std::move(request), std::move(sink)));
  ++alive;
  wake.notify_all();
  return id;
}

void Engine::cancel(Id id) {
  std::scoped_lock lock(mutex);
  cancelled.push_back(id);
  wake.notify_all();
}

size_t Engine::pending() const {
  std::scoped_lock lock(mutex);
  return alive;
}

EngineStatistics Engine::statistics() const {
  std::scoped_lock lock(mutex);
  return sums;
}

//===----------------------------------------------------------------------===//
// On the thread that steps
//===----------------------------------------------------------------------===//

/// Gives a range of the state back.
void Engine::release(Sequence &sequence) {
  if (sequence.range.count == 0)
    return;
  size_t held =
      executor.sequencesAreIndependent() ? size_t(sequence.cached) : 0;
  slotMap.giveBack(sequence.range, std::span(sequence.tokens).first(held),
                   sequence.marks);
  sequence.range = {};
}

void Engine::end(std::unique_ptr<Sequence> sequence, Expected<Result> result) {
  release(*sequence);
  {
    std::scoped_lock lock(mutex);
    --alive;
  }
  if (sequence->sink.done)
    sequence->sink.done(std::move(result));
}

void Engine::finish(std::unique_ptr<Sequence> sequence, Finish why) {
  Result &result = sequence->result;
  std::string rest;
  if (sequence->text && why != Finish::StopString) {
    rest = sequence->stops.push(sequence->text->finish());
    if (sequence->stops.found() && why == Finish::Length)
      why = Finish::StopString;
    rest += sequence->stops.finish();
    result.text += rest;
  }
  if (!rest.empty() && sequence->sink.rest)
    sequence->sink.rest(rest);
  result.finish = why;
  result.seconds = sequence->seconds();
  Result whole = std::move(result);
  end(std::move(sequence), std::move(whole));
}

/// Takes a token; how the sequence has come to its end, if it has.
std::optional<Finish> Engine::advance(Sequence &sequence, Choice choice) {
  const Request &request = sequence.request;
  Result &result = sequence.result;
  if (result.tokens.empty())
    result.firstTokenSeconds = sequence.seconds();
  int32_t id = choice.token.id;
  sequence.tokens.push_back(id);
  if (Pictures &pictures = sequence.request.pictures;
      !pictures.positions.empty())
    pictures.positions.insert(pictures.positions.end(), 3, pictures.next++);
  result.tokens.push_back(std::move(choice));
  bool stops =
      std::ranges::find(request.stopTokens, id) != request.stopTokens.end();
  std::string text;
  if (options.text && !stops) {
    if (!sequence.text)
      sequence.text = options.text();
    text = sequence.stops.push(sequence.text->push(id));
    result.text += text;
  }
  if (sequence.sink.token)
    sequence.sink.token(result.tokens.back(), text);
  if (stops)
    return Finish::StopToken;
  if (sequence.stops.found())
    return Finish::StopString;
  if (static_cast<int64_t>(result.tokens.size()) >= request.maxNewTokens)
    return Finish::Length;
  return std::nullopt;
}

/// Takes what a step has given, up to the end of the sequence if it is there.
std::optional<Finish> Engine::advance(Sequence &sequence, const Part &part,
                                      Continuation continuation) {
  sequence.tokens.resize(sequence.tokens.size() - part.drafts);
  sequence.drafts = 0;
  bool decodes = sequence.decodes();
  auto right = static_cast<int64_t>(continuation.choices.size()) - 1;
  int64_t taken = 0;
  std::optional<Finish> why;
  for (Choice &choice : continuation.choices) {
    // The state has what comes before the last token.
    sequence.cached += taken > 0;
    ++taken;
    why = advance(sequence, std::move(choice));
    if (why)
      break;
  }
  // What was guessed behind the end was not tried.
  DraftCounts drafted{why ? std::min(part.drafts, taken) : part.drafts,
                      std::min(right, taken)};
  sequence.result.drafts.add(drafted);
  {
    std::scoped_lock lock(mutex);
    if (decodes) {
      ++sums.continuations;
      sums.continuedTokens += taken;
    }
    sums.drafts.add(drafted);
  }
  if (why)
    return why;
  std::vector<int32_t> &drafts = continuation.drafts;
  sequence.drafts = std::min<int64_t>(drafts.size(), sequence.wanted() - 1);
  sequence.tokens.insert(sequence.tokens.end(), drafts.begin(),
                         drafts.begin() + sequence.drafts);
  return std::nullopt;
}

/// Takes what other threads have left; true where a request was ended.
bool Engine::takeInbox() {
  std::vector<Id> ids;
  {
    std::scoped_lock lock(mutex);
    for (auto &sequence : inbox)
      waiting.push_back(std::move(sequence));
    inbox.clear();
    ids = std::exchange(cancelled, {});
  }
  bool any = false;
  for (Id id : ids)
    for (auto *list : {&running, &waiting}) {
      auto found = std::ranges::find(
          *list, id, [](const auto &sequence) { return sequence->id; });
      if (found == list->end())
        continue;
      std::unique_ptr<Sequence> sequence = std::move(*found);
      list->erase(found);
      finish(std::move(sequence), Finish::Cancelled);
      any = true;
      break;
    }
  return any;
}

void Engine::admit() {
  bool independent = executor.sequencesAreIndependent();
  int64_t most = independent ? executor.sequences() : 1;
  if (options.sequences > 0)
    most = std::min(most, options.sequences);
  while (!waiting.empty() && static_cast<int64_t>(running.size()) < most) {
    Sequence &next = *waiting.front();
    auto lease = slotMap.take(
        next.tokens, next.result.promptTokens + next.request.maxNewTokens,
        independent, next.marks);
    if (!lease)
      return; // once others are over
    next.range = lease->range;
    next.cached = next.result.reusedTokens = lease->reused;
    running.push_back(std::move(waiting.front()));
    waiting.pop_front();
  }
}

void Engine::fail(const Error &error) {
  Sequences all = std::exchange(running, {});
  for (auto &sequence : all)
    end(std::move(sequence), Failure(error));
  slotMap.forget();
}

Expected<bool> Engine::step() {
  bool ended = takeInbox();
  admit();
  if (running.empty())
    return ended;

  int64_t room = executor.rows(), prompts = 0;
  for (const auto &sequence : running)
    if (sequence->decodes())
      room -= sequence->left();
  std::vector<Part> parts;
  std::vector<Sequence *> of;
  for (const auto &sequence : running) {
    int64_t count = sequence->left();
    if (!sequence->decodes()) {
      count = std::min(count, room);
      room -= count;
      prompts += count;
    }
    if (count == 0)
      continue;
    Part part;
    part.tokens = std::span(sequence->tokens).subspan(sequence->cached, count);
    part.slot = sequence->range.first;
    part.cached = sequence->cached;
    part.drafts = sequence->drafts;
    part.left = sequence->wanted();
    part.positions = sequence->positions(count);
    part.pictures = sequence->request.pictures.list;
    if (count < sequence->left())
      part.next = sequence->tokens[sequence->cached + count];
    else
      part.choice = {&sequence->request.sampling, sequence->tokens,
                     sequence->result.tokens.size(),
                     sequence->request.logprobs};
    parts.push_back(part);
    of.push_back(sequence.get());
  }

  Clock::time_point start = Clock::now();
  auto continuations = executor.step(parts);
  if (!continuations) {
    fail(continuations.error());
    return Failure(std::move(continuations.error()));
  }
  double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  auto continuation = continuations->begin();
  int64_t tokens = 0;
  std::vector<std::pair<Sequence *, Finish>> over;
  for (size_t i = 0; i < parts.size(); ++i) {
    Sequence &sequence = *of[i];
    sequence.cached +=
        static_cast<int64_t>(parts[i].tokens.size()) - parts[i].drafts;
    sequence.dropSeen();
    if (!parts[i].choice.sampling)
      continue;
    size_t before = sequence.result.tokens.size();
    if (auto why = advance(sequence, parts[i], std::move(*continuation++)))
      over.emplace_back(&sequence, *why);
    tokens += static_cast<int64_t>(sequence.result.tokens.size() - before);
  }
  {
    std::scoped_lock lock(mutex);
    ++sums.steps;
    sums.prefillTokens += prompts;
    (prompts ? sums.prefillSeconds : sums.decodeSeconds) += seconds;
    if (!prompts)
      sums.decodeTokens += tokens;
  }
  for (auto [sequence, why] : over) {
    auto found =
        std::ranges::find(running, sequence, &std::unique_ptr<Sequence>::get);
    std::unique_ptr<Sequence> last = std::move(*found);
    running.erase(found);
    finish(std::move(last), why);
  }
  return true;
}

Status Engine::drain() {
  while (true) {
    MBC_ASSIGN(bool more, step());
    if (!more)
      return {};
  }
}

void Engine::run(const std::stop_token &stop) {
  while (!stop.stop_requested()) {
    auto more = step();
    if (!more || *more)
      continue; // an error was told to the requests
    std::unique_lock lock(mutex);
    wake.wait(lock, stop, [&] { return !inbox.empty() || !cancelled.empty(); });
  }
  takeInbox();
  for (auto *list : {&running, &waiting})
    while (!list->empty()) {
      std::unique_ptr<Sequence> last = std::move(list->back());
      list->pop_back();
      finish(std::move(last), Finish::Cancelled);
    }
}

} // namespace mbc::generate
