#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/tensor.h"

/// How models declare their weights. A weight struct W has one function
///   template <class V> void visit(V&& v, W& w, const Config& c, const std::string& prefix)
/// that calls v(slot, name, file_shape, kind) once per tensor, in a fixed order. Binding, byte counting,
/// streaming, sharding and checking all reuse it, so names and shapes stand in one place.
namespace wan::weights {

enum class WeightKind {
  matrix,  ///< [N, K], dimensions behind the first folded into K; converted to the compute dtype
  conv,    ///< file [O, I, KT, KH, KW] or [O, I, KH, KW]; becomes [O, KT, KH, KW, I] in the compute dtype
  vector,  ///< any shape, flattened to [n]; float32 (norms, biases, modulation)
  exact,   ///< shape as in the file; float32 (matrices that upstream keeps out of autocast: time embedding, head)
  table,   ///< shape as in the file; stays in the file's dtype (token embeddings)
};

struct WeightSpec {
  std::string name;
  Shape shape;  ///< as in the file
  WeightKind kind = WeightKind::matrix;
};

/// Asks a checkpoint for a tensor's shape; nullopt where there is none. Models infer their dimensions through it.
using ShapeOf = std::function<std::optional<Shape>(const std::string& name)>;

/// The declaration of weight struct W under `prefix`, in visiting order.
template <class W, class Config>
std::vector<WeightSpec> specs_of(const Config& config, const std::string& prefix) {
  std::vector<WeightSpec> specs;
  W weights;
  visit(
      [&](Tensor&, const std::string& name, const Shape& shape, WeightKind kind) {
        specs.push_back({name, shape, kind});
      },
      weights, config, prefix);
  return specs;
}

/// Fills W from tensors that are in the order of specs_of.
template <class W, class Config>
W bind(std::span<const Tensor> tensors, const Config& config) {
  W weights;
  size_t next = 0;
  visit([&](Tensor& slot, const std::string&, const Shape&, WeightKind) { slot = tensors[next++]; }, weights, config,
        std::string());
  assert(next == tensors.size());
  return weights;
}

}  // namespace wan::weights
