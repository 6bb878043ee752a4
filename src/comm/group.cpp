#include "comm/group.h"

#include <unistd.h>

#include <array>

#include "comm/nccl.h"
#include "comm/sockets.h"
#include "core/error.h"
#include "core/gpu.h"

namespace wan {
namespace {

comm::milliseconds duration(double seconds) {
  require(seconds >= 0 && seconds <= 1e7, ErrorCode::invalid_argument,
          "[ranks] a limit of {} s; expected 0 to 10000000", seconds);
  return std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
}

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

std::vector<comm::Trait> traits(const std::vector<std::pair<std::string, std::string>>& same) {
  std::vector<comm::Trait> out;
  for (const auto& [name, value] : same) out.push_back({name, value});
  return out;
}

// A launcher may show each rank its own GPU alone.
int choose_gpu(const comm::Ranks& ranks, const std::vector<GpuInfo>& gpus) {
  const auto count = static_cast<int>(gpus.size());
  if (count == 1) return 0;
  require(ranks.local_rank < count, ErrorCode::invalid_argument,
          "[ranks] rank {} is number {} on {}, which shows {} GPUs; expected a GPU for each rank. Start fewer, or look "
          "at CUDA_VISIBLE_DEVICES",
          ranks.rank, ranks.local_rank, host_name(), count);
  return ranks.local_rank;
}

std::vector<GpuInfo> gpus_for(const std::string& device) {
  require(device == "auto" || device == "cpu" || device == "cuda", ErrorCode::invalid_argument,
          "[ranks] device '{}'; expected auto, cpu or cuda", device);
  if (device == "cpu") return {};
  try {
    std::vector<GpuInfo> gpus = find_gpus();
    require(device == "auto" || !gpus.empty(), ErrorCode::device,
            "[ranks] {} has no NVIDIA GPU; expected one for each rank, or --device cpu", host_name());
    return gpus;
  } catch (const Error& error) {
    if (device == "auto" && error.code() == ErrorCode::unsupported) return {};  // a build without CUDA
    throw;
  }
}

}  // namespace

bool is_one_of_several(const std::map<std::string, std::string>& environment) {
  return comm::find_ranks({}, environment).size > 1;
}

int rank_of(const std::map<std::string, std::string>& environment) { return comm::find_ranks({}, environment).rank; }

Group join_group(const GroupOptions& o) {
  auto impl = std::make_shared<Group::Impl>();
  impl->ranks = comm::find_ranks({o.rank, o.world_size, o.local_rank, o.local_world_size, o.master_addr, o.master_port},
                                 o.environment);
  const comm::Ranks& ranks = impl->ranks;
  comm::Hello hello{.size = ranks.size,
                    .member = {.rank = ranks.rank, .process = getpid(), .host = host_name()},
                    .same = traits(o.same)};
  if (ranks.size > 1) {
    const std::vector<GpuInfo> gpus = gpus_for(o.device);
    if (!gpus.empty()) {
      impl->gpu = choose_gpu(ranks, gpus);
      const GpuInfo& gpu = gpus[static_cast<size_t>(impl->gpu)];
      hello.member.gpu = fmt::format("GPU {}, {}", impl->gpu, gpu.name);
      hello.member.gpu_id = gpu.uuid;
      hello.same.push_back({"NCCL", comm::nccl_version()});
    }
    hello.same.push_back({"kind of device", gpus.empty() ? "CPU" : "GPU"});
  }
  comm::Limits limits;
  limits.join = duration(o.join_seconds);
  limits.silence = duration(o.silence_seconds);
  limits.stall = duration(o.stall_seconds);
  limits.beat = std::min(limits.beat, limits.silence / 10);
  const comm::Place place{ranks.address, ranks.port, ranks.job};
  impl->control = comm::Control::meet(place, hello, limits, o.poll);
  if (o.on_unheeded) impl->control->on_unheeded(o.on_unheeded);
  try {
    impl->world = ranks.size == 1  ? comm::make_single()
                  : impl->gpu >= 0 ? comm::make_nccl(impl->control, impl->gpu)
                                   : comm::make_sockets(impl->control);
  } catch (const Error& error) {
    impl->control->fail(error.code(), error.what());
    throw;
  }
  return Group(std::move(impl));
}

int Group::rank() const noexcept { return impl_->ranks.rank; }
int Group::size() const noexcept { return impl_->ranks.size; }
int Group::local_rank() const noexcept { return impl_->ranks.local_rank; }
int Group::gpu() const noexcept { return impl_->gpu; }
const std::string& Group::source() const noexcept { return impl_->ranks.source; }
const std::string& Group::note() const noexcept { return impl_->ranks.note; }
void Group::report(const std::string& state) const { impl_->control->report(state); }
void Group::tick() const { impl_->control->tick(); }
void Group::set_stall_limit(double seconds) const { impl_->control->set_stall_limit(duration(seconds)); }

void Group::agree(const std::vector<std::pair<std::string, std::string>>& same) const {
  impl_->control->agree(traits(same));
}

void Group::fail(const Error& error) const noexcept { impl_->control->fail(error.code(), error.what()); }

}  // namespace wan
