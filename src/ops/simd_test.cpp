// The inner loops of every instruction set that this processor has, against f64 sums and std::exp.
#include "ops/simd.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace wan::ops::cpu {
namespace {

class SimdTest : public testing::TestWithParam<const Simd*> {
 protected:
  std::vector<float> normal(int64_t n, float size = 1.f, float mean = 0.f) {
    std::normal_distribution<float> draw(mean, size);
    std::vector<float> v(static_cast<size_t>(n));
    for (float& e : v) e = draw(random_);
    return v;
  }
  const Simd& s = *GetParam();

 private:
  std::mt19937 random_{7};
};

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

TEST_P(SimdTest, ProductsOfPackedMatrices) {
  for (const int64_t k : {1, 2, 37})
    for (const int64_t n : {1, 5, 70}) {
      const int64_t m = 2 * s.rows, padded_n = (n + s.columns - 1) / s.columns * s.columns, even_k = (k + 1) / 2 * 2;
      const auto a = normal(m * even_k), b = normal(n * k);
      std::vector<float> packed(static_cast<size_t>(padded_n * k), nan), c(static_cast<size_t>(m * padded_n), 3.f);
      for (const bool accumulate : {false, true}) {
        std::fill(c.begin(), c.end(), 3.f);
        pack_rows(s, b.data(), k, n, k, packed.data());
        s.gemm_f32(m, padded_n, k, a.data(), even_k, packed.data(), c.data(), padded_n, accumulate);
        for (int64_t i = 0; i < m; ++i)
          for (int64_t j = 0; j < n; ++j) {
            double sum = accumulate ? 3 : 0;
            for (int64_t e = 0; e < k; ++e)
              sum += static_cast<double>(a[static_cast<size_t>(i * even_k + e)]) *
                     static_cast<double>(b[static_cast<size_t>(j * k + e)]);
            ASSERT_NEAR(static_cast<double>(c[static_cast<size_t>(i * padded_n + j)]), sum, 1e-5) << i << ' ' << j;
          }
      }
      if (!s.gemm_bf16) continue;
      std::vector<bf16> half_a(a.size()), half_b(b.size()), half_packed(static_cast<size_t>(padded_n * even_k));
      s.narrow(a.data(), half_a.data(), static_cast<int64_t>(a.size()));
      s.narrow(b.data(), half_b.data(), static_cast<int64_t>(b.size()));
      if (k % 2)
        for (int64_t i = 0; i < m; ++i) half_a[static_cast<size_t>(i * even_k + k)] = bf16{};
      pack_columns(s, half_b.data(), n, k, n, half_packed.data());  // b as [k, n] this time
      s.gemm_bf16(m, padded_n, even_k, half_a.data(), even_k, half_packed.data(), c.data(), padded_n, false);
      for (int64_t i = 0; i < m; ++i)
        for (int64_t j = 0; j < n; ++j) {
          double sum = 0;
          for (int64_t e = 0; e < k; ++e)
            sum += static_cast<double>(static_cast<float>(half_a[static_cast<size_t>(i * even_k + e)])) *
                   static_cast<double>(static_cast<float>(half_b[static_cast<size_t>(e * n + j)]));
          ASSERT_NEAR(static_cast<double>(c[static_cast<size_t>(i * padded_n + j)]), sum, 1e-5) << i << ' ' << j;
        }
    }
}

TEST_P(SimdTest, NarrowRoundsLikeTheScalarConversion) {
  std::vector<float> x;
  for (uint32_t bits = 0; bits < 65536; ++bits)
    for (const uint32_t low : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu})
      x.push_back(std::bit_cast<float>(bits << 16 | low));
  std::vector<bf16> y(x.size());
  s.narrow(x.data(), y.data(), static_cast<int64_t>(x.size()));
  for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(y[i].bits, bf16(x[i]).bits) << x[i];
  std::vector<float> back(y.size());
  s.widen(y.data(), back.data(), static_cast<int64_t>(y.size()));
  for (size_t i = 0; i < x.size(); ++i)
    ASSERT_EQ(std::bit_cast<uint32_t>(back[i]), static_cast<uint32_t>(y[i].bits) << 16);
}

TEST_P(SimdTest, ActivationsAreAccurateEverywhere) {
  std::vector<float> x, silu, gelu;
  for (float v = -12.f; v < 12.f; v += 0.0037f) x.push_back(v);
  x.insert(x.end(), {-1000.f, -90.f, 90.f, 1000.f, 0.f});
  silu.resize(x.size());
  gelu.resize(x.size());
  s.silu(x.data(), silu.data(), static_cast<int64_t>(x.size()));
  s.gelu_tanh(x.data(), gelu.data(), static_cast<int64_t>(x.size()));
  for (size_t i = 0; i < x.size(); ++i) {
    const auto v = static_cast<double>(x[i]);
    EXPECT_NEAR(static_cast<double>(silu[i]), v / (1 + std::exp(-v)), 2e-7 * std::max(std::abs(v), 0.01)) << v;
    const double u = std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v);
    EXPECT_NEAR(static_cast<double>(gelu[i]), 0.5 * v * (1 + std::tanh(u)), 2e-7 * std::max(std::abs(v), 0.01)) << v;
  }
}

TEST_P(SimdTest, SoftmaxInTwoPartsEqualsTheWhole) {
  for (const int64_t n : {1, 3, 64, 131}) {
    const auto scores = normal(n, 10.f), bias = normal(n, 3.f);
    auto p = scores;
    float top = std::numeric_limits<float>::lowest(), total = 0;
    const int64_t first = n / 2;
    if (first) s.softmax(p.data(), first, 0.5f, bias.data(), &top, &total);
    const float shrink = s.softmax(p.data() + first, n - first, 0.5f, bias.data() + first, &top, &total);
    for (int64_t i = 0; i < first; ++i) p[static_cast<size_t>(i)] *= shrink;
    double high = -1e30, sum = 0;
    const auto score = [&](size_t i) { return 0.5 * static_cast<double>(scores[i]) + static_cast<double>(bias[i]); };
    for (size_t i = 0; i < p.size(); ++i) high = std::max(high, score(i));
    for (size_t i = 0; i < p.size(); ++i) sum += std::exp(score(i) - high);
    EXPECT_NEAR(static_cast<double>(total), sum, 2e-6 * sum);
    for (size_t i = 0; i < p.size(); ++i) EXPECT_NEAR(static_cast<double>(p[i]), std::exp(score(i) - high), 3e-6) << i;
  }
}

TEST_P(SimdTest, NormalizeKeepsItsAccuracyOnALargeOffset) {
  for (const int64_t n : {1, 17, 5120}) {
    const auto x = normal(n, 0.5f, 300.f);
    const std::vector<float> ones(x.size(), 1.f), zeros(x.size(), 0.f);
    std::vector<float> y(x.size());
    s.normalize(x.data(), y.data(), n, 1e-6f, 0.f, ones.data(), zeros.data());
    double mean = 0, variance = 0;
    for (const float v : x) mean += static_cast<double>(v) / static_cast<double>(n);
    for (const float v : x) variance += std::pow(static_cast<double>(v) - mean, 2) / static_cast<double>(n);
    for (size_t i = 0; i < x.size(); ++i)
      EXPECT_NEAR(static_cast<double>(y[i]), (static_cast<double>(x[i]) - mean) / std::sqrt(variance + 1e-6), 1e-6);
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, SimdTest, testing::ValuesIn(simd_variants().begin(), simd_variants().end()),
                         [](const auto& row) { return row.param->name; });

}  // namespace
}  // namespace wan::ops::cpu
