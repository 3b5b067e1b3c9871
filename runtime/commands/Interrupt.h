//===- Interrupt.h - Ctrl-C leaves nothing behind ---------------*- C++ -*-===//
#pragma once

namespace mbc {

/// To be called before any thread is made: from then on SIGINT, SIGTERM and
/// SIGHUP remove every staged folder and then end the process as they would
/// have; a reader that goes away (SIGPIPE) does not end it.
void handleInterrupts();

} // namespace mbc
