#include "weights/sharded_blocks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <functional>

#include "core/error.h"
#include "io/safetensors.h"
#include "io/safetensors_writer.h"
#include "support/cpu_context.h"
#include "support/simulated_queues.h"
#include "support/temp_dir.h"
#include "support/thread_ranks.h"

namespace wan::weights {
namespace {

using testing::Each;
using testing::HasSubstr;

/// Files of two models; element k of block b's tensors tells model, block and element.
struct Models {
  static constexpr int64_t blocks = 5;

  Models() {
    for (int model = 0; model < 2; ++model) {
      const auto path = dir.path() / (std::to_string(model) + ".safetensors");
      io::SafetensorsWriter writer(path);
      for (int64_t b = 0; b < blocks; ++b) {
        std::vector<float> m(30 * 20), v(31);
        for (size_t k = 0; k < m.size(); ++k) m[k] = matrix(model, b, static_cast<int64_t>(k));
        for (size_t k = 0; k < v.size(); ++k) v[k] = vector(model, b, static_cast<int64_t>(k));
        writer.add(name(b, "m"), std::vector<int64_t>{30, 20}, std::span<const float>(m));
        writer.add(name(b, "v"), std::vector<int64_t>{31}, std::span<const float>(v));
      }
      writer.commit();
      index[static_cast<size_t>(model)] = io::open_safetensors(path).tensors;
    }
    for (int64_t b = 0; b < blocks; ++b)
      specs.push_back({{name(b, "m"), {30, 20}, WeightKind::matrix}, {name(b, "v"), {31}, WeightKind::vector}});
  }
  // Numbers that bf16 has.
  static float matrix(int model, int64_t b, int64_t k) { return static_cast<float>((k % 13) * 10 + b + 5 * model); }
  static float vector(int model, int64_t b, int64_t k) { return static_cast<float>(1000 * model + 100 * b + k); }
  static std::string name(int64_t block, const char* tensor) { return std::to_string(block) + "." + tensor; }

  test::TempDir dir;
  std::array<io::TensorIndex, 2> index;
  std::vector<std::vector<WeightSpec>> specs;
};

const Policy policy{DType::bf16, false, &host_memory()};

bool right(int model, int64_t block, std::span<const Tensor> tensors) {
  const Tensor &m = tensors[0], &v = tensors[1];
  bool same = m.shape == Shape{30, 20} && v.shape == Shape{31};
  for (int64_t k = 0; k < m.numel(); ++k)
    same = same && static_cast<float>(m.ptr<bf16>()[k]) == Models::matrix(model, block, k);
  for (int64_t k = 0; k < v.numel(); ++k) same = same && v.ptr<float>()[k] == Models::vector(model, block, k);
  return same;
}

/// One rank's queues of exchanges (0) and of computing (1).
class SimulatedQueues final : public GatherQueue {
 public:
  explicit SimulatedQueues(unsigned seed) : queues_(seed) {}
  void* stream() override { return this; }
  CopyQueue& shards() override { return shards_; }
  void mark_gathered(int64_t slot) override { queues_.mark(0, gathered_, slot); }
  void compute_after_gather(int64_t slot) override { queues_.hold(1, gathered_, slot); }
  void mark_computed(int64_t slot) override { queues_.mark(1, computed_, slot); }
  void gather_after_compute(int64_t slot) override { queues_.hold(0, computed_, slot); }
  void finish() override { queues_.finish(0); }

  void ask(size_t queue, std::function<void()> work) { queues_.ask(queue, std::move(work)); }
  void finish_all() { queues_.finish_all(); }

 private:
  using Marks = test::SimulatedQueues::Marks;

  /// Shards are copied at once, after what has to be waited for.
  class ShardCopies final : public CopyQueue {
   public:
    explicit ShardCopies(test::SimulatedQueues& queues) : queues_(queues) {}
    MemoryResource& host() override { return host_memory(); }
    void lock_pages(void*, int64_t) override {}
    void copy(void* device, const void* host, int64_t bytes) override { copies_.copy(device, host, bytes); }
    Upload& upload() override { return copies_.upload(); }
    void mark_copied(int64_t) override {}
    void compute_after_copies(int64_t) override {}
    void mark_computed(int64_t slot) override { queues_.mark(0, used_, slot); }
    void copies_after_compute(int64_t slot) override {
      if (const auto found = used_.find(slot); found != used_.end())
        queues_.run_until([done = found->second] { return *done; });
    }
    void finish() override {}

   private:
    test::SimulatedQueues& queues_;
    HostCopyQueue copies_;
    Marks used_;
  };

  test::SimulatedQueues queues_;
  Marks gathered_, computed_;
  ShardCopies shards_{queues_};
};

/// Gathers when the queue comes to it.
class QueuedCommunicator final : public comm::Communicator {
 public:
  QueuedCommunicator(comm::Communicator& world, SimulatedQueues& queues) : world_(world), queues_(queues) {}
  int rank() const noexcept override { return world_.rank(); }
  int size() const noexcept override { return world_.size(); }
  void all_gather(std::span<const std::byte> from, std::span<std::byte> to, void* stream) override {
    EXPECT_EQ(stream, queues_.stream());
    queues_.ask(0, [=, this] { world_.all_gather(from, to, nullptr); });
  }
  std::unique_ptr<Communicator> split(int) override { return nullptr; }
  void all_to_all(std::span<const std::byte>, std::span<std::byte>, void*) override {}
  void all_reduce(std::span<float>, comm::Reduction, void*) override {}
  void send(std::span<const std::byte>, int, void*) override {}
  void receive(std::span<std::byte>, int, void*) override {}
  void barrier(void*) override {}

 private:
  comm::Communicator& world_;
  SimulatedQueues& queues_;
};

/// What a rank has, with room for all of its shards or for few.
struct Rank {
  Rank(const Models& models, comm::Communicator& world, GatherQueue& queue, StreamedBlocks::Counts counts)
      : pool(host_memory(), queue.shards(),
             StreamedBlocks::place_bytes(models.index[0], models.specs, DType::bf16, {0, world.size()}),
             counts.resident == Models::blocks ? 2 * Models::blocks : counts.resident + 2),
        gathered(host_memory(), queue, world,
                 ShardedBlocks::place_bytes(models.index[0], models.specs, DType::bf16, world.size())),
        high(models.index[0], models.specs, policy, pool, counts, gathered),
        low(models.index[1], models.specs, policy, pool, counts, gathered) {}
  BlockPool pool;
  GatherPool gathered;
  ShardedBlocks high, low;
};

TEST(PackedLayout, ShardsArePiecesOfTheWhole) {
  const Models models;
  const PackedLayout whole(models.index[0], models.specs[0], DType::bf16);
  for (int of = 2; of <= 8; ++of) {
    std::vector<std::byte> all;
    for (int rank = 0; rank < of; ++rank) {
      const PackedLayout part = whole.part({rank, of});
      EXPECT_EQ(part.bytes() % 256, 0);
      EXPECT_LT(part.bytes(), whole.bytes() / of + 256);
      EXPECT_GE(part.bytes() * of, whole.bytes());
      std::vector<std::byte> mine(static_cast<size_t>(part.bytes()));
      for (const auto& piece : part.pieces_at(mine.data(), {}))
        for (int64_t k = 0; k < piece.to.numel(); ++k) {
          if (piece.spec == 0)
            piece.to.ptr<bf16>()[k] = bf16(Models::matrix(0, 0, piece.first + k));
          else
            piece.to.ptr<float>()[k] = Models::vector(0, 0, piece.first + k);
        }
      all.insert(all.end(), mine.begin(), mine.end());
    }
    EXPECT_TRUE(right(0, 0, whole.tensors_at(all.data(), {}))) << of;
  }
}

TEST(PackedLayout, ConvolutionsAreNotSpreadOverRanks) {
  test::TempDir dir;
  const std::vector<float> values(16);
  io::SafetensorsWriter writer(dir.path() / "c.safetensors");
  writer.add("c", std::vector<int64_t>{2, 2, 2, 2}, std::span<const float>(values));
  writer.commit();
  const io::TensorIndex index = io::open_safetensors(dir.path() / "c.safetensors").tensors;
  const WeightSpec spec{"c", {2, 2, 2, 2}, WeightKind::conv};
  const PackedLayout layout(index, std::span(&spec, 1), DType::f32);
  EXPECT_NO_THROW((void)layout.part({0, 1}));
  EXPECT_THROW((void)layout.part({0, 2}), Error);
}

// However many ranks, however little of the shards fits, and however late exchanges and computing are: work sees its
// own block.
TEST(ShardedBlocks, EveryRankSeesEveryBlockWhateverTheDelays) {
  const Models models;
  unsigned seed = 0;
  for (int size = 2; size <= 8; ++size)
    for (const StreamedBlocks::Counts counts : {StreamedBlocks::Counts{Models::blocks, 0}, {2, 1}, {0, 0}}) {
      const unsigned of_run = ++seed * 100;
      std::atomic<int64_t> wrong = 0, seen = 0;
      EXPECT_THAT(test::on_ranks(size,
                                 [&](comm::Communicator& world) {
                                   SimulatedQueues queues(of_run + static_cast<unsigned>(world.rank()));
                                   QueuedCommunicator queued(world, queues);
                                   test::CpuContext cpu;
                                   Rank rank(models, queued, queues, counts);
                                   const auto pass = [&](ShardedBlocks& blocks, int model) {
                                     for (int64_t i = 0; i < blocks.blocks(); ++i) {
                                       const Lease lease = blocks.acquire(cpu.ctx, i);
                                       queues.ask(
                                           1, [&, model, i,
                                               tensors = std::vector(lease.tensors().begin(), lease.tensors().end())] {
                                             wrong += !right(model, i, tensors);
                                             ++seen;
                                           });
                                     }
                                   };
                                   for (int run = 0; run < 2; ++run) {
                                     pass(rank.high, 0);
                                     if (run == 0) rank.high.announce(rank.low);
                                     pass(rank.high, 0);
                                     pass(rank.low, 1);
                                     pass(rank.low, 1);
                                     if (run == 0) rank.gathered.forget();
                                   }
                                   queues.finish_all();
                                 }),
                  Each(""));
      EXPECT_EQ(wrong, 0) << size << " ranks, " << counts.resident << " shards resident";
      EXPECT_EQ(seen, size * 8 * Models::blocks);
    }
}

TEST(ShardedBlocks, OnePassGathersEachBlockOnceAndTheNextModelsFirstOne) {
  const Models models;
  EXPECT_THAT(test::on_ranks(3,
                             [&](comm::Communicator& world) {
                               HostGatherQueue queue;
                               test::CpuContext cpu;
                               Rank rank(models, world, queue, {Models::blocks, 0});
                               rank.high.announce(rank.low);
                               for (int64_t i = 0; i < Models::blocks; ++i) (void)rank.high.acquire(cpu.ctx, i);
                               EXPECT_EQ(rank.gathered.gathers(), Models::blocks + 1);
                               EXPECT_TRUE(right(1, 0, rank.low.acquire(cpu.ctx, 0).tensors()));
                               EXPECT_EQ(rank.gathered.gathers(), Models::blocks + 2);  // and its second block
                               rank.gathered.release();
                               EXPECT_TRUE(right(1, 3, rank.low.acquire(cpu.ctx, 3).tensors()));
                             }),
              Each(""));
}

TEST(ShardedBlocks, ABlockThatNoPlaceIsFreeForIsRefused) {
  const Models models;
  EXPECT_THAT(test::on_ranks(2,
                             [&](comm::Communicator& world) {
                               HostGatherQueue queue;
                               test::CpuContext cpu;
                               Rank rank(models, world, queue, {Models::blocks, 0});
                               const Lease a = rank.high.acquire(cpu.ctx, 0), b = rank.high.acquire(cpu.ctx, 1);
                               (void)rank.high.acquire(cpu.ctx, 2);
                             }),
              Each(HasSubstr("both places")));
}

TEST(ShardedBlocks, ARankThatLeavesIsNamed) {
  const Models models;
  const auto errors = test::on_ranks(3, [&](comm::Communicator& world) {
    HostGatherQueue queue;
    test::CpuContext cpu;
    Rank rank(models, world, queue, {Models::blocks, 0});
    for (int64_t i = 0; i < (world.rank() == 2 ? 2 : Models::blocks); ++i) (void)rank.high.acquire(cpu.ctx, i);
  });
  EXPECT_THAT(errors[0], HasSubstr("rank 2"));
  EXPECT_THAT(errors[1], HasSubstr("rank 2"));
  EXPECT_EQ(errors[2], "");
}

}  // namespace
}  // namespace wan::weights
