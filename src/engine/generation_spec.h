#pragma once
#include "engine/dry_run.h"
#include "engine/prepare.h"

/// What a request decides of a generation's memory and work.
namespace wan::engine {

/// Where a generation computes.
struct ComputePlace {
  DType compute = DType::f32;
  bool cuda = false;
  bool text_on_cpu = false;    ///< --t5_cpu
  bool round_to_bf16 = false;  ///< --convert_model_dtype
  int threads = 1;
  parallel::MeshSizes mesh;
  bool sharded = false;
};

/// Of a request that prepare() has checked. `models` must outlive it.
GenerationSpec generation_spec(const ModelsOnDisk& models, const PreparedRequest& prepared, const ComputePlace& place);

/// Of a request as it is, without its files: an image has the size that is asked for. Throws Error(invalid_argument) as
/// prepare() does for sizes, frames, steps, shift and guidance.
GenerationSpec generation_spec(const Dimensions& dimensions, Task task, const pipeline::TaskDefaults& defaults,
                               const Request& request, const ComputePlace& place);

}  // namespace wan::engine
