#include "core/cuda/check.h"
#include "ops/attention_hopper.h"
#include "ops/cuda.h"
#include "ops/cuda_kernels.h"
#include "ops/cuda_state.h"

namespace wan::ops {

cuda::CudaState::CudaState(cudaStream_t stream) : cudnn(stream) {
  int device = 0;
  wan::cuda::check(cudaGetDevice(&device));
  wan::cuda::check(cudaDeviceGetAttribute(&capability.major, cudaDevAttrComputeCapabilityMajor, device));
  wan::cuda::check(cudaDeviceGetAttribute(&capability.minor, cudaDevAttrComputeCapabilityMinor, device));
  capability.hopper_code = capability.major == 9 && has_hopper_attention(stream);
}

namespace {

struct Owner {
  explicit Owner(cudaStream_t stream) : state(stream) {
#define WAN_ENTRY(op, Args) .op = cuda::op,
    static_cast<KernelTable&>(table) = {.name = "cuda", WAN_FOR_EACH_OP(WAN_ENTRY)};
#undef WAN_ENTRY
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
