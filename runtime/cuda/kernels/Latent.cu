//===- Latent.cu - Decoding attention over latents ------------*- CUDA -*-===//
//
// The absorbed form, of few rows in 16 bits: a query of every head meets one
// key of two parts, latent and rotary, whose latent part is the value too. A
// block is a row, 16 heads for each of its groups of four warps, and a part of
// the keys; 32 keys at a time are copied to shared memory, where all of its
// heads read them, while the 32 before are multiplied. Scores are sums over
// elements of a key, of which each warp of a group has every fourth 16; their
// sums over the warps go through shared memory. Of the values each warp has
// every fourth 16 columns. Sums and scores are float32, what keys weigh is
// rounded to the type of the values, and queries against latents are too.
//
// Parts are put together by `mbc_latent_values`, which has a block for each row
// and head, and turns what the head saw into its result.
//
// Latents of the call's own rows come from the call; the first part of the
// first heads writes a row's to the state. Reference:
// runtime/host/LatentAttention.cpp.
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/kernels/TensorCore.cuh"

using namespace mbc::cuda;

namespace {

constexpr int tileKeys = 32, warpsOfGroup = 4, headsOfGroup = 16;
/// Steps of 16 elements of a key, and columns of 16, that a warp has at most.
constexpr int mostSteps = 9, mostColumns = 8;
/// Panels are 64 elements of every key of a tile.
constexpr int panelBytes = tileKeys * 128;
constexpr float lowest = -__builtin_inff();
constexpr float log2e = 1.4426950408889634f;

/// Shared memory, where a panel may begin.
struct alignas(1024) Lines {
  char bytes[1024];
};

/// Tiles of keys that a row sees, and parts that have some.
__device__ int tilesOf(const RowPlace &place) {
  return (place.index + tileKeys) / tileKeys;
}
__device__ int partsOf(const RowPlace &place, int most) {
  return min(most, tilesOf(place));
}

/// Widths that are known when this is compiled, or 0: any.
template <int Width, int Rope> struct Widths {
  static constexpr bool known = Width > 0;
  static __device__ int latent(const LatentArguments &given) {
    return known ? Width : given.width;
  }
  static __device__ int rope(const LatentArguments &given) {
    return known ? Rope : given.rope;
  }
};

template <typename T, typename Of> struct Keys {
  const LatentArguments &given;
  int64_t row;
  RowPlace place;
  /// The first key of the call's own; what earlier calls left is before it.
  int firstNew;

  __device__ const T *latent(int key) const {
    return key < firstNew
               ? static_cast<const T *>(given.latents) +
                     int64_t(place.slot + key) * Of::latent(given)
               : static_cast<const T *>(given.latent.data) +
                     (row + key - place.index) * given.latent.strides[0];
  }
  __device__ const T *rope(int key) const {
    return key < firstNew
               ? static_cast<const T *>(given.ropes) +
                     int64_t(place.slot + key) * Of::rope(given)
               : static_cast<const T *>(given.kRope.data) +
                     (row + key - place.index) * given.kRope.strides[0];
  }

  /// Copies a tile; keys that the row does not see are zeros.
  template <int Threads> __device__ void copy(char *to, int tile) const {
    int chunk = threadIdx.x % 8;
    for (int line = threadIdx.x / 8; line < tileKeys; line += Threads / 8) {
      int key = tile * tileKeys + line;
      bool seen = key <= place.index;
      char *at = to + chunkAt(line, chunk);
      auto side = [&](const T *from, int width) {
#pragma unroll
        for (int panel = 0; panel < width; panel += 64) {
          int i = panel + chunk * 8;
          bool inside = seen && i < width;
          copyAsync(at, inside ? from + i : given.latents, inside);
          at += panelBytes;
        }
      };
      int known = min(key, place.index);
      side(latent(known), Of::latent(given));
      side(rope(known), Of::rope(given));
    }
    commitCopies();
  }

  /// The row's own latent and rotary key, to the state.
  template <int Threads> __device__ void append() const {
    int64_t slot = place.slot + place.index;
    auto copy = [&](void *state, const T *from, int width) {
      auto *to = static_cast<T *>(state) + slot * width;
      for (int i = threadIdx.x * 8; i < width; i += Threads * 8)
        *reinterpret_cast<uint4 *>(to + i) =
            *reinterpret_cast<const uint4 *>(from + i);
    };
    copy(given.latents, latent(place.index), Of::latent(given));
    copy(given.ropes, rope(place.index), Of::rope(given));
  }
};

/// Where 16 elements of a tile's keys from `element` on lie: their panel, and
/// chunk in it.
__device__ const char *panelOf(int width, const char *tile, int step,
                               int &chunk) {
  int latent = width / 16, panels = (width + 63) / 64;
  bool rope = step >= latent;
  int within = rope ? step - latent : step;
  chunk = within % 4 * 2;
  return tile + (within / 4 + (rope ? panels : 0)) * panelBytes;
}

template <typename T, int Groups, typename Of>
__device__ void attend(const LatentArguments &given, Count count) {
  constexpr int threads = 32 * warpsOfGroup * Groups;
  MBC_DYNAMIC_SHARED(Lines, shared);
  __shared__ float4 exchanged[Groups][warpsOfGroup][tileKeys / 8][32];
  letNextStart();
  int64_t row = blockIdx.x;
  // Numbers and places are the call's inputs, and older keys are earlier
  // calls': all of it is there before other kernels end.
  const RowPlace place = given.places[row];
  int parts = partsOf(place, given.parts), part = blockIdx.z;
  if (row >= rowsOf(count) || part >= parts) {
    waitForEarlier();
    return;
  }
  const int width = Of::latent(given), rope = Of::rope(given);
  Keys<T, Of> keys{given, row, place, place.index};
  for (int64_t r = row; r > 0 && given.places[r - 1].sequence == place.sequence;
       --r)
    --keys.firstNew;
  int tiles = tilesOf(place), tile = int(int64_t(tiles) * part / parts),
      endTile = int(int64_t(tiles) * (part + 1) / parts);
  const int stageBytes =
      ((width + 63) / 64 + (rope + 63) / 64) * panelBytes;
  auto stage = [&](int of) { return shared->bytes + of % 2 * stageBytes; };
  bool ahead = (tile + 1) * tileKeys <= keys.firstNew;
  if (ahead)
    keys.template copy<threads>(stage(tile), tile);
  waitForEarlier();
  if (!ahead)
    keys.template copy<threads>(stage(tile), tile);
  if (part == 0 && blockIdx.y == 0)
    keys.template append<threads>();

  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const int warp = threadIdx.x / 32 % warpsOfGroup,
            group = threadIdx.x / 32 / warpsOfGroup;
  const int head0 = (int(blockIdx.y) * Groups + group) * headsOfGroup;
  const int latentSteps = width / 16, steps = latentSteps + rope / 16;
  // Of the heads g and g + 8.
  uint32_t q[mostSteps][4];
#pragma unroll
  for (int i = 0; i < mostSteps; ++i) {
    int step = warp + warpsOfGroup * i;
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      int head = head0 + g + e % 2 * 8;
      q[i][e] = 0;
      if (step >= steps || head >= given.heads)
        continue;
      const T *from = step < latentSteps
                          ? static_cast<const T *>(given.q) +
                                (row * given.heads + head) * width +
                                16 * step
                          : static_cast<const T *>(given.qRope.data) +
                                row * given.qRope.strides[0] +
                                head * given.qRope.strides[1] +
                                16 * (step - latentSteps);
      q[i][e] =
          *reinterpret_cast<const uint32_t *>(from + 2 * t + e / 2 * 8);
    }
  }

  const float scale = given.scale * log2e;
  float high[2] = {lowest, lowest}, total[2] = {};
  float sums[mostColumns][2][4] = {};
  for (; tile < endTile; ++tile) {
    waitForCopies<0>();
    // It is there for all, and nobody reads the one before.
    __syncthreads();
    const char *here = stage(tile);
    if (tile + 1 < endTile)
      keys.template copy<threads>(stage(tile + 1), tile + 1);

    float scores[tileKeys / 8][4] = {};
#pragma unroll
    for (int i = 0; i < mostSteps; ++i) {
      int step = warp + warpsOfGroup * i;
      // With known widths every warp has as many, and goes on without a branch.
      if (!Of::known && step >= steps)
        break;
      int chunk;
      const char *panel = panelOf(width, here, step, chunk);
#pragma unroll
      for (int j = 0; j < tileKeys / 16; ++j) {
        uint32_t k[4];
        loadMatrices(k, panel + chunkAt(16 * j + lane / 16 * 8 + lane % 8,
                                        chunk + lane / 8 % 2));
        multiplyAdd<T>(scores[2 * j], q[i], k[0], k[1]);
        multiplyAdd<T>(scores[2 * j + 1], q[i], k[2], k[3]);
      }
    }
#pragma unroll
    for (int j = 0; j < tileKeys / 8; ++j)
      exchanged[group][warp][j][lane] = {scores[j][0], scores[j][1],
                                         scores[j][2], scores[j][3]};
    __syncthreads();
    float higher[2] = {high[0], high[1]};
#pragma unroll
    for (int j = 0; j < tileKeys / 8; ++j) {
      float4 all = exchanged[group][0][j][lane];
#pragma unroll
      for (int w = 1; w < warpsOfGroup; ++w) {
        float4 more = exchanged[group][w][j][lane];
        all.x += more.x, all.y += more.y, all.z += more.z, all.w += more.w;
      }
      float of[4] = {all.x, all.y, all.z, all.w};
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        int key = tile * tileKeys + 8 * j + 2 * t + e % 2;
        scores[j][e] = key <= place.index ? of[e] * scale : lowest;
        higher[e / 2] = fmaxf(higher[e / 2], scores[j][e]);
      }
    }
    float turn[2];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      higher[h] = fmaxf(higher[h], __shfl_xor_sync(0xffffffff, higher[h], 1));
      higher[h] = fmaxf(higher[h], __shfl_xor_sync(0xffffffff, higher[h], 2));
      turn[h] = powerOfTwo(high[h] - higher[h]);
      high[h] = higher[h];
      total[h] *= turn[h];
    }
    uint32_t weights[tileKeys / 16][4];
#pragma unroll
    for (int j = 0; j < tileKeys / 8; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        scores[j][e] = powerOfTwo(scores[j][e] - high[e / 2]);
        total[e / 2] += scores[j][e];
      }
      weights[j / 2][j % 2 * 2] = packTwo<T>(scores[j][0], scores[j][1]);
      weights[j / 2][j % 2 * 2 + 1] = packTwo<T>(scores[j][2], scores[j][3]);
    }
#pragma unroll
    for (int i = 0; i < mostColumns; ++i) {
      int column = warp + warpsOfGroup * i;
      if (!Of::known && column >= latentSteps)
        break;
      int chunk;
      const char *panel = panelOf(width, here, column, chunk);
#pragma unroll
      for (int n = 0; n < 2; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          sums[i][n][e] *= turn[e / 2];
#pragma unroll
      for (int j = 0; j < tileKeys / 16; ++j) {
        uint32_t v[4];
        loadTransposed(v, panel + chunkAt(16 * j + lane / 8 % 2 * 8 + lane % 8,
                                          chunk + lane / 16));
        multiplyAdd<T>(sums[i][0], weights[j], v[0], v[1]);
        multiplyAdd<T>(sums[i][1], weights[j], v[2], v[3]);
      }
    }
  }

#pragma unroll
  for (int h = 0; h < 2; ++h) {
    total[h] += __shfl_xor_sync(0xffffffff, total[h], 1);
    total[h] += __shfl_xor_sync(0xffffffff, total[h], 2);
    int head = head0 + g + 8 * h;
    if (head >= given.heads)
      continue;
    float *to = given.partial +
                ((row * given.heads + head) * given.parts + part) *
                    (width + 2);
    if (warp == 0 && t == 0) {
      to[width] = high[h];
      to[width + 1] = total[h];
    }
#pragma unroll
    for (int i = 0; i < mostColumns; ++i)
#pragma unroll
      for (int n = 0; n < 2; ++n) {
        int column = 16 * (warp + warpsOfGroup * i) + 8 * n + 2 * t;
        if (column < width)
          *reinterpret_cast<float2 *>(to + column) = {sums[i][n][2 * h],
                                                      sums[i][n][2 * h + 1]};
      }
  }
}

} // namespace

#define MBC_LATENT(name, T, Groups, widths, Of)                                \
  extern "C" __global__ void                                                   \
  __launch_bounds__(32 * warpsOfGroup * Groups, Groups == 1 ? 2 : 1)           \
      mbc_latent_##name##_##Groups##widths(                                    \
          const __grid_constant__ LatentArguments given, Count count) {        \
    attend<T, Groups, Of>(given, count);                                       \
  }
// Those of DeepSeek-V2 and V3, and any.
using Released = Widths<512, 64>;
static_assert((512 + 64) / 16 == warpsOfGroup * mostSteps &&
              512 / 16 == warpsOfGroup * mostColumns);
using Any = Widths<0, 0>;
#define MBC_LATENT_OF(name, T)                                                 \
  MBC_LATENT(name, T, 1, , Any)                                                \
  MBC_LATENT(name, T, 2, , Any)                                                \
  MBC_LATENT(name, T, 1, _512_64, Released)                                    \
  MBC_LATENT(name, T, 2, _512_64, Released)
MBC_LATENT_OF(bf16, __nv_bfloat16)
MBC_LATENT_OF(f16, __half)

//===----------------------------------------------------------------------===//
// Into latents and out of them
//===----------------------------------------------------------------------===//

namespace {

/// Rows of `up` that a thread has on the way, or pieces of them.
constexpr int loads = 8;

/// Whether rows of `up` can be read in pieces of 8 elements before other
/// kernels end: it is a weight.
__device__ bool inPieces(const View &up) {
  return (up.elem == Elem::BF16 || up.elem == Elem::F16) && up.shared &&
         up.dims[2] % 8 == 0 && up.strides[1] % 8 == 0 &&
         up.strides[0] % 8 == 0 && reinterpret_cast<uintptr_t>(up.data) % 16 == 0;
}
__device__ const char *upRow(const View &up, int64_t head, int64_t row) {
  return static_cast<const char *>(up.data) +
         (head * up.strides[0] + row * up.strides[1]) * 2;
}
__device__ void unpack(uint4 v, Elem elem, float (&to)[8]) {
  uint32_t words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    float2 two = twoElements(words[i], elem);
    to[2 * i] = two.x;
    to[2 * i + 1] = two.y;
  }
}

} // namespace

/// out[row, head, i] = sum over n of q[row, head, n] * up[head, n, i], of type
/// `elem`: a query against latents. blockIdx (row, head), 256 threads; shared
/// memory for a query and 2048 sums.
extern "C" __global__ void __launch_bounds__(256)
    mbc_latent_queries(View q, View up, void *out, Elem elem, Count count) {
  MBC_DYNAMIC_SHARED(float4, shared);
  letNextStart();
  int64_t row = blockIdx.x, head = blockIdx.y, heads = gridDim.y;
  int nope = int(q.dims[2]), latent = int(up.dims[2]);
  float *query = &shared->x, *sums = query + (nope + 3) / 4 * 4;
  // Threads share the columns, 8 each, and n.
  int pieces = latent / 8;
  bool wide = inPieces(up) && pieces <= int(blockDim.x);
  int slices = wide ? int(blockDim.x) / pieces : 0;
  int piece = wide ? threadIdx.x % pieces : 0,
      slice = wide ? threadIdx.x / pieces : 0;
  uint4 w[loads];
  auto load = [&](int n0) {
#pragma unroll
    for (int j = 0; j < loads; ++j) {
      int n = n0 + j * slices;
      w[j] = slice < slices && n < nope
                 ? *reinterpret_cast<const uint4 *>(upRow(up, head, n) +
                                                    piece * 16)
                 : uint4{0, 0, 0, 0};
    }
  };
  if (wide)
    load(slice);
  waitForEarlier();
  if (row >= rowsOf(count))
    return;
  for (int n = threadIdx.x; n < nope; n += blockDim.x)
    query[n] = loadElement(q.data, q.elem,
                           row * q.strides[0] + head * q.strides[1] + n);
  __syncthreads();
  int64_t to = (row * heads + head) * latent;
  if (!wide) {
    for (int i = threadIdx.x; i < latent; i += blockDim.x) {
      float sum = 0;
      for (int n = 0; n < nope; ++n)
        sum = fmaf(query[n],
                   loadElement(up.data, up.elem,
                               head * up.strides[0] + n * up.strides[1] + i),
                   sum);
      storeElement(out, elem, to + i, sum);
    }
    return;
  }
  float all[8] = {};
  for (int n0 = slice; n0 < nope; n0 += loads * slices) {
    if (n0 > slice)
      load(n0);
#pragma unroll
    for (int j = 0; j < loads; ++j) {
      int n = n0 + j * slices;
      float of[8], x = n < nope ? query[n] : 0.0f;
      unpack(w[j], up.elem, of);
#pragma unroll
      for (int i = 0; i < 8; ++i)
        all[i] = fmaf(x, of[i], all[i]);
    }
  }
  if (slice < slices)
#pragma unroll
    for (int i = 0; i < 8; ++i)
      sums[slice * latent + piece * 8 + i] = all[i];
  __syncthreads();
  for (int i = threadIdx.x; i < latent; i += blockDim.x) {
    float sum = 0;
    for (int s = 0; s < slices; ++s)
      sum += sums[s * latent + i];
    storeElement(out, elem, to + i, sum);
  }
}

/// out[row, head, v] = sum over i of up[head, nope + v, i] * x[row, head, i];
/// a warp a v. Of x there are parts, as `attend` leaves them, one for each lane
/// of a warp at most: `parts`, or fewer where the row has fewer keys; 0: x is
/// whole. blockIdx (row, head), 256 threads; shared memory for latents.
extern "C" __global__ void __launch_bounds__(256)
    mbc_latent_values(const float *x, int parts, const RowPlace *places,
                      View up, int nope, View out, Count count) {
  MBC_DYNAMIC_SHARED(float4, shared);
  letNextStart();
  float *seen = &shared->x;
  int64_t row = blockIdx.x, head = blockIdx.y, heads = gridDim.y;
  int latent = int(up.dims[2]), width = int(out.dims[2]);
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  // Two pieces of each of some rows.
  constexpr int rows = loads / 2;
  bool wide = inPieces(up) && latent <= 512;
  uint4 w[rows][2];
  auto load = [&](int v0) {
#pragma unroll
    for (int j = 0; j < rows; ++j)
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        int v = v0 + j * warps, i = (32 * h + lane) * 8;
        w[j][h] = v < width && i < latent
                      ? *reinterpret_cast<const uint4 *>(
                            upRow(up, head, nope + v) + i * 2)
                      : uint4{0, 0, 0, 0};
      }
  };
  if (wide)
    load(warp);
  waitForEarlier();
  if (row >= rowsOf(count))
    return;
  if (parts > 0) {
    int stride = latent + 2, there = partsOf(places[row], parts);
    const float *from = x + (row * heads + head) * parts * stride;
    const float *end = from + min(lane, there - 1) * stride + latent;
    float high = end[0], highest = high;
    for (int mask = 16; mask > 0; mask /= 2)
      highest = fmaxf(highest, __shfl_xor_sync(0xffffffff, highest, mask));
    float turn = lane < there ? powerOfTwo(high - highest) : 0.0f;
    float all = warpSum(turn * end[1]);
    // Whole warps go through, as all of them have a part's turn.
    for (int i0 = 32 * warp; i0 < latent; i0 += int(blockDim.x)) {
      int i = min(i0 + lane, latent - 1);
      float sum = 0;
#pragma unroll 8
      for (int p = 0; p < there; ++p)
        sum = fmaf(__shfl_sync(0xffffffff, turn, p), from[p * stride + i], sum);
      seen[i] = sum / all;
    }
  } else {
    for (int i = threadIdx.x; i < latent; i += blockDim.x)
      seen[i] = x[(row * heads + head) * latent + i];
  }
  __syncthreads();
  auto store = [&](int v, float sum) {
    sum = warpSum(sum);
    if (lane == 0)
      storeElement(out.data, out.elem,
                   row * out.strides[0] + head * out.strides[1] + v, sum);
  };
  if (!wide) {
    for (int v = warp; v < width; v += warps) {
      float sum = 0;
      for (int i = lane; i < latent; i += 32)
        sum = fmaf(loadElement(up.data, up.elem,
                               head * up.strides[0] +
                                   (nope + v) * up.strides[1] + i),
                   seen[i], sum);
      store(v, sum);
    }
    return;
  }
  for (int v0 = warp; v0 < width; v0 += rows * warps) {
    if (v0 > warp)
      load(v0);
#pragma unroll
    for (int j = 0; j < rows; ++j) {
      int v = v0 + j * warps;
      if (v >= width)
        break;
      float sum = 0;
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        int i = (32 * h + lane) * 8;
        if (i >= latent)
          continue;
        float of[8];
        unpack(w[j][h], up.elem, of);
#pragma unroll
        for (int e = 0; e < 8; ++e)
          sum = fmaf(of[e], seen[i + e], sum);
      }
      store(v, sum);
    }
  }
}
