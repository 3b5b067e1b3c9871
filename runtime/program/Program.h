//===- Program.h - A compiled program, read and checked ---------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"
#include "runtime/schema/program_generated.h"

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mbc {

/// Version of the commands' meaning. A program of another one is refused.
constexpr uint32_t programAbi = 4;

/// The bytes of a program file, its digest included.
std::vector<uint8_t> serializeProgram(const program::ProgramT &program);

/// A program whose every index, size and offset was checked: what follows may
/// follow them blindly. `name` stands in errors.
Expected<std::unique_ptr<program::ProgramT>>
parseProgram(std::span<const uint8_t> bytes, const std::string &name);

/// `parseProgram` of a file, whose bytes have the digest that it states.
Expected<std::unique_ptr<program::ProgramT>>
readProgram(const std::filesystem::path &path);

/// "prefill" of "prefill[512]": functions of one kind differ in their rows.
std::string_view kindOf(const program::FunctionT &function);

/// Of the functions of a kind the smallest that takes `rows`, else the largest;
/// null when there is none.
const program::FunctionT *findFunction(const program::ProgramT &program,
                                       std::string_view kind,
                                       uint32_t rows = 1);

/// Elements and bytes of one instance of a weight.
uint64_t elementsOf(const program::WeightT &weight);
uint64_t bytesOf(const program::WeightT &weight);
/// Instances: one, or one for each layer that has it.
uint64_t instancesOf(const program::WeightT &weight);

} // namespace mbc
