#include "weights/host_blocks.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "core/error.h"
#include "io/safetensors.h"
#include "io/safetensors_writer.h"
#include "support/temp_dir.h"

namespace wan::weights {
namespace {

/// Counts the pieces of memory that are locked.
class CountingQueue final : public CopyQueue {
 public:
  MemoryResource& host() override { return host_memory(); }
  void lock_pages(void*, int64_t) override { ++locked; }
  void copy(void*, const void*, int64_t) override {}
  Upload& upload() override { return upload_; }
  void mark_copied(int64_t) override {}
  void compute_after_copies(int64_t) override {}
  void mark_computed(int64_t) override {}
  void copies_after_compute(int64_t) override {}
  void finish() override {}

  std::atomic<int> locked = 0;

 private:
  PlainUpload upload_{host_memory()};
};

/// Blocks of one vector each, whose numbers tell the block.
class HostBlocksTest : public testing::Test {
 protected:
  static constexpr int64_t blocks = 9, length = 5000;

  HostBlocksTest() {
    io::SafetensorsWriter writer(path);
    for (int64_t b = 0; b < blocks; ++b) {
      const std::vector<float> values(length, static_cast<float>(b + 1));
      writer.add(std::to_string(b), std::vector<int64_t>{length}, std::span<const float>(values));
      specs.push_back({{std::to_string(b), {length}, WeightKind::vector}});
    }
    writer.commit();
    index = io::open_safetensors(path).tensors;
    for (const auto& block : specs) layouts.emplace_back(index, block, DType::bf16);
  }
  HostBlocks make(std::vector<bool> kept) { return {index, specs, layouts, policy, queue, std::move(kept)}; }
  static void expect_block(const Buffer& memory, int64_t b) {
    const Tensor values = memory.tensor(DType::f32, {length});
    EXPECT_EQ(values.ptr<float>()[0], static_cast<float>(b + 1));
    EXPECT_EQ(values.ptr<float>()[length - 1], static_cast<float>(b + 1));
  }

  test::TempDir dir;
  const std::filesystem::path path = dir.path() / "w.safetensors";
  io::TensorIndex index;
  std::vector<std::vector<WeightSpec>> specs;
  std::vector<PackedLayout> layouts;
  const Policy policy{DType::bf16, false, &host_memory(), nullptr, 2};
  CountingQueue queue;
};

TEST_F(HostBlocksTest, ThreadsThatWantTheSameBlocksReadEachOnce) {
  HostBlocks host = make(std::vector<bool>(blocks, true));
  std::vector<std::jthread> threads;
  threads.emplace_back([&](const std::stop_token& stop) { host.read_all(stop); });
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&] {
      for (int64_t b = 0; b < blocks; ++b) expect_block(host.at(b), b);
    });
  threads.clear();
  EXPECT_EQ(queue.locked, blocks);
  EXPECT_EQ(host.at(3).data(), host.at(3).data());
}

TEST_F(HostBlocksTest, OnlyTheBlocksThatAreKeptAreReadAhead) {
  std::vector<bool> kept(blocks, false);
  kept[2] = kept[5] = true;
  HostBlocks host = make(kept);
  EXPECT_TRUE(host.keeps(5));
  EXPECT_FALSE(host.keeps(6));
  host.read_all({});
  EXPECT_EQ(queue.locked, 2);
}

TEST_F(HostBlocksTest, StopsWhenAsked) {
  HostBlocks host = make(std::vector<bool>(blocks, true));
  std::stop_source source;
  source.request_stop();
  host.read_all(source.get_token());
  EXPECT_EQ(queue.locked, 0);
}

TEST_F(HostBlocksTest, WhoeverNeedsABlockIsToldWhyItDidNotCome) {
  HostBlocks host = make(std::vector<bool>(blocks, true));
  std::filesystem::resize_file(path, 1000);
  host.read_all({});
  EXPECT_THROW((void)host.at(0), Error);
  EXPECT_THROW((void)host.at(0), Error) << "a block that could not be read counts as there";
}

}  // namespace
}  // namespace wan::weights
