//===- Decoder.h - Texts of tokens, put together ----------------*- C++ -*-===//
#pragma once

#include "runtime/text/Field.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mbc::text {

/// One step of decoding, which takes texts one after another and passes on what
/// it makes of them as soon as nothing later can change it.
class DecodeStage {
public:
  using Sink = std::function<void(std::string_view)>;
  virtual ~DecodeStage();
  virtual void push(std::string_view text, const Sink &sink) = 0;
  /// The end: passes on what was held back, and starts anew.
  virtual void finish(const Sink &sink) {}
};

/// The steps of one run.
class DecodeChain {
public:
  std::string push(std::string_view token);
  std::string finish();

private:
  friend class Decoder;
  void pushTo(size_t stage, std::string_view text, std::string &out);
  std::vector<std::unique_ptr<DecodeStage>> stages;
};

/// The "decoder" of a tokenizer.json.
class Decoder {
public:
  static Expected<Decoder> parse(const Field &field);
  /// Of tokens that are bytes.
  static Decoder ofBytes();
  std::unique_ptr<DecodeChain> start() const;

private:
  using Maker = std::function<std::unique_ptr<DecodeStage>()>;
  Status add(const Field &field);
  std::vector<Maker> makers;
  /// Steps from here on see one text, not tokens.
  bool whole = false;
};

} // namespace mbc::text
