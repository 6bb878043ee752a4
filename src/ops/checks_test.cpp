// What the ops refuse, and that the message says which op, what came and what was expected.
#include <gtest/gtest.h>

#include <functional>

#include "core/error.h"
#include "support/op_cases.h"

namespace wan::test {
namespace {

class Checks : public testing::Test {
 protected:
  void refused(const std::function<void()>& f, const std::string& expected) {
    try {
      f();
      ADD_FAILURE() << "accepted; expected: " << expected;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
      EXPECT_NE(std::string(e.what()).find(expected), std::string::npos) << e.what();
    }
  }
  Tensor f32(const Shape& shape) { return make.normal(DType::f32, shape); }

  Arena arena{host_memory()};
  Context ctx{.arena = &arena, .kernels = &ops::cpu_kernels()};
  Maker make{1};
};

TEST_F(Checks, Linear) {
  refused([&] { ops::linear(ctx, f32({2, 3}), f32({4, 5})); }, "[linear] w is f32 [4, 5]");
  refused([&] { ops::linear(ctx, f32({2, 3}), make.normal(DType::bf16, {4, 3})); }, "of dtype f32");
  refused([&] { ops::linear(ctx, f32({2, 3}), f32({4, 3}), f32({3})); }, "b is f32 [3]");
  refused([&] { ops::linear(ctx, f32({2, 3}), f32({4, 3}), {}, DType::i32); }, "i32");
  refused([&] { ops::linear(ctx, {}, f32({4, 3})); }, "absent");
}

TEST_F(Checks, Norms) {
  refused([&] { ops::layer_norm(ctx, f32({2, 3}), f32({3}), f32({2}), 1e-6f); }, "[layer_norm] b is f32 [2]");
  refused([&] { ops::norm_modulate(ctx, f32({2, 3}), f32({3, 3}), f32({3, 3}), 0, 1e-6f, DType::f32); }, "[1 or 2, 3]");
  const auto rope = ops::make_rope(ctx, 1, 2, 3, 8);
  refused([&] { ops::rms_norm_rope(ctx, f32({7, 16}), f32({16}), &rope, 2, 1e-6f); }, "x has 7 tokens");
  refused([&] { ops::rms_norm_rope(ctx, f32({4, 16}), f32({16}), &rope, 2, 1e-6f, 3); }, "from token 3 on");
  refused([&] { ops::rms_norm_rope(ctx, f32({6, 16}), f32({16}), &rope, 4, 1e-6f); }, "but heads have 4");
  refused([&] { ops::copy_rows(ctx, f32({2, 3, 4}), f32({2, 4, 3})); }, "expected equal ones");
  const Tensor turned = f32({2, 3, 4}).slice(2, 0, 2);
  Tensor sparse = turned;
  sparse.strides[2] = 2;
  refused([&] { ops::copy_rows(ctx, sparse, f32({2, 3, 2})); }, "must be dense");
}

TEST_F(Checks, Attention) {
  refused(
      [&] {
        ops::attention(ctx, f32({5, 2, 4}), f32({3, 2, 8}), f32({3, 2, 4}), 1.f);
      },
      "[attention] k is f32 [3, 2, 8]");
  refused([&] { ops::attention(ctx, f32({5, 2, 4}), f32({3, 2, 4}), f32({2, 2, 4}), 1.f); }, "equally many rows");
  refused(
      [&] {
        ops::attention(ctx, f32({5, 2, 4}), f32({3, 2, 4}), f32({3, 2, 4}), 1.f, f32({2, 8}));
      },
      "rel_bias is f32 [2, 8]");
}

TEST_F(Checks, Convolution) {
  refused([&] { ops::conv(ctx, f32({1, 2, 2, 3}), {}, f32({4, 3, 3, 3, 3}), {}, {}); }, "[conv] a height of 2");
  refused(
      [&] {
        ops::conv(ctx, f32({1, 4, 4, 3}), f32({3, 4, 4, 3}), f32({4, 3, 3, 3, 3}), {}, ops::ConvShape::same(3));
      },
      "at most 2");
  refused([&] { ops::add_avg_down(ctx, f32({1, 2, 2, 3}), f32({1, 4, 4, 4}), 1, 2); }, "not a reduction");
  refused([&] { ops::add_dup_up(ctx, f32({1, 2, 2, 3}), f32({1, 1, 1, 4}), 2, 2, false); }, "not an enlargement");
}

TEST_F(Checks, LayoutAndElements) {
  refused(
      [&] {
        ops::patchify(ctx, f32({3, 1, 5, 4}), {}, {1, 2, 2});
      },
      "[patchify] f32 [3, 1, 5, 4] on cpu cannot be cut");
  refused([&] { ops::add(ctx, f32({2, 3}), f32({3, 2})); }, "[add] x is f32 [2, 3]");
  refused([&] { ops::combine(ctx, f32({2}), {}); }, "0 terms");
  const std::array<int32_t, 2> ids{1, 9};
  refused([&] { ops::embedding(ctx, f32({9, 2}), ids); }, "id 9 is outside the table of 9 rows");
}

TEST_F(Checks, NonFiniteValuesAreFound) {
  const Tensor x = f32({3, 50});
  EXPECT_TRUE(ops::all_finite(ctx, x));
  x.ptr<float>()[77] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(ops::all_finite(ctx, x));
  x.ptr<float>()[77] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(ops::all_finite(ctx, x));
}

}  // namespace
}  // namespace wan::test
