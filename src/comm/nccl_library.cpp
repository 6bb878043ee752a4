#include "comm/nccl_library.h"

#include <dlfcn.h>

#include <cstdlib>

#include "core/error.h"

namespace wan::comm::nccl {
namespace {

constexpr int oldest = 21800;  // the first that splits communicators

constexpr const char* advice =
    "more than one GPU needs NCCL 2.18 or newer: install libnccl2, or 'pip install nvidia-nccl-cu12' (cu13) and put "
    "the "
    "folder of its libnccl.so.2 into LD_LIBRARY_PATH";

template <class Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  require(function != nullptr, ErrorCode::unsupported, "[NCCL] libnccl.so.2 has no {}; {}", name, advice);
}

Library load_once() {
  // Multicast over NVLink hangs on machines that are shared or virtual; NCCL reads this when it is first used.
  setenv("NCCL_NVLS_ENABLE", "0", 0);
  void* library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);  // stays until the process ends
  if (library == nullptr) {
    const char* why = dlerror();
    fail(ErrorCode::unsupported, "[NCCL] {}; {}", why == nullptr ? "libnccl.so.2 cannot be loaded" : why, advice);
  }
  Library l;
  Result (*get_version)(int*) = nullptr;
  find(library, "ncclGetVersion", get_version);
  require(get_version(&l.version) == success && l.version >= oldest, ErrorCode::unsupported,
          "[NCCL] version {} was found; {}", l.version_text(), advice);
  find(library, "ncclGetUniqueId", l.get_unique_id);
  find(library, "ncclCommInitRankConfig", l.init_rank);
  find(library, "ncclCommSplit", l.split);
  find(library, "ncclCommGetAsyncError", l.async_error);
  find(library, "ncclCommUserRank", l.user_rank);
  find(library, "ncclCommCount", l.count);
  find(library, "ncclCommFinalize", l.finalize);
  find(library, "ncclCommDestroy", l.destroy);
  find(library, "ncclCommAbort", l.abort);
  find(library, "ncclAllGather", l.all_gather);
  find(library, "ncclAllReduce", l.all_reduce);
  find(library, "ncclSend", l.send);
  find(library, "ncclRecv", l.receive);
  find(library, "ncclGroupStart", l.group_start);
  find(library, "ncclGroupEnd", l.group_end);
  find(library, "ncclGetErrorString", l.error_string);
  find(library, "ncclGetLastError", l.last_error);
  return l;
}

}  // namespace

std::string Library::version_text() const {
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

const Library& load() {
  static const Library library = load_once();
  return library;
}

}  // namespace wan::comm::nccl
