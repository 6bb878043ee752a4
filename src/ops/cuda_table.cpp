#include <algorithm>
#include <set>
#include <thread>
#include <vector>

#include "core/cuda/check.h"
#include "ops/attention_hopper.h"
#include "ops/conv_plan_shapes.h"
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

// Computes nothing, and notes every convolution's problem for cuDNN once.
struct NotingTable : KernelTable {
  NotingTable() : KernelTable(dry_cuda_kernels()) {
    name = "cuda plans";
    conv = [](Context& ctx, const ConvArgs& args) {
      const auto& table = static_cast<const NotingTable&>(*ctx.kernels);
      cuda::conv_plan_shapes(args, [&](const cuda::ConvPlanShape& shape) {
        if (table.known->insert(shape).second) table.shapes->push_back(shape);
      });
    };
  }
  std::set<cuda::ConvPlanShape>* known = nullptr;
  std::vector<cuda::ConvPlanShape>* shapes = nullptr;
};

}  // namespace

std::shared_ptr<void> make_plans_ahead(const KernelTable& cuda, const std::function<void(const KernelTable&)>& show) {
  std::set<cuda::ConvPlanShape> known;
  std::vector<cuda::ConvPlanShape> shapes;
  NotingTable table;
  table.known = &known;
  table.shapes = &shapes;
  show(table);
  if (shapes.empty()) return nullptr;
  const int threads = std::clamp(static_cast<int>(std::thread::hardware_concurrency()) / 2, 1, 8);
  return static_cast<const cuda::CudaTable&>(cuda).state->cudnn.make_ahead(std::move(shapes), threads);
}

std::shared_ptr<const KernelTable> make_cuda_kernels(void* stream) {
  auto owner = std::make_shared<const Owner>(static_cast<cudaStream_t>(stream));
  const KernelTable* table = &owner->table;
  return {std::move(owner), table};
}

}  // namespace wan::ops
