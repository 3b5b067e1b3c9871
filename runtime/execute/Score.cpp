//===- Score.cpp ----------------------------------------------------------===//

#include "runtime/execute/Score.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <limits>

namespace mbc::execute {

namespace {

/// Ids of later tokens, which some functions ask for.
class LaterTokens {
public:
  LaterTokens(const program::FunctionT &function,
              std::span<const int32_t> tokens, int64_t batch, int64_t length) {
    for (const auto &port : function.inputs) {
      std::string_view by = port->name;
      if (!by.starts_with(prefix))
        continue;
      by.remove_prefix(prefix.size());
      int64_t shift = 0;
      std::from_chars(by.data(), by.data() + by.size(), shift);
      most = std::max(most, shift);
      // Behind the end of a sequence there is none: any will do.
      std::vector<int32_t> &ids = arrays[port->name];
      for (int64_t row = 0; row < batch * length; ++row)
        ids.push_back(row % length + shift < length ? tokens[row + shift] : 0);
    }
  }

  void give(Call &call, int64_t row) const {
    for (const auto &[name, ids] : arrays)
      call.inputs[name] = std::span(ids).subspan(row, call.rows);
  }

  /// Whether the row at that place of a sequence has no draft.
  bool isBeyond(int64_t place, int64_t length) const {
    return place + most >= length;
  }

private:
  static constexpr std::string_view prefix = "tokens+";
  std::map<std::string, std::vector<int32_t>> arrays;
  int64_t most = 0;
};

/// Gives a call the pictures of its rows, which begin at `row`.
void giveSight(Call &call, const Sight &sight, int64_t row,
               std::vector<int32_t> &place) {
  if (sight.place.empty())
    return;
  auto rows = std::span(sight.place).subspan(row, call.rows);
  place.assign(rows.begin(), rows.end());
  auto seen = [](int32_t feature) { return feature >= 0; };
  auto first = std::ranges::find_if(place, seen);
  int64_t count = std::ranges::count_if(place, seen), before = 0;
  if (count > 0)
    before = *first;
  for (int32_t &feature : place)
    if (seen(feature))
      feature -= static_cast<int32_t>(before);
  int64_t width = static_cast<int64_t>(sight.features.size()) /
                  std::ranges::count_if(sight.place, seen);
  call.inputs["place"] = place;
  call.inputs["positions"] =
      std::span(sight.positions).subspan(row * 3, call.rows * 3);
  call.floats["features"] =
      std::span(sight.features).subspan(before * width, count * width);
}

} // namespace

Status score(Session &session, const program::ProgramT &program,
             std::span<const int32_t> tokens, int64_t batch, int64_t length,
             const std::function<Status(int64_t, const Outputs &)> &sink,
             const decltype(Call::oneLayer) &oneLayer, const Sight &sight) {
  std::map<std::string, std::vector<float>> arrays;
  std::vector<int32_t> place;
  for (int64_t first = 0; first < batch;) {
    // Sequences that one call holds whole go together: a row has the same bits
    // in any company.
    int64_t together = std::min(batch - first, session.slots() / length);
    const program::FunctionT *function =
        findFunction(program, scoreFunction, together * length);
    if (!function)
      return inputError(fmt::format("the program has no function '{}'; "
                                    "compile it with --chunk",
                                    scoreFunction));
    together = std::clamp<int64_t>(function->rows / length, 1, together);
    LaterTokens later(*function, tokens, batch, length);
    for (int64_t at = 0; at < length;) {
      Call call;
      int64_t count = std::min<int64_t>(function->rows, length - at);
      call.rows = together * count;
      for (int64_t i = 0; i < together; ++i)
        call.sequences.push_back({i * count, count, i * length, at});
      int64_t row = first * length + at;
      call.oneLayer = oneLayer;
      call.inputs["tokens"] = tokens.subspan(row, call.rows);
      later.give(call, row);
      giveSight(call, sight, row, place);
      for (const auto &port : function->outputs) {
        int64_t width = 1;
        for (size_t i = 1; i < port->dims.size(); ++i)
          if (i != 1 || !oneLayer.count(port->name))
            width *= port->dims[i];
        // Zero where a layer has no such value.
        std::vector<float> &array = arrays[port->name];
        array.assign(call.rows * width, 0);
        call.outputs[port->name] = array;
      }
      MBC_TRY(session.run(*function, call));
      if (auto draft = call.outputs.find(draftOutput);
          draft != call.outputs.end())
        for (int64_t i = 0; i < call.rows; ++i)
          if (size_t width = draft->second.size() / call.rows;
              later.isBeyond(at + i % count, length))
            std::ranges::fill(draft->second.subspan(i * width, width),
                              std::numeric_limits<float>::quiet_NaN());
      MBC_TRY(sink(row, call.outputs));
      at += count;
    }
    first += together;
  }
  return {};
}

int64_t scoreSlots(const program::ProgramT &program, int64_t batch,
                   int64_t length) {
  int64_t most = 0;
  for (const auto &function : program.functions)
    if (kindOf(*function) == scoreFunction)
      most = std::max<int64_t>(most, function->rows);
  return length * std::clamp<int64_t>(most / length, 1, batch);
}

} // namespace mbc::execute
