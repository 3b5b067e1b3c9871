//===- LaunchLatent.cpp - Attention over latents --------------------------===//

#include "runtime/cuda/Launcher.h"

#include <algorithm>
#include <fmt/format.h>

namespace mbc::cuda {

Status Launcher::latentQueries(const program::LatentAttentionT &command,
                               void *to, Elem elem) {
  View q = view(command.q_nope), up = view(command.up);
  return session.kernels->launch(
      "mbc_latent_queries",
      {.x = bound.rows,
       .y = q.dims[1],
       .threads = 256,
       // A query, then sums.
       .shared = static_cast<unsigned>(((q.dims[2] + 3) / 4 * 4 + 2048) *
                                       sizeof(float)),
       .overlaps = true},
      q, up, to, elem, Count{counts(), 0, 1, 1});
}

Status Launcher::latentValues(const program::LatentAttentionT &command,
                              const float *seen, int parts) {
  View up = view(command.up), out = view(command.out);
  auto nope = static_cast<int>(view(command.q_nope).dims[2]);
  return session.kernels->launch(
      "mbc_latent_values",
      {.x = bound.rows,
       .y = out.dims[1],
       .threads = 256,
       .shared =
           static_cast<unsigned>((up.dims[2] + 3) / 4 * 4 * sizeof(float)),
       .overlaps = true},
      seen, parts, places(), up, nope, out, Count{counts(), 0, 1, 1});
}

Expected<bool> Launcher::decodeLatent(const program::LatentAttentionT &command,
                                      uint32_t layer) {
  const program::StateT &table = *program.states[command.state];
  View qRope = view(command.q_rope), latent = view(command.latent),
       rope = view(command.k_rope);
  Elem elem = elemOf(table.dtype);
  int64_t heads = qRope.dims[1], width = latent.dims[1], second = rope.dims[1];
  // What the kernel's registers are for.
  constexpr int64_t step = 16, mostWidth = 512, mostBoth = 576;
  auto is16 = [&](const View &of) {
    return of.elem == elem && inWholePieces(of);
  };
  if (!session.decodesLatents || !isSmall() || elem == Elem::F32 ||
      width % step || second % step || width > mostWidth ||
      width + second > mostBoth || !is16(qRope) || !is16(latent) || !is16(rope))
    return false;
  // Heads of a block, the fewest keys of a part that are worth one; whoever
  // puts parts together has a lane for each.
  constexpr int64_t leastKeys = 128, mostParts = 32, headsOfGroup = 16;
  int64_t groups = heads > headsOfGroup ? 2 : 1,
          across =
              (heads + groups * headsOfGroup - 1) / (groups * headsOfGroup),
          blocks = bound.rows * across,
          wanted = session.gpu->facts().processors * (3 - groups) / blocks,
          parts = std::clamp<int64_t>(
              std::min(wanted, (longest + leastKeys - 1) / leastKeys), 1,
              mostParts);
  uint64_t bytes = aligned(uint64_t(bound.rows) * heads * width * 2);
  MBC_ASSIGN(std::byte * work,
             session.scratch(bytes + uint64_t(bound.rows) * heads * parts *
                                         (width + 2) * sizeof(float)));
  LatentArguments arguments{};
  arguments.q = work;
  arguments.qRope = qRope;
  arguments.latent = latent;
  arguments.kRope = rope;
  arguments.latents = stateAt(command.state, 0, layer);
  arguments.ropes = stateAt(command.state, 1, layer);
  arguments.places = places();
  arguments.heads = static_cast<int32_t>(heads);
  arguments.width = static_cast<int32_t>(width);
  arguments.rope = static_cast<int32_t>(second);
  arguments.scale = static_cast<float>(command.scale);
  arguments.parts = static_cast<int32_t>(parts);
  arguments.partial = reinterpret_cast<float *>(work + bytes);
  MBC_TRY(latentQueries(command, work, elem));
  // Two tiles of 32 keys, in panels of 64 elements.
  int64_t panels = (width + 63) / 64 + (second + 63) / 64;
  MBC_TRY(session.kernels->launch(
      fmt::format("mbc_latent_{}_{}{}", elem == Elem::BF16 ? "bf16" : "f16",
                  groups, width == 512 && second == 64 ? "_512_64" : "")
          .c_str(),
      {.x = bound.rows,
       .y = across,
       .z = parts,
       .threads = static_cast<unsigned>(128 * groups),
       .shared = static_cast<unsigned>(2 * panels * 32 * 128),
       .overlaps = true},
      arguments, Count{counts(), 0, 1, 1}));
  MBC_TRY(latentValues(command, arguments.partial, arguments.parts));
  return true;
}

static View asElements(View view, std::byte *data) {
  view.data = data;
  return view;
}

/// [rows, heads, width] as [rows, 1, heads, width]: every head has the one key.
static View withOneKey(const View &from) {
  View view = from;
  view.rank = 4;
  view.dims[3] = from.dims[2];
  view.strides[3] = from.strides[2];
  view.dims[2] = from.dims[1];
  view.strides[2] = from.strides[1];
  view.dims[1] = 1;
  view.strides[1] = 0;
  return view;
}

Status Launcher::latentAttention(const program::LatentAttentionT &command,
                                 uint32_t layer) {
  MBC_ASSIGN(bool decoded, decodeLatent(command, layer));
  if (decoded)
    return {};
  View latent = view(command.latent), rope = view(command.k_rope);
  MBC_TRY(append(latent, rope, command.state, layer));
  const program::StateT &table = *program.states[command.state];
  View q = view(command.q_nope), up = view(command.up), out = view(command.out);
  int64_t heads = q.dims[1], width = latent.dims[1];
  if (!command.absorbed) {
    MBC_ASSIGN(bool done, expandedAttention({q, view(command.q_rope), up, out,
                                             stateAt(command.state, 0, layer),
                                             stateAt(command.state, 1, layer),
                                             elemOf(table.dtype), width},
                                            static_cast<float>(command.scale)));
    if (done)
      return {};
  }
  // Queries against latents, and what they see: float32 [rows, heads, latent].
  View turned{};
  turned.elem = Elem::F32;
  turned.rank = 3;
  turned.dims[0] = bound.rows;
  turned.dims[1] = heads;
  turned.dims[2] = width;
  turned.strides[0] = heads * width;
  turned.strides[1] = width;
  turned.strides[2] = 1;
  uint64_t bytes = aligned(uint64_t(bound.rows) * heads * width * 4);

  AttentionArguments arguments{};
  arguments.moreQ = withOneKey(view(command.q_rope));
  arguments.keys = arguments.values = stateAt(command.state, 0, layer);
  arguments.moreKeys = stateAt(command.state, 1, layer);
  arguments.places = places();
  arguments.keySlot = arguments.valueSlot = table.widths[0];
  arguments.moreKeySlot = table.widths[1];
  arguments.elem = elemOf(table.dtype);
  arguments.kv = 1;
  arguments.group = static_cast<int32_t>(heads);
  arguments.first = arguments.width = static_cast<int32_t>(width);
  arguments.second = static_cast<int32_t>(rope.dims[1]);
  arguments.causal = 1;
  arguments.scale = static_cast<float>(command.scale);
  MBC_ASSIGN(std::byte * work,
             session.scratch(2 * bytes + partialBytes(arguments)));
  arguments.q = withOneKey(asElements(turned, work));
  arguments.out = withOneKey(asElements(turned, work + bytes));
  MBC_TRY(latentQueries(command, work, Elem::F32));
  MBC_TRY(attend(arguments, work + 2 * bytes));
  return latentValues(command, reinterpret_cast<const float *>(work + bytes),
                      0);
}

} // namespace mbc::cuda
