#include "ops/elementwise.h"

#include "ops/checks.h"

namespace wan::ops {
namespace {

void check_pair(const char* op, const char* first, const Tensor& a, const char* second, const Tensor& b) {
  check(a && b && is_float(a.dtype) && is_float(b.dtype) && a.shape == b.shape && a.contiguous() && b.contiguous(), op,
        "{} is {} and {} is {}, expected equal contiguous shapes in f32 or bf16", first, a, second, b);
}

// Any contiguous tensor as rows.
Tensor rows(const Tensor& t) {
  if (t.rank() == 0 || t.numel() == 0) return t.view({1, t.numel()});
  return t.view({t.numel() / t.shape.back(), t.shape.back()});
}

}  // namespace

void add(Context& ctx, const Tensor& x, const Tensor& y) {
  check_pair("add", "x", x, "y", y);
  call(ctx, "add", &KernelTable::gated_add, GatedAddArgs{rows(x), rows(y), {}, 0});
}

void gated_add(Context& ctx, const Tensor& x, const Tensor& y, const Tensor& gate, int64_t split) {
  constexpr auto op = "gated_add";
  check_pair(op, "x", x, "y", y);
  check(x.rank() == 2, op, "x is {}, expected [L, C]", x);
  check_rows(op, "gate", gate, x.dim(1));
  call(ctx, op, &KernelTable::gated_add, GatedAddArgs{x, y, gate, split});
}

void gelu_mul(Context& ctx, const Tensor& a, const Tensor& b) {
  check_pair("gelu_mul", "a", a, "b", b);
  check(a.dtype == b.dtype, "gelu_mul", "a is {} and b is {}, expected one dtype", a, b);
  call(ctx, "gelu_mul", &KernelTable::gelu_mul, GeluMulArgs{a, b});
}

Tensor silu(Context& ctx, const Tensor& x) {
  check(x && x.dtype == DType::f32 && x.contiguous(), "silu", "x is {}, expected contiguous f32", x);
  const Tensor y = ctx.make(DType::f32, x.shape);
  call(ctx, "silu", &KernelTable::silu, SiluArgs{x, y});
  return y;
}

Tensor convert(Context& ctx, const Tensor& x, DType dtype) {
  check(x && is_float(x.dtype) && is_float(dtype), "convert", "{} to {}: only f32 and bf16 are converted", x,
        to_string(dtype));
  if (x.dtype == dtype) return x;
  check_contiguous("convert", "x", x);
  const Tensor y = ctx.make(dtype, x.shape);
  call(ctx, "convert", &KernelTable::convert, ConvertArgs{x, y});
  return y;
}

void copy(Context& ctx, const Tensor& from, const Tensor& to) {
  check_pair("copy", "from", from, "to", to);
  call(ctx, "copy", &KernelTable::convert, ConvertArgs{from, to});
}

void combine(Context& ctx, std::span<const Sum> sums) {
  constexpr auto op = "combine";
  check(!sums.empty() && sums.size() <= CombineArgs::max_sums, op, "{} sums, expected 1 to {}", sums.size(),
        CombineArgs::max_sums);
  CombineArgs args;
  const auto slot_of = [&](const Tensor& t, const char* what) {
    check(t && t.dtype == DType::f32 && t.shape == sums[0].out.shape && t.contiguous(), op,
          "{} is {}, expected contiguous f32 {}", what, t, to_string(sums[0].out.shape));
    int slot = 0;
    while (slot < args.slots && args.slot[static_cast<size_t>(slot)].data != t.data) ++slot;
    if (slot < args.slots) return slot;
    check(args.slots < CombineArgs::max_slots, op, "more than {} different tensors", CombineArgs::max_slots);
    args.slot[static_cast<size_t>(args.slots++)] = t;
    return slot;
  };
  for (const Sum& sum : sums) {
    check(!sum.terms.empty() && sum.terms.size() <= CombineArgs::max_terms, op, "{} terms, expected 1 to {}",
          sum.terms.size(), CombineArgs::max_terms);
    CombineArgs::Sum& made = args.sums[static_cast<size_t>(args.count++)];
    made.out = slot_of(sum.out, "out");
    for (const Term& term : sum.terms) {
      made.in[static_cast<size_t>(made.terms)] = slot_of(term.x, "a term");
      made.coefficient[static_cast<size_t>(made.terms++)] = term.coefficient;
    }
  }
  call(ctx, op, &KernelTable::combine, args);
}

void combine(Context& ctx, const Tensor& out, std::span<const Term> terms) {
  const Sum sum{out, {terms.begin(), terms.end()}};
  combine(ctx, std::span(&sum, 1));
}

Tensor embedding(Context& ctx, const Tensor& table, std::span<const int32_t> ids) {
  constexpr auto op = "embedding";
  check(table && table.rank() == 2 && (is_float(table.dtype) || table.dtype == DType::f16) && table.contiguous(), op,
        "the table is {}, expected contiguous [V, C] in f32, bf16 or f16", table);
  for (const int32_t id : ids)
    check(id >= 0 && id < table.dim(0), op, "id {} is outside the table of {} rows; the tokenizer is not this model's",
          id, table.dim(0));
  const Tensor y = ctx.make(DType::f32, {static_cast<int64_t>(ids.size()), table.dim(1)});
  call(ctx, op, &KernelTable::embedding, EmbeddingArgs{table, ids, y});
  return y;
}

bool all_finite(Context& ctx, const Tensor& x) {
  check(x && x.dtype == DType::f32 && x.contiguous(), "all_finite", "x is {}, expected contiguous f32", x);
  bool result = true;
  call(ctx, "all_finite", &KernelTable::all_finite, AllFiniteArgs{x, &result});
  return result;
}

}  // namespace wan::ops
