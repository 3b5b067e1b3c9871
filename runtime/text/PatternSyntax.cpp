//===- PatternSyntax.cpp --------------------------------------------------===//
#include "runtime/text/PatternSyntax.h"

#include "runtime/core/Text.h"
#include "runtime/text/Unicode.h"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <map>
#include <optional>

namespace mbc::text {

namespace {

/// One character, of a set.
struct CharSet {
  /// What stands between brackets, where the set can be written so.
  std::optional<std::string> items;
  bool negated = false;
  /// A pattern of one character, where it cannot.
  std::string pattern;

  std::string text() const {
    return items ? (negated ? "[^" : "[") + *items + "]" : pattern;
  }
  void complement() {
    if (items)
      negated = !negated;
    else
      pattern = "(?:(?!" + pattern + ")(?s:.))";
  }
  void unite(const CharSet &other) {
    if (items && other.items && !negated && !other.negated) {
      *items += *other.items;
      return;
    }
    pattern = "(?:" + text() + "|" + other.text() + ")";
    items.reset();
  }
  void intersect(const CharSet &other) {
    pattern = "(?:(?=" + text() + ")" + other.text() + ")";
    items.reset();
  }
};

CharSet listed(std::string items, bool negated = false) {
  return {std::move(items), negated, {}};
}

// PCRE2's own \s has U+180E too, and its \w lacks marks and connectors.
constexpr std::string_view whiteSpace = "\\t-\\r\\x{85}\\p{Z}";
constexpr std::string_view word = "\\p{Alphabetic}\\p{M}\\p{N}\\p{Pc}";

/// Names that are no general category; each the items of a set.
const std::map<std::string, std::string_view, std::less<>> namedSets = {
    {"alnum", "\\p{Alphabetic}\\p{Nd}"},
    {"alpha", "\\p{Alphabetic}"},
    {"alphabetic", "\\p{Alphabetic}"},
    {"any", "\\p{Any}"},
    {"ascii", "\\x{0}-\\x{7f}"},
    {"cntrl", "\\p{Cc}"},
    {"digit", "\\p{Nd}"},
    {"lower", "\\p{Lowercase}"},
    {"lowercase", "\\p{Lowercase}"},
    {"punct", "\\p{P}$+<=>\\^`|~"},
    {"space", whiteSpace},
    {"upper", "\\p{Uppercase}"},
    {"uppercase", "\\p{Uppercase}"},
    {"whitespace", whiteSpace},
    {"word", word},
    {"xdigit", "0-9A-Fa-f"},
};

/// General categories, and scripts that PCRE2's short names do not tell apart
/// from anything.
const std::map<std::string, std::string_view, std::less<>> categories = {
    {"c", "C"},
    {"cc", "Cc"},
    {"cf", "Cf"},
    {"cn", "Cn"},
    {"co", "Co"},
    {"l", "L"},
    {"ll", "Ll"},
    {"lm", "Lm"},
    {"lo", "Lo"},
    {"lt", "Lt"},
    {"lu", "Lu"},
    {"m", "M"},
    {"mc", "Mc"},
    {"me", "Me"},
    {"mn", "Mn"},
    {"n", "N"},
    {"nd", "Nd"},
    {"nl", "Nl"},
    {"no", "No"},
    {"p", "P"},
    {"pc", "Pc"},
    {"pd", "Pd"},
    {"pe", "Pe"},
    {"pf", "Pf"},
    {"pi", "Pi"},
    {"po", "Po"},
    {"ps", "Ps"},
    {"s", "S"},
    {"sc", "Sc"},
    {"sk", "Sk"},
    {"sm", "Sm"},
    {"so", "So"},
    {"z", "Z"},
    {"zl", "Zl"},
    {"zp", "Zp"},
    {"zs", "Zs"},
    {"letter", "L"},
    {"lowercaseletter", "Ll"},
    {"modifierletter", "Lm"},
    {"otherletter", "Lo"},
    {"titlecaseletter", "Lt"},
    {"uppercaseletter", "Lu"},
    {"mark", "M"},
    {"spacingmark", "Mc"},
    {"enclosingmark", "Me"},
    {"nonspacingmark", "Mn"},
    {"number", "N"},
    {"decimalnumber", "Nd"},
    {"letternumber", "Nl"},
    {"othernumber", "No"},
    {"punctuation", "P"},
    {"connectorpunctuation", "Pc"},
    {"dashpunctuation", "Pd"},
    {"closepunctuation", "Pe"},
    {"finalpunctuation", "Pf"},
    {"initialpunctuation", "Pi"},
    {"otherpunctuation", "Po"},
    {"openpunctuation", "Ps"},
    {"symbol", "S"},
    {"currencysymbol", "Sc"},
    {"modifiersymbol", "Sk"},
    {"mathsymbol", "Sm"},
    {"othersymbol", "So"},
    {"separator", "Z"},
    {"lineseparator", "Zl"},
    {"paragraphseparator", "Zp"},
    {"spaceseparator", "Zs"},
    {"other", "C"},
    {"control", "Cc"},
    {"format", "Cf"},
    {"unassigned", "Cn"},
    {"privateuse", "Co"},
};

/// Scripts that split patterns name.
constexpr std::string_view scripts[] = {
    "arabic",     "armenian", "bengali",  "bopomofo", "common",    "cyrillic",
    "devanagari", "ethiopic", "georgian", "greek",    "gujarati",  "gurmukhi",
    "han",        "hangul",   "hebrew",   "hiragana", "inherited", "kannada",
    "katakana",   "khmer",    "lao",      "latin",    "malayalam", "mongolian",
    "myanmar",    "oriya",    "sinhala",  "tamil",    "telugu",    "thai",
    "tibetan",
};

std::string codeText(char32_t code) {
  return fmt::format("\\x{{{:x}}}", static_cast<uint32_t>(code));
}

class Translator {
public:
  explicit Translator(std::string_view pattern) : text(pattern) {}

  Expected<std::string> run() {
    MBC_ASSIGN(std::string out, alternatives());
    if (at < text.size())
      return fail(at, "a ')' that closes nothing");
    return out;
  }

private:
  bool ended() const { return at >= text.size(); }
  bool take(std::string_view token) {
    if (!text.substr(std::min(at, text.size())).starts_with(token))
      return false;
    at += token.size();
    return true;
  }
  Failure fail(size_t from, std::string_view what) const {
    return inputError(
        fmt::format("pattern {} has, at byte {}, {}", quote(text), from, what));
  }
  Failure unknown(size_t from, std::string_view what) const {
    size_t end = std::min(std::max(at, from + 1), text.size());
    return fail(from, fmt::format("{} {}, which mbc does not know", what,
                                  quote(text.substr(from, end - from))));
  }

  Expected<std::string> alternatives() {
    if (++depth > 100)
      return fail(at, "groups that are nested too deep");
    std::string out;
    while (!ended() && text[at] != ')') {
      if (take("|")) {
        out += '|';
        continue;
      }
      size_t start = out.size();
      MBC_ASSIGN(std::string atom, nextAtom());
      out += atom;
      MBC_TRY(quantifiers(out, start));
    }
    --depth;
    return out;
  }

  Expected<std::string> nextAtom() {
    switch (text[at]) {
    case '(':
      return group();
    case '[': {
      MBC_ASSIGN(CharSet set, bracket());
      return set.text();
    }
    case '\\':
      return escapedAtom();
    case '.':
      ++at;
      return std::string("[^\\n]");
    case '^':
    case '$':
      return std::string(1, text[at++]);
    case '*':
    case '+':
    case '?':
      return fail(at, fmt::format("a '{}' with nothing to repeat", text[at]));
    default: {
      Character next = firstCharacter(text.substr(at));
      at += next.length;
      return codeText(next.code);
    }
    }
  }

  Expected<std::string> group() {
    size_t start = at;
    // Nothing refers to what a group has captured.
    std::string opening = "(?:";
    if (take("(?#")) {
      size_t end = text.find(')', at);
      if (end == text.npos)
        return fail(start, "a comment without end");
      at = end + 1;
      return std::string();
    }
    if (take("(?")) {
      static constexpr std::string_view openings[] = {
          ":", "=", "!", "<=", "<!", ">", "i:", "-i:"};
      auto known = std::ranges::find_if(
          openings, [&](std::string_view kind) { return take(kind); });
      if (known == std::end(openings)) {
        at = std::min(at + 1, text.size());
        return unknown(start, "a group");
      }
      opening = "(?" + std::string(*known);
    } else {
      ++at;
    }
    MBC_ASSIGN(std::string inside, alternatives());
    if (!take(")"))
      return fail(start, "a '(' that is not closed");
    return opening + inside + ")";
  }

  /// An escape inside or outside of brackets: a set, or one character.
  struct Escape {
    std::optional<CharSet> set;
    char32_t code = 0;
  };

  Expected<char32_t> hexadecimal(size_t start, size_t least, size_t most) {
    uint32_t value = 0;
    size_t count = 0;
    while (count < most && !ended() &&
           std::isxdigit(static_cast<unsigned char>(text[at]))) {
      char c = text[at++];
      value = value * 16 +
              static_cast<uint32_t>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
      ++count;
    }
    if (count < least || value > 0x10FFFF ||
        (value >= 0xD800 && value < 0xE000))
      return unknown(start, "an escape");
    return static_cast<char32_t>(value);
  }

  Expected<CharSet> property(size_t start, bool negated) {
    if (!take("{"))
      return unknown(start, "an escape");
    size_t end = text.find('}', at);
    if (end == text.npos)
      return fail(start, "a property without '}'");
    if (take("^"))
      negated = !negated;
    std::string name;
    for (char c : text.substr(at, end - at))
      if (c != ' ' && c != '_' && c != '-')
        name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    at = end + 1;
    if (auto it = categories.find(name); it != categories.end())
      return listed(fmt::format("\\{}{{{}}}", negated ? 'P' : 'p', it->second));
    if (auto it = namedSets.find(name); it != namedSets.end())
      return listed(std::string(it->second), negated);
    // The script itself, not with what others use too.
    if (std::ranges::find(scripts, name) != std::end(scripts))
      return listed(fmt::format("\\{}{{sc:{}}}", negated ? 'P' : 'p', name));
    return unknown(start, "a property");
  }

  Expected<Escape> escape(bool inBrackets) {
    size_t start = at++;
    if (ended())
      return fail(start, "a '\\' at its end");
    Character next = firstCharacter(text.substr(at));
    at += next.length;
    auto set = [](CharSet value) { return Escape{std::move(value), 0}; };
    auto one = [](char32_t code) { return Escape{std::nullopt, code}; };
    switch (next.code) {
    case 's':
    case 'S':
      return set(listed(std::string(whiteSpace), next.code == 'S'));
    case 'w':
    case 'W':
      return set(listed(std::string(word), next.code == 'W'));
    case 'd':
      return set(listed("\\p{Nd}"));
    case 'D':
      return set(listed("\\P{Nd}"));
    case 'h':
    case 'H':
      return set(listed("0-9A-Fa-f", next.code == 'H'));
    case 'N':
      if (inBrackets)
        return unknown(start, "an escape");
      return set(listed("\\n", true));
    case 'O':
      if (inBrackets)
        return unknown(start, "an escape");
      return set(listed("\\p{Any}"));
    case 'p':
    case 'P': {
      MBC_ASSIGN(CharSet value, property(start, next.code == 'P'));
      return set(std::move(value));
    }
    case 'n':
      return one('\n');
    case 'r':
      return one('\r');
    case 't':
      return one('\t');
    case 'f':
      return one('\f');
    case 'v':
      return one('\v');
    case 'a':
      return one('\a');
    case 'e':
      return one(0x1B);
    case 'u': {
      MBC_ASSIGN(char32_t code, hexadecimal(start, 4, 4));
      return one(code);
    }
    case 'x': {
      if (take("{")) {
        MBC_ASSIGN(char32_t code, hexadecimal(start, 1, 8));
        if (!take("}"))
          return unknown(start, "an escape");
        return one(code);
      }
      MBC_ASSIGN(char32_t code, hexadecimal(start, 1, 2));
      if (code >= 0x80) // a byte, not a character
        return unknown(start, "an escape");
      return one(code);
    }
    default:
      break;
    }
    bool letter = (next.code | 0x20) >= 'a' && (next.code | 0x20) <= 'z';
    bool digit = next.code >= '0' && next.code <= '9';
    if (next.code < 0x80 && (letter || digit))
      return unknown(start, "an escape");
    return one(next.code);
  }

  Expected<std::string> escapedAtom() {
    std::string w = "[" + std::string(word) + "]";
    if (take("\\b"))
      return "(?:(?<=" + w + ")(?!" + w + ")|(?<!" + w + ")(?=" + w + "))";
    if (take("\\B"))
      return "(?:(?<=" + w + ")(?=" + w + ")|(?<!" + w + ")(?!" + w + "))";
    if (take("\\A"))
      return std::string("\\A");
    if (take("\\z"))
      return std::string("\\z");
    if (take("\\Z"))
      return std::string("\\Z");
    if (take("\\R"))
      return std::string("(?>\\r\\n|[\\n-\\r\\x{85}\\x{2028}\\x{2029}])");
    MBC_ASSIGN(Escape found, escape(/*inBrackets=*/false));
    return found.set ? found.set->text() : codeText(found.code);
  }

  Expected<CharSet> posixBracket(size_t start) {
    size_t end = text.find(":]", at);
    if (end == text.npos)
      return unknown(start, "a class");
    bool negated = take("^");
    auto it = namedSets.find(text.substr(at, end - at));
    at = end + 2;
    if (it == namedSets.end())
      return unknown(start, "a class");
    return listed(std::string(it->second), negated);
  }

  /// [...], with nested ones and intersections.
  Expected<CharSet> bracket() {
    size_t start = at++;
    if (++depth > 100)
      return fail(start, "groups that are nested too deep");
    bool negated = take("^");
    std::optional<CharSet> result, part;
    auto add = [&](const CharSet &set) {
      if (part)
        part->unite(set);
      else
        part = set;
    };
    bool first = true;
    while (true) {
      if (ended())
        return fail(start, "a '[' that is not closed");
      if (text[at] == ']' && !first)
        break;
      size_t here = at;
      if (take("&&")) {
        if (!part)
          return fail(here, "a '&&' with nothing before it");
        if (result)
          result->intersect(*part);
        else
          result = part;
        part.reset();
        first = false;
        continue;
      }
      first = false;
      if (take("[:")) {
        MBC_ASSIGN(CharSet set, posixBracket(here));
        add(set);
        continue;
      }
      if (text[at] == '[') {
        MBC_ASSIGN(CharSet set, bracket());
        add(set);
        continue;
      }
      MBC_ASSIGN(Escape low, bracketItem());
      bool range = text.substr(at).starts_with("-") &&
                   !text.substr(at).starts_with("-]") &&
                   !text.substr(at).starts_with("-&&");
      if (low.set) {
        // "[\w-x]": a dash that stands for itself.
        add(*low.set);
        continue;
      }
      if (!range) {
        add(listed(codeText(low.code)));
        continue;
      }
      ++at;
      if (text[at] == '[')
        return fail(here, "a range that ends in a set");
      MBC_ASSIGN(Escape high, bracketItem());
      if (high.set)
        return fail(here, "a range that ends in a set");
      if (high.code < low.code)
        return fail(here, "a range that ends before it begins");
      add(listed(codeText(low.code) + "-" + codeText(high.code)));
    }
    ++at;
    --depth;
    if (!part)
      return fail(start, result ? "a '&&' with nothing after it"
                                : "a '[]' that holds nothing");
    if (result)
      result->intersect(*part);
    else
      result = part;
    if (negated)
      result->complement();
    return *std::move(result);
  }

  Expected<Escape> bracketItem() {
    if (text[at] == '\\')
      return escape(/*inBrackets=*/true);
    Character next = firstCharacter(text.substr(at));
    at += next.length;
    return Escape{std::nullopt, next.code};
  }

  /// {n}, {n,}, {,m} or {n,m}; none where the brace stands for itself.
  struct Interval {
    std::string text;
    bool fixed;
  };
  std::optional<Interval> interval() {
    size_t end = text.find('}', at);
    if (text[at] != '{' || end == text.npos)
      return std::nullopt;
    std::string_view inside = text.substr(at + 1, end - at - 1);
    size_t comma = inside.find(',');
    std::string_view low = inside.substr(0, comma);
    std::string_view high =
        comma == inside.npos ? low : inside.substr(comma + 1);
    auto digits = [](std::string_view number) {
      return number.size() <= 5 &&
             number.find_first_not_of("0123456789") == number.npos;
    };
    if (!digits(low) || !digits(high) || (low.empty() && high.empty()))
      return std::nullopt;
    at = end + 1;
    bool fixed = comma == inside.npos;
    return Interval{
        fixed ? fmt::format("{{{}}}", low)
              : fmt::format("{{{},{}}}", low.empty() ? "0" : low, high),
        fixed};
  }

  Status quantifiers(std::string &out, size_t start) {
    bool repeated = false;
    while (!ended()) {
      std::string quantifier;
      if (text[at] == '*' || text[at] == '+' || text[at] == '?') {
        quantifier = text[at++];
        // "possessive" and "lazy" are of these three...
        if (!ended() && (text[at] == '+' || text[at] == '?'))
          quantifier += text[at++];
      } else if (auto found = interval()) {
        quantifier = found->text;
        // ... and of intervals only lazy; "{2}?" and "{1,3}+" repeat what they
        // stand behind.
        if (!found->fixed && take("?"))
          quantifier += '?';
      } else {
        return {};
      }
      if (out.size() == start)
        return fail(at - 1, "a repetition of nothing");
      if (repeated)
        out = out.substr(0, start) + "(?:" + out.substr(start) + ")";
      out += quantifier;
      repeated = true;
    }
    return {};
  }

  std::string_view text;
  size_t at = 0;
  unsigned depth = 0;
};

} // namespace

Expected<std::string> toPcre2(std::string_view pattern) {
  return Translator(pattern).run();
}

std::string escapePattern(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (std::string_view("\\^$.|?*+()[]{}-&").find(c) != std::string_view::npos)
      out += '\\';
    out += c;
  }
  return out;
}

} // namespace mbc::text
