//===- NativeImage.cpp ----------------------------------------------------===//
//
// Of the ELF format (System V ABI, AMD64 supplement) the part that compiler/
// Codegen writes. What a loader would act upon and is not known here is
// refused.
//
//===----------------------------------------------------------------------===//

#include "runtime/program/NativeImage.h"

#include <cstring>
#include <elf.h>
#include <fmt/format.h>
#include <optional>
#include <vector>

namespace mbc {

namespace {

class Image {
public:
  explicit Image(std::span<const uint8_t> bytes) : bytes(bytes) {}

  std::string fault(const std::set<std::string_view> &entries);

private:
  /// The structure at an offset of the file.
  template <typename T> std::optional<T> at(uint64_t offset) const {
    T value;
    if (offset > bytes.size() || bytes.size() - offset < sizeof(T))
      return std::nullopt;
    std::memcpy(&value, bytes.data() + offset, sizeof(T));
    return value;
  }
  /// The offset of the file that is loaded to `address`, with `size` bytes
  /// behind it.
  std::optional<uint64_t> offsetOf(uint64_t address, uint64_t size) const {
    for (const Elf64_Phdr &load : loads)
      if (address >= load.p_vaddr && address - load.p_vaddr <= load.p_filesz &&
          size <= load.p_filesz - (address - load.p_vaddr))
        return load.p_offset + (address - load.p_vaddr);
    return std::nullopt;
  }
  std::string readHeaders();
  std::string readDynamic();
  std::string checkSymbols(const std::set<std::string_view> &entries);

  std::span<const uint8_t> bytes;
  std::vector<Elf64_Phdr> loads;
  std::optional<Elf64_Phdr> dynamic;
  uint64_t symbols = 0, strings = 0, stringBytes = 0, hash = 0;
};

} // namespace

std::string Image::readHeaders() {
  std::optional<Elf64_Ehdr> header = at<Elf64_Ehdr>(0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_ident[EI_CLASS] != ELFCLASS64 ||
      header->e_ident[EI_DATA] != ELFDATA2LSB || header->e_type != ET_DYN ||
      header->e_machine != EM_X86_64 ||
      header->e_phentsize != sizeof(Elf64_Phdr))
    return "is no shared object for x86-64";
  for (unsigned i = 0; i < header->e_phnum; ++i) {
    auto segment =
        at<Elf64_Phdr>(header->e_phoff + uint64_t(i) * sizeof(Elf64_Phdr));
    if (!segment)
      return "is cut";
    if (segment->p_type == PT_INTERP || segment->p_type == PT_TLS)
      return "asks for a loader or for thread storage";
    if (segment->p_type != PT_LOAD && segment->p_type != PT_DYNAMIC)
      continue;
    if (segment->p_offset > bytes.size() ||
        segment->p_filesz > bytes.size() - segment->p_offset ||
        segment->p_filesz > segment->p_memsz ||
        segment->p_memsz > (uint64_t(1) << 32) ||
        segment->p_vaddr > (uint64_t(1) << 32))
      return "is cut";
    if (segment->p_type == PT_LOAD)
      loads.push_back(*segment);
    else
      dynamic = *segment;
  }
  return dynamic ? "" : "has no dynamic table";
}

std::string Image::readDynamic() {
  for (uint64_t i = 0; i < dynamic->p_filesz / sizeof(Elf64_Dyn); ++i) {
    Elf64_Dyn entry = *at<Elf64_Dyn>(dynamic->p_offset + i * sizeof(Elf64_Dyn));
    switch (entry.d_tag) {
    case DT_NULL:
      i = dynamic->p_filesz;
      break;
    case DT_SYMTAB:
      symbols = entry.d_un.d_ptr;
      break;
    case DT_STRTAB:
      strings = entry.d_un.d_ptr;
      break;
    case DT_STRSZ:
      stringBytes = entry.d_un.d_val;
      break;
    case DT_HASH:
      hash = entry.d_un.d_ptr;
      break;
    case DT_SYMENT:
      break;
    default:
      // Libraries, relocations, initialisers: none is needed by a kernel.
      return fmt::format("asks the loader for more than its functions (tag "
                         "{:#x})",
                         static_cast<uint64_t>(entry.d_tag));
    }
  }
  return "";
}

std::string Image::checkSymbols(const std::set<std::string_view> &entries) {
  // Of the hash table: buckets, then as many chains as there are symbols.
  std::optional<uint64_t> hashed = offsetOf(hash, 8),
                          names = offsetOf(strings, stringBytes);
  if (!hashed || !names)
    return "has no symbols";
  auto count = at<uint32_t>(*hashed + 4);
  std::optional<uint64_t> table =
      count ? offsetOf(symbols, uint64_t(*count) * sizeof(Elf64_Sym))
            : std::nullopt;
  if (!table)
    return "has no symbols";
  std::set<std::string_view> missing = entries;
  // Number 0 stands for no symbol.
  for (uint32_t i = 1; i < *count; ++i) {
    auto symbol = *at<Elf64_Sym>(*table + uint64_t(i) * sizeof(Elf64_Sym));
    if (symbol.st_name >= stringBytes)
      return "has a symbol without a name";
    const char *text =
        reinterpret_cast<const char *>(bytes.data()) + *names + symbol.st_name;
    std::string_view name(text, strnlen(text, stringBytes - symbol.st_name));
    if (symbol.st_shndx == SHN_UNDEF)
      return fmt::format("needs the symbol '{}'", name);
    bool isCode = false;
    for (const Elf64_Phdr &load : loads)
      isCode |= (load.p_flags & PF_X) && symbol.st_value >= load.p_vaddr &&
                symbol.st_value - load.p_vaddr < load.p_filesz;
    if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC && isCode)
      missing.erase(name);
    else if (ELF64_ST_TYPE(symbol.st_info) == STT_GNU_IFUNC)
      return fmt::format("chooses '{}' when it is loaded", name);
  }
  if (!missing.empty())
    return fmt::format("has no function '{}'", *missing.begin());
  return "";
}

std::string Image::fault(const std::set<std::string_view> &entries) {
  std::string fault = readHeaders();
  if (fault.empty())
    fault = readDynamic();
  if (fault.empty())
    fault = checkSymbols(entries);
  return fault;
}

std::string faultOfImage(std::span<const uint8_t> image,
                         const std::set<std::string_view> &entries) {
  return Image(image).fault(entries);
}

} // namespace mbc
