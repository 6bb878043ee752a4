#include "comm/nccl.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "comm/checks.h"
#include "comm/nccl_library.h"
#include "core/cuda/check.h"
#include "core/cuda/handle.h"
#include "core/error.h"

namespace wan::comm {
namespace {

using nccl::Comm;
using nccl::Result;

constexpr std::chrono::seconds patience{10};  // for work under way when a communicator goes

bool taken(Result result) noexcept { return result == nccl::success || result == nccl::in_progress; }

/// An ncclComm_t that does not block its caller, and that the control thread may abort. NCCL allows one call at a time,
/// and the abort beside it.
class Handle {
 public:
  Handle(std::shared_ptr<Control> control, Comm comm) : control_(std::move(control)), comm_(comm) {
    on_end_ = control_->on_end([this] { abort(); });
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    on_end_.reset();
    if (std::uncaught_exceptions() == 0) finish();
    abort();
  }

  const std::shared_ptr<Control>& control() const noexcept { return control_; }

  /// Starts work by action(comm) and waits until NCCL has taken it: not until the GPU has done it.
  template <class Action>
  void run(const char* what, const Action& action) {
    Result result;
    {
      const std::lock_guard lock(mutex_);
      result = comm_ == nullptr ? nccl::remote_error : action(comm_);
    }
    settle(what, result);
  }

  /// Waits for what a non-blocking call has started.
  void settle(const char* what, Result result) {
    for (int turn = 0; result == nccl::in_progress; ++turn) {
      control_->check();
      if (turn < 1000)
        std::this_thread::yield();
      else
        std::this_thread::sleep_for(milliseconds(1));
      result = state();
    }
    if (result == nccl::success) return;
    std::string text = nccl::load().error_string(result);
    {
      const std::lock_guard lock(mutex_);
      if (comm_ != nullptr)
        if (const char* last = nccl::load().last_error(comm_); last != nullptr && *last != 0)
          text += fmt::format(": {}", last);
    }
    control_->give_up(
        ErrorCode::comm,
        fmt::format("[NCCL] {} failed: {}. Set NCCL_DEBUG=INFO to see why; try NCCL_P2P_DISABLE=1, another "
                    "NCCL_SOCKET_IFNAME, or a larger /dev/shm (docker: --shm-size=1g)",
                    what, text));
  }

 private:
  Result state() {
    const std::lock_guard lock(mutex_);
    Result result = nccl::remote_error;
    if (comm_ == nullptr || nccl::load().async_error(comm_, &result) != nccl::success) return nccl::remote_error;
    return result;
  }

  // Lets queued work end, unless the job does.
  void finish() noexcept {
    const auto end = Clock::now() + patience;
    {
      const std::lock_guard lock(mutex_);
      if (comm_ == nullptr) return;
      const Result result = nccl::load().finalize(comm_);
      if (result != nccl::success && result != nccl::in_progress) return;
    }
    Result result = nccl::in_progress;
    while (result == nccl::in_progress && Clock::now() < end && !control_->ended()) {
      std::this_thread::sleep_for(milliseconds(1));
      result = state();
    }
    const std::lock_guard lock(mutex_);
    if (result == nccl::success && comm_ != nullptr) nccl::load().destroy(std::exchange(comm_, nullptr));
  }

  void abort() noexcept {
    const std::unique_lock lock(mutex_, patience);  // without it, if a call hangs
    if (comm_ != nullptr) nccl::load().abort(std::exchange(comm_, nullptr));
  }

  std::shared_ptr<Control> control_;
  std::timed_mutex mutex_;
  Comm comm_;
  std::shared_ptr<void> on_end_;
};

class Nccl final : public Communicator {
 public:
  Nccl(std::shared_ptr<Control> control, Comm comm) : handle_(std::move(control), comm) {
    handle_.settle("connecting the GPUs", nccl::in_progress);
    handle_.run("asking for the rank", [&](Comm c) { return nccl::load().user_rank(c, &rank_); });
    handle_.run("asking for the ranks", [&](Comm c) { return nccl::load().count(c, &size_); });
    void* one = nullptr;
    cuda::check(cudaMalloc(&one, sizeof(float)));
    token_ = cuda::Handle<void*, cudaFree>(one);
    cuda::check(cudaMemset(one, 0, sizeof(float)));
  }

  int rank() const noexcept override { return rank_; }
  int size() const noexcept override { return size_; }

  std::unique_ptr<Communicator> split(int colour) override {
    require(colour >= 0, ErrorCode::invalid_argument, "[NCCL] group {}; expected 0 or more", colour);
    const Control::Call call(*handle_.control(), "split");
    Comm& child = children_.emplace_back(nullptr);
    nccl::Config config;
    const char* what = "splitting the GPUs into groups";
    handle_.run(what, [&](Comm comm) { return nccl::load().split(comm, colour, rank_, &child, &config); });
    // NCCL writes it from a thread of its own, some time after the call is taken.
    Comm made = nullptr;
    while ((made = __atomic_load_n(&child, __ATOMIC_ACQUIRE)) == nullptr) {
      std::this_thread::sleep_for(milliseconds(1));
      handle_.run(what, [](Comm) { return nccl::in_progress; });
    }
    return std::make_unique<Nccl>(handle_.control(), made);
  }

  void all_to_all(std::span<const std::byte> from, std::span<std::byte> to, void* stream) override {
    const auto n = static_cast<size_t>(size_);
    check(from.size() == to.size() && from.size() % n == 0, "all_to_all", from.size(), to.size());
    const size_t block = from.size() / n;
    queue("all_to_all", [&](Comm comm) {
      const nccl::Library& l = nccl::load();
      Result result = l.group_start();
      for (size_t r = 0; r < n && taken(result); ++r) {
        const int peer = static_cast<int>(r);
        result = l.send(from.data() + r * block, block, nccl::type_int8, peer, comm, stream);
        if (taken(result)) result = l.receive(to.data() + r * block, block, nccl::type_int8, peer, comm, stream);
      }
      const Result end = l.group_end();
      return taken(result) ? end : result;
    });
  }

  void all_gather(std::span<const std::byte> from, std::span<std::byte> to, void* stream) override {
    check(to.size() == from.size() * static_cast<size_t>(size_), "all_gather", from.size(), to.size());
    queue("all_gather", [&](Comm comm) {
      return nccl::load().all_gather(from.data(), to.data(), from.size(), nccl::type_int8, comm, stream);
    });
  }

  void all_reduce(std::span<float> values, Reduction reduction, void* stream) override {
    const int op = reduction == Reduction::sum ? nccl::op_sum : nccl::op_max;
    reduce("all_reduce", values.data(), values.size(), op, stream);
  }

  void send(std::span<const std::byte> bytes, int to, void* stream) override {
    check_peer(to);
    if (to == rank_) return keep(bytes, stream);
    if (bytes.empty()) return;
    queue("send",
          [&](Comm comm) { return nccl::load().send(bytes.data(), bytes.size(), nccl::type_int8, to, comm, stream); });
  }

  void receive(std::span<std::byte> bytes, int from, void* stream) override {
    check_peer(from);
    if (from == rank_) return take(bytes, stream);
    if (bytes.empty()) return;
    queue("receive", [&](Comm comm) {
      return nccl::load().receive(bytes.data(), bytes.size(), nccl::type_int8, from, comm, stream);
    });
  }

  void barrier(void* stream) override { reduce("barrier", static_cast<float*>(token_.get()), 1, nccl::op_sum, stream); }

 private:
  void check(bool right, const char* name, size_t from, size_t to) const {
    check_bytes(right, rank_, size_, name, from, to);
  }
  void check_peer(int peer) const { comm::check_peer(peer, rank_, size_); }

  // What a rank sends to itself.
  void keep(std::span<const std::byte> bytes, void* stream) {
    void* copy = nullptr;
    if (!bytes.empty()) {
      cuda::check(cudaMallocAsync(&copy, bytes.size(), static_cast<cudaStream_t>(stream)));
      cuda::check(cudaMemcpyAsync(copy, bytes.data(), bytes.size(), cudaMemcpyDeviceToDevice,
                                  static_cast<cudaStream_t>(stream)));
    }
    own_.push_back({cuda::Handle<void*, cudaFree>(copy), bytes.size()});
  }
  void take(std::span<std::byte> bytes, void* stream) {
    require(!own_.empty(), ErrorCode::comm, "[rank {} of {}] receives from itself, but sent nothing before", rank_,
            size_);
    const auto [copy, size] = std::move(own_.front());
    own_.pop_front();
    check(size == bytes.size(), "receive", size, bytes.size());
    if (size > 0)
      cuda::check(
          cudaMemcpyAsync(bytes.data(), copy.get(), size, cudaMemcpyDeviceToDevice, static_cast<cudaStream_t>(stream)));
  }

  template <class Action>
  void queue(const char* name, const Action& action) {
    const Control::Call call(*handle_.control(), name);
    handle_.run(name, action);
  }

  void reduce(const char* name, float* values, size_t count, int op, void* stream) {
    queue(name, [&](Comm comm) {
      return nccl::load().all_reduce(values, values, count, nccl::type_float32, op, comm, stream);
    });
  }

  std::deque<Comm> children_;  // as NCCL writes them
  Handle handle_;
  int rank_ = 0, size_ = 1;
  cuda::Handle<void*, cudaFree> token_;  // for barrier()
  std::deque<std::pair<cuda::Handle<void*, cudaFree>, size_t>> own_;
};

}  // namespace

std::string nccl_version() { return nccl::load().version_text(); }

std::unique_ptr<Communicator> make_nccl(std::shared_ptr<Control> control, int gpu) {
  const nccl::Library& l = nccl::load();
  cuda::check(cudaSetDevice(gpu));
  control->report(fmt::format("connecting the GPUs (NCCL {})", l.version_text()));
  nccl::UniqueId id{};
  if (control->rank() == 0) {
    const Result result = l.get_unique_id(&id);
    require(result == nccl::success, ErrorCode::comm, "[NCCL] no place to meet: {} {}", l.error_string(result),
            l.last_error(nullptr));
  }
  const auto ids = control->gather(std::as_bytes(std::span(id.internal)));
  std::memcpy(id.internal, ids.front().data(), std::min(sizeof id.internal, ids.front().size()));
  Comm comm = nullptr;
  nccl::Config config;
  const Result result = l.init_rank(&comm, control->size(), id, control->rank(), &config);
  require(taken(result), ErrorCode::comm, "[NCCL] cannot start: {} {}", l.error_string(result), l.last_error(nullptr));
  return std::make_unique<Nccl>(std::move(control), comm);
}

}  // namespace wan::comm
