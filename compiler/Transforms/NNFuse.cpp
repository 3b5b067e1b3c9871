//===- NNFuse.cpp - Clusters of row operations ----------------------------===//

#include "compiler/Transforms/NNPasses.h"
#include "dialects/NN/NNOps.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"

#include <deque>

namespace mbc::nn {
#define GEN_PASS_DEF_NNFUSE
#include "compiler/Transforms/NNPasses.h.inc"
} // namespace mbc::nn

using namespace mlir;
using namespace mbc;
using namespace mbc::nn;

namespace {

using Members = llvm::SmallSetVector<Operation *, 8>;

/// The rows that an operation computes: its results' first axis.
AxisAttr rowsOf(Operation *op) {
  auto type = cast<nn::TensorType>(op->getResult(0).getType());
  return type.getOut().empty() ? AxisAttr() : type.getOut().front();
}

class Fuser {
public:
  explicit Fuser(mlir::Block &block) : block(block) {}

  void run() {
    for (Operation &op : block.without_terminator())
      if (isRowOp(&op))
        join(&op);
    // In block order: a cluster takes the place of its last member.
    SmallVector<Members *> clusters;
    for (Operation &op : block.without_terminator())
      if (auto it = clusterOf.find(&op);
          it != clusterOf.end() && it->second->back() == &op)
        clusters.push_back(it->second);
    for (Members *members : clusters)
      build(*members);
  }

private:
  void join(Operation *op);
  bool reachesLaterOnly(const Members &members, Operation *op);
  void build(const Members &members);

  mlir::Block &block;
  DenseMap<Operation *, Members *> clusterOf;
  std::deque<Members> storage;
};

} // namespace

/// Whether the members can move down to `op`: nothing before it uses them.
bool Fuser::reachesLaterOnly(const Members &members, Operation *op) {
  return llvm::all_of(members, [&](Operation *member) {
    return llvm::all_of(member->getUsers(), [&](Operation *user) {
      Operation *there = block.findAncestorOpInBlock(*user);
      return members.contains(there) || !there->isBeforeInBlock(op);
    });
  });
}

/// Takes the operation into the clusters that feed it, which become one.
void Fuser::join(Operation *op) {
  Members all;
  llvm::SmallSetVector<Members *, 4> feeders;
  for (Value operand : op->getOperands())
    if (Operation *producer = operand.getDefiningOp())
      if (auto it = clusterOf.find(producer); it != clusterOf.end())
        if (rowsOf(producer) == rowsOf(op) && reachesLaterOnly(*it->second, op))
          feeders.insert(it->second);
  for (Members *feeder : feeders)
    all.insert_range(*feeder);
  // Two feeders, one of which uses the other, keep the block's order.
  SmallVector<Operation *> sorted(all.takeVector());
  llvm::sort(sorted,
             [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  sorted.push_back(op);
  Members &joined = storage.emplace_back();
  joined.insert_range(sorted);
  for (Operation *member : joined)
    clusterOf[member] = &joined;
}

void Fuser::build(const Members &members) {
  llvm::SmallSetVector<Value, 8> inputs, results;
  for (Operation *member : members) {
    for (Value operand : member->getOperands())
      if (!operand.getDefiningOp() ||
          !members.contains(operand.getDefiningOp()))
        inputs.insert(operand);
    for (Value result : member->getResults())
      if (llvm::any_of(result.getUsers(), [&](Operation *user) {
            return !members.contains(user);
          }))
        results.insert(result);
  }
  OpBuilder builder(members.back());
  SmallVector<Location> places;
  for (Operation *member : members)
    places.push_back(member->getLoc());
  auto cluster = ClusterOp::create(
      builder, builder.getFusedLoc(places),
      llvm::map_to_vector(results, [](Value v) { return v.getType(); }),
      inputs.getArrayRef());
  mlir::Block &body = cluster.getBody().emplaceBlock();
  IRMapping map;
  for (Value input : inputs)
    map.map(input, body.addArgument(input.getType(), input.getLoc()));
  OpBuilder inside = OpBuilder::atBlockEnd(&body);
  for (Operation *member : members)
    inside.clone(*member, map);
  YieldOp::create(
      inside, cluster.getLoc(),
      llvm::map_to_vector(results, [&](Value v) { return map.lookup(v); }));
  for (size_t i = 0; i < results.size(); ++i) {
    Value value = results[i];
    value.replaceAllUsesWith(cluster.getResult(i));
  }
  for (Operation *member : llvm::reverse(members))
    member->erase();
}

namespace {

struct NNFuse : nn::impl::NNFuseBase<NNFuse> {
  using NNFuseBase::NNFuseBase;

  void runOnOperation() override {
    SmallVector<mlir::Block *> blocks;
    getOperation()->walk([&](EntryOp entry) {
      blocks.push_back(&entry.getBody().front());
      entry.walk([&](RepeatOp repeat) {
        for (Region &kind : repeat.getKinds())
          blocks.push_back(&kind.front());
      });
    });
    for (mlir::Block *block : blocks)
      Fuser(*block).run();
  }
};

} // namespace
