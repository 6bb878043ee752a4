#include "core/bounded_memory.h"

#include <gtest/gtest.h>

#include <string>

#include "core/error.h"

namespace wan {
namespace {

TEST(BoundedMemory, GivesUpToItsLimitAndNotAByteMore) {
  DryMemory below;
  BoundedMemory memory(below);
  memory.set_limit(1000);
  Buffer first(memory, 600);
  EXPECT_THROW(Buffer(memory, 401), Error);
  EXPECT_EQ(below.in_use(), 600) << "a refused allocation must take nothing";
  Buffer second(memory, 400);
  EXPECT_EQ(memory.in_use(), 1000);
  EXPECT_THROW(Buffer(memory, 1), Error);
  first = Buffer();
  EXPECT_EQ(memory.in_use(), 400);
  memory.set_limit(300);  // less than is in use already
  EXPECT_THROW(Buffer(memory, 1), Error);
  try {
    Buffer(memory, 5000);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
    EXPECT_NE(std::string(error.what()).find("5000 bytes more were needed, 400 are in use"), std::string::npos);
  }
}

}  // namespace
}  // namespace wan
