//===- TextTable.h - Aligned columns, broken lines --------------*- C++ -*-===//
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mbc {

/// Rows of cells, printed in columns two spaces apart.
class TextTable {
public:
  /// `right`: the columns whose cells are aligned to the right.
  explicit TextTable(std::vector<size_t> right = {})
      : right(std::move(right)) {}

  void row(std::vector<std::string> cells) {
    rows.push_back({std::move(cells), {}});
  }
  /// A line below the last row that takes part in no column.
  void note(std::string text) { rows.push_back({{}, std::move(text)}); }
  std::string text() const;

private:
  struct Row {
    std::vector<std::string> cells;
    std::string note;
  };
  std::vector<size_t> right;
  std::vector<Row> rows;
};

/// Breaks lines at spaces; those in the text stay.
std::string wrapText(std::string_view text, size_t width);

} // namespace mbc
