//===- MatchTensors.cpp ---------------------------------------------------===//
#include "compiler/Bridge/MatchTensors.h"

#include "llvm/ADT/StringExtras.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

using llvm::StringRef;

namespace mbc {

std::string TensorGroup::pattern(llvm::ArrayRef<llvm::StringRef> names) const {
  std::string text = literals.front();
  for (size_t i = 1; i < literals.size(); ++i)
    text += "{" + (i - 1 < names.size() ? names[i - 1].str() : "#") + "}" +
            literals[i];
  return text;
}

std::vector<TensorGroup> groupTensors(const TensorSet &set) {
  using Key = std::pair<std::vector<std::string>, std::vector<int64_t>>;
  std::map<Key, size_t> known;
  std::vector<TensorGroup> groups;
  for (const TensorInfo &info : set.tensors()) {
    std::vector<std::string> literals{""};
    llvm::SmallVector<int64_t> tuple;
    llvm::SmallVector<StringRef> pieces;
    StringRef(info.name).split(pieces, '.');
    for (auto [position, piece] : llvm::enumerate(pieces)) {
      if (position)
        literals.back() += '.';
      int64_t number;
      bool canonical = llvm::all_of(piece, llvm::isDigit) &&
                       !piece.getAsInteger(10, number) &&
                       (piece.size() == 1 || piece.front() != '0');
      if (!canonical) {
        literals.back() += piece;
        continue;
      }
      tuple.push_back(number);
      literals.emplace_back();
    }
    auto [it, isNew] = known.try_emplace({literals, info.shape}, groups.size());
    if (isNew)
      groups.push_back({std::move(literals), info.shape, {}});
    groups[it->second].tuples.push_back(std::move(tuple));
  }
  for (TensorGroup &group : groups)
    std::ranges::sort(group.tuples);
  return groups;
}

namespace {

/// Spellings of one thing, the one of the built-in declarations first.
const std::vector<std::vector<StringRef>> &synonyms() {
  static const std::vector<std::vector<StringRef>> list = {
      {"embed_tokens", "tok_embeddings", "wte", "word_embeddings", "embed_in",
       "embedding", "embeddings", "embed", "token_embedding"},
      {"lm_head", "output", "head", "embed_out", "unembed", "output_layer"},
      {"q_proj", "wq", "query", "q", "query_proj", "q_lin", "to_q"},
      {"k_proj", "wk", "key", "k", "key_proj", "k_lin", "to_k"},
      {"v_proj", "wv", "value", "v", "value_proj", "v_lin", "to_v"},
      {"o_proj", "wo", "out_proj", "dense", "c_proj", "o", "out", "out_lin",
       "to_out", "proj", "attn_out"},
      {"q_norm", "q_layernorm", "query_norm", "qnorm", "q_ln", "norm_q",
       "query_layernorm"},
      {"k_norm", "k_layernorm", "key_norm", "knorm", "k_ln", "norm_k",
       "key_layernorm"},
      {"input_layernorm", "attention_norm", "attn_norm", "ln_1", "ln1", "norm1",
       "norm_1", "pre_attention_layernorm", "pre_attn_norm", "input_norm",
       "pre_attention_norm", "attention_layernorm", "attn_ln"},
      {"post_attention_layernorm", "ffn_norm", "mlp_norm", "ln_2", "ln2",
       "norm2", "norm_2", "pre_mlp_layernorm", "pre_ffn_norm", "pre_mlp_norm",
       "post_attention_norm", "mlp_layernorm", "ffn_layernorm", "mlp_ln",
       "feed_forward_norm"},
      {"gate_proj", "w1", "gate", "wi_0", "linear_gate", "gate_layer"},
      {"up_proj", "w3", "up", "wi_1", "linear_up", "up_layer"},
      {"down_proj", "w2", "down", "linear_down", "down_layer"},
  };
  return list;
}

/// How well the name of a group says that it is what the declaration calls
/// `family`.
int nameScore(StringRef family, const TensorGroup &group) {
  std::string name = group.pattern({});
  if (family.ends_with(".bias") != StringRef(name).ends_with(".bias"))
    return -1;
  auto piecesOf = [](StringRef text) {
    llvm::SmallVector<StringRef> pieces;
    text.split(pieces, '.');
    if (pieces.size() > 1 &&
        (pieces.back() == "weight" || pieces.back() == "bias"))
      pieces.pop_back();
    return pieces;
  };
  auto wanted = piecesOf(family);
  auto found = piecesOf(name);
  if (found.back() == wanted.back())
    return 4;
  for (const auto &names : synonyms()) {
    if (!llvm::is_contained(names, wanted.back()))
      continue;
    std::string lower = found.back().lower();
    if (llvm::is_contained(names, StringRef(lower)))
      return 3;
    for (StringRef piece : found)
      if (llvm::is_contained(names, piece))
        return 2;
    for (StringRef spelling : names)
      if (spelling.size() > 2 && StringRef(lower).contains(spelling))
        return 1;
  }
  return 0;
}

/// All best ways to give each of `families` a group of its own.
class Assignment {
public:
  Assignment(std::vector<std::vector<int>> scores, size_t groups)
      : scores(std::move(scores)), taken(groups, false),
        chosen(this->scores.size()), results(this->scores.size()) {
    walk(0, 0);
  }
  /// For each family the groups that it has in some best way.
  const std::vector<std::set<size_t>> &best() const { return results; }

private:
  void walk(size_t family, int sum) {
    if (family == scores.size()) {
      if (sum < highest)
        return;
      if (sum > highest)
        for (auto &set : results)
          set.clear();
      highest = sum;
      for (size_t f = 0; f < chosen.size(); ++f)
        results[f].insert(chosen[f]);
      return;
    }
    for (size_t g = 0; g < taken.size(); ++g) {
      if (taken[g])
        continue;
      taken[g] = true;
      chosen[family] = g;
      walk(family + 1, sum + scores[family][g]);
      taken[g] = false;
    }
  }

  std::vector<std::vector<int>> scores;
  std::vector<bool> taken;
  std::vector<size_t> chosen;
  std::vector<std::set<size_t>> results;
  int highest = -1000;
};

} // namespace

std::vector<FamilyMatch>
matchFamilies(const std::vector<ImpliedFamily> &families,
              const std::vector<TensorGroup> &groups) {
  // More than these of one kind are not tried in every order.
  constexpr size_t most = 8;
  std::vector<FamilyMatch> result(families.size());
  using Kind =
      std::pair<std::vector<int64_t>, std::vector<llvm::SmallVector<int64_t>>>;
  std::map<Kind, std::pair<std::vector<size_t>, std::vector<size_t>>> kinds;
  for (auto [index, family] : llvm::enumerate(families)) {
    auto tuples = wmap::indexTuples(family.entry, family.inner);
    if (family.optional || tuples.empty())
      continue;
    std::ranges::sort(tuples);
    kinds[{family.shape, std::move(tuples)}].first.push_back(index);
  }
  for (auto [index, group] : llvm::enumerate(groups))
    if (auto it = kinds.find({group.shape, group.tuples}); it != kinds.end())
      it->second.second.push_back(index);

  for (auto &[kind, members] : kinds) {
    auto &[wanted, found] = members;
    if (found.size() < wanted.size() || found.size() > most) {
      // Some are missing: only a name can say which one is there.
      for (size_t family : wanted)
        for (size_t group : found)
          if (found.size() <= most &&
              nameScore(families[family].pattern, groups[group]) >= 3)
            result[family].groups.push_back(group);
      continue;
    }
    std::vector<std::vector<int>> scores;
    for (size_t family : wanted) {
      scores.emplace_back();
      for (size_t group : found)
        scores.back().push_back(
            nameScore(families[family].pattern, groups[group]));
    }
    Assignment assignment(std::move(scores), found.size());
    for (auto [position, family] : llvm::enumerate(wanted))
      for (size_t group : assignment.best()[position])
        result[family].groups.push_back(found[group]);
  }
  return result;
}

} // namespace mbc
