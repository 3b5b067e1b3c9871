//===- TranslateRegistration.h - Front end in mbc-translate -----*- C++ -*-===//
#pragma once

namespace mbc {

/// `--mbc-parse` (prints one file as canonical text) and `--mbc-parse-only`
/// (checks the syntax of a file and of all that it uses).
void registerFrontendTranslations();

} // namespace mbc
