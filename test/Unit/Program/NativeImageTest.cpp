#include "runtime/program/NativeImage.h"
#include "test/Unit/Program/TinyImage.h"

#include <gtest/gtest.h>
#include <random>

using namespace mbc;
using namespace mbc::test;

namespace {

const std::set<std::string_view> entries = {"code0", "code1"};

struct Damage {
  const char *message;
  void (*apply)(TinyImage &);
};

const Damage damages[] = {
    {"is no shared object for x86-64",
     [](TinyImage &i) { i.header.e_ident[1] = 'F'; }},
    {"is no shared object for x86-64",
     [](TinyImage &i) { i.header.e_type = ET_EXEC; }},
    {"is no shared object for x86-64",
     [](TinyImage &i) { i.header.e_machine = EM_AARCH64; }},
    {"is cut", [](TinyImage &i) { i.header.e_phoff = ~uint64_t(0) - 100; }},
    {"is cut", [](TinyImage &i) { i.segments[0].p_filesz += 1; }},
    {"is cut", [](TinyImage &i) { i.segments[0].p_offset = ~uint64_t(0); }},
    {"is cut", [](TinyImage &i) { i.segments[0].p_memsz = ~uint64_t(0); }},
    {"has no dynamic table",
     [](TinyImage &i) { i.segments[1].p_type = PT_NOTE; }},
    {"asks for a loader or for thread storage",
     [](TinyImage &i) { i.segments[1].p_type = PT_INTERP; }},
    {"asks for a loader or for thread storage",
     [](TinyImage &i) { i.segments[1].p_type = PT_TLS; }},
    // What would run, or be patched, when it is loaded.
    {"asks the loader for more than its functions (tag 0xc)",
     [](TinyImage &i) { i.dynamic[5].d_tag = DT_INIT; }},
    {"asks the loader for more than its functions (tag 0x19)",
     [](TinyImage &i) { i.dynamic[5].d_tag = DT_INIT_ARRAY; }},
    {"asks the loader for more than its functions (tag 0x7)",
     [](TinyImage &i) { i.dynamic[5].d_tag = DT_RELA; }},
    {"asks the loader for more than its functions (tag 0x1)",
     [](TinyImage &i) { i.dynamic[5].d_tag = DT_NEEDED; }},
    {"has no symbols", [](TinyImage &i) { i.dynamic[4].d_un.d_ptr = 1 << 20; }},
    {"has no symbols", [](TinyImage &i) { i.hash[1] = ~0u; }},
    {"has no symbols", [](TinyImage &i) { i.dynamic[3].d_un.d_val = 1 << 20; }},
    {"has a symbol without a name",
     [](TinyImage &i) { i.symbols[1].st_name = 1 << 20; }},
    {"needs the symbol 'code1'",
     [](TinyImage &i) { i.symbols[2].st_shndx = SHN_UNDEF; }},
    {"chooses 'code0' when it is loaded",
     [](TinyImage &i) {
       i.symbols[1].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_GNU_IFUNC);
     }},
    {"has no function 'code1'",
     [](TinyImage &i) {
       i.symbols[2].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT);
     }},
    {"has no function 'code0'",
     [](TinyImage &i) { i.symbols[1].st_value = 1 << 20; }},
    {"has no function 'code0'",
     [](TinyImage &i) { i.segments[0].p_flags = PF_R; }},
    {"has no function 'code1'", [](TinyImage &i) { i.hash[1] = 2; }},
};

} // namespace

TEST(NativeImage, MayDefineMore) {
  EXPECT_EQ(faultOfImage(TinyImage({"code0", "code1", "x"}).bytes(), entries),
            "");
}

TEST(NativeImage, RefusesDamage) { // P12
  for (const Damage &damage : damages) {
    TinyImage image({"code0", "code1"});
    ASSERT_EQ(faultOfImage(image.bytes(), entries), "");
    damage.apply(image);
    EXPECT_EQ(faultOfImage(image.bytes(), entries), damage.message);
  }
}

TEST(NativeImage, RefusesParts) {
  std::vector<uint8_t> bytes = TinyImage({"code0", "code1"}).bytes();
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_NE(faultOfImage({bytes.data(), size}, entries), "");
}

TEST(NativeImage, SurvivesRandomDamage) {
  const std::vector<uint8_t> good = TinyImage({"code0", "code1"}).bytes();
  std::mt19937 random(3);
  size_t refused = 0;
  for (int i = 0; i < 50'000; ++i) {
    // Exactly as long as it is, for the sanitizers to see its end.
    std::vector<uint8_t> bytes(good);
    for (unsigned flips = 1 + random() % 3; flips > 0; --flips)
      bytes[random() % bytes.size()] ^= 1u << random() % 8;
    refused += !faultOfImage(bytes, entries).empty();
  }
  EXPECT_GT(refused, 10'000u);
}
