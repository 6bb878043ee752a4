#include "ops/attention.h"

#include "ops/checks.h"

namespace wan::ops {

void attention_into(Context& ctx, const Tensor& q, const Tensor& k, const Tensor& v, float scale,
                    const Tensor& rel_bias, const Tensor& y) {
  constexpr auto op = "attention";
  check_activation(op, "q", q, 3);
  const int64_t lq = q.dim(0), heads = q.dim(1), d = q.dim(2);
  for (const auto& [name, t] : {std::pair{"q", &q}, {"k", &k}, {"v", &v}})
    check(*t && t->rank() == 3 && t->dtype == q.dtype && t->dim(1) == heads && t->dim(2) == d &&
              (d == 1 || t->stride(2) == 1) && (heads == 1 || t->stride(1) == d),
          op, "{} is {}, expected {} [L, {}, {}], dense within each row", name, to_string(*t), to_string(q.dtype),
          heads, d);
  check(k.dim(0) == v.dim(0) && k.dim(0) > 0, op, "k is {} and v is {}, expected equally many rows, at least one", k,
        v);
  if (rel_bias) check_parameter(op, "rel_bias", rel_bias, {heads, lq + k.dim(0) - 1});
  check(y && y.dtype == q.dtype && y.shape == q.shape && y.contiguous(), op, "y is {}, expected contiguous {} {}", y,
        to_string(q.dtype), q.shape);
  call(ctx, op, &KernelTable::attention, AttentionArgs{q, k, v, rel_bias, y, scale});
}

Tensor attention(Context& ctx, const Tensor& q, const Tensor& k, const Tensor& v, float scale, const Tensor& rel_bias) {
  check_activation("attention", "q", q, 3);
  const Tensor y = ctx.make(q.dtype, q.shape);
  attention_into(ctx, q, k, v, scale, rel_bias, y);
  return y;
}

}  // namespace wan::ops
