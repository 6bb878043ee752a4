#include "core/error.h"
#include "ops/cudnn_plans.h"

namespace wan::ops::cuda {

struct CudnnPlans::Impl {
  CudnnPlan none{0, "this program was built without cuDNN"};
};

CudnnPlans::CudnnPlans(cudaStream_t) : impl_(std::make_unique<Impl>()) {}
CudnnPlans::~CudnnPlans() = default;
const CudnnPlan& CudnnPlans::attention(const AttentionShape&) { return impl_->none; }
const CudnnPlan& CudnnPlans::conv(const ConvPlanShape&) { return impl_->none; }
std::unique_ptr<InBackground> CudnnPlans::make_ahead(std::vector<ConvPlanShape>, int) { return nullptr; }

void CudnnPlans::run(const AttentionShape&, const void*, const void*, const void*, void*, void*) {
  fail(ErrorCode::unsupported, "[attention] {}; install cuDNN 9 and build again", impl_->none.unsupported);
}

void CudnnPlans::run(const ConvPlanShape&, const void*, const void*, const void*, const void*, void*, void*) {
  fail(ErrorCode::unsupported, "[conv] {}; install cuDNN 9 and build again", impl_->none.unsupported);
}

}  // namespace wan::ops::cuda
