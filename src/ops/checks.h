#pragma once
#include <concepts>
#include <string_view>

#include "core/context.h"
#include "core/error.h"
#include "ops/kernels.h"

/// Tensors and shapes may be arguments of `check`: they become text only where a check fails.
template <class T>
requires std::same_as<T, wan::Tensor> || std::same_as<T, wan::Shape>
struct fmt::formatter<T> : fmt::formatter<std::string_view> {
  template <class FormatContext>
  auto format(const T& value, FormatContext& ctx) const {
    return fmt::formatter<std::string_view>::format(wan::to_string(value), ctx);
  }
};

/// What the functions of ops/*.h share: argument checks and the call through the table.
namespace wan::ops {

/// Throws Error(invalid_argument) unless `ok`, with the op's name in front.
template <class... Args>
void check(bool ok, std::string_view op, fmt::format_string<Args...> format, Args&&... args) {
  if (!ok) fail(ErrorCode::invalid_argument, "[{}] {}", op, fmt::format(format, std::forward<Args>(args)...));
}

inline bool is_float(DType t) noexcept { return t == DType::f32 || t == DType::bf16; }

/// Present, of the given rank, f32 or bf16.
void check_activation(std::string_view op, std::string_view name, const Tensor& t, int rank);
/// Present, f32 and contiguous with exactly this shape.
void check_parameter(std::string_view op, std::string_view name, const Tensor& t, const Shape& shape);
/// Present, f32, [1 or 2, width], each row dense.
void check_rows(std::string_view op, std::string_view name, const Tensor& t, int64_t width);
/// Present and contiguous.
void check_contiguous(std::string_view op, std::string_view name, const Tensor& t);

/// Calls one entry of the context's table; a missing entry is an error that names op and back end.
template <class Args>
void call(Context& ctx, std::string_view op, void (*KernelTable::*entry)(Context&, const Args&), const Args& args) {
  const auto kernel = ctx.kernels->*entry;
  if (!kernel)
    fail(ErrorCode::unsupported, "[{}] the {} back end has no such kernel; use another device", op, ctx.kernels->name);
  kernel(ctx, args);
}

}  // namespace wan::ops
