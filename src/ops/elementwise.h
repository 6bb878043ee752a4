#pragma once
#include <initializer_list>
#include <span>
#include <vector>

#include "ops/kernels.h"

namespace wan::ops {

/// x += y. Equal shapes; each f32 or bf16.
void add(Context& ctx, const Tensor& x, const Tensor& y);
/// x += y * gate. x [L, C] f32; y [L, C] f32 or bf16; gate [R, C] f32, rows chosen by `split` as in norm_modulate.
void gated_add(Context& ctx, const Tensor& x, const Tensor& y, const Tensor& gate, int64_t split);
/// a = gelu_tanh(a) * b in place. Equal shapes and dtypes.
void gelu_mul(Context& ctx, const Tensor& a, const Tensor& b);
/// silu(x), f32.
Tensor silu(Context& ctx, const Tensor& x);
/// x in another dtype; x itself if it has it already.
Tensor convert(Context& ctx, const Tensor& x, DType dtype);
/// to = from. Equal shapes, each f32 or bf16, apart in memory.
void copy(Context& ctx, const Tensor& from, const Tensor& to);

struct Term {
  Tensor x;
  double coefficient = 0;
};
struct Sum {
  Tensor out;
  std::vector<Term> terms;
};
/// out = sum of coefficient * x over the terms (at most 8), for each of the sums (at most 4) in order, in one pass; all
/// tensors f32 of one shape, at most 8 different ones. A sum may read what an earlier one wrote, and out may be one of
/// its terms. Guidance and solver step are such sums.
void combine(Context& ctx, std::span<const Sum> sums);
/// One sum.
void combine(Context& ctx, const Tensor& out, std::span<const Term> terms);
inline void combine(Context& ctx, const Tensor& out, std::initializer_list<Term> terms) {
  combine(ctx, out, std::span<const Term>(terms.begin(), terms.size()));
}

/// Rows `ids` of table [V, C] as f32 [n, C]. Throws Error(invalid_argument) for an id outside the table.
Tensor embedding(Context& ctx, const Tensor& table, std::span<const int32_t> ids);
/// Whether every element of x (f32) is finite; waits for the device.
bool all_finite(Context& ctx, const Tensor& x);

}  // namespace wan::ops
