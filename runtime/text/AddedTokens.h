//===- AddedTokens.h - Tokens that are found in the text --------*- C++ -*-===//
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mbc::text {

/// A token that is looked for before a text is taken apart. Flags as the
/// library `tokenizers` has them.
struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool singleWord = false; ///< only where no word goes on before or behind it
  bool lstrip = false, rstrip = false; ///< with the white space beside it
  bool normalized = false;             ///< looked for in the normalized text
  bool special = false;                ///< left out of decoded text, if asked
  /// What it is in decoded text: the normalized content of a normalized token.
  std::string shown = {};

  /// By what it is in decoded text, as there.
  bool leftOut() const { return special && shown == content; }
};

/// A part of a text: a token, or text between tokens.
struct AddedSpan {
  size_t begin, end;
  const AddedToken *token; ///< null: text
};

/// Finds tokens: at each place the longest.
class AddedTokenFinder {
public:
  AddedTokenFinder();
  /// `pattern`: what is looked for. The token must stay where it is.
  void add(std::string_view pattern, const AddedToken &token);
  bool empty() const { return nodes.size() == 1; }
  /// Appends the spans of a well-formed text to `out`, in order.
  void split(std::string_view text, std::vector<AddedSpan> &out) const;

private:
  struct Node {
    std::vector<std::pair<uint8_t, uint32_t>> next; ///< sorted by byte
    const AddedToken *token = nullptr;
  };
  const Node *child(const Node &node, uint8_t byte) const;
  std::vector<Node> nodes;
  std::array<bool, 256> starts{};
};

} // namespace mbc::text
