// The one file that includes cudnn-frontend: it takes minutes to compile.
#include "ops/cudnn_plans.h"

#include <cudnn_frontend.h>

#include <atomic>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "core/cuda/check.h"
#include "core/cuda/handle.h"
#include "core/error.h"

namespace wan::ops::cuda {
namespace {

namespace fe = cudnn_frontend;
using Attributes = std::shared_ptr<fe::graph::Tensor_attributes>;

void check(cudnnStatus_t status, std::source_location where = std::source_location::current()) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  wan::cuda::fail_call("cuDNN", cudnnGetErrorString(status), "a call failed",
                       status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED, where);
}

// The tensors' names within a graph.
enum Uid : int64_t { uid_x = 1, uid_w, uid_b, uid_y, uid_q, uid_k, uid_v, uid_residual };

struct Entry {
  std::unique_ptr<fe::graph::Graph> graph;
  CudnnPlan plan;
};

std::unique_ptr<fe::graph::Graph> new_graph() {
  auto graph = std::make_unique<fe::graph::Graph>();
  graph->set_io_data_type(fe::DataType_t::BFLOAT16)
      .set_intermediate_data_type(fe::DataType_t::FLOAT)
      .set_compute_data_type(fe::DataType_t::FLOAT);
  return graph;
}

Attributes input(fe::graph::Graph& graph, Uid uid, const char* name, std::vector<int64_t> dims,
                 std::vector<int64_t> strides) {
  return graph.tensor(fe::graph::Tensor_attributes().set_name(name).set_uid(uid).set_dim(dims).set_stride(strides));
}

// Dims in cuDNN's order (N, C, spatial...) and the strides of channels-last memory.
struct ChannelsLast {
  std::vector<int64_t> dims, strides;
  ChannelsLast(int64_t n, int64_t c, const std::vector<int64_t>& space) : dims{n, c}, strides(2 + space.size()) {
    dims.insert(dims.end(), space.begin(), space.end());
    int64_t step = c;
    for (size_t i = dims.size(); i-- > 2;) {
      strides[i] = step;
      step *= dims[i];
    }
    strides[0] = step;
    strides[1] = 1;
  }
};

// The first plan with this name among those that the heuristics offer; -1 if there is none.
int64_t plan_named(const fe::graph::Graph& graph, const std::string& wanted) {
  if (wanted.empty()) return -1;
  for (int64_t i = 0; i < graph.get_execution_plan_count(); ++i) {
    std::string name;
    if (graph.get_plan_name_at_index(i, name).is_good() && name == wanted) return i;
  }
  return -1;
}

// The heuristics' first plan, or the one with the preferred name if they offer it.
void build(cudnnHandle_t handle, Entry& entry, const std::string& preferred = {}) {
  fe::graph::Graph& graph = *entry.graph;
  auto status = graph.validate();
  if (status.is_good()) status = graph.build_operation_graph(handle);
  if (status.is_good()) status = graph.create_execution_plans({fe::HeurMode_t::A, fe::HeurMode_t::FALLBACK});
  if (status.is_good()) {
    const int64_t at = plan_named(graph, preferred);
    if (at >= 0 && graph.build_plan_at_index(at).is_good()) {
      entry.plan.workspace = graph.get_workspace_size_plan_at_index(at);
      return;
    }
    status = graph.check_support();
  }
  if (status.is_good()) status = graph.build_plans(fe::BuildPlanPolicy_t::HEURISTICS_CHOICE);
  if (status.is_bad()) {
    entry.plan.unsupported = "cuDNN: " + status.get_message();
    entry.graph.reset();
    return;
  }
  entry.plan.workspace = graph.get_workspace_size();
}

Entry make_attention(cudnnHandle_t handle, const AttentionShape& s) {
  Entry entry{new_graph(), {}};
  fe::graph::Graph& graph = *entry.graph;
  const auto rows = [&](Uid uid, const char* name, int64_t n, int64_t row) {
    return input(graph, uid, name, {1, s.heads, n, s.d}, {n * row, s.d, row, 1});
  };
  const Attributes q = rows(uid_q, "q", s.lq, s.q_row), k = rows(uid_k, "k", s.lk, s.k_row),
                   v = rows(uid_v, "v", s.lk, s.v_row);
  const auto options = fe::graph::SDPA_attributes().set_name("sdpa").set_generate_stats(false).set_attn_scale(s.scale);
  const auto [y, stats] = graph.sdpa(q, k, v, options);
  const int64_t row = s.heads * s.d;
  y->set_output(true).set_uid(uid_y).set_dim({1, s.heads, s.lq, s.d}).set_stride({s.lq * row, s.d, row, 1});
  build(handle, entry);
  return entry;
}

// Kernels of one frame are images, the frames their batch; others are one clip.
Entry make_conv(cudnnHandle_t handle, const ConvPlanShape& s) {
  Entry entry{new_graph(), {}};
  fe::graph::Graph& graph = *entry.graph;
  const auto [t, h, wd, c] = s.x;
  const auto [o, kt, kh, kw, wc] = s.w;
  const bool images = kt == 1 && s.stride[0] == 1;
  using Space = std::vector<int64_t>;
  const ChannelsLast x = images ? ChannelsLast(t, c, {h, wd}) : ChannelsLast(1, c, {t, h, wd});
  const ChannelsLast w = images ? ChannelsLast(o, wc, {kh, kw}) : ChannelsLast(o, wc, {kt, kh, kw});
  const auto space = [&](int64_t in_time, int64_t high, int64_t wide) {
    return images ? Space{high, wide} : Space{in_time, high, wide};
  };
  const Attributes image = input(graph, uid_x, "x", x.dims, x.strides);
  const Attributes weight = input(graph, uid_w, "w", w.dims, w.strides);
  const auto options = fe::graph::Conv_fprop_attributes()
                           .set_padding(space(0, s.pad_h, s.pad_w))
                           .set_stride(space(s.stride[0], s.stride[1], s.stride[2]))
                           .set_dilation(space(s.dilation_t, 1, 1));
  Attributes y = graph.conv_fprop(image, weight, options);
  if (s.bias) {
    const ChannelsLast b(1, o, space(1, 1, 1));
    const Attributes bias = input(graph, uid_b, "b", b.dims, b.strides);
    bias->set_data_type(fe::DataType_t::FLOAT);
    y = graph.pointwise(y, bias, fe::graph::Pointwise_attributes().set_mode(fe::PointwiseMode_t::ADD));
  }
  if (s.residual) {
    const int64_t frames = (t - (kt - 1) * s.dilation_t - 1) / s.stride[0] + 1;
    const int64_t high = (h + 2 * s.pad_h - kh) / s.stride[1] + 1, wide = (wd + 2 * s.pad_w - kw) / s.stride[2] + 1;
    const ChannelsLast r = images ? ChannelsLast(t, o, {high, wide}) : ChannelsLast(1, o, {frames, high, wide});
    const Attributes residual = input(graph, uid_residual, "residual", r.dims, r.strides);
    y = graph.pointwise(y, residual, fe::graph::Pointwise_attributes().set_mode(fe::PointwiseMode_t::ADD));
  }
  y->set_output(true).set_uid(uid_y).set_data_type(fe::DataType_t::BFLOAT16);
  // cuDNN 9.19 ranks tiles of 256 channels first for 192 (360x640, 3x3x3: 1.12 ms on an H100); this one takes 0.71 ms.
  build(handle, entry, o == 192 ? "eng4_k24=40" : "");
  return entry;
}

using CudnnHandle = wan::cuda::Handle<cudnnHandle_t, cudnnDestroy>;

CudnnHandle make_handle() {
  cudnnHandle_t made = nullptr;
  check(cudnnCreate(&made));
  return CudnnHandle(made);
}

// Plans by problem. Several threads may want the same one: the first makes it, the others wait.
template <class Shape>
class PlanMap {
 public:
  template <class Make>
  const Entry& get(const Shape& shape, const Make& make) {
    Slot& slot = slot_of(shape);
    std::call_once(slot.made, [&] { slot.entry = make(shape); });
    return slot.entry;
  }
  const Entry& at(const Shape& shape) { return slot_of(shape).entry; }

 private:
  struct Slot {
    std::once_flag made;
    Entry entry;
  };
  Slot& slot_of(const Shape& shape) {
    const std::lock_guard lock(mutex_);
    return slots_[shape];  // stays where it is
  }

  std::mutex mutex_;
  std::map<Shape, Slot> slots_;
};

// Takes shapes from the list, each thread with a handle of its own.
class Makers final : public InBackground {
 public:
  Makers(PlanMap<ConvPlanShape>& plans, std::vector<ConvPlanShape> shapes, int threads) : shapes_(std::move(shapes)) {
    int device = 0;
    wan::cuda::check(cudaGetDevice(&device));
    for (int i = 0; i < threads; ++i)
      threads_.emplace_back([this, &plans, device](const std::stop_token& stop) {
        try {
          wan::cuda::check(cudaSetDevice(device));
          const CudnnHandle handle = make_handle();
          for (size_t k = next_++; k < shapes_.size() && !stop.stop_requested(); k = next_++)
            (void)plans.get(shapes_[k], [&](const ConvPlanShape& shape) { return make_conv(handle.get(), shape); });
        } catch (const std::exception&) {
          // The thread that wants the plan makes it, or reports why not.
        }
      });
  }
  ~Makers() override {
    for (std::jthread& thread : threads_) thread.request_stop();  // all at once, not one after the other
  }

 private:
  std::vector<ConvPlanShape> shapes_;
  std::atomic<size_t> next_ = 0;
  std::vector<std::jthread> threads_;
};

}  // namespace

struct CudnnPlans::Impl {
  explicit Impl(cudaStream_t stream) : handle(make_handle()) { check(cudnnSetStream(handle.get(), stream)); }

  void run(const Entry& entry, const char* op, std::unordered_map<int64_t, void*> tensors, void* workspace) const {
    auto status = entry.graph->execute(handle.get(), tensors, workspace);
    require(status.is_good(), ErrorCode::device, "[{}] cuDNN failed: {}", op, status.get_message());
  }

  CudnnHandle handle;
  PlanMap<AttentionShape> attention;
  PlanMap<ConvPlanShape> conv;
};

CudnnPlans::CudnnPlans(cudaStream_t stream) : impl_(std::make_unique<Impl>(stream)) {}
CudnnPlans::~CudnnPlans() = default;

const CudnnPlan& CudnnPlans::attention(const AttentionShape& shape) {
  return impl_->attention.get(shape, [&](const auto& s) { return make_attention(impl_->handle.get(), s); }).plan;
}

const CudnnPlan& CudnnPlans::conv(const ConvPlanShape& shape) {
  return impl_->conv.get(shape, [&](const auto& s) { return make_conv(impl_->handle.get(), s); }).plan;
}

std::unique_ptr<InBackground> CudnnPlans::make_ahead(std::vector<ConvPlanShape> shapes, int threads) {
  return std::make_unique<Makers>(impl_->conv, std::move(shapes), threads);
}

void CudnnPlans::run(const AttentionShape& shape, const void* q, const void* k, const void* v, void* y,
                     void* workspace) {
  impl_->run(impl_->attention.at(shape), "attention",
             {{uid_q, const_cast<void*>(q)}, {uid_k, const_cast<void*>(k)}, {uid_v, const_cast<void*>(v)}, {uid_y, y}},
             workspace);
}

void CudnnPlans::run(const ConvPlanShape& shape, const void* x, const void* w, const void* b, const void* residual,
                     void* y, void* workspace) {
  std::unordered_map<int64_t, void*> tensors{{uid_x, const_cast<void*>(x)}, {uid_w, const_cast<void*>(w)}, {uid_y, y}};
  if (shape.bias) tensors.emplace(uid_b, const_cast<void*>(b));
  if (shape.residual) tensors.emplace(uid_residual, const_cast<void*>(residual));
  impl_->run(impl_->conv.at(shape), "conv", std::move(tensors), workspace);
}

}  // namespace wan::ops::cuda
