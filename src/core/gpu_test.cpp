#include "core/gpu.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace wan {
namespace {

// On any machine: a list (empty without a GPU), or an error that says what to do. Never a crash.
TEST(Gpu, AreListedOrTheReasonIsSaid) {
  try {
    for (const GpuInfo& gpu : find_gpus()) {
      EXPECT_FALSE(gpu.name.empty());
      EXPECT_GE(gpu.major, 5);
      EXPECT_GT(gpu.memory_bytes, int64_t{1} << 30);
    }
  } catch (const Error& error) {
    EXPECT_TRUE(error.code() == ErrorCode::unsupported || error.code() == ErrorCode::device);
    EXPECT_NE(std::string(error.what()).find("[CUDA]"), std::string::npos);
  }
}

}  // namespace
}  // namespace wan
