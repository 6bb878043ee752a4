#pragma once
#include <span>
#include <vector>

#include "engine/dimensions.h"
#include "io/checkpoint.h"

/// What weights take, by their declarations alone.
namespace wan::engine {

/// A model's weights in the memory of the device that computes with them. Tensors that are used in place, as the mapped
/// file (see weights::WeightSet), take nothing.
struct WeightBytes {
  int64_t outer = 0;            ///< outside of the blocks; all of a VAE
  std::vector<int64_t> blocks;  ///< one by one
  int64_t conditioning = 0;     ///< of a transformer: needed for a moment before the first forward
  int64_t file = 0;             ///< of all these tensors in their files

  int64_t in_blocks() const noexcept;
  int64_t largest_block() const noexcept;
  int64_t all() const noexcept { return outer + in_blocks(); }
};

/// The models of a task.
struct ModelBytes {
  WeightBytes text, high, low, encoder, decoder;  ///< `high` is the only transformer where there are no experts
};

struct WeightPlace {
  DType compute = DType::f32;
  bool on_cpu = true;
  bool text_on_cpu = true;
  bool round_to_bf16 = false;  ///< of the transformers: --convert_model_dtype
};

/// `files` may be null: then the files' dtypes are those of the official checkpoints (the text encoder in bf16, the
/// rest in float32).
ModelBytes weight_bytes(const Dimensions& dimensions, bool two_experts, const WeightPlace& place,
                        const io::Checkpoint* files);

}  // namespace wan::engine
