//===- BridgeFlags.h - The flags of Megatron Bridge -------------*- C++ -*-===//
//
// Whoever has a command line of Megatron Bridge's conversion scripts
// (examples/conversion/*.py, scripts/conversion/convert.sh) may replace the
// script's name by `mbc`. Every flag of theirs does what it did, or is said to
// need nothing, or is refused with the reason and the way to go: one row each.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/core/Error.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
} // namespace CLI

namespace mbc {

/// What a flag of Bridge does here.
enum class BridgeEffect {
  StandsFor,  ///< the value is that of mbc's option `argument`
  DefaultFor, ///< the same, where nothing else gives that option a value
  Revision,   ///< the value is the revision of the hub id in `argument`
  NoProgress, ///< no progress is reported
  Moot,       ///< accepted; `text` is the reason why it needs nothing
  Only,       ///< Moot with the value `argument`, else Refused
  Refused     ///< an error with `text`: the reason, and what to do instead
};

/// A row of the table: flags with one answer.
struct BridgeFlag {
  std::string_view commands; ///< "import export roundtrip", or some of them
  std::string_view flags;    ///< "--device --device-map"
  const char *value;         ///< "N", "DIR"; null: a switch
  BridgeEffect effect;
  std::string_view argument;
  std::string_view text;
};

/// Replaces the spellings with one dash, which the parser of arguments would
/// take apart, by those with two: "-tp" by "--tp".
void spellBridgeFlags(std::vector<std::string> &arguments);

/// The flags of Bridge that a command knows, and those that it was given.
class BridgeFlags {
public:
  /// Declares the flags of `command` on `app`, outside of the usual help.
  void declare(CLI::App &app, std::string_view command);

  /// Their part of the help, in columns of `names` and `width`; empty for a
  /// command without any.
  std::string help(size_t width, size_t names) const;

  /// The text that an option of the command is parsed into.
  using Target = std::function<std::string &(std::string_view option)>;
  /// Carries out what was given; why a flag needs nothing goes to `notes`.
  /// Input errors: a refused flag, or flags that contradict one another.
  Status apply(const Target &target, bool &noProgress,
               std::vector<std::string> &notes) const;

private:
  struct Flag {
    const BridgeFlag *row;
    std::string name;
    std::vector<std::string> values;
    bool given = false; ///< of a switch
  };
  Status applyOne(const Flag &flag, const Target &target, bool &noProgress,
                  std::vector<std::string> &notes) const;

  std::string command;
  /// At stable places: the parser writes into them.
  std::vector<std::unique_ptr<Flag>> flags;
};

} // namespace mbc
