//===- TinyImage.h - A shared object by hand --------------------*- C++ -*-===//
#pragma once

#include <cstdint>
#include <cstring>
#include <elf.h>
#include <string>
#include <vector>

namespace mbc::test {

/// A shared object for x86-64 that defines functions of one instruction, field
/// by field, for who damages it.
struct TinyImage {
  Elf64_Ehdr header{};
  std::vector<Elf64_Phdr> segments;
  std::vector<Elf64_Dyn> dynamic;
  std::vector<Elf64_Sym> symbols;
  std::string names;
  uint32_t hash[4];

  explicit TinyImage(const std::vector<std::string> &functions) {
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_type = ET_DYN;
    header.e_machine = EM_X86_64;
    header.e_phoff = sizeof(Elf64_Ehdr);
    header.e_phentsize = sizeof(Elf64_Phdr);
    names.push_back('\0');
    symbols.resize(1 + functions.size());
    for (size_t i = 0; i < functions.size(); ++i) {
      Elf64_Sym &symbol = symbols[i + 1];
      symbol.st_name = static_cast<uint32_t>(names.size());
      symbol.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
      symbol.st_shndx = 1;
      names += functions[i];
      names.push_back('\0');
    }
    segments.resize(2);
    segments[0].p_type = PT_LOAD;
    segments[0].p_flags = PF_R | PF_X;
    segments[1].p_type = PT_DYNAMIC;
    dynamic = {{DT_SYMTAB, {}}, {DT_SYMENT, {}}, {DT_STRTAB, {}},
               {DT_STRSZ, {}},  {DT_HASH, {}},   {DT_NULL, {}}};
    uint64_t at = sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr);
    segments[1].p_offset = segments[1].p_vaddr = at;
    segments[1].p_filesz = segments[1].p_memsz =
        dynamic.size() * sizeof(Elf64_Dyn);
    at += segments[1].p_filesz;
    dynamic[0].d_un.d_ptr = at;
    dynamic[1].d_un.d_val = sizeof(Elf64_Sym);
    at += symbols.size() * sizeof(Elf64_Sym);
    dynamic[2].d_un.d_ptr = at;
    dynamic[3].d_un.d_val = names.size();
    at += names.size();
    dynamic[4].d_un.d_ptr = at;
    hash[0] = 1;
    hash[1] = static_cast<uint32_t>(symbols.size());
    hash[2] = hash[3] = 0;
    at += sizeof(hash);
    for (size_t i = 1; i < symbols.size(); ++i)
      symbols[i].st_value = at; // a return
    segments[0].p_filesz = segments[0].p_memsz = at + 1;
  }

  std::vector<uint8_t> bytes() const {
    std::vector<uint8_t> out;
    auto append = [&](const void *data, size_t size) {
      const auto *from = static_cast<const uint8_t *>(data);
      out.insert(out.end(), from, from + size);
    };
    Elf64_Ehdr counted = header;
    counted.e_phnum = static_cast<uint16_t>(segments.size());
    append(&counted, sizeof(counted));
    append(segments.data(), segments.size() * sizeof(Elf64_Phdr));
    append(dynamic.data(), dynamic.size() * sizeof(Elf64_Dyn));
    append(symbols.data(), symbols.size() * sizeof(Elf64_Sym));
    append(names.data(), names.size());
    append(hash, sizeof(hash));
    out.push_back(0xc3);
    return out;
  }
};

} // namespace mbc::test
