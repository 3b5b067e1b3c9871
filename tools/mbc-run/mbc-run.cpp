//===- mbc-run.cpp - The program ------------------------------------------===//

#include "runtime/commands/RunCommandLine.h"

int main(int argc, char **argv) { return mbc::runProgramLine(argc, argv); }
