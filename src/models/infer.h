#pragma once
#include <string>

#include "core/error.h"
#include "weights/weight_spec.h"

namespace wan::models {

/// Reads dimensions off a checkpoint's tensors, with errors that name the tensor and the checkpoint.
struct ShapeReader {
  const weights::ShapeOf& shape_of;
  const std::string& where;

  /// The shape of a tensor without which nothing can be inferred. Throws Error(bad_file).
  Shape operator()(const std::string& name, int rank) const {
    const auto shape = shape_of(name);
    require(shape.has_value(), ErrorCode::bad_file,
            "[{}] tensor '{}' is missing, and the model's dimensions follow from it; is this the right checkpoint?",
            where, name);
    require(shape->rank() == rank && shape->numel() > 0, ErrorCode::bad_file,
            "[{}] tensor '{}' has shape {}, expected {} non-empty dimensions", where, name, to_string(*shape), rank);
    return *shape;
  }

  /// How many of prefix + "0" + suffix, prefix + "1" + suffix, ... there are.
  int64_t count(const std::string& prefix, const std::string& suffix) const {
    int64_t n = 0;
    while (shape_of(prefix + std::to_string(n) + suffix)) ++n;
    return n;
  }
};

}  // namespace wan::models
