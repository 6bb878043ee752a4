#include "ops/cublaslt_plans.h"

#include <cublasLt.h>

#include <map>

#include "core/cuda/check.h"
#include "core/cuda/handle.h"
#include "core/error.h"

namespace wan::ops::cuda {
namespace {

constexpr uint64_t most_workspace = uint64_t{64} << 20;

void check(cublasStatus_t status, std::source_location where = std::source_location::current()) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  wan::cuda::fail_call("cuBLASLt", cublasLtGetStatusName(status), cublasLtGetStatusString(status),
                       status == CUBLAS_STATUS_ALLOC_FAILED, where);
}

using Operation = wan::cuda::Handle<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Layout = wan::cuda::Handle<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = wan::cuda::Handle<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

template <class T>
void set(const Operation& op, cublasLtMatmulDescAttributes_t attribute, const T& value) {
  check(cublasLtMatmulDescSetAttribute(op.get(), attribute, &value, sizeof value));
}
template <class T>
void set(const Layout& layout, cublasLtMatrixLayoutAttribute_t attribute, const T& value) {
  check(cublasLtMatrixLayoutSetAttribute(layout.get(), attribute, &value, sizeof value));
}
template <class T>
void set(const Preference& preference, cublasLtMatmulPreferenceAttributes_t attribute, const T& value) {
  check(cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof value));
}

cudaDataType_t type_of(DType t) { return t == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F; }

bool has_bias(Epilogue e) { return e != Epilogue::none && e != Epilogue::gelu; }
bool has_bf16_bias(Epilogue e) { return e == Epilogue::bias_bf16 || e == Epilogue::bias_bf16_gelu; }

cublasLtEpilogue_t epilogue_of(Epilogue e) {
  switch (e) {
    case Epilogue::none: return CUBLASLT_EPILOGUE_DEFAULT;
    case Epilogue::bias:
    case Epilogue::bias_bf16: return CUBLASLT_EPILOGUE_BIAS;
    case Epilogue::gelu: return CUBLASLT_EPILOGUE_GELU;
    case Epilogue::bias_gelu:
    case Epilogue::bias_bf16_gelu: return CUBLASLT_EPILOGUE_GELU_BIAS;
  }
  return CUBLASLT_EPILOGUE_DEFAULT;
}

Layout layout(DType type, int64_t rows, int64_t columns, int64_t leading, int64_t batch, int64_t apart) {
  cublasLtMatrixLayout_t made = nullptr;
  check(cublasLtMatrixLayoutCreate(&made, type_of(type), static_cast<uint64_t>(rows), static_cast<uint64_t>(columns),
                                   leading));
  Layout owned(made);
  if (batch > 1) {
    set(owned, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<int32_t>(batch));
    set(owned, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, apart);
  }
  return owned;
}

struct Entry {
  Operation op;
  Layout a, b, d;
  cublasLtMatmulAlgo_t algorithm{};
  GemmPlan plan;
};

// cuBLASLt's matrices are stored by columns: y^T = w x^T, so w is its A, x its B, and a bias runs along its rows.
Entry make(cublasLtHandle_t handle, const GemmShape& s) {
  Entry e;
  cublasLtMatmulDesc_t op = nullptr;
  check(cublasLtMatmulDescCreate(&op, CUBLAS_COMPUTE_32F, CUDA_R_32F));
  e.op = Operation(op);
  set(e.op, CUBLASLT_MATMUL_DESC_TRANSA, s.w_is_kn ? CUBLAS_OP_N : CUBLAS_OP_T);
  set(e.op, CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_N);
  set(e.op, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue_of(s.epilogue));
  if (has_bias(s.epilogue))
    set(e.op, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, has_bf16_bias(s.epilogue) ? CUDA_R_16BF : CUDA_R_32F);
  e.a = s.w_is_kn ? layout(s.in, s.n, s.k, s.w_row, s.batch, s.w_batch)
                  : layout(s.in, s.k, s.n, s.w_row, s.batch, s.w_batch);
  e.b = layout(s.in, s.k, s.m, s.x_row, s.batch, s.x_batch);
  e.d = layout(s.out, s.n, s.m, s.y_row, s.batch, s.y_batch);

  cublasLtMatmulPreference_t made = nullptr;
  check(cublasLtMatmulPreferenceCreate(&made));
  const Preference preference(made);
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, most_workspace);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, static_cast<uint32_t>(s.w_alignment));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, static_cast<uint32_t>(s.x_alignment));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, static_cast<uint32_t>(s.y_alignment));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, static_cast<uint32_t>(s.y_alignment));

  cublasLtMatmulHeuristicResult_t found{};
  int count = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(handle, e.op.get(), e.a.get(), e.b.get(), e.d.get(),
                                                               e.d.get(), preference.get(), 1, &found, &count);
  if (status == CUBLAS_STATUS_ALLOC_FAILED || status == CUBLAS_STATUS_NOT_INITIALIZED) check(status);
  if (status != CUBLAS_STATUS_SUCCESS || count == 0) return e;  // nothing for this shape
  e.algorithm = found.algo;
  e.plan = {true, static_cast<int64_t>(found.workspaceSize)};
  return e;
}

}  // namespace

int alignment_of(const void* address) noexcept {
  const auto bits = reinterpret_cast<uintptr_t>(address) | 256u;
  return static_cast<int>(bits & (~bits + 1));
}

struct CublasLtPlans::Impl {
  wan::cuda::Handle<cublasLtHandle_t, cublasLtDestroy> handle;
  std::map<GemmShape, Entry> entries;
};

CublasLtPlans::CublasLtPlans() : impl_(std::make_unique<Impl>()) {
  cublasLtHandle_t made = nullptr;
  check(cublasLtCreate(&made));
  impl_->handle = wan::cuda::Handle<cublasLtHandle_t, cublasLtDestroy>(made);
}

CublasLtPlans::~CublasLtPlans() = default;

const GemmPlan& CublasLtPlans::plan(const GemmShape& shape) {
  auto at = impl_->entries.find(shape);
  if (at == impl_->entries.end()) at = impl_->entries.emplace(shape, make(impl_->handle.get(), shape)).first;
  return at->second.plan;
}

void CublasLtPlans::run(const GemmShape& shape, float alpha, const void* x, const void* w, const void* bias, void* y,
                        void* workspace, cudaStream_t stream) {
  const Entry& e = impl_->entries.at(shape);
  if (has_bias(shape.epilogue)) set(e.op, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  const float beta = 0.f;
  check(cublasLtMatmul(impl_->handle.get(), e.op.get(), &alpha, w, e.a.get(), x, e.b.get(), &beta, y, e.d.get(), y,
                       e.d.get(), &e.algorithm, workspace, static_cast<size_t>(e.plan.workspace), stream));
}

}  // namespace wan::ops::cuda
