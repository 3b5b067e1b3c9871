//===- Launcher.h - One call of a function on a GPU -------------*- C++ -*-===//
#pragma once

#include "runtime/cuda/Session.h"
#include "runtime/cuda/kernels/Arguments.h"

#include <set>

namespace mbc::cuda {

/// What a latent attention reads and writes.
struct LatentAttentionViews {
  View qNope, qRope;           ///< [rows, heads, nope], [rows, heads, rope]
  View up;                     ///< [heads, nope + v, latent]
  View out;                    ///< [rows, heads, v]
  const void *latents, *ropes; ///< of the state, by slots
  Elem elem;                   ///< of the state
  int64_t latentWidth;
};

/// Puts the commands of a call on the stream of a session. Inputs lie together
/// in one block of pinned memory and are copied at once; kernels find the
/// numbers of rows, and where each row stands in its sequence, beside them.
class Launcher {
public:
  /// `lane`: which buffers of the session are its own for as long as the call
  /// is under way. `follows`: as Session::start says.
  Launcher(Session &session, const program::FunctionT &function,
           const Call &call, BoundCall bound, size_t lane, bool follows);

  /// Bytes of device memory for the inputs and outputs of a function.
  static uint64_t portBytes(const program::FunctionT &function);
  /// Of these, what is copied to the device at once for each call.
  static uint64_t numberBytes(const program::FunctionT &function);

  /// Scratch for values of the FP8 weights of a program.
  static uint64_t valueBytes(const program::ProgramT &program);

  const std::string &name() const { return function.name; }
  /// Of what the caller wants of all outputs.
  uint64_t resultBytes() const { return bytesOfResults; }

  /// Few rows, as decoding has them: what launching takes counts, and such
  /// calls come again.
  bool isSmall() const;
  CallShape shape() const;

  /// Puts the call's numbers where they leave from, which nothing that is
  /// under way may use.
  void stageInputs();
  /// Copies of inputs, commands and copies of outputs. Whether the same holds
  /// for other calls of this shape.
  Expected<bool> enqueue();
  /// Gives the caller the outputs, once the device is done.
  void deliver() const;

private:
  Status sendInputs();
  Status fetchOutputs();
  Status takeChosen();
  std::span<std::byte> wanted(const program::PortT &output) const;
  /// Of `rows` rows of an output of logits; in `Session::chosen`.
  Expected<const std::byte *> chooseTokens(const program::PortT &output,
                                           const std::byte *logits,
                                           int64_t rows);
  /// Draws the tokens of rows of which the likeliest are chosen.
  Status draw(const float *logits, int64_t vocab, int64_t rows);
  Status runBody(const program::BodyT &body, uint32_t layer);
  Status runCommand(const program::OpUnion &op, uint32_t layer);

  Status embed(const program::EmbedT &command);
  Status take(const program::TakeT &command);
  Status place(const program::PlaceT &command);
  Status copy(const View &from, const View &to, Count count, int64_t rows);
  Status tap(const program::TapT &command, uint32_t layer);
  Status angles(const program::AnglesT &command);
  Status rows(const program::RowsT &command);
  Status generatedRows(const program::RowsT &command);
  Status gemm(const program::GemmT &command);
  Status groupedGemm(const program::GroupedGemmT &command);
  /// What of a product does not depend on its rows of x: a weight of the
  /// current layer, with scales where it is FP8.
  ProductArguments productOf(uint32_t x, uint32_t weight, uint32_t out) const;
  Status multiply(const ProductArguments &product, int64_t m, Count count);
  /// What is fused in calls of so many rows; null: nothing.
  const Fusion *fusionOf(int64_t rows) const;
  /// Whether products do what a command says.
  bool isFused(const program::RowsT &command) const;
  Status multiplyFused(const ProductArguments &product,
                       const FusedProduct &fused, int64_t m, Count count);
  NormArguments normOf(const FusedProduct::Norm &norm) const;
  ElementArguments elementsOf(const FusedProduct &fused) const;
  /// Few rows with an FP8 weight, whose rows can be read in pieces of 16 bytes;
  /// false: they are too many.
  Expected<bool> multiplyScaledRows(const ProductArguments &product, int64_t m,
                                    Count count);
  /// Makes the values of an FP8 weight in x's type and multiplies those, part
  /// by part.
  Status multiplyValues(const ProductArguments &product, int64_t m,
                        Count count);
  /// Products of groups, or of one, on tensor cores; `m` rows of all groups
  /// together. False where they do not take them.
  Expected<bool> multiplyGroups(const ProductArguments &product, int64_t m,
                                Count count);
  Status attention(const program::AttentionT &command, uint32_t layer);
  /// False where there is no kernel that appends, attends and puts parts
  /// together at once, nor, with `turns`, turns queries and keys before that;
  /// nothing was done then.
  Expected<bool> decode(const program::AttentionT &command, uint32_t layer,
                        const HeadTurns *turns = nullptr);
  /// Does the work of a row kernel that turns queries and keys: together with
  /// the attention after it, or with what that leaves in the state. False:
  /// nothing was done.
  Expected<bool> turned(const program::RowsT &command, uint32_t layer);
  /// The latter, of many rows.
  Expected<bool> turnAndAppend(const HeadTurns &turns, uint32_t layer);
  /// None where kernels that turn heads of this type cannot read them.
  std::optional<HeadTurn> headTurn(const HeadTurns &turns, Elem elem) const;
  Status attentionOfParts(const program::AttentionT &command);
  Status latentAttention(const program::LatentAttentionT &command,
                         uint32_t layer);
  /// Few rows in 16 bits on tensor cores. False where widths or types are
  /// others; nothing was done then.
  Expected<bool> decodeLatent(const program::LatentAttentionT &command,
                              uint32_t layer);
  /// Queries against latents, [rows, heads, latent] of `elem`.
  Status latentQueries(const program::LatentAttentionT &command, void *to,
                       Elem elem);
  /// Results of what heads saw of latents; `parts`: as mbc_latent_values has
  /// it.
  Status latentValues(const program::LatentAttentionT &command,
                      const float *seen, int parts);
  /// `parts` of `partial` are decided here; `work`: scratch from here on.
  Status attend(AttentionArguments arguments, std::byte *work);
  /// Attention of many rows on tensor cores. False where it does not take them.
  Expected<bool> flash(const AttentionArguments &arguments);
  uint64_t partialBytes(const AttentionArguments &arguments) const;
  /// Whether rows of such a type may be cuDNN's.
  bool prefills(Elem elem) const;
  /// What cuDNN would compute; none where it does not take it, or where the
  /// function is of few rows.
  std::optional<CudnnShape>
  prefillShape(const AttentionArguments &arguments) const;
  Status prefill(const CudnnShape &shape, const AttentionArguments &arguments,
                 std::byte *work);
  /// Keys and values are made of the latents, for some heads at once. False:
  /// nothing was done, for cuDNN or cuBLASLt does not take it.
  Expected<bool> expandedAttention(const LatentAttentionViews &of, float scale);
  /// `slots` as SequenceArguments has it.
  Expected<SequenceTables> tablesFor(const CudnnShape &shape,
                                     const RowPlace *standing, int64_t slots);
  Status attendWith(const CudnnShape &shape, const SequenceTables &tables,
                    const void *q, const void *k, const void *v, void *out,
                    std::byte *work);
  Status append(const View &keys, const View &values, size_t state,
                uint32_t layer);
  Status route(const program::RouteT &command);
  Status group(const program::GroupT &command);
  Status scatter(const program::ScatterT &command);
  Status combine(const program::CombineT &command);

  /// A view in the current layer.
  View view(uint32_t index) const;
  /// Of a stack of weights the current layer's.
  size_t instanceOf(uint32_t weight) const;
  /// Rows that a view has in this call, and how a kernel finds their number.
  int64_t rowsIn(const View &view) const;
  Count countOf(const View &view) const;
  std::byte *stateAt(size_t state, size_t part, uint32_t layer) const;
  const RowPlace *places() const;
  const int32_t *counts() const;

  Session &session;
  const program::ProgramT &program;
  const program::FunctionT &function;
  const Call &call;
  BoundCall bound;
  uint32_t currentLayer = 0;
  const Session::Fusions *fusions = nullptr;
  /// What was done by the command before it: attention, or its appends.
  const program::AttentionT *attended = nullptr, *appended = nullptr;
  /// The most tokens that a sequence has with this call, or somewhat more: the
  /// same for all calls of a shape.
  int64_t longest = 0;
  /// What is launched follows from the shape alone.
  bool repeats = true;
  /// Bytes from the start of the ports.
  std::vector<uint64_t> inputOffsets, outputOffsets;
  uint64_t countsOffset = 0, placesOffset = 0, drawingsOffset = 0;
  uint64_t bytesOfResults = 0;
  size_t lane;
  bool follows;
  /// Outputs of which he wants tokens.
  std::set<std::string, std::less<>> chosen;
  /// Rows of an attention without a state are of several parts.
  bool severalParts = false;
  /// Tables of sequences that were filled in this call.
  std::set<const std::byte *> tablesMade;
};

/// Whether the elements of a view can be read in pieces of 16 bytes.
bool inWholePieces(const View &view);
/// How kernels name a type.
Elem elemOf(plan::DType dtype);
/// Where the next piece of a block of memory begins.
constexpr uint64_t aligned(uint64_t bytes) { return (bytes + 255) / 256 * 256; }
/// Threads of a block that goes through `width` elements.
unsigned threadsFor(int64_t width);

} // namespace mbc::cuda
