#pragma once
#include <climits>
#include <cstddef>
#include <memory>
#include <string>

/// What is used of NCCL's interface, declared here so that a build needs no NCCL; the library is loaded when ranks use
/// GPUs. Values and layouts are those of nccl.h since version 2.18 (checked against it in nccl_gpu_test.cpp).
namespace wan::comm::nccl {

using Comm = struct OpaqueComm*;
using Stream = void*;  // a cudaStream_t
using Result = int;
constexpr Result success = 0, remote_error = 6, in_progress = 7;
constexpr int type_int8 = 0, type_float32 = 7, op_sum = 0, op_max = 2;

struct UniqueId {
  char internal[128];
};

/// The beginning of ncclConfig_t, as of version 2.14: NCCL takes its size from it, and defaults for the rest.
struct Config {
  size_t size = sizeof(Config);
  unsigned magic = 0xcafebeef;
  unsigned version = 21400;
  int blocking = 0;
  int cga_cluster_size = INT_MIN;  // INT_MIN: the default
};

struct Library {
  int version = 0;  ///< 22803 is 2.28.3
  Result (*get_unique_id)(UniqueId*) = nullptr;
  Result (*init_rank)(Comm*, int ranks, UniqueId, int rank, Config*) = nullptr;
  Result (*split)(Comm, int colour, int key, Comm*, Config*) = nullptr;
  Result (*async_error)(Comm, Result*) = nullptr;
  Result (*user_rank)(Comm, int*) = nullptr;
  Result (*count)(Comm, int*) = nullptr;
  Result (*finalize)(Comm) = nullptr;
  Result (*destroy)(Comm) = nullptr;
  Result (*abort)(Comm) = nullptr;
  Result (*all_gather)(const void*, void*, size_t, int type, Comm, Stream) = nullptr;
  Result (*all_reduce)(const void*, void*, size_t, int type, int op, Comm, Stream) = nullptr;
  Result (*send)(const void*, size_t, int type, int peer, Comm, Stream) = nullptr;
  Result (*receive)(void*, size_t, int type, int peer, Comm, Stream) = nullptr;
  Result (*group_start)() = nullptr;
  Result (*group_end)() = nullptr;
  const char* (*error_string)(Result) = nullptr;
  const char* (*last_error)(Comm) = nullptr;

  std::string version_text() const;
};

/// Loads libnccl.so.2, once in the process. Throws Error(unsupported) that says what to install if there is none, or an
/// old one.
const Library& load();

}  // namespace wan::comm::nccl
