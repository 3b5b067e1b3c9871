//===- Generator.cpp ------------------------------------------------------===//

#include "runtime/execute/Generator.h"

#include "runtime/core/Parallel.h"
#include "runtime/execute/See.h"
#include "runtime/generate/Drafts.h"

#include <algorithm>
#include <fmt/format.h>
#include <limits>
#include <numeric>
#include <tuple>
#include <utility>

namespace mbc::execute {

using generate::Continuation;
using generate::Part;

constexpr const char *prefillKind = "prefill", *decodeKind = "decode",
                     *draftKind = "draft";
/// The state from which drafts are made: a result of the first two kinds, and
/// an input and a result of the third.
constexpr const char *hiddenPort = "hidden";
/// Inputs: rows whose logits are asked for, and the token after each row.
constexpr const char *outputsPort = "outputs", *nextPort = "tokens+1";

/// The largest function of a kind.
static Expected<const program::FunctionT *>
largest(const program::ProgramT &program, const char *kind,
        const char *option) {
  const program::FunctionT *function =
      findFunction(program, kind, std::numeric_limits<uint32_t>::max());
  if (!function)
    return inputError(fmt::format(
        "the program has no function '{}'; compile it with {}", kind, option));
  return function;
}

static const program::PortT *
findPort(const std::vector<std::unique_ptr<program::PortT>> &ports,
         std::string_view name) {
  for (const auto &port : ports)
    if (port->name == name)
      return port.get();
  return nullptr;
}

/// Whether functions that compute the same tokens do it in different forms,
/// which agree to the rounding alone.
static bool formsDiffer(const program::ProgramT &program) {
  std::optional<bool> form;
  bool differ = false;
  auto look = [&](const program::BodyT &body, const auto &self) -> void {
    for (const auto &command : body.commands) {
      if (const auto *latent = command->op.AsLatentAttention())
        differ |= form.value_or(latent->absorbed) != latent->absorbed,
            form = latent->absorbed;
      if (const auto *repeat = command->op.AsRepeat())
        for (const auto &inner : repeat->bodies)
          self(*inner, self);
    }
  };
  for (const auto &function : program.functions)
    if (kindOf(*function) == prefillKind || kindOf(*function) == decodeKind)
      look(*function->body, look);
  return differ;
}

Expected<std::unique_ptr<Generator>>
Generator::create(Session &session, const program::ProgramT &program,
                  int64_t drafts) {
  std::unique_ptr<Generator> result(new Generator(session, program));
  MBC_ASSIGN(result->prefill, largest(program, prefillKind, "--chunk"));
  MBC_ASSIGN(const program::FunctionT *decode,
             largest(program, decodeKind, "--sequences"));
  result->hasForms = formsDiffer(program);
  // So that a prompt has room beside the sequences that have theirs behind
  // them.
  int64_t rows = std::min<int64_t>({decode->rows, result->prefill->rows});
  if (const auto *port = findPort(result->prefill->outputs, "logits"))
    rows = std::min<int64_t>(rows, port->dims[0]);
  result->most = rows / (1 + drafts);
  if (drafts == 0)
    return result;

  MBC_ASSIGN(const program::FunctionT *draft,
             largest(program, draftKind, "--mtp"));
  const program::PortT *hidden = findPort(draft->inputs, hiddenPort);
  if (!hidden || !findPort(decode->outputs, hiddenPort) ||
      !findPort(result->prefill->outputs, hiddenPort) ||
      draft->rows < result->prefill->rows)
    return inputError("the program's functions do not fit its function "
                      "'draft'; compile it with --mtp");
  if (!result->sequencesAreIndependent())
    return inputError("the model's rope grows with the longest sequence "
                      "(dynamic): tokens that are drafted would change it, and "
                      "the text; leave out --mtp");
  if (result->most == 0)
    return inputError(fmt::format(
        "option '--draft-tokens' is {}, and the program tries {} at most; "
        "compile it with --draft-tokens {}",
        drafts, rows - 1, drafts));
  result->mostDrafts = drafts;
  result->width = 1;
  for (size_t i = 1; i < hidden->dims.size(); ++i)
    result->width *= hidden->dims[i];
  return result;
}

bool Generator::sequencesAreIndependent() const {
  // The angles of a dynamic rope are those of the longest sequence so far.
  return std::ranges::none_of(program.ropes,
                              [](const auto &rope) { return rope->dynamic; });
}

/// What a call is told of how tokens are chosen: nothing where all are the
/// likeliest.
static std::span<const Drawing>
drawingsOf(const std::vector<Drawing> &drawings) {
  bool some = std::ranges::any_of(
      drawings, [](const Drawing &drawing) { return drawing.draws != 0; });
  return some ? std::span(drawings) : std::span<const Drawing>();
}

/// Leaves the logits of the rows `outputs`, ascending, in their order, or
/// tokens that the device chooses, and the state of every row where the
/// function gives one.
Status Generator::run(const program::FunctionT &function, Call &call,
                      std::span<const int32_t> outputs, bool chooses) {
  bool some = findPort(function.inputs, outputsPort) != nullptr;
  size_t vocab = program.vocab, rows = some ? outputs.size() : call.rows;
  if (chooses) {
    chosen.resize(rows);
    if (!some) {
      // Of every row; those that are not asked for come to nothing.
      std::vector<Drawing> asked = std::exchange(drawings, {});
      drawings.resize(rows);
      for (size_t i = 0; i < outputs.size(); ++i)
        drawings[outputs[i]] = asked[i];
    }
    call.drawings = drawingsOf(drawings);
  } else {
    logits.resize(rows * vocab);
  }
  if (some)
    call.inputs[outputsPort] = outputs;
  for (const auto &port : function.outputs)
    if (port->name == hiddenPort) {
      size_t elements = call.rows;
      for (size_t i = 1; i < port->dims.size(); ++i)
        elements *= port->dims[i];
      hidden.resize(elements);
      call.outputs[port->name] = hidden;
    } else if (chooses) {
      call.chosen[port->name] = chosen;
    } else {
      call.outputs[port->name] = logits;
    }
  MBC_TRY(session.run(function, call));
  if (some)
    return {};
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (static_cast<size_t>(outputs[i]) == i)
      continue;
    if (chooses)
      chosen[i] = chosen[outputs[i]];
    else
      std::ranges::copy(std::span(logits).subspan(outputs[i] * vocab, vocab),
                        logits.begin() + static_cast<ptrdiff_t>(i * vocab));
  }
  return {};
}

std::span<float> Generator::logitsOf(size_t output, size_t count) {
  size_t vocab = program.vocab;
  return std::span(logits).subspan(output * vocab, count * vocab);
}

struct Generator::View {
  /// Whether the numbers are not just places in the sequences.
  bool positioned = false;
  std::vector<int32_t> positions, place; ///< [rows, 3], [rows]
  std::vector<float> features;           ///< [placed rows, hidden]
  int32_t placed = 0;
};

Expected<std::span<const float>>
Generator::featuresOf(const generate::PlacedPicture &placed) {
  std::erase_if(seen,
                [](const auto &of) { return of.second.picture.expired(); });
  auto found = seen.find(placed.picture.get());
  if (found == seen.end()) {
    MBC_ASSIGN(vision::PatchValues pixels,
               placed.picture->values(defaultThreads()));
    MBC_ASSIGN(std::vector<float> features,
               see(session, program, {pixels.values.get(), pixels.count},
                   std::span(&placed.picture->grid, 1)));
    found = seen.emplace(placed.picture.get(),
                         Seen{placed.picture, std::move(features)})
                .first;
  }
  return std::span<const float>(found->second.features);
}

Status Generator::addView(const generate::Part &part, View &view) {
  auto count = static_cast<int64_t>(part.tokens.size());
  if (!part.positions.empty()) {
    view.positioned = true;
    view.positions.insert(view.positions.end(), part.positions.begin(),
                          part.positions.end());
  } else {
    for (int64_t i = 0; i < count; ++i)
      view.positions.insert(view.positions.end(), 3,
                            static_cast<int32_t>(part.cached + i));
  }
  auto row = static_cast<int64_t>(view.place.size());
  view.place.insert(view.place.end(), count, -1);
  for (const generate::PlacedPicture &placed : part.pictures) {
    int64_t begin = std::max(placed.first, part.cached);
    int64_t end = std::min(placed.first + placed.count, part.cached + count);
    if (begin >= end)
      continue;
    MBC_ASSIGN(std::span<const float> features, featuresOf(placed));
    int64_t hidden = std::ssize(features) / placed.count;
    features = features.subspan((begin - placed.first) * hidden,
                                (end - begin) * hidden);
    view.features.insert(view.features.end(), features.begin(), features.end());
    for (int64_t i = begin; i < end; ++i)
      view.place[row + i - part.cached] = view.placed++;
  }
  return {};
}

static std::vector<generate::TokenScore>
tokensOf(std::span<const ChosenToken> chosen) {
  std::vector<generate::TokenScore> tokens;
  for (const ChosenToken &of : chosen)
    tokens.push_back({of.id, of.logprob});
  return tokens;
}

bool Generator::goes(std::span<Work *const> works) const {
  return session.runsAhead() && session.choosesTokens() && mostDrafts == 0 &&
         std::ranges::all_of(works, [&](const Work *work) {
           const Part &part = *work->part;
           return part.tokens.size() == 1 && part.choice.sampling &&
                  part.choice.step > 0 && part.positions.empty() &&
                  generate::needsLogitsAlone(part.choice);
         });
}

bool Generator::Ahead::isFor(std::span<Work *const> works) const {
  return std::ranges::equal(
             works, call.sequences, {},
             [](const Work *work) {
               const Part &part = *work->part;
               return std::tuple(part.slot, part.cached);
             },
             [](const Sequence &sequence) {
               return std::tuple(sequence.slot, sequence.cached);
             }) &&
         std::ranges::equal(works, drawings, {}, [](const Work *work) {
           return generate::drawingOf(work->part->choice);
         });
}

Status Generator::start(Ahead &step, bool follows) {
  Call &call = step.call;
  const program::FunctionT *function =
      findFunction(program, decodeKind, call.rows);
  step.tokens.resize(call.rows);
  step.outputs.resize(call.rows);
  std::iota(step.outputs.begin(), step.outputs.end(), 0);
  step.chosen.resize(call.rows);
  call.inputs["tokens"] = step.tokens;
  if (findPort(function->inputs, outputsPort))
    call.inputs[outputsPort] = step.outputs;
  for (const auto &port : function->outputs)
    call.chosen[port->name] = step.chosen;
  call.drawings = drawingsOf(step.drawings);
  return session.start(*function, call, follows);
}

Status Generator::go(std::span<Work *const> works) {
  Ahead &step = steps[current], &next = steps[1 - current];
  if (!isAhead) {
    step = {};
    for (const Work *work : works) {
      step.call.sequences.push_back(
          {step.call.rows++, 1, work->part->slot, work->part->cached});
      step.tokens.push_back(work->part->tokens[0]);
      step.drawings.push_back(generate::drawingOf(work->part->choice));
    }
    MBC_TRY(start(step, false));
  }
  isAhead = std::ranges::all_of(
      works, [](const Work *work) { return work->part->left > 1; });
  if (isAhead) {
    next = {};
    next.call.rows = step.call.rows;
    next.call.sequences = step.call.sequences;
    for (Sequence &sequence : next.call.sequences)
      ++sequence.cached;
    for (const Work *work : works) {
      generate::ChoiceContext after = work->part->choice;
      ++after.step;
      next.drawings.push_back(generate::drawingOf(after));
    }
    MBC_TRY(start(next, true));
  }
  MBC_TRY(session.finish());
  for (size_t i = 0; i < works.size(); ++i) {
    std::span<const ChosenToken> chosen = std::span(step.chosen).subspan(i, 1);
    MBC_ASSIGN(works[i]->result.choices,
               generate::takeChosen(tokensOf(chosen), *works[i]->part));
  }
  current = 1 - current;
  return {};
}

Status Generator::stop() {
  if (std::exchange(isAhead, false))
    return session.finish();
  return {};
}

/// Computes parts in one call, and chooses their tokens.
Status Generator::compute(std::span<Work *const> works) {
  Call call;
  std::vector<int32_t> tokens, outputs;
  View view;
  bool decodes = true, chooses = session.choosesTokens();
  drawings.clear();
  for (const Work *work : works) {
    const Part &part = *work->part;
    auto count = static_cast<int64_t>(part.tokens.size());
    call.sequences.push_back({call.rows, count, part.slot, part.cached});
    call.rows += count;
    tokens.insert(tokens.end(), part.tokens.begin(), part.tokens.end());
    if (sees())
      MBC_TRY(addView(part, view));
    bool asks = part.choice.sampling != nullptr;
    chooses &= !asks || generate::needsLogitsAlone(part.choice);
    decodes &=
        asks && count == 1 + part.drafts && (!hasForms || part.choice.step > 0);
    generate::ChoiceContext choice = part.choice;
    for (int64_t i = asks ? part.drafts : -1; i >= 0; --i, ++choice.step) {
      outputs.push_back(static_cast<int32_t>(call.rows - 1 - i));
      drawings.push_back(generate::drawingOf(choice));
    }
  }
  // A function gives at least one.
  if (outputs.empty()) {
    outputs.push_back(static_cast<int32_t>(call.rows) - 1);
    drawings.emplace_back();
  }
  call.inputs["tokens"] = tokens;
  if (view.positioned)
    call.inputs["positions"] = view.positions;
  if (view.placed > 0) {
    call.inputs["place"] = view.place;
    call.floats["features"] = view.features;
  }
  const program::FunctionT *function = prefill;
  if (decodes && view.placed == 0)
    function = findFunction(program, decodeKind, call.rows);
  else if (!hasForms)
    function = findFunction(program, prefillKind, call.rows);
  MBC_TRY(run(*function, call, outputs, chooses));

  size_t output = 0;
  for (size_t i = 0; i < works.size(); ++i) {
    Work &work = *works[i];
    const Part &part = *work.part;
    const Sequence &sequence = call.sequences[i];
    int64_t rejected = 0;
    if (part.choice.sampling) {
      auto count = static_cast<size_t>(1 + part.drafts);
      MBC_ASSIGN(
          work.result.choices,
          chooses
              ? generate::takeChosen(
                    tokensOf(std::span(chosen).subspan(output, count)), part)
              : generate::chooseTokens(logitsOf(output, count), part));
      rejected = static_cast<int64_t>(count - work.result.choices.size());
      output += count;
    }
    if (mostDrafts == 0)
      continue;
    auto first = hidden.begin() + sequence.begin * width;
    work.hidden.assign(first, first + (sequence.count - rejected) * width);
  }
  return {};
}

/// Lets the layers that draft see the tokens that stay, and makes drafts for
/// the parts that want some: each from the state that the one before left.
Status Generator::guess(std::span<Work> works) {
  struct Guess {
    Work *work;
    int64_t wanted, done;
    std::vector<int32_t> text;
  };
  std::vector<Guess> guesses;
  Call call;
  std::vector<int32_t> tokens, next, outputs;
  std::vector<float> states;
  for (Work &work : works) {
    const Part &part = *work.part;
    auto count = static_cast<int64_t>(work.hidden.size()) / width;
    call.sequences.push_back({call.rows, count, part.slot, part.cached});
    call.rows += count;
    auto stay = part.tokens.first(count);
    tokens.insert(tokens.end(), stay.begin(), stay.end());
    next.insert(next.end(), stay.begin() + 1, stay.end());
    const auto &choices = work.result.choices;
    next.push_back(choices.empty() ? part.next : choices.back().token.id);
    states.insert(states.end(), work.hidden.begin(), work.hidden.end());
    int64_t wanted = choices.empty()
                         ? 0
                         : generate::wantedDrafts(*this, part, choices.size());
    if (wanted == 0)
      continue;
    outputs.push_back(static_cast<int32_t>(call.rows) - 1);
    guesses.push_back({&work, wanted, part.cached + count,
                       generate::textAfter(part, choices)});
  }
  while (true) {
    std::vector<int32_t> asked = outputs;
    if (asked.empty())
      asked.push_back(static_cast<int32_t>(call.rows) - 1);
    call.inputs = {{"tokens", tokens}, {nextPort, next}};
    call.floats = {{hiddenPort, states}};
    MBC_TRY(run(*findFunction(program, draftKind, call.rows), call, asked));

    // The next call has a row of each sequence that wants another draft.
    Call later;
    std::vector<Guess> left;
    std::vector<int32_t> rows;
    tokens.clear();
    next.clear();
    states.clear();
    for (size_t i = 0; i < guesses.size(); ++i) {
      Guess &guess = guesses[i];
      const Part &part = *guess.work->part;
      std::vector<int32_t> &drafts = guess.work->result.drafts;
      int32_t id = generate::chooseDraft(logitsOf(i), part, guess.text,
                                         guess.work->result.choices.size() +
                                             drafts.size());
      if (id < 0)
        continue;
      drafts.push_back(id);
      if (static_cast<int64_t>(drafts.size()) == guess.wanted)
        continue;
      tokens.push_back(guess.text.back());
      next.push_back(id);
      guess.text.push_back(id);
      auto state = hidden.begin() + outputs[i] * width;
      states.insert(states.end(), state, state + width);
      later.sequences.push_back({later.rows, 1, part.slot, guess.done++});
      rows.push_back(static_cast<int32_t>(later.rows++));
      left.push_back(std::move(guess));
    }
    if (left.empty())
      return {};
    guesses = std::move(left);
    outputs = std::move(rows);
    call = std::move(later);
  }
}

Expected<std::vector<Continuation>>
Generator::step(std::span<const Part> parts) {
  std::vector<Work> works;
  for (const Part &part : parts)
    works.push_back({&part, {}, {}});
  // A prompt and what follows it are computed in forms of their own where there
  // are several: so that a row has the same bits in any company.
  std::vector<Work *> prompts, others;
  for (Work &work : works)
    (hasForms && work.part->choice.step == 0 ? prompts : others)
        .push_back(&work);
  if (prompts.empty() && goes(others)) {
    // What was started may have been for others.
    if (isAhead && !steps[current].isFor(others))
      MBC_TRY(stop());
    MBC_TRY(go(others));
  } else {
    MBC_TRY(stop());
    for (const auto *list : {&prompts, &others})
      if (!list->empty())
        MBC_TRY(compute(*list));
  }
  if (mostDrafts > 0)
    MBC_TRY(guess(works));
  std::vector<Continuation> results;
  for (Work &work : works)
    if (work.part->choice.sampling)
      results.push_back(std::move(work.result));
  return results;
}

} // namespace mbc::execute
