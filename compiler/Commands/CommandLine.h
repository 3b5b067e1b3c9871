//===- CommandLine.h - The mbc program --------------------------*- C++ -*-===//
#pragma once

namespace mbc {

/// Runs one command and returns the exit status: 0 all asked for was done and
/// checked; 1 a comparison found a difference; 2 bad usage, bad input or a
/// refused proof; 3 the system failed. Nothing is thrown out of it.
int runCommandLine(int argc, char **argv);

} // namespace mbc
