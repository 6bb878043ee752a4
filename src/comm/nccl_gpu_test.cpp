// Ranks are processes, one per visible GPU (8 at most): started before anything here touches CUDA.
#include "comm/nccl.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "comm/nccl_library.h"
#include "conformance/communicator.h"
#include "core/gpu.h"
#include "support/device_communicator.h"
#include "support/ranks.h"

#if __has_include(<nccl.h>)
#include <nccl.h>

#include <type_traits>
static_assert(sizeof(ncclUniqueId) == sizeof(wan::comm::nccl::UniqueId));
static_assert(offsetof(ncclConfig_t, size) == offsetof(wan::comm::nccl::Config, size));
static_assert(offsetof(ncclConfig_t, magic) == offsetof(wan::comm::nccl::Config, magic));
static_assert(offsetof(ncclConfig_t, version) == offsetof(wan::comm::nccl::Config, version));
static_assert(offsetof(ncclConfig_t, blocking) == offsetof(wan::comm::nccl::Config, blocking));
static_assert(offsetof(ncclConfig_t, cgaClusterSize) == offsetof(wan::comm::nccl::Config, cga_cluster_size));
static_assert(ncclSuccess == wan::comm::nccl::success && ncclInProgress == wan::comm::nccl::in_progress);
static_assert(ncclRemoteError == wan::comm::nccl::remote_error && ncclInt8 == wan::comm::nccl::type_int8);
static_assert(ncclFloat32 == wan::comm::nccl::type_float32 && ncclSum == wan::comm::nccl::op_sum);
static_assert(ncclMax == wan::comm::nccl::op_max && NCCL_CONFIG_UNDEF_INT == INT_MIN);
#endif

namespace wan::comm {
namespace {

using testing::AllOf;
using testing::HasSubstr;

struct Child {
  pid_t id = -1;
  int output = -1;
};

/// Runs work() in a process of its own that says what it throws, and fails if a test in it failed.
template <class Work>
Child start(const Work& work) {
  int ends[2];
  if (pipe(ends) != 0) throw std::runtime_error("pipe");
  std::fflush(nullptr);
  const pid_t id = fork();
  if (id == 0) {
    close(ends[0]);
    std::string said;
    try {
      work();
    } catch (const std::exception& error) {
      said = error.what();
    }
    [[maybe_unused]] const auto n = write(ends[1], said.data(), said.size());
    std::fflush(nullptr);
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  close(ends[1]);
  return {id, ends[0]};
}

struct End {
  int status = 0;
  std::string said;
};

End finish(const Child& child) {
  End end;
  char buffer[4096];
  for (ssize_t n; (n = read(child.output, buffer, sizeof buffer)) > 0;) end.said.append(buffer, static_cast<size_t>(n));
  close(child.output);
  waitpid(child.id, &end.status, 0);
  return end;
}

/// The GPUs here, counted by a process of its own; the reason if there are none.
int count_gpus(std::string& why) {
  const End end = finish(start([&] { throw std::runtime_error("=" + std::to_string(find_gpus().size())); }));
  why = end.said;
  return end.said.starts_with("=") ? std::min(8, std::atoi(end.said.c_str() + 1)) : 0;
}

#define NEED_GPUS(n)                \
  std::string why;                  \
  const int gpus = count_gpus(why); \
  if (gpus < (n)) GTEST_SKIP() << "needs " << (n) << " GPUs, there are " << gpus << " " << why

/// work(communicator, control) as rank `rank` with the GPU of that number.
template <class Work>
Child start_rank(const Place& place, int rank, int size, const Work& work) {
  return start([&] {
    const std::vector<GpuInfo> all = find_gpus();
    Hello hello = test::hello_of(rank, size, {{"NCCL", nccl_version()}});
    hello.member.gpu = "GPU " + std::to_string(rank) + ", " + all.at(static_cast<size_t>(rank)).name;
    hello.member.gpu_id = all.at(static_cast<size_t>(rank)).uuid;
    Limits limits = test::test_limits();
    limits.join = std::chrono::seconds(100);
    const auto control = Control::meet(place, hello, limits);
    control->on_unheeded([](const Error&) { _exit(99); });
    try {
      work(make_nccl(control, rank), *control);
    } catch (const Error& error) {
      control->fail(error.code(), error.what());
      throw;
    }
  });
}

template <class Work>
void on_gpus(int size, const Work& work) {
  const Place place = test::new_place();
  std::vector<Child> ranks;
  for (int r = 0; r < size; ++r) ranks.push_back(start_rank(place, r, size, work));
  for (const Child& rank : ranks) {
    const End end = finish(rank);
    EXPECT_EQ(end.status, 0);
    EXPECT_EQ(end.said, "");
  }
}

TEST(Nccl, ConformsInGroupsOfAnySize) {
  NEED_GPUS(1);
  for (int size = 1; size <= gpus; ++size)
    on_gpus(size, [](std::unique_ptr<Communicator> comm, Control&) {
      test::ThroughDevice through(std::move(comm));
      check_communicator(through);
      check_all_to_all(through, 3 << 20);
      check_all_gather(through, 5 << 20);
    });
}

TEST(Nccl, CallsAreQueuedOnTheirStream) {
  NEED_GPUS(1);
  on_gpus(gpus, [](std::unique_ptr<Communicator> comm, Control&) {
    cuda::Stream stream;
    float* values = nullptr;
    cuda::check(cudaMalloc(&values, sizeof *values));
    const float one = 1;
    cuda::check(cudaMemcpyAsync(values, &one, sizeof one, cudaMemcpyHostToDevice, stream.get()));
    for (int i = 0; i < 20; ++i) comm->all_reduce({values, 1}, Reduction::max, stream.get());
    comm->all_reduce({values, 1}, Reduction::sum, stream.get());
    float sum = 0;
    cuda::check(cudaMemcpyAsync(&sum, values, sizeof sum, cudaMemcpyDeviceToHost, stream.get()));
    stream.wait();
    EXPECT_EQ(sum, static_cast<float>(comm->size()));
  });
}

// The rank that is left waits on the GPU, in cudaStreamSynchronize.
TEST(Nccl, ARankThatIsKilledEndsTheOthersWithItsName) {
  NEED_GPUS(2);
  for (const int victim : {1, 0}) {
    const Place place = test::new_place();
    std::vector<Child> ranks;
    for (int r = 0; r < gpus; ++r)
      ranks.push_back(start_rank(place, r, gpus, [&](std::unique_ptr<Communicator> comm, Control& control) {
        cuda::Stream stream;
        std::byte* bytes = nullptr;
        constexpr size_t block = 64 << 20;
        const size_t total = block * static_cast<size_t>(comm->size());
        cuda::check(cudaMalloc(&bytes, 2 * total));
        for (int step = 0;; ++step) {
          control.report("step " + std::to_string(step));
          comm->all_to_all({bytes, total}, {bytes + total, total}, stream.get());
          if (step == 50 && comm->rank() == victim) raise(SIGKILL);
          stream.wait();
          control.tick();
        }
      }));
    for (int r = 0; r < gpus; ++r) {
      const End end = finish(ranks[static_cast<size_t>(r)]);
      if (r == victim) continue;
      EXPECT_EQ(end.status, 0);
      EXPECT_THAT(end.said, AllOf(HasSubstr("rank " + std::to_string(victim) + " of"), HasSubstr("without a word"),
                                  HasSubstr("GPU " + std::to_string(victim))));
    }
  }
}

// Stopped, not dead: its connections stay open, and so does what it has on the GPUs.
TEST(Nccl, ARankThatIsStoppedEndsTheOthersWithItsName) {
  NEED_GPUS(2);
  const Place place = test::new_place();
  std::vector<Child> ranks;
  for (int r = 0; r < gpus; ++r)
    ranks.push_back(start([&, r] {
      Limits limits = test::test_limits();
      limits.join = std::chrono::seconds(100);
      limits.silence = std::chrono::seconds(3);
      const auto control = Control::meet(place, test::hello_of(r, gpus), limits);
      control->on_unheeded([](const Error&) { _exit(99); });
      const auto comm = make_nccl(control, r);
      cuda::Stream stream;
      float* values = nullptr;
      cuda::check(cudaMalloc(&values, sizeof(float) << 20));
      for (int step = 0;; ++step) {
        if (step == 50 && r == 1) raise(SIGSTOP);
        comm->all_reduce({values, size_t{1} << 20}, Reduction::max, stream.get());
        stream.wait();
        control->tick();
      }
    }));
  for (int r = 0; r < gpus; ++r) {
    if (r == 1) continue;
    const End end = finish(ranks[static_cast<size_t>(r)]);
    EXPECT_THAT(end.said, AllOf(HasSubstr("rank 1 of"), HasSubstr("sent nothing for 3 s")));
  }
  kill(ranks[1].id, SIGKILL);
  finish(ranks[1]);
}

}  // namespace
}  // namespace wan::comm
