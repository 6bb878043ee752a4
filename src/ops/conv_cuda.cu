#include <algorithm>

#include "core/checked.h"
#include "ops/cuda_util.cuh"

namespace wan::ops::cuda {
namespace {

constexpr int64_t scratch_bytes = int64_t{256} << 20;

// The virtual input: zero frames, history, x, doubled in height and width if asked, with zeros around.
struct Source {
  const void *history, *x;
  int64_t zeros, past, frames;  // in time
  int64_t rows, columns;        // of a stored frame
  int64_t scale, high, wide;    // of a doubled one
  int64_t pixel;                // elements (or vectors) of a pixel
  template <class V>
  __device__ V at(int64_t t, int64_t h, int64_t w, int64_t c) const {
    if (t < zeros || h < 0 || h >= high || w < 0 || w >= wide) return V{};
    const int64_t frame = t - zeros;
    const V* from = static_cast<const V*>(frame < past ? history : x);
    const int64_t stored = frame < past ? frame : frame - past;
    return from[((stored * rows + h / scale) * columns + w / scale) * pixel + c];
  }
};

Source source_of(const ConvArgs& a, int64_t unit_bytes) {
  const int64_t past = a.history ? a.history.dim(0) : 0, scale = a.upsample ? 2 : 1;
  return {a.history.data,
          a.x.data,
          a.time_valid ? 0 : a.w.dim(1) - 1 - past,
          past,
          a.x.dim(0),
          a.x.dim(1),
          a.x.dim(2),
          scale,
          a.x.dim(1) * scale,
          a.x.dim(2) * scale,
          a.x.dim(3) * size_of(a.x.dtype) / unit_bytes};
}

// f.template operator()<V>(bytes of V) with V the widest unit that pixels are made of.
template <class F>
void with_unit(const ConvArgs& a, const F& f) {
  const bool wide =
      a.x.dim(3) * size_of(a.x.dtype) % 16 == 0 && aligned(a.x.data) && (!a.history || aligned(a.history.data));
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
  const int64_t chunk = std::clamp<int64_t>(scratch_bytes / (row * size_of(a.x.dtype)), 1, positions);
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
  const int64_t past = a.history ? a.history.dim(0) : 0, scale = a.upsample ? 2 : 1;
  const int64_t before = a.time_valid ? past : a.w.dim(1) - 1;  // frames of history and zeros
  return {before > 0 || a.upsample || !even,
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

// cuDNN's convolution, with the bias in its epilogue where it has one. False if it has none for the shape.
bool by_cudnn(Context& ctx, const ConvArgs& a) {
  if (a.x.dtype != DType::bf16) return false;  // float32 would be TF32
  CudnnPlans& plans = state_of(ctx).cudnn;
  const InputPlan input = input_plan(a);
  ConvPlanShape shape{.x = {input.shape[0], input.shape[1], input.shape[2], input.shape[3]},
                      .w = {a.w.dim(0), a.w.dim(1), a.w.dim(2), a.w.dim(3), a.w.dim(4)},
                      .stride = a.stride,
                      .pad_h = input.pad_h,
                      .pad_w = input.pad_w,
                      .bias = static_cast<bool>(a.b)};
  if (shape.bias && !plans.conv(shape).unsupported.empty()) shape.bias = false;
  const CudnnPlan& plan = plans.conv(shape);
  if (!plan.unsupported.empty()) return false;

  const auto scope = ctx.arena->scope();
  const Tensor x = assemble(ctx, a, input), workspace = ctx.make(DType::u8, {plan.workspace});
  plans.run(shape, x.data, a.w.data, a.b.data, a.y.data, workspace.data);
  if (a.b && !shape.bias) each(ctx, a.y.numel(), AddBias<half_t>{at<half_t>(a.y), at<const float>(a.b), a.y.dim(3)});
  return true;
}

// Single doubled images in groups, so that the doubled input stays small.
bool in_groups(Context& ctx, const ConvArgs& a) {
  const int64_t frames = a.x.dim(0);
  if (!a.upsample || a.w.dim(1) != 1 || a.stride[0] != 1 || frames < 2) return false;
  const int64_t group = std::max<int64_t>(scratch_bytes / (4 * a.x.nbytes() / frames), 1);
  if (group >= frames) return false;
  for (int64_t t = 0; t < frames; t += group) {
    ConvArgs part = a;
    part.x = a.x.slice(0, t, std::min(group, frames - t));
    part.y = a.y.slice(0, t, std::min(group, frames - t));
    conv(ctx, part);
  }
  return true;
}

}  // namespace

void conv(Context& ctx, const ConvArgs& a) {
  if (a.y.numel() == 0) return;
  if (is_linear(a)) {
    const int64_t pixels = a.x.numel() / a.x.dim(3);
    linear(ctx,
           {a.x.view({pixels, a.x.dim(3)}), a.w.view({a.w.dim(0), a.w.dim(4)}), a.b, a.y.view({pixels, a.y.dim(3)})});
    return;
  }
  if (in_groups(ctx, a)) return;
  if (!by_cudnn(ctx, a)) by_patches(ctx, a);
}

}  // namespace wan::ops::cuda
