#include "ops/checks.h"

namespace wan::ops {

void check_activation(std::string_view op, std::string_view name, const Tensor& t, int rank) {
  check(t && t.rank() == rank && is_float(t.dtype), op, "{} is {}, expected rank {} in f32 or bf16", name, t, rank);
}

void check_contiguous(std::string_view op, std::string_view name, const Tensor& t) {
  check(t && t.contiguous(), op, "{} ({}) must be contiguous", name, t);
}

void check_parameter(std::string_view op, std::string_view name, const Tensor& t, const Shape& shape) {
  check(t && t.dtype == DType::f32 && t.shape == shape && t.contiguous(), op, "{} is {}, expected contiguous f32 {}",
        name, t, shape);
}

void check_rows(std::string_view op, std::string_view name, const Tensor& t, int64_t width) {
  check(t && t.dtype == DType::f32 && t.rank() == 2 && (t.dim(0) == 1 || t.dim(0) == 2) && t.dim(1) == width &&
            (width == 1 || t.stride(1) == 1),
        op, "{} is {}, expected f32 [1 or 2, {}] with dense rows", name, t, width);
}

}  // namespace wan::ops
