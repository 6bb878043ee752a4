#include <algorithm>
#include <functional>
#include <optional>

#include "core/checked.h"
#include "ops/conv_plan_shapes.h"
#include "ops/cuda_util.cuh"

namespace wan::ops::cuda {
namespace {

constexpr int64_t patch_bytes = int64_t{64} << 20;  // of scratch
constexpr int64_t strip_bytes = int64_t{64} << 20;

// The virtual input: zero frames, history, x, doubled in height and width if asked, with zeros around.
struct Source {
  const void *history, *x;
  int64_t past_start, past_step;  // of the oldest frame of history, and from each to the next
  int64_t zeros, past;            // frames of either
  int64_t rows, columns;          // of a stored frame
  int64_t scale, high, wide;      // of a doubled one
  int64_t pixel;                  // elements (or vectors) of a pixel
  template <class V>
  __device__ V at(int64_t t, int64_t h, int64_t w, int64_t c) const {
    if (t < zeros || h < 0 || h >= high || w < 0 || w >= wide) return V{};
    const int64_t frame = t - zeros;
    const V* from = frame < past ? static_cast<const V*>(history) + past_start + frame * past_step
                                 : static_cast<const V*>(x) + (frame - past) * rows * columns * pixel;
    return from[(h / scale * columns + w / scale) * pixel + c];
  }
};

Source source_of(const ConvArgs& a, int64_t unit_bytes) {
  const int64_t past = a.past(), scale = a.upsample ? 2 : 1, element = size_of(a.x.dtype);
  const auto units = [&](int64_t elements) { return elements * element / unit_bytes; };
  return {a.history.data,
          a.x.data,
          past > 0 ? units(a.past_offset(0)) : 0,
          past > 1 ? units(a.past_offset(1) - a.past_offset(0)) : 0,
          a.time_valid ? 0 : a.w.dim(1) - 1 - past,
          past,
          a.x.dim(1),
          a.x.dim(2),
          scale,
          a.x.dim(1) * scale,
          a.x.dim(2) * scale,
          units(a.x.dim(3))};
}

// f.template operator()<V>(bytes of V) with V the widest unit that pixels are made of.
template <class F>
void with_unit(const ConvArgs& a, const F& f) {
  const bool wide = a.x.dim(3) * size_of(a.x.dtype) % 16 == 0 && aligned(a.x.data) &&
                    (!a.history || (aligned(a.history.data) && a.history.stride(0) * size_of(a.x.dtype) % 16 == 0));
  if (wide)
    f.template operator()<uint4>(16);
  else if (a.x.dtype == DType::f32)
    f.template operator()<uint32_t>(4);
  else
    f.template operator()<uint16_t>(2);
}

// The virtual input as memory: [zeros + past + frames, high, wide, C] with `pad` zeros around each frame.
template <class V>
struct Assemble {
  Source source;
  V* to;
  int64_t high, wide, pad_top, pad_left;  // of the result
  __device__ void operator()(int64_t n) const {
    const int64_t c = n % source.pixel, w = n / source.pixel % wide, h = n / (source.pixel * wide) % high;
    to[n] = source.at<V>(n / (source.pixel * wide * high), h - pad_top, w - pad_left, c);
  }
};

// The patches under output positions [first, ...) as rows [KT * KH * KW * C].
template <class V>
struct Gather {
  Source source;
  V* to;
  int64_t first, high, wide;  // of y
  int64_t kh, kw, taps;       // of w
  int64_t stride_t, stride_h, stride_w, pad_top, pad_left;
  __device__ void operator()(int64_t n) const {
    const int64_t c = n % source.pixel, tap = n / source.pixel % taps, position = first + n / (source.pixel * taps);
    const int64_t t = position / (high * wide) * stride_t + tap / (kh * kw);
    const int64_t h = position / wide % high * stride_h + tap / kw % kh - pad_top;
    const int64_t w = position % wide * stride_w + tap % kw - pad_left;
    to[n] = source.at<V>(t, h, w, c);
  }
};

// The taps in time of [O, KT, ...] in another order; V is as much of a tap as one thread moves.
template <class V>
struct Reorder {
  const V* w;
  V* to;
  int64_t tap;  // units of one tap
  int order[3];
  __device__ void operator()(int64_t n) const {
    const int64_t within = n % tap, i = n / tap % 3, o = n / (tap * 3);
    to[n] = w[(o * 3 + order[i]) * tap + within];
  }
};

// y += b along the channels.
template <class T>
struct AddBias {
  T* y;
  const float* b;
  int64_t channels;
  __device__ void operator()(int64_t n) const { store<1>(y + n, Floats<1>{{load<1>(y + n).v[0] + b[n % channels]}}); }
};

// A point-wise convolution is a linear layer over the pixels.
bool is_linear(const ConvArgs& a) {
  const bool point = a.w.dim(1) == 1 && a.w.dim(2) == 1 && a.w.dim(3) == 1;
  return point && !a.upsample && a.y.numel() / a.y.dim(3) == a.x.numel() / a.x.dim(3) &&
         a.stride == std::array<int64_t, 3>{1, 1, 1};
}

// Patches in chunks, then a matrix product: any shape and dtype.
void by_patches(Context& ctx, const ConvArgs& a) {
  const int64_t outputs = a.w.dim(0), row = a.w.numel() / outputs, positions = a.y.numel() / outputs;
  const int64_t chunk = std::clamp<int64_t>(patch_bytes / (row * size_of(a.x.dtype)), 1, positions);
  const auto scope = ctx.arena->scope();
  const Tensor patches = ctx.make(a.x.dtype, {chunk, row});
  const Tensor y = a.y.view({positions, outputs}), w = a.w.view({outputs, row});
  for (int64_t first = 0; first < positions; first += chunk) {
    const int64_t n = std::min(chunk, positions - first), taps = a.w.dim(1) * a.w.dim(2) * a.w.dim(3);
    with_unit(a, [&]<class V>(int64_t unit_bytes) {
      const Source source = source_of(a, unit_bytes);
      each(ctx, n * taps * source.pixel,
           Gather<V>{source, at<V>(patches), first, a.y.dim(1), a.y.dim(2), a.w.dim(2), a.w.dim(3), taps, a.stride[0],
                     a.stride[1], a.stride[2], a.pad_top, a.pad_left});
    });
    linear(ctx, {patches.slice(0, 0, n), w, a.b, y.slice(0, first, n)});
  }
}

// What cuDNN gets: x itself where the virtual input is x with equal padding on both sides, else a copy of it in
// scratch.
struct InputPlan {
  bool copy;
  Shape shape;
  int64_t copied_top, copied_left;  // zeros that the copy has
  int64_t pad_h, pad_w;             // zeros that cuDNN adds on both sides
};

InputPlan input_plan(const ConvArgs& a) {
  const bool even = a.pad_top == a.pad_bottom && a.pad_left == a.pad_right;
  const int64_t past = a.past(), scale = a.upsample ? 2 : 1;
  const int64_t before = a.time_valid ? past : a.w.dim(1) - 1;  // frames of history and zeros
  return {before > 0 || a.upsample || !even || !aligned(a.x.data),
          {before + a.x.dim(0), a.x.dim(1) * scale + (even ? 0 : a.pad_top + a.pad_bottom),
           a.x.dim(2) * scale + (even ? 0 : a.pad_left + a.pad_right), a.x.dim(3)},
          even ? 0 : a.pad_top,
          even ? 0 : a.pad_left,
          even ? a.pad_top : 0,
          even ? a.pad_left : 0};
}

Tensor assemble(Context& ctx, const ConvArgs& a, const InputPlan& plan) {
  if (!plan.copy) return a.x;
  const Tensor all = ctx.make(a.x.dtype, plan.shape);
  with_unit(a, [&]<class V>(int64_t unit_bytes) {
    const Source source = source_of(a, unit_bytes);
    each(ctx, all.dim(0) * all.dim(1) * all.dim(2) * source.pixel,
         Assemble<V>{source, at<V>(all), all.dim(1), all.dim(2), plan.copied_top, plan.copied_left});
  });
  return all;
}

// Three frames that lie in memory at equal distances, whatever their order in time: cuDNN can see them as a clip
// without any copy, if it gets the taps of the weights in the same order.
struct InPlace {
  const void* first;
  int64_t distance;          // in frames
  std::array<int, 3> order;  // the tap for each frame, as they lie in memory
  bool in_order() const { return order == std::array<int, 3>{0, 1, 2}; }
};

std::optional<InPlace> in_place(const ConvArgs& a) {
  const bool even = a.pad_top == a.pad_bottom && a.pad_left == a.pad_right;
  if (a.w.dim(1) != 3 || a.past() != 2 || a.x.dim(0) != 1 || a.stride[0] != 1 || a.upsample || !even)
    return std::nullopt;
  const auto* history = static_cast<const std::byte*>(a.history.data);
  const int64_t element = size_of(a.x.dtype), frame = a.x.nbytes();
  std::array<std::pair<const std::byte*, int>, 3> frames{{{history + a.past_offset(0) * element, 0},
                                                          {history + a.past_offset(1) * element, 1},
                                                          {static_cast<const std::byte*>(a.x.data), 2}}};
  std::sort(frames.begin(), frames.end(), [](const auto& p, const auto& q) { return std::less<>()(p.first, q.first); });
  const int64_t step = frames[1].first - frames[0].first;
  if (step < frame || step % frame != 0 || frames[2].first - frames[1].first != step) return std::nullopt;
  if (!aligned(frames[0].first)) return std::nullopt;
  const InPlace found{frames[0].first, step / frame, {frames[0].second, frames[1].second, frames[2].second}};
  // Where frames are small, copying them is cheaper than copying the weights.
  if (!found.in_order() && a.w.nbytes() > 3 * frame) return std::nullopt;
  return found;
}

Tensor reordered(Context& ctx, const Tensor& w, const InPlace& frames) {
  if (frames.in_order()) return w;
  const Tensor to = ctx.make(w.dtype, w.shape);
  const int64_t bytes = w.nbytes() / (w.dim(0) * 3);
  const auto launch = [&]<class V>(int64_t unit_bytes) {
    each(
        ctx, w.nbytes() / unit_bytes,
        Reorder<V>{at<const V>(w), at<V>(to), bytes / unit_bytes, {frames.order[0], frames.order[1], frames.order[2]}});
  };
  if (bytes % 16 == 0 && aligned(w.data))
    launch.template operator()<uint4>(16);
  else
    launch.template operator()<uint16_t>(2);
  return to;
}

// The plan with as much of bias and residual in cuDNN's epilogue as it can do.
const CudnnPlan& best_plan(CudnnPlans& plans, ConvPlanShape& shape) {
  if (shape.residual && !plans.conv(shape).unsupported.empty()) shape.residual = false;
  if (shape.bias && !plans.conv(shape).unsupported.empty()) shape.bias = false;
  return plans.conv(shape);
}

void add_residual(Context& ctx, const ConvArgs& a) {
  const Shape rows{a.y.numel() / a.y.dim(3), a.y.dim(3)};
  gated_add(ctx, {a.y.view(rows), a.residual.view(rows), {}, 0});
}

// `shape` gives the plan of a convolution of x and w with a's other arguments; what the plan leaves out comes after it.
void run_plan(Context& ctx, const ConvArgs& a, const ConvPlanShape& shape, const void* x, const Tensor& w) {
  CudnnPlans& plans = state_of(ctx).cudnn;
  const Tensor workspace = ctx.make(DType::u8, {plans.conv(shape).workspace});
  plans.run(shape, x, w.data, a.b.data, a.residual.data, a.y.data, workspace.data);
  if (a.b && !shape.bias) each(ctx, a.y.numel(), AddBias<half_t>{at<half_t>(a.y), at<const float>(a.b), a.y.dim(3)});
  if (a.residual && !shape.residual) add_residual(ctx, a);
}

ConvPlanShape plan_shape(const ConvArgs& a) {
  return {.w = {a.w.dim(0), a.w.dim(1), a.w.dim(2), a.w.dim(3), a.w.dim(4)},
          .stride = a.stride,
          .pad_h = a.pad_top,
          .pad_w = a.pad_left,
          .bias = static_cast<bool>(a.b),
          .residual = static_cast<bool>(a.residual)};
}

ConvPlanShape shape_in_place(const ConvArgs& a, const InPlace& frames) {
  ConvPlanShape shape = plan_shape(a);
  shape.x = {2 * frames.distance + 1, a.x.dim(1), a.x.dim(2), a.x.dim(3)};
  shape.dilation_t = frames.distance;
  return shape;
}

// Without a copy of the frames.
bool in_place_by_cudnn(Context& ctx, const ConvArgs& a) {
  const auto frames = in_place(a);
  if (!frames) return false;
  ConvPlanShape shape = shape_in_place(a, *frames);
  if (!best_plan(state_of(ctx).cudnn, shape).unsupported.empty()) return false;
  const auto scope = ctx.arena->scope();
  run_plan(ctx, a, shape, frames->first, reordered(ctx, a.w, *frames));
  return true;
}

// Large doubled images in strips of rows, so that the doubled input stays small.
bool wants_strips(const ConvArgs& a) {
  return a.upsample && a.w.dim(1) == 1 && a.stride == std::array<int64_t, 3>{1, 1, 1} && a.pad_left == a.pad_right &&
         4 * a.x.nbytes() > strip_bytes;
}

int64_t strip_rows(const ConvArgs& a) {
  const int64_t high = a.y.dim(1), line = 2 * a.x.dim(2) * a.x.dim(3) * size_of(a.x.dtype);
  return div_up(high, div_up(high * line, strip_bytes));
}

ConvPlanShape shape_of_strip(const ConvArgs& a, int64_t rows) {
  ConvPlanShape shape = plan_shape(a);
  shape.x = {1, rows + a.w.dim(2) - 1, 2 * a.x.dim(2), a.x.dim(3)};
  shape.pad_h = 0;
  return shape;
}

bool strips_by_cudnn(Context& ctx, const ConvArgs& a) {
  const int64_t high = a.y.dim(1), rows = strip_rows(a);
  for (int64_t t = 0; t < a.y.dim(0); ++t)
    for (int64_t row = 0; row < high; row += rows) {
      const int64_t n = std::min(rows, high - row);
      const auto part_of = [&](const Tensor& y) { return y ? y.slice(0, t, 1).slice(1, row, n) : Tensor{}; };
      ConvArgs strip = a;
      strip.x = a.x.slice(0, t, 1);
      strip.y = part_of(a.y);
      strip.residual = part_of(a.residual);
      ConvPlanShape shape = shape_of_strip(a, n);
      if (!aligned(strip.y.data) || !aligned(strip.residual.data) ||
          !best_plan(state_of(ctx).cudnn, shape).unsupported.empty())
        return false;
      const auto scope = ctx.arena->scope();
      const InputPlan input{true, {1, shape.x[1], shape.x[2], shape.x[3]}, a.pad_top - row, 0, 0, a.pad_left};
      run_plan(ctx, strip, shape, assemble(ctx, strip, input).data, a.w);
    }
  return true;
}

ConvPlanShape shape_of_input(const ConvArgs& a, const InputPlan& input) {
  ConvPlanShape shape = plan_shape(a);
  shape.x = {input.shape[0], input.shape[1], input.shape[2], input.shape[3]};
  shape.pad_h = input.pad_h;
  shape.pad_w = input.pad_w;
  return shape;
}

// float32 would be TF32.
bool suits_cudnn(const ConvArgs& a) {
  return a.x.dtype == DType::bf16 && aligned(a.y.data) && aligned(a.residual.data) && aligned(a.w.data);
}

// cuDNN's convolution. False if it has none for the shape, or wants memory aligned otherwise.
bool by_cudnn(Context& ctx, const ConvArgs& a) {
  if (!suits_cudnn(a)) return false;
  if (in_place_by_cudnn(ctx, a)) return true;
  if (wants_strips(a)) return strips_by_cudnn(ctx, a);
  const InputPlan input = input_plan(a);
  ConvPlanShape shape = shape_of_input(a, input);
  if (!best_plan(state_of(ctx).cudnn, shape).unsupported.empty()) return false;
  const auto scope = ctx.arena->scope();
  run_plan(ctx, a, shape, assemble(ctx, a, input).data, a.w);
  return true;
}

}  // namespace

void conv_plan_shapes(const ConvArgs& a, const std::function<void(const ConvPlanShape&)>& use) {
  if (a.y.numel() == 0 || is_linear(a) || !suits_cudnn(a)) return;
  if (const auto frames = in_place(a)) return use(shape_in_place(a, *frames));
  if (!wants_strips(a)) return use(shape_of_input(a, input_plan(a)));
  const int64_t high = a.y.dim(1), rows = strip_rows(a);
  use(shape_of_strip(a, std::min(rows, high)));
  if (high > rows && high % rows != 0) use(shape_of_strip(a, high % rows));
}

void conv(Context& ctx, const ConvArgs& a) {
  if (a.y.numel() == 0) return;
  if (is_linear(a)) {
    const int64_t pixels = a.x.numel() / a.x.dim(3);
    linear(ctx,
           {a.x.view({pixels, a.x.dim(3)}), a.w.view({a.w.dim(0), a.w.dim(4)}), a.b, a.y.view({pixels, a.y.dim(3)})});
  } else {
    if (by_cudnn(ctx, a)) return;
    by_patches(ctx, a);
  }
  if (a.residual) add_residual(ctx, a);
}

}  // namespace wan::ops::cuda
