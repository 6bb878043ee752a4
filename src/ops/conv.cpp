#include "ops/conv.h"

#include "ops/checks.h"

namespace wan::ops {
namespace {

// Output extent along one axis; the padded input must hold the kernel once.
int64_t extent(const char* axis, int64_t input, int64_t kernel, int64_t stride) {
  check(stride > 0 && input >= kernel, "conv", "{} of {} with padding is too small for a kernel of {} at stride {}",
        axis, input, kernel, stride);
  return (input - kernel) / stride + 1;
}

void check_video(const char* op, const char* name, const Tensor& t) {
  check_activation(op, name, t, 4);
  check_contiguous(op, name, t);
}

// Checks everything but y and gives y's shape.
Shape check_conv(const Tensor& x, const Tensor& history, const Tensor& w, const Tensor& b, const ConvShape& s) {
  constexpr auto op = "conv";
  check_video(op, "x", x);
  const int64_t t = x.dim(0), h = x.dim(1), wd = x.dim(2), c = x.dim(3);
  check(w && w.rank() == 5 && w.dtype == x.dtype && w.dim(4) == c && w.contiguous() && w.numel() > 0, op,
        "w is {}, expected contiguous [O, KT, KH, KW, {}] of dtype {} as x has", w, c, to_string(x.dtype));
  const int64_t kt = w.dim(1);
  int64_t frames = t + kt - 1;
  if (history) {
    check_activation(op, "history", history, 4);
    if (history.dim(0) > 0) check_contiguous(op, "a frame of history", history.slice(0, 0, 1));
    check(history.dim(0) < 2 || history.stride(0) >= h * wd * c, op, "the frames of history ({}) overlap", history);
    check(history.dtype == x.dtype && history.dim(0) < kt && history.dim(1) == h && history.dim(2) == wd &&
              history.dim(3) == c,
          op, "history is {}, expected {} [at most {}, {}, {}, {}]", history, to_string(x.dtype), kt - 1, h, wd, c);
  }
  if (s.time_valid) frames = t + (history ? history.dim(0) : 0);
  if (b) check_parameter(op, "b", b, {w.dim(0)});
  check(s.pad_top >= 0 && s.pad_bottom >= 0 && s.pad_left >= 0 && s.pad_right >= 0, op, "padding must not be negative");

  const int64_t scale = s.upsample ? 2 : 1;
  return {extent("a clip", frames, kt, s.stride[0]),
          extent("a height", h * scale + s.pad_top + s.pad_bottom, w.dim(2), s.stride[1]),
          extent("a width", wd * scale + s.pad_left + s.pad_right, w.dim(3), s.stride[2]), w.dim(0)};
}

void call_conv(Context& ctx, const Tensor& x, const Tensor& history, const Tensor& w, const Tensor& b,
               const ConvShape& s, const Tensor& y, const Tensor& residual) {
  call(ctx, "conv", &KernelTable::conv,
       ConvArgs{x, history, w, b, y, residual, s.stride, s.pad_top, s.pad_bottom, s.pad_left, s.pad_right, s.time_valid,
                s.upsample, s.newest_first});
}

}  // namespace

Tensor conv(Context& ctx, const Tensor& x, const Tensor& history, const Tensor& w, const Tensor& b,
            const ConvShape& s) {
  const Tensor y = ctx.make(x.dtype, check_conv(x, history, w, b, s));
  call_conv(ctx, x, history, w, b, s, y, {});
  return y;
}

void conv_into(Context& ctx, const Tensor& x, const Tensor& history, const Tensor& w, const Tensor& b,
               const ConvShape& s, const Tensor& y, const Tensor& residual) {
  constexpr auto op = "conv_into";
  const Shape shape = check_conv(x, history, w, b, s);
  check_video(op, "y", y);
  check(y.dtype == x.dtype && y.shape == shape && y.data != x.data, op, "y is {}, expected {} {} apart from x", y,
        to_string(x.dtype), shape);
  if (residual) {
    check_video(op, "residual", residual);
    check(residual.dtype == y.dtype && residual.shape == y.shape && residual.data != y.data, op,
          "residual is {}, expected {} {} apart from y", residual, to_string(y.dtype), y.shape);
  }
  call_conv(ctx, x, history, w, b, s, y, residual);
}

void add_avg_down(Context& ctx, const Tensor& y, const Tensor& x, int64_t factor_t, int64_t factor_s) {
  constexpr auto op = "add_avg_down";
  check_video(op, "x", x);
  check_video(op, "y", y);
  check(factor_t > 0 && factor_s > 0 && y.dtype == x.dtype && y.dim(0) == div_up(x.dim(0), factor_t) &&
            y.dim(1) * factor_s == x.dim(1) && y.dim(2) * factor_s == x.dim(2) && y.dim(3) > 0 &&
            x.dim(3) * factor_t * factor_s * factor_s % y.dim(3) == 0,
        op, "x is {} and y is {}: not a reduction by {} in time and {} in space", x, y, factor_t, factor_s);
  call(ctx, op, &KernelTable::avg_down, ResampleShortcutArgs{x, y, factor_t, factor_s});
}

void add_dup_up(Context& ctx, const Tensor& y, const Tensor& x, int64_t factor_t, int64_t factor_s, bool first_chunk) {
  constexpr auto op = "add_dup_up";
  check_video(op, "x", x);
  check_video(op, "y", y);
  const int64_t dropped = first_chunk ? factor_t - 1 : 0;
  check(y.dim(0) == x.dim(0) * factor_t - dropped && y.dim(1) == x.dim(1) * factor_s, op,
        "x is {} and y is {}: not an enlargement by {} in time and {} in space", x, y, factor_t, factor_s);
  add_dup_up_part(ctx, y, x, factor_t, factor_s, dropped, 0);
}

void add_dup_up_part(Context& ctx, const Tensor& y, const Tensor& x, int64_t factor_t, int64_t factor_s, int64_t skip_t,
                     int64_t skip_rows) {
  constexpr auto op = "add_dup_up";
  check_video(op, "x", x);
  check_video(op, "y", y);
  check(
      factor_t > 0 && factor_s > 0 && y.dtype == x.dtype && skip_t >= 0 && skip_rows >= 0 &&
          y.dim(0) + skip_t <= x.dim(0) * factor_t && y.dim(1) + skip_rows <= x.dim(1) * factor_s &&
          y.dim(2) == x.dim(2) * factor_s && x.dim(3) > 0 && y.dim(3) * factor_t * factor_s * factor_s % x.dim(3) == 0,
      op, "x is {} and y is {}: not a part of an enlargement by {} in time and {} in space from frame {} and row {} on",
      x, y, factor_t, factor_s, skip_t, skip_rows);
  call(ctx, op, &KernelTable::dup_up, ResampleShortcutArgs{x, y, factor_t, factor_s, skip_t, skip_rows});
}

}  // namespace wan::ops
