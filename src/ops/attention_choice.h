#pragma once
#include <compare>
#include <cstdint>
#include <string>

#include "core/dtype.h"

/// Which kernel computes an attention on a GPU: a pure function, so that every choice can be printed and tested
/// anywhere.
namespace wan::ops::cuda {

/// softmax(scale q k^T) v for q [lq, heads, d] and k, v [lk, heads, d], rows `*_row` elements apart; y is dense.
struct AttentionShape {
  int64_t lq = 0, lk = 0, heads = 0, d = 0;
  int64_t q_row = 0, k_row = 0, v_row = 0;
  float scale = 1.f;
  auto operator<=>(const AttentionShape&) const = default;
};

struct AttentionProblem {
  AttentionShape shape;
  DType dtype = DType::f32;
  bool rel_bias = false;
  bool aligned = true;  ///< all addresses are multiples of 16 bytes
};

/// Compute capability, such as 9.0.
struct Capability {
  int major = 0, minor = 0;
  bool hopper_code = false;  ///< this program holds the code for sm_90a, and the GPU runs it
};

enum class AttentionKernel {
  hopper,    ///< our own for Hopper's tensor cores and heads of 128
  cudnn,     ///< cuDNN's fused attention
  products,  ///< scores, softmax and values as three steps over blocks of rows: any shape and dtype
};

struct AttentionConfig {
  AttentionKernel kernel = AttentionKernel::products;
  int64_t rows = 0, heads = 0;  ///< of one block of scores (products)
  std::string reason;           ///< why the faster kernels do not serve
};

AttentionConfig choose_attention(const AttentionProblem& problem, Capability gpu);
/// The same without cuDNN, for problems that it refuses; `reason` says why.
AttentionConfig attention_by_products(const AttentionProblem& problem, std::string reason);

/// "hopper", "cudnn", or "products, 512 rows of 4 heads at a time (float32)"
std::string to_string(const AttentionConfig& config);

}  // namespace wan::ops::cuda
