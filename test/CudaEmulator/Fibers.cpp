//===- Fibers.cpp ---------------------------------------------------------===//

#include "test/CudaEmulator/Fibers.h"

#include "test/CudaEmulator/Copies.h"
#include "test/CudaEmulator/Device.h"
#include "test/CudaEmulator/TensorCore.h"

#include <utility>
#include <vector>

namespace mbc::emulator {

Index threadIndex, blockIndex, blockSize, gridSize;

namespace {

constexpr size_t stackBytes = 64 * 1024;
constexpr unsigned warpSize = 32;

/// What a thread waits for.
enum class State { Runs, AtBlock, AtWarp, Ended };

struct Fiber {
  void *stack = nullptr; ///< where it goes on
  State state = State::Runs;
  unsigned exchanges = 0;
  std::vector<Copy> copies;
  std::vector<std::vector<Copy>> batches;
  std::vector<uint64_t> memory;
};

/// What lanes give, in turns: nobody gives anew what another has yet to take.
struct Warp {
  uint32_t given[2][warpSize];
  uint32_t words[2][warpSize][8];
};

std::vector<Fiber> fibers;
std::vector<Warp> warps;
std::vector<uint64_t> sharedMemory;
const std::function<void()> *current;
void *scheduler;
unsigned running, threadCount;

} // namespace

/// Saves the registers that a call keeps, and goes on with those at `to`.
extern "C" void mbcEmulatorSwitch(void **from, void *to);
__asm__(R"(
.text
.globl mbcEmulatorSwitch
.hidden mbcEmulatorSwitch
.type mbcEmulatorSwitch,@function
mbcEmulatorSwitch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
)");

static void leave(State state) {
  Fiber &fiber = fibers[running];
  fiber.state = state;
  mbcEmulatorSwitch(&fiber.stack, scheduler);
}

static void enter() {
  (*current)();
  leave(State::Ended);
}

static void start(Fiber &fiber) {
  fiber.memory.resize(stackBytes / sizeof(uint64_t));
  // Six registers, then where to go on; aligned as after a call.
  uint64_t *top = fiber.memory.data() + fiber.memory.size();
  top -= reinterpret_cast<uintptr_t>(top) % 16 / sizeof(uint64_t);
  *--top = 0;
  *--top = reinterpret_cast<uint64_t>(&enter);
  top -= 6;
  std::fill(top, top + 6, 0);
  fiber.stack = top;
  fiber.state = State::Runs;
  fiber.exchanges = 0;
  fiber.copies.clear();
  fiber.batches.clear();
}

void *dynamicShared() { return sharedMemory.data(); }
unsigned lane() { return running % warpSize; }
void waitForBlock() { leave(State::AtBlock); }

const uint32_t *exchange(uint32_t value) {
  uint32_t *given =
      warps[running / warpSize].given[fibers[running].exchanges++ % 2];
  given[lane()] = value;
  leave(State::AtWarp);
  return given;
}

const uint32_t *exchange(const uint32_t *words, unsigned count) {
  auto &given =
      warps[running / warpSize].words[fibers[running].exchanges++ % 2];
  std::copy(words, words + count, given[lane()]);
  leave(State::AtWarp);
  return given[0];
}

std::vector<Copy> &copies() { return fibers[running].copies; }
void commitCopies() {
  fibers[running].batches.push_back(std::exchange(copies(), {}));
}
void finishCopies(size_t later) {
  auto &batches = fibers[running].batches;
  for (; batches.size() > later; batches.erase(batches.begin()))
    for (const Copy &copy : batches.front())
      if (copy.from)
        std::memcpy(copy.to, copy.from, 16);
      else
        std::memset(copy.to, 0, 16);
}

/// Lets every thread of a warp run that waits for nothing. False if some of it
/// waits while others have ended: an exchange needs the whole warp.
static bool runWarp(unsigned first, unsigned last) {
  while (true) {
    unsigned atWarp = 0;
    bool ran = false;
    for (unsigned i = first; i < last; ++i) {
      Fiber &fiber = fibers[i];
      if (fiber.state == State::Runs) {
        running = i;
        threadIndex = {i, 0, 0};
        mbcEmulatorSwitch(&scheduler, fiber.stack);
        ran = true;
      }
      atWarp += fiber.state == State::AtWarp;
    }
    if (atWarp == last - first) {
      for (unsigned i = first; i < last; ++i)
        fibers[i].state = State::Runs;
      continue;
    }
    if (!ran)
      return atWarp == 0;
  }
}

static bool runBlock() {
  std::fill(warps.begin(), warps.end(), Warp{});
  for (unsigned i = 0; i < threadCount; ++i)
    start(fibers[i]);
  while (true) {
    unsigned atBlock = 0, ended = 0;
    for (unsigned first = 0; first < threadCount; first += warpSize)
      if (!runWarp(first, std::min(first + warpSize, threadCount)))
        return false;
    for (unsigned i = 0; i < threadCount; ++i) {
      atBlock += fibers[i].state == State::AtBlock;
      ended += fibers[i].state == State::Ended;
    }
    if (ended == threadCount)
      return true;
    if (atBlock != threadCount)
      return false;
    for (unsigned i = 0; i < threadCount; ++i)
      fibers[i].state = State::Runs;
  }
}

bool runGrid(const std::function<void()> &kernel, unsigned x, unsigned y,
             unsigned z, unsigned threads, uint64_t shared) {
  current = &kernel;
  threadCount = threads;
  if (fibers.size() < threads)
    fibers.resize(threads);
  warps.resize((threads + warpSize - 1) / warpSize);
  // What a kernel did not write is not zero.
  sharedMemory.assign((shared + 7) / 8, 0x7ff8dead7fc0beef);
  gridSize = {x, y, z};
  blockSize = {threads, 1, 1};
  for (unsigned c = 0; c < z; ++c)
    for (unsigned b = 0; b < y; ++b)
      for (unsigned a = 0; a < x; ++a) {
        blockIndex = {a, b, c};
        if (!runBlock())
          return false;
      }
  return true;
}

} // namespace mbc::emulator
