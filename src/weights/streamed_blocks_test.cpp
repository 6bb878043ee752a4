#include "weights/streamed_blocks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <thread>

#include "core/error.h"
#include "io/safetensors.h"
#include "io/safetensors_writer.h"
#include "support/cpu_context.h"
#include "support/simulated_queues.h"
#include "support/temp_dir.h"

namespace wan::weights {
namespace {

using testing::HasSubstr;

/// A device with a queue of copies (0) and one that computes (1).
class SimulatedDevice final : public CopyQueue {
 public:
  explicit SimulatedDevice(unsigned seed) : queues_(seed) {}

  MemoryResource& host() override { return host_memory(); }
  void lock_pages(void*, int64_t) override {}
  void copy(void* device, const void* host, int64_t bytes) override {
    if (fail_copy == copies++) fail(ErrorCode::device, "[simulated] copy {} failed", fail_copy);
    queues_.ask(0, [=] { std::memcpy(device, host, static_cast<size_t>(bytes)); });
  }
  Upload& upload() override { return upload_; }
  void mark_copied(int64_t slot) override { queues_.mark(0, copied_, slot); }
  void compute_after_copies(int64_t slot) override { queues_.hold(1, copied_, slot); }
  void mark_computed(int64_t slot) override { queues_.mark(1, computed_, slot); }
  void copies_after_compute(int64_t slot) override { queues_.hold(0, computed_, slot); }
  void finish() override { queues_.finish(0); }

  void compute(std::function<void()> work) { queues_.ask(1, std::move(work)); }
  void finish_all() { queues_.finish_all(); }

  int copies = 0, fail_copy = -1;

 private:
  /// Pieces that are staged travel in the queue, each from memory of its own until then.
  class StagedUpload final : public Upload {
   public:
    explicit StagedUpload(SimulatedDevice& device) : device_(device), buffer_(1000) {}
    int64_t buffers() const noexcept override { return 2; }
    int64_t buffer_bytes() const noexcept override { return static_cast<int64_t>(buffer_.size()); }
    std::span<std::byte> stage() override { return buffer_; }
    void send(std::span<const std::byte> staged, void* to, int64_t bytes) override {
      const auto kept = std::make_shared<std::vector<std::byte>>(staged.begin(), staged.begin() + bytes);
      device_.queues_.ask(0, [=] { std::memcpy(to, kept->data(), kept->size()); });
    }

   private:
    SimulatedDevice& device_;
    std::vector<std::byte> buffer_;
  };

  test::SimulatedQueues queues_;
  test::SimulatedQueues::Marks copied_, computed_;
  StagedUpload upload_{*this};
};

/// Files of models whose block i holds numbers that tell model and block.
struct Models {
  static constexpr int64_t blocks = 7;

  Models() {
    for (int model = 0; model < 2; ++model) {
      const auto path = dir.path() / (std::to_string(model) + ".safetensors");
      io::SafetensorsWriter writer(path);
      for (int64_t b = 0; b < blocks; ++b) {
        const std::vector<float> m(30 * 20, value(model, b)), v(30, -value(model, b));
        writer.add(name(b, "m"), std::vector<int64_t>{30, 20}, std::span<const float>(m));
        writer.add(name(b, "v"), std::vector<int64_t>{30}, std::span<const float>(v));
      }
      writer.commit();
      index[static_cast<size_t>(model)] = io::open_safetensors(path).tensors;
    }
    for (int64_t b = 0; b < blocks; ++b)
      specs.push_back({{name(b, "m"), {30, 20}, WeightKind::matrix}, {name(b, "v"), {30}, WeightKind::vector}});
  }
  static float value(int model, int64_t block) { return static_cast<float>(1 + model * 16 + block); }
  static std::string name(int64_t block, const char* tensor) { return std::to_string(block) + "." + tensor; }
  int64_t place_bytes() const { return StreamedBlocks::place_bytes(index[0], specs, DType::bf16); }

  test::TempDir dir;
  std::array<io::TensorIndex, 2> index;
  std::vector<std::vector<WeightSpec>> specs;
};

const Policy policy{DType::bf16, false, &host_memory()};

/// A pass over all blocks: queues work that looks at each block when it is its turn, and counts what is not right.
void pass(SimulatedDevice& device, StreamedBlocks& blocks, int model, int64_t& wrong, int64_t& seen) {
  test::CpuContext cpu;
  for (int64_t i = 0; i < blocks.blocks(); ++i) {
    const Lease lease = blocks.acquire(cpu.ctx, i);
    const Tensor m = lease.tensors()[0], v = lease.tensors()[1];
    device.compute([=, &wrong, &seen] {
      const float expected = Models::value(model, i);
      bool right = true;
      for (int64_t k = 0; k < m.numel(); ++k) right = right && static_cast<float>(m.ptr<bf16>()[k]) == expected;
      for (int64_t k = 0; k < v.numel(); ++k) right = right && v.ptr<float>()[k] == -expected;
      wrong += !right;
      ++seen;
    });
  }
}

// However little fits on the device and in host memory, and however late the device is, work sees its own block.
TEST(StreamedBlocks, EveryBudgetAndEveryDelayGivesTheSameBlocks) {
  const Models models;
  unsigned seed = 0;
  for (int64_t places = 1; places <= 2 * Models::blocks; ++places)
    for (int64_t resident : {int64_t{0}, places - 2, places - 1, places})
      for (int64_t in_host : {int64_t{0}, int64_t{2}, Models::blocks}) {
        if (resident < 0 || (resident >= places && resident < Models::blocks)) continue;
        SimulatedDevice device(++seed);
        int64_t wrong = 0, seen = 0;
        {
          BlockPool pool(host_memory(), device, models.place_bytes(), places);
          StreamedBlocks high(models.index[0], models.specs, policy, pool, {resident, in_host});
          StreamedBlocks low(models.index[1], models.specs, policy, pool, {resident, in_host});
          std::jthread reader;
          if (seed % 2 == 0)
            reader = std::jthread([&](const std::stop_token& stop) {
              high.host().read_all(stop);
              low.host().read_all(stop);
            });
          for (int run = 0; run < 2; ++run) {  // a second generation begins with the first model again
            pass(device, high, 0, wrong, seen);
            if (run == 0) high.announce(low);
            pass(device, high, 0, wrong, seen);
            pass(device, low, 1, wrong, seen);
            pass(device, low, 1, wrong, seen);
          }
          device.finish_all();
        }
        EXPECT_EQ(wrong, 0) << places << " places, " << resident << " resident, " << in_host << " in host memory";
        EXPECT_EQ(seen, 8 * Models::blocks);
      }
}

TEST(StreamedBlocks, WhatStaysIsBroughtOnce) {
  const Models models;
  SimulatedDevice device(1);
  int64_t wrong = 0, seen = 0;
  for (const int64_t resident : {int64_t{0}, int64_t{3}, Models::blocks}) {
    BlockPool pool(host_memory(), device, models.place_bytes(), std::min(resident + 2, Models::blocks));
    StreamedBlocks blocks(models.index[0], models.specs, policy, pool, {resident, 0});
    pass(device, blocks, 0, wrong, seen);
    const int64_t first = pool.loads();
    for (int i = 0; i < 3; ++i) pass(device, blocks, 0, wrong, seen);
    device.finish_all();
    EXPECT_EQ(pool.loads() - first, 3 * (Models::blocks - resident));
  }
  EXPECT_EQ(wrong, 0);
}

// The first blocks of the next model are there when its turn comes.
TEST(StreamedBlocks, TheNextModelArrivesBeforeItsTurn) {
  const Models models;
  SimulatedDevice device(2);
  int64_t wrong = 0, seen = 0;
  BlockPool pool(host_memory(), device, models.place_bytes(), 5);
  StreamedBlocks high(models.index[0], models.specs, policy, pool, {3, 0});
  StreamedBlocks low(models.index[1], models.specs, policy, pool, {3, 0});
  pass(device, high, 0, wrong, seen);
  const int64_t first = pool.loads();
  pass(device, high, 0, wrong, seen);
  const int64_t plain = pool.loads() - first;
  high.announce(low);
  pass(device, high, 0, wrong, seen);
  EXPECT_GE(pool.loads() - first - plain, plain + 3) << "the places of blocks that stayed were not used";
  test::CpuContext cpu;
  for (int64_t i = 0; i < Models::blocks; ++i) {
    const int64_t before = pool.loads();
    const Lease lease = low.acquire(cpu.ctx, i);
    EXPECT_EQ(pool.loads(), before) << "block " << i << " was not on its way";
  }
  device.finish_all();
  EXPECT_EQ(wrong, 0);
}

TEST(StreamedBlocks, OnePlaceTooFewIsRefused) {
  const Models models;
  HostCopyQueue queue;
  BlockPool pool(host_memory(), queue, models.place_bytes(), 3),
      small(host_memory(), queue, models.place_bytes() - 1, 3);
  EXPECT_THROW(StreamedBlocks(models.index[0], models.specs, policy, pool, {3, 0}), Error);
  EXPECT_THROW(StreamedBlocks(models.index[0], models.specs, policy, small, {0, 0}), Error);
  EXPECT_NO_THROW(StreamedBlocks(models.index[0], models.specs, policy, pool, {2, 0}));
}

TEST(StreamedBlocks, AFailureWhileReadingAheadIsReportedByTheNextBlock) {
  const Models models;
  SimulatedDevice device(3);
  test::CpuContext cpu;
  BlockPool pool(host_memory(), device, models.place_bytes(), 2);
  StreamedBlocks blocks(models.index[0], models.specs, policy, pool, {0, Models::blocks});
  device.fail_copy = 2;
  EXPECT_NO_THROW((void)blocks.acquire(cpu.ctx, 0));  // brings 0, then 1 and 2
  try {
    (void)blocks.acquire(cpu.ctx, 1);
    FAIL() << "the failed copy was not reported";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("copy 2 failed"));
  }
  int64_t wrong = 0, seen = 0;
  pass(device, blocks, 0, wrong, seen);  // and it goes on
  device.finish_all();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(seen, Models::blocks);
}

TEST(StreamedBlocks, AFileThatWasCutIsReported) {
  const Models models;
  HostCopyQueue queue;
  test::CpuContext cpu;
  BlockPool pool(host_memory(), queue, models.place_bytes(), 2);
  StreamedBlocks blocks(models.index[0], models.specs, policy, pool, {0, 0});
  std::filesystem::resize_file(models.dir.path() / "0.safetensors", 1000);
  EXPECT_THROW((void)blocks.acquire(cpu.ctx, 6), Error);
  EXPECT_THROW((void)blocks.acquire(cpu.ctx, 6), Error) << "a block that could not be read counts as brought";
}

/// Counts what is allocated through it.
class CountedMemory final : public MemoryResource {
 public:
  void* allocate(int64_t bytes) override {
    in_use += bytes;
    return host_memory().allocate(bytes);
  }
  void deallocate(void* memory, int64_t bytes) noexcept override {
    in_use -= bytes;
    host_memory().deallocate(memory, bytes);
  }
  Device device() const noexcept override { return {}; }
  void upload(void* to, const void* from, int64_t bytes) override { host_memory().upload(to, from, bytes); }
  void download(void* to, const void* from, int64_t bytes) override { host_memory().download(to, from, bytes); }
  void fill_zero(void* memory, int64_t bytes) override { host_memory().fill_zero(memory, bytes); }
  int64_t in_use = 0;
};

TEST(StreamedBlocks, TakesThePoolsMemoryAndNoMore) {
  const Models models;
  CountedMemory memory;
  const Policy counted{DType::bf16, false, &memory};
  HostCopyQueue queue;
  test::CpuContext cpu;
  {
    BlockPool pool(memory, queue, models.place_bytes(), 3);
    StreamedBlocks blocks(models.index[0], models.specs, counted, pool, {1, 2});
    for (int i = 0; i < 1000; ++i) {
      (void)blocks.acquire(cpu.ctx, i % Models::blocks);
      ASSERT_EQ(memory.in_use, std::min(i + 3, 3) * models.place_bytes());
    }
    pool.release();
    EXPECT_EQ(memory.in_use, 0);
    for (int64_t i = 0; i < Models::blocks; ++i)
      EXPECT_EQ(blocks.acquire(cpu.ctx, i).tensors()[1].ptr<float>()[29], -Models::value(0, i));
    EXPECT_EQ(memory.in_use, 3 * models.place_bytes());
  }
  EXPECT_EQ(memory.in_use, 0);
}

}  // namespace
}  // namespace wan::weights
