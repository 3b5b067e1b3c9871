//===- Run.h - What one rendering may use -----------------------*- C++ -*-===//
//
// A template comes from a model's folder, so from anyone: the work and the
// memory of a rendering are counted, and both have an end.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/text/template/Value.h"

namespace mbc::text::jinja {

struct Frame;

class Run {
public:
  /// About a second of work.
  static constexpr uint64_t stepLimit = 20'000'000;
  /// Of all texts and lists that are made, in bytes; a rendering that makes
  /// more text holds at most this.
  static constexpr uint64_t byteLimit = uint64_t(256) << 20;
  /// Of expressions, statements and macros that are in each other.
  static constexpr unsigned depthLimit = 1200;

  Run() = default;
  Run(const Run &) = delete;
  Run &operator=(const Run &) = delete;
  /// Breaks the cycles that namespaces and macros make.
  ~Run();

  void step(uint64_t count = 1) {
    if ((steps += count) > stepLimit)
      outOfSteps();
  }
  /// Before `bytes` are allocated. Touching them is work, too.
  void allocate(uint64_t bytes) {
    if (bytes > byteLimit || (allocated += bytes) > byteLimit)
      outOfMemory();
    step(bytes / 64);
  }
  /// A new text, or list of `items`.
  Value str(std::string text, bool markup = false) {
    allocate(text.size());
    return Value::str(std::move(text), markup);
  }
  Value list(std::vector<Value> items) {
    allocate(items.size() * sizeof(Value));
    return Value::list(std::move(items));
  }
  Value tuple(std::vector<Value> items) {
    allocate(items.size() * sizeof(Value));
    return Value::tuple(std::move(items));
  }

  /// Objects that may refer to themselves, freed at the end.
  void keep(std::shared_ptr<Namespace> space);
  void keep(std::shared_ptr<Frame> frame);

  /// Counts what is inside of what, while it lives.
  class Deeper {
  public:
    explicit Deeper(Run &run) : run(run) {
      if (++run.depth > depthLimit) {
        --run.depth;
        tooDeep();
      }
    }
    Deeper(const Deeper &) = delete;
    Deeper &operator=(const Deeper &) = delete;
    ~Deeper() { --run.depth; }

  private:
    Run &run;
  };

private:
  [[noreturn]] static void outOfSteps();
  [[noreturn]] static void outOfMemory();
  [[noreturn]] static void tooDeep();

  uint64_t steps = 0, allocated = 0;
  unsigned depth = 0;
  std::vector<std::shared_ptr<Namespace>> spaces;
  std::vector<std::shared_ptr<Frame>> frames;
};

} // namespace mbc::text::jinja
