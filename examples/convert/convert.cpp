// convert HF_DIR MEGATRON_DIR HF_AGAIN: lists the weights of a model, converts
// it to a Megatron checkpoint and back, and compares both ends, with the
// library that the mbc program is made of.
#include <mbc/AutoBridge.h>

#include <cstdint>
#include <iostream>

#if !MBC_VERSION_AT_LEAST(0, 1, 0)
#error "this example needs mbc 0.1"
#endif

static int fail(const mbc::Error &error) {
  std::cerr << error.message << "\n";
  return error.kind == mbc::ErrorKind::System ? 3 : 2;
}

/// Prints every weight with the FNV-1a hash of its bytes, which takes the
/// memory of one chunk.
static mbc::Status list(mbc::WeightStream stream) {
  uint64_t hash = 0;
  while (true) {
    auto chunk = stream.next();
    if (!chunk)
      return tl::unexpected(chunk.error());
    if (!*chunk)
      return {};
    if ((*chunk)->begin == 0)
      hash = 0xcbf29ce484222325;
    for (std::byte byte : (*chunk)->bytes)
      hash = (hash ^ static_cast<uint8_t>(byte)) * 0x100000001b3;
    if (!(*chunk)->last)
      continue;
    std::cout << (*chunk)->name << " " << mbc::torchName((*chunk)->dtype);
    for (int64_t size : (*chunk)->shape)
      std::cout << " " << size;
    std::cout << " " << std::hex << hash << std::dec << "\n";
  }
}

int main(int argc, char **argv) {
  if (argc != 4) {
    std::cerr << "usage: convert HF_DIR MEGATRON_DIR HF_AGAIN\n";
    return 2;
  }
  auto source = mbc::AutoBridge::from_hf_pretrained(argv[1]);
  if (!source)
    return fail(source.error());
  auto imported = source->import_ckpt(argv[2]);
  if (!imported)
    return fail(imported.error());
  auto megatron = mbc::AutoBridge::from_megatron(argv[2]);
  if (!megatron)
    return fail(megatron.error());
  for (auto weights : {&mbc::AutoBridge::export_hf_weights,
                       &mbc::AutoBridge::export_megatron_weights}) {
    auto stream = ((*megatron).*weights)(1 << 10); // chunks of 1 KiB
    if (!stream)
      return fail(stream.error());
    if (auto listed = list(std::move(*stream)); !listed)
      return fail(listed.error());
  }
  auto exported = megatron->export_ckpt(argv[3]);
  if (!exported)
    return fail(exported.error());
  auto result = mbc::AutoBridge::from_hf_pretrained(argv[3]);
  if (!result)
    return fail(result.error());
  auto report = source->verify(*result);
  if (!report)
    return fail(report.error());
  std::cout << imported->model << ": " << exported->tensors << " tensors, "
            << report->compared.differences.size() << " differ\n";
  return report->same() ? 0 : 1;
}
