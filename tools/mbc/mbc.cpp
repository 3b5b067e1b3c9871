//===- mbc.cpp - The program ----------------------------------------------===//

#include "compiler/Commands/CommandLine.h"

int main(int argc, char **argv) { return mbc::runCommandLine(argc, argv); }
