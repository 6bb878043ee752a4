#pragma once
#include "io/tensor_index.h"
#include "weights/weight_spec.h"

namespace wan::weights {

/// The smallest number of elements that can be read on their own: convolutions are turned over one output channel at a
/// time.
int64_t weight_unit(const WeightSpec& spec) noexcept;

/// Elements [first, first + count) of a tensor as dtype (f32, bf16, or the file's own), in the layout that the ops
/// want; both multiples of weight_unit. `round_to_bf16` rounds float32 results. Thread-safe. Throws Error(bad_file).
void read_weight(const io::TensorEntry& entry, const WeightSpec& spec, bool round_to_bf16, DType dtype, int64_t first,
                 int64_t count, void* out);

/// The same by up to `threads` threads.
void read_weight_in_parallel(const io::TensorEntry& entry, const WeightSpec& spec, bool round_to_bf16, DType dtype,
                             int64_t first, int64_t count, void* out, int threads);

}  // namespace wan::weights
