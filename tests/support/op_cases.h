#pragma once
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "ops/attention.h"
#include "ops/conv.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/norm.h"

/// One list of op calls for every back end: the tests compare their results with the reference table's.
namespace wan::test {

/// Host memory that holds NaN in every float type until somebody writes to it.
class PoisonedMemory final : public MemoryResource {
 public:
  void* allocate(int64_t bytes) override {
    void* memory = host_memory().allocate(bytes);
    std::memset(memory, 0xff, static_cast<size_t>(bytes));
    return memory;
  }
  void deallocate(void* memory, int64_t bytes) noexcept override { host_memory().deallocate(memory, bytes); }
  Device device() const noexcept override { return {}; }
  void upload(void* destination, const void* host, int64_t bytes) override {
    host_memory().upload(destination, host, bytes);
  }
  void download(void* host, const void* source, int64_t bytes) override { host_memory().download(host, source, bytes); }
  void fill_zero(void* memory, int64_t bytes) override { host_memory().fill_zero(memory, bytes); }
};

/// Makes inputs in some memory; equal seeds give equal values.
class Maker {
 public:
  explicit Maker(uint64_t seed, MemoryResource& memory = host_memory()) : random_(seed), memory_(&memory) {}

  /// Normal values of the given size.
  Tensor normal(DType dtype, const Shape& shape, float size = 1.f, float mean = 0.f) {
    return put(draw(dtype, shape, size, mean));
  }
  /// [rows, width] whose rows are `gap` elements further apart; NaN between them.
  Tensor strided(DType dtype, int64_t rows, int64_t width, int64_t gap) {
    OwnedTensor host = draw(dtype, {rows, width + gap}, 1.f, 0.f);
    const Tensor between = host.tensor.slice(1, width, gap);
    for (int64_t i = 0; i < rows; ++i)
      std::memset(static_cast<std::byte*>(between.data) + i * host.tensor.stride(0) * size_of(dtype), 0xff,
                  static_cast<size_t>(gap * size_of(dtype)));
    return put(std::move(host)).slice(1, 0, width);
  }

 private:
  OwnedTensor draw(DType dtype, const Shape& shape, float size, float mean) {
    OwnedTensor owned(host_memory(), dtype, shape);
    const Tensor& t = owned.tensor;
    std::normal_distribution<float> distribution(mean, size);
    for (int64_t i = 0; i < t.numel(); ++i) {
      const float v = distribution(random_);
      if (dtype == DType::f32) t.ptr<float>()[i] = v;
      if (dtype == DType::bf16) t.ptr<bf16>()[i] = bf16(v);
      if (dtype == DType::f16) t.ptr<uint16_t>()[i] = static_cast<uint16_t>(random_() & 0xfbffu);  // any finite value
    }
    return owned;
  }
  Tensor put(OwnedTensor host) {
    if (memory_ == &host_memory()) {
      owned_.push_back(std::move(host));
    } else {
      owned_.emplace_back(*memory_, host.tensor.dtype, host.tensor.shape);
      memory_->upload(owned_.back().tensor.data, host.tensor.data, host.tensor.nbytes());
    }
    return owned_.back().tensor;
  }

  std::mt19937_64 random_;
  MemoryResource* memory_;
  std::deque<OwnedTensor> owned_;
};

struct OpCase {
  std::string name;
  /// Calls the op with ctx.compute = `dtype` and gives what it wrote.
  std::function<std::vector<Tensor>(Context&, Maker&)> run;
};

inline void add_linear_cases(std::vector<OpCase>& cases, DType dtype) {
  using ops::Activation;
  struct Size {
    int64_t m, k, n;
  };
  for (const Size s : {Size{1, 1, 1}, {1, 64, 48}, {7, 33, 5}, {64, 128, 96}, {65, 257, 131}, {200, 512, 70}})
    for (const auto act : {Activation::none, Activation::gelu_tanh, Activation::silu})
      for (const DType out : {DType::f32, dtype})
        cases.push_back({fmt::format("linear_{}x{}x{}_act{}_{}", s.m, s.k, s.n, static_cast<int>(act), to_string(out)),
                         [=](Context& ctx, Maker& make) -> std::vector<Tensor> {
                           const Tensor x = make.normal(dtype, {s.m, s.k}), w = make.normal(dtype, {s.n, s.k}, 0.2f);
                           return {ops::linear(ctx, x, w, make.normal(DType::f32, {s.n}), out, act)};
                         }});
  cases.push_back({"linear_strided_without_bias", [=](Context& ctx, Maker& make) -> std::vector<Tensor> {
                     return {ops::linear(ctx, make.strided(dtype, 37, 45, 19), make.normal(dtype, {50, 45}))};
                   }});
  cases.push_back({"linear_no_rows", [=](Context& ctx, Maker& make) -> std::vector<Tensor> {
                     return {ops::linear(ctx, make.normal(dtype, {0, 8}), make.normal(dtype, {5, 8}))};
                   }});
}

inline void add_norm_cases(std::vector<OpCase>& cases, DType dtype) {
  for (const auto [rows, width] : {std::array<int64_t, 2>{1, 1}, {3, 17}, {5, 64}, {9, 1000}, {2, 5120}}) {
    const auto name = [&, r = rows, w = width](const char* op) { return fmt::format("{}_{}x{}", op, r, w); };
    for (const int64_t split : {int64_t{0}, int64_t{2}})
      cases.push_back({name("norm_modulate") + (split ? "_split" : ""),
                       [=, rows = rows, width = width](Context& ctx, Maker& make) -> std::vector<Tensor> {
                         const Tensor x = make.normal(DType::f32, {rows, width}, 3.f, 10.f);
                         const Tensor e = make.strided(DType::f32, split ? 2 : 1, width, 7);
                         return {ops::norm_modulate(ctx, x, e, make.strided(DType::f32, split ? 2 : 1, width, 5), split,
                                                    1e-6f, dtype)};
                       }});
    cases.push_back(
        {name("layer_norm"), [=, rows = rows, width = width](Context& ctx, Maker& make) -> std::vector<Tensor> {
           return {ops::layer_norm(ctx, make.normal(DType::f32, {rows, width}, 2.f, -5.f),
                                   make.normal(DType::f32, {width}), make.normal(DType::f32, {width}), 1e-6f)};
         }});
    for (const bool plain : {false, true})
      for (const int64_t split : {int64_t{0}, rows / 2})
        cases.push_back({name("gated_add_norm") + (plain ? "_plain" : "") + (split ? "_split" : ""),
                         [=, rows = rows, width = width](Context& ctx, Maker& make) -> std::vector<Tensor> {
                           const Tensor x = make.normal(DType::f32, {rows, width}, 2.f, 3.f);
                           const int64_t r = split && !plain ? 2 : 1;
                           const auto rows_of = [&] { return make.strided(DType::f32, r, width, 8); };
                           const Tensor y = make.normal(dtype, {rows, width}), gate = plain ? Tensor{} : rows_of();
                           const Tensor shift = rows_of(), scale = rows_of(), z = ctx.make(dtype, {rows, width});
                           ops::gated_add_norm(ctx, x, y, gate, {shift, scale, plain}, split, 1e-6f, z);
                           return {x, z};
                         }});
    cases.push_back(
        {name("rms_norm"), [=, rows = rows, width = width](Context& ctx, Maker& make) -> std::vector<Tensor> {
           return {ops::rms_norm(ctx, make.normal(DType::f32, {rows, width}, 20.f), make.normal(DType::f32, {width}),
                                 1e-6f, dtype)};
         }});
    for (const bool silu : {false, true})
      cases.push_back({name("channel_norm") + (silu ? "_silu" : ""),
                       [=, rows = rows, width = width](Context& ctx, Maker& make) -> std::vector<Tensor> {
                         return {ops::channel_norm(ctx, make.normal(dtype, {1, rows, 1, width}),
                                                   make.normal(DType::f32, {width}), silu)};
                       }});
  }
  cases.push_back({"channel_norm_into", [=](Context& ctx, Maker& make) -> std::vector<Tensor> {
                     const Tensor x = make.normal(dtype, {5, 24}), y = ctx.make(dtype, {5, 24});
                     ops::channel_norm_into(ctx, x, make.normal(DType::f32, {24}), true, y);
                     ops::channel_norm_into(ctx, x, make.normal(DType::f32, {24}), true, x);
                     return {x, y};
                   }});
  cases.push_back(
      {"channel_norm_of_zeros", [=](Context& ctx, Maker& make) -> std::vector<Tensor> {
         return {ops::channel_norm(ctx, make.normal(dtype, {3, 20}, 0.f), make.normal(DType::f32, {20}), true)};
       }});
  for (const auto [f, h, w, heads, d] :
       {std::array<int64_t, 5>{1, 1, 1, 1, 2}, {2, 3, 5, 3, 16}, {3, 2, 7, 2, 128}, {1, 4, 4, 1, 40}})
    for (const bool rope : {false, true})
      cases.push_back(
          {fmt::format("rms_norm_rope_{}x{}x{}_heads{}x{}{}", f, h, w, heads, d, rope ? "" : "_plain"),
           [=, f = f, h = h, w = w, heads = heads, d = d](Context& ctx, Maker& make) -> std::vector<Tensor> {
             const auto tables = ops::make_rope(ctx, f, h, w, d);
             const Tensor x = make.strided(dtype, f * h * w, heads * d, 3);
             ops::rms_norm_rope(ctx, x, make.normal(DType::f32, {heads * d}), rope ? &tables : nullptr, heads, 1e-6f);
             return {x, tables.frame, tables.height, tables.width};
           }});
  cases.push_back({"rms_norm_rope_part", [=](Context& ctx, Maker& make) -> std::vector<Tensor> {
                     const auto tables = ops::make_rope(ctx, 3, 4, 5, 16);
                     const Tensor x = make.normal(dtype, {60, 32}), w = make.normal(DType::f32, {32});
                     ops::rms_norm_rope(ctx, x.slice(0, 37, 23), w, &tables, 2, 1e-6f, 37);
                     return {x};
                   }});
}

/// [n, heads, d] with rows `gap` elements apart.
inline Tensor attention_rows(Maker& make, DType dtype, int64_t n, int64_t heads, int64_t d, int64_t gap) {
  Tensor t = make.strided(dtype, n, heads * d, gap);
  const int64_t stride = t.stride(0);
  t = Tensor(t.data, dtype, {n, heads, d}, t.device);
  t.strides[0] = stride;
  return t;
}

inline void add_attention_cases(std::vector<OpCase>& cases, DType dtype) {
  for (const auto [lq, lk, heads, d] : {std::array<int64_t, 4>{1, 1, 1, 1},
                                        {5, 3, 2, 8},
                                        {33, 70, 3, 24},
                                        {64, 64, 2, 64},
                                        {129, 257, 2, 128},
                                        {17, 600, 1, 80},
                                        {70, 70, 1, 384}})
    for (const bool bias : {false, true})
      cases.push_back({fmt::format("attention_{}x{}_heads{}x{}{}", lq, lk, heads, d, bias ? "_bias" : ""),
                       [=, lq = lq, lk = lk, heads = heads, d = d](Context& ctx, Maker& make) -> std::vector<Tensor> {
                         const auto rows = [&](int64_t n) { return attention_rows(make, dtype, n, heads, d, 11); };
                         const Tensor b = bias ? make.normal(DType::f32, {heads, lq + lk - 1}, 4.f) : Tensor{};
                         const Tensor q = rows(lq), k = rows(lk);
                         return {ops::attention(ctx, q, k, rows(lk), 2.f / std::sqrt(static_cast<float>(d)), b)};
                       }});
  // Rows aligned to 16 bytes, as fused kernels want them; below, at and above the sizes of tiles.
  for (const auto [lq, lk, heads, spread] : {std::array<int64_t, 4>{1, 1, 1, 1},
                                             {64, 80, 2, 1},
                                             {65, 81, 1, 3},
                                             {192, 240, 3, 1},
                                             {193, 241, 2, 6},
                                             {400, 79, 1, 1},
                                             {130, 1203, 2, 2}})
    cases.push_back(
        {fmt::format("attention_aligned_{}x{}_heads{}_spread{}", lq, lk, heads, spread),
         [=, lq = lq, lk = lk, heads = heads, spread = spread](Context& ctx, Maker& make) -> std::vector<Tensor> {
           const auto rows = [&](int64_t n) { return attention_rows(make, dtype, n, heads, 128, 8); };
           const Tensor q = rows(lq), k = rows(lk);
           const float scale = static_cast<float>(spread) / std::sqrt(128.f);
           return {ops::attention(ctx, q, k, rows(lk), scale)};
         }});
  cases.push_back({"attention_large_scores", [=](Context& ctx, Maker& make) -> std::vector<Tensor> {
                     const Tensor q = make.normal(dtype, {40, 1, 32}, 30.f), k = make.normal(dtype, {150, 1, 32}, 30.f);
                     return {ops::attention(ctx, q, k, make.normal(dtype, {150, 1, 32}), 1.f)};
                   }});
}

inline void add_elementwise_cases(std::vector<OpCase>& cases, DType dtype) {
  for (const auto [rows, width] : {std::array<int64_t, 2>{1, 1}, {3, 31}, {70, 300}}) {
    const Shape shape{rows, width};
    const auto name = [&, r = rows, w = width](const char* op) { return fmt::format("{}_{}x{}", op, r, w); };
    for (const DType x_type : {DType::f32, dtype})
      cases.push_back(
          {name("add_") + std::string(to_string(x_type)), [=](Context& ctx, Maker& make) -> std::vector<Tensor> {
             const Tensor x = make.normal(x_type, shape);
             ops::add(ctx, x, make.normal(dtype, shape));
             return {x};
           }});
    for (const int64_t split : {int64_t{0}, int64_t{2}})
      cases.push_back({name("gated_add") + (split ? "_split" : ""),
                       [=, width = width](Context& ctx, Maker& make) -> std::vector<Tensor> {
                         const Tensor x = make.normal(DType::f32, shape);
                         ops::gated_add(ctx, x, make.normal(dtype, shape),
                                        make.strided(DType::f32, split ? 2 : 1, width, 9), split);
                         return {x};
                       }});
    cases.push_back({name("gelu_mul"), [=](Context& ctx, Maker& make) -> std::vector<Tensor> {
                       const Tensor a = make.normal(dtype, shape, 3.f);
                       ops::gelu_mul(ctx, a, make.normal(dtype, shape));
                       return {a};
                     }});
    cases.push_back({name("silu"), [=](Context& ctx, Maker& make) -> std::vector<Tensor> {
                       return {ops::silu(ctx, make.normal(DType::f32, shape, 30.f))};
                     }});
    cases.push_back({name("convert"), [=](Context& ctx, Maker& make) -> std::vector<Tensor> {
                       return {ops::convert(ctx, make.normal(dtype, shape), DType::f32),
                               ops::convert(ctx, make.normal(DType::f32, shape), dtype)};
                     }});
    cases.push_back({name("copy"), [=](Context& ctx, Maker& make) -> std::vector<Tensor> {
                       const Tensor from = make.normal(dtype, shape), to = ctx.make(dtype, shape);
                       ops::copy(ctx, from, to);
                       return {to};
                     }});
    cases.push_back({name("combine"), [=](Context& ctx, Maker& make) -> std::vector<Tensor> {
                       const Tensor a = make.normal(DType::f32, shape), b = make.normal(DType::f32, shape);
                       ops::combine(ctx, a, {{a, 0.25f}, {b, -3.f}, {make.normal(DType::f32, shape), 2.5f}});
                       ops::combine(ctx, b, {{a, 5.f}});
                       return {a, b};
                     }});
    cases.push_back({name("combine_in_a_row"), [=](Context& ctx, Maker& make) -> std::vector<Tensor> {
                       const Tensor a = make.normal(DType::f32, shape), b = make.normal(DType::f32, shape);
                       const Tensor c = make.normal(DType::f32, shape), fresh = ctx.make(DType::f32, shape);
                       const std::vector<ops::Sum> sums{{b, {{a, -3}, {b, 4}}},  // guidance
                                                        {fresh, {{c, 1}, {b, -0.75}}},
                                                        {a, {{fresh, 0.5}, {a, 0.125}}},
                                                        {c, {{a, 2}, {b, 1}, {fresh, -1}}}};
                       ops::combine(ctx, sums);
                       return {a, b, c, fresh};
                     }});
  }
  for (const DType table : {DType::f32, DType::bf16, DType::f16})
    cases.push_back(
        {"embedding_" + std::string(to_string(table)), [=](Context& ctx, Maker& make) -> std::vector<Tensor> {
           static constexpr std::array<int32_t, 5> ids{3, 0, 6, 3, 1};
           return {ops::embedding(ctx, make.normal(table, {7, 33}), ids)};
         }});
}

inline void add_layout_cases(std::vector<OpCase>& cases, DType dtype) {
  for (const std::array<int64_t, 3> patch : {std::array<int64_t, 3>{1, 2, 2}, {1, 1, 1}, {2, 3, 1}}) {
    const Shape latent{5, 2 * patch[0], 3 * patch[1], 4 * patch[2]};
    const auto suffix = fmt::format("_{}{}{}", patch[0], patch[1], patch[2]);
    for (const int64_t extra : {0, 3})
      cases.push_back(
          {"patchify" + suffix + (extra ? "_extra" : ""), [=](Context& ctx, Maker& make) -> std::vector<Tensor> {
             const Tensor more = extra ? make.normal(DType::f32, {extra, latent[1], latent[2], latent[3]}) : Tensor{};
             return {ops::patchify(ctx, make.normal(DType::f32, latent), more, patch)};
           }});
    cases.push_back(
        {"unpatchify" + suffix, [=](Context& ctx, Maker& make) -> std::vector<Tensor> {
           const Tensor y = make.normal(DType::f32, latent);
           ops::unpatchify(ctx, make.normal(DType::f32, {24, 5 * patch[0] * patch[1] * patch[2]}), y, patch);
           return {y};
         }});
  }
  for (const int64_t patch : {1, 2})
    for (const bool affine : {false, true}) {
      const auto suffix = fmt::format("_{}{}", patch, affine ? "_affine" : "");
      const auto parameter = [=](Maker& make) { return affine ? make.normal(DType::f32, {3}) : Tensor{}; };
      cases.push_back(
          {"to_channels_last" + suffix, [=](Context& ctx, Maker& make) -> std::vector<Tensor> {
             const Tensor clip = make.normal(DType::f32, {3, 5, 4 * patch, 3 * patch}), scale = parameter(make);
             return {ops::to_channels_last(ctx, clip.slice(1, 1, 3), scale, parameter(make), patch)};
           }});
      cases.push_back(
          {"to_planar" + suffix, [=](Context& ctx, Maker& make) -> std::vector<Tensor> {
             const Tensor clip = make.normal(DType::f32, {3, 5, 4 * patch, 3 * patch}), scale = parameter(make);
             const Tensor x = make.normal(dtype, {2, 4, 3, 3 * patch * patch});
             ops::to_planar(ctx, x, scale, parameter(make), clip.slice(1, 2, 2), patch, affine);
             return {clip};
           }});
    }
  for (const int64_t width : {7, 16}) {
    cases.push_back(
        {fmt::format("copy_rows_out_of_columns_{}", width), [=](Context& ctx, Maker& make) -> std::vector<Tensor> {
           const Tensor x = make.normal(dtype, {5, 3 * width});
           Tensor parts = x.view({5, 3, width});  // [5, 3, width] to [3, 5, width]
           std::swap(parts.shape[0], parts.shape[1]);
           std::swap(parts.strides[0], parts.strides[1]);
           const Tensor y = make.normal(dtype, {3, 5, width});
           ops::copy_rows(ctx, parts, y);
           return {y};
         }});
    cases.push_back(
        {fmt::format("copy_rows_into_columns_{}", width), [=](Context& ctx, Maker& make) -> std::vector<Tensor> {
           const Tensor y = make.normal(dtype, {5, 4 * width});
           Tensor parts(y.slice(0, 1, 3).data, dtype, {2, 3, width}, y.device);
           parts.strides = {width, 4 * width, 1};
           ops::copy_rows(ctx, make.normal(dtype, {2, 3, width}), parts);
           return {y};
         }});
  }
  cases.push_back({"interleave_time", [=](Context& ctx, Maker& make) -> std::vector<Tensor> {
                     return {ops::interleave_time(ctx, make.normal(dtype, {3, 2, 5, 14}))};
                   }});
}

struct ConvCase {
  const char* name;
  int64_t t, h, w, c, o;
  std::array<int64_t, 3> kernel;
  int64_t past;
  ops::ConvShape shape;
};

inline void add_conv_cases(std::vector<OpCase>& cases, DType dtype) {
  const auto same = ops::ConvShape::same(3), point = ops::ConvShape::same(1);
  auto upsample = same, down = point, time_down = point;
  upsample.upsample = true;
  down.stride = {1, 2, 2};
  down.pad_bottom = down.pad_right = 1;
  time_down.stride = {2, 1, 1};
  time_down.time_valid = true;
  for (const ConvCase& s : {ConvCase{"causal", 1, 5, 7, 8, 6, {3, 3, 3}, 0, same},
                            {"causal_one_past", 1, 6, 5, 16, 16, {3, 3, 3}, 1, same},
                            {"causal_two_past", 2, 9, 4, 32, 48, {3, 3, 3}, 2, same},
                            {"causal_clip", 3, 7, 9, 96, 96, {3, 3, 3}, 0, same},
                            {"causal_odd_channels", 2, 8, 9, 3, 33, {3, 3, 3}, 2, same},
                            {"causal_three_outputs", 2, 6, 6, 64, 3, {3, 3, 3}, 2, same},
                            {"causal_no_padding", 2, 6, 6, 12, 9, {3, 3, 3}, 1, {}},
                            {"point", 3, 5, 5, 16, 40, {1, 1, 1}, 0, point},
                            {"image", 2, 8, 6, 20, 20, {1, 3, 3}, 0, same},
                            {"upsample", 3, 5, 4, 32, 16, {1, 3, 3}, 0, upsample},
                            {"upsample_causal", 1, 5, 4, 6, 5, {3, 3, 3}, 1, upsample},
                            {"down", 2, 16, 12, 32, 32, {1, 3, 3}, 0, down},
                            {"down_odd", 1, 7, 9, 5, 4, {1, 3, 3}, 0, down},
                            {"time", 2, 9, 7, 32, 64, {3, 1, 1}, 1, point},
                            {"time_down", 4, 9, 7, 32, 32, {3, 1, 1}, 1, time_down},
                            {"time_down_whole", 3, 4, 3, 7, 7, {3, 1, 1}, 0, time_down}})
    for (const bool bias : {false, true})
      cases.push_back({fmt::format("conv_{}{}", s.name, bias ? "_bias" : ""),
                       [=](Context& ctx, Maker& make) -> std::vector<Tensor> {
                         const Tensor x = make.normal(dtype, {s.t, s.h, s.w, s.c});
                         const Tensor past = s.past ? make.normal(dtype, {s.past, s.h, s.w, s.c}) : Tensor{};
                         const Tensor w = make.normal(dtype, {s.o, s.kernel[0], s.kernel[1], s.kernel[2], s.c}, 0.3f);
                         return {ops::conv(ctx, x, past, w, bias ? make.normal(DType::f32, {s.o}) : Tensor{}, s.shape)};
                       }});
  // Histories as a model keeps them: `slots` frames, x in one of them, the two before it in others, in both orders.
  for (const auto [slots, newest, first, step] :
       {std::array<int64_t, 4>{3, 2, 0, 1}, {4, 0, 1, 1}, {4, 1, 2, 1}, {3, 1, 0, 2}, {5, 2, 0, 4}, {6, 5, 0, 2}})
    for (const bool newest_first : {false, true})
      for (const auto [h, wd, c, o] : {std::array<int64_t, 4>{6, 7, 16, 24}, {20, 24, 32, 32}, {3, 5, 3, 8}})
        cases.push_back(
            {fmt::format("conv_window_{}of{}_past{}by{}{}_{}to{}", newest, slots, first, step,
                         newest_first ? "_newest_first" : "", c, o),
             [=, slots = slots, newest = newest, first = first, step = step, h = h, wd = wd, c = c, o = o](
                 Context& ctx, Maker& make) -> std::vector<Tensor> {
               const Tensor frames = make.normal(dtype, {slots, h, wd, c});
               Tensor past = frames.slice(0, first, 1);
               past.shape[0] = 2;
               past.strides[0] *= step;
               auto window = ops::ConvShape::same(3);
               window.newest_first = newest_first;
               const Tensor w = make.normal(dtype, {o, 3, 3, 3, c}, 0.3f), y = ctx.make(dtype, {1, h, wd, o});
               ops::conv_into(ctx, frames.slice(0, newest, 1), past, w, make.normal(DType::f32, {o}), window, y);
               return {y};
             }});
  for (const auto [t, kt, k, up] :
       {std::array<int64_t, 4>{2, 3, 3, 0}, {2, 1, 3, 0}, {1, 1, 1, 0}, {2, 1, 3, 1}, {1, 3, 1, 0}})
    cases.push_back(
        {fmt::format("conv_residual_{}_{}{}{}", t, kt, k, up ? "_upsample" : ""),
         [=, t = t, kt = kt, k = k, up = up](Context& ctx, Maker& make) -> std::vector<Tensor> {
           auto shape = ops::ConvShape::same(k);
           shape.upsample = up != 0;
           const Tensor x = make.normal(dtype, {t, 8, 6, 16}), w = make.normal(dtype, {24, kt, k, k, 16}, 0.3f);
           const Tensor y = ctx.make(dtype, {t, up ? 16 : 8, up ? 12 : 6, 24});
           ops::conv_into(ctx, x, {}, w, {}, shape, y, make.normal(dtype, y.shape));
           return {y};
         }});
  for (const auto [t, c, o, ft, fs] :
       {std::array<int64_t, 5>{1, 8, 8, 1, 2}, {3, 8, 16, 2, 2}, {4, 6, 12, 2, 1}, {1, 16, 4, 2, 2}})
    cases.push_back({fmt::format("avg_down_{}_{}to{}_{}{}", t, c, o, ft, fs),
                     [=, t = t, c = c, o = o, ft = ft, fs = fs](Context& ctx, Maker& make) -> std::vector<Tensor> {
                       const Tensor y = make.normal(dtype, {div_up(t, ft), 3, 2, o});
                       ops::add_avg_down(ctx, y, make.normal(dtype, {t, 3 * fs, 2 * fs, c}), ft, fs);
                       return {y};
                     }});
  for (const auto [t, c, o, ft, fs, first] : {std::array<int64_t, 6>{1, 8, 8, 1, 2, 0},
                                              {2, 16, 8, 2, 2, 1},
                                              {1, 8, 8, 2, 2, 1},
                                              {2, 8, 4, 2, 1, 0},
                                              {2, 32, 16, 1, 2, 0},
                                              {3, 24, 24, 2, 2, 1},
                                              {2, 8, 16, 2, 2, 0}})
    cases.push_back(
        {fmt::format("dup_up_{}_{}to{}_{}{}_{}", t, c, o, ft, fs, first),
         [=, t = t, c = c, o = o, ft = ft, fs = fs, first = first](Context& ctx, Maker& make) -> std::vector<Tensor> {
           const Tensor y = make.normal(dtype, {t * ft - (first ? ft - 1 : 0), 3 * fs, 2 * fs, o});
           ops::add_dup_up(ctx, y, make.normal(dtype, {t, 3, 2, c}), ft, fs, first != 0);
           return {y};
         }});
  // Bands of rows: a part of the enlargement, and convolutions that lack the zeros above, below or both.
  for (const auto [c, o, frame, row, rows] :
       {std::array<int64_t, 5>{8, 8, 1, 1, 6}, {16, 8, 0, 3, 4}, {8, 4, 1, 0, 5}, {4, 2, 0, 1, 7}})
    cases.push_back(
        {fmt::format("dup_up_part_{}to{}_{}_{}", c, o, frame, row),
         [=, c = c, o = o, frame = frame, row = row, rows = rows](Context& ctx, Maker& make) -> std::vector<Tensor> {
           const Tensor y = make.normal(dtype, {1, rows, 6, o});
           ops::add_dup_up_part(ctx, y, make.normal(dtype, {1, 4, 3, c}), 2, 2, frame, row);
           return {y};
         }});
  for (const auto [rows, top, bottom, up] : {std::array<int64_t, 4>{2, 0, 0, 1},
                                             {7, 0, 0, 1},
                                             {5, 1, 0, 1},
                                             {5, 0, 1, 1},
                                             {1, 1, 1, 1},
                                             {3, 0, 0, 0},
                                             {9, 0, 0, 0},
                                             {1, 0, 1, 1}})
    cases.push_back(
        {fmt::format("conv_rows_{}_{}{}{}", rows, top, bottom, up ? "_upsample" : ""),
         [=, rows = rows, top = top, bottom = bottom, up = up](Context& ctx, Maker& make) -> std::vector<Tensor> {
           const int64_t kt = up ? 1 : 3;
           auto shape = ops::ConvShape::same(3);
           shape.upsample = up != 0;
           shape.pad_top = top;
           shape.pad_bottom = bottom;
           const Tensor x = make.normal(dtype, {1, rows, 20, 16}), w = make.normal(dtype, {24, kt, 3, 3, 16}, 0.3f);
           const Tensor past = up ? Tensor{} : make.normal(dtype, {2, rows, 20, 16});
           return {ops::conv(ctx, x, past, w, make.normal(DType::f32, {24}), shape)};
         }});
}

inline std::vector<OpCase> op_cases(DType dtype) {
  std::vector<OpCase> cases;
  add_linear_cases(cases, dtype);
  add_norm_cases(cases, dtype);
  add_attention_cases(cases, dtype);
  add_elementwise_cases(cases, dtype);
  add_layout_cases(cases, dtype);
  add_conv_cases(cases, dtype);
  return cases;
}

}  // namespace wan::test
