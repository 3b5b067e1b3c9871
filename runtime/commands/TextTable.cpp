//===- TextTable.cpp ------------------------------------------------------===//
#include "runtime/commands/TextTable.h"

#include <algorithm>

namespace mbc {

std::string TextTable::text() const {
  std::vector<size_t> widths;
  for (const Row &row : rows) {
    widths.resize(std::max(widths.size(), row.cells.size()));
    for (size_t i = 0; i < row.cells.size(); ++i)
      widths[i] = std::max(widths[i], row.cells[i].size());
  }
  std::string out;
  for (const Row &row : rows) {
    std::string line = row.note;
    for (size_t i = 0; i < row.cells.size(); ++i) {
      std::string pad(widths[i] - row.cells[i].size(), ' ');
      bool toRight = std::ranges::find(right, i) != right.end();
      line +=
          (i ? "  " : "") + (toRight ? pad + row.cells[i] : row.cells[i] + pad);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string wrapText(std::string_view text, size_t width) {
  std::string out;
  size_t column = 0;
  while (!text.empty()) {
    size_t end = std::min(text.find_first_of(" \n"), text.size());
    std::string_view word = text.substr(0, end);
    if (column && column + 1 + word.size() > width) {
      out += '\n';
      column = 0;
    }
    if (column) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
    bool breaks = end < text.size() && text[end] == '\n';
    if (breaks) {
      out += '\n';
      column = 0;
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

} // namespace mbc
