#include "core/cuda/check.h"
#include "ops/cuda.h"
#include "ops/cuda_kernels.h"
#include "ops/cuda_state.h"

namespace wan::ops {

cuda::CudaState::CudaState(cudaStream_t stream) : cudnn(stream) {
  int device = 0;
  wan::cuda::check(cudaGetDevice(&device));
  wan::cuda::check(cudaDeviceGetAttribute(&capability.major, cudaDevAttrComputeCapabilityMajor, device));
  wan::cuda::check(cudaDeviceGetAttribute(&capability.minor, cudaDevAttrComputeCapabilityMinor, device));
}

namespace {

struct Owner {
  explicit Owner(cudaStream_t stream) : state(stream) {
    static_cast<KernelTable&>(table) = {
        .name = "cuda",
        .linear = cuda::linear,
        .norm_modulate = cuda::norm_modulate,
        .layer_norm = cuda::layer_norm,
        .rms_norm = cuda::rms_norm,
        .channel_norm = cuda::channel_norm,
        .rms_norm_rope = cuda::rms_norm_rope,
        .attention = cuda::attention,
        .gated_add = cuda::gated_add,
        .gelu_mul = cuda::gelu_mul,
        .silu = cuda::silu,
        .convert = cuda::convert,
        .combine = cuda::combine,
        .embedding = cuda::embedding,
        .patchify = cuda::patchify,
        .unpatchify = cuda::unpatchify,
        .conv = cuda::conv,
        .avg_down = cuda::avg_down,
        .dup_up = cuda::dup_up,
        .interleave_time = cuda::interleave_time,
        .to_channels_last = cuda::to_channels_last,
        .to_planar = cuda::to_planar,
        .all_finite = cuda::all_finite,
    };
    table.state = &state;
  }
  cuda::CudaState state;
  cuda::CudaTable table;
};

}  // namespace

std::shared_ptr<const KernelTable> make_cuda_kernels(void* stream) {
  auto owner = std::make_shared<const Owner>(static_cast<cudaStream_t>(stream));
  const KernelTable* table = &owner->table;
  return {std::move(owner), table};
}

}  // namespace wan::ops
