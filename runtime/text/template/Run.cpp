#include "runtime/text/template/Run.h"

#include "runtime/text/template/Frame.h"

#include <fmt/format.h>

namespace mbc::text::jinja {

Run::~Run() {
  for (const auto &space : spaces)
    space->attributes.entries.clear();
  for (const auto &frame : frames)
    frame->slots.clear();
}

void Run::keep(std::shared_ptr<Namespace> space) {
  allocate(sizeof(Namespace));
  spaces.push_back(std::move(space));
}

void Run::keep(std::shared_ptr<Frame> frame) {
  if (frame->kept)
    return;
  frame->kept = true;
  allocate(sizeof(Frame) + frame->slots.size() * sizeof(Value));
  frames.push_back(std::move(frame));
}

void Run::outOfSteps() {
  throw Problem{fmt::format("the template does not come to an end within {} "
                            "million steps",
                            stepLimit / 1'000'000)};
}

void Run::outOfMemory() {
  throw Problem{fmt::format("the template makes more than {} MiB of text and "
                            "values",
                            byteLimit >> 20)};
}

void Run::tooDeep() {
  throw Problem{fmt::format("the template has more than {} calls, blocks and "
                            "expressions inside of each other",
                            depthLimit)};
}

} // namespace mbc::text::jinja
