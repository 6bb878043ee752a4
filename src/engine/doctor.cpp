#include "engine/doctor.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "comm/nccl.h"
#include "core/error.h"
#include "core/gpu.h"
#include "engine/host.h"
#include "engine/models_on_disk.h"
#include "io/video.h"
#include "ops/simd.h"

namespace wan {

const char* to_string(Health health) noexcept {
  switch (health) {
    case Health::ok: return "ok";
    case Health::warning: return "warning";
    case Health::failure: return "failure";
  }
  return "?";
}

namespace engine {
namespace {

constexpr int64_t gb = 1'000'000'000;

std::string size_text(int64_t bytes) {
  if (bytes == unlimited) return "unlimited";
  if (bytes < gb) return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
  return fmt::format("{:.1f} GB", static_cast<double>(bytes) / 1e9);
}

// The message of what fails is what was found; the sentence after the last semicolon is what to do.
Finding failure(std::string subject, const Error& error, Health health = Health::failure) {
  const std::string text = error.what();
  const size_t cut = text.rfind("; ");
  if (cut == std::string::npos) return {std::move(subject), health, text, "", ""};
  return {std::move(subject), health, text.substr(0, cut), "", text.substr(cut + 2)};
}

int64_t free_of(const std::filesystem::path& folder, bool all) {
  struct statvfs fs {};
  if (statvfs(folder.c_str(), &fs) != 0) return -1;
  return static_cast<int64_t>(all ? fs.f_blocks : fs.f_bavail) * static_cast<int64_t>(fs.f_frsize);
}

int64_t locked_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return unlimited;
  return static_cast<int64_t>(limit.rlim_cur);
}

int64_t installed_memory() { return int64_t{sysconf(_SC_PHYS_PAGES)} * int64_t{sysconf(_SC_PAGESIZE)}; }

Finding examine_cpu() {
  const std::string name = ops::cpu::simd().name;
  Finding f{"CPU", Health::ok, fmt::format("{} threads, {}", usable_cpus(), name), "", ""};
  if (&ops::cpu::simd() == ops::cpu::simd_base()) {
    f.health = Health::warning;
    f.needed = "AVX2, or AVX-512, for speed";
    f.mend = "a newer processor, or a virtual machine that shows its own (qemu: -cpu host)";
  }
  return f;
}

Finding examine_encoder(const std::filesystem::path& folder, const char* name) {
  const std::string subject = std::string("video, ") + name;
  try {
    io::check_video_output(folder / (std::string("wan-doctor.") + name), {64, 64, {16, 1}, {}, {}});
    return {subject, Health::ok, "can be written", "", ""};
  } catch (const Error& error) {
    return failure(subject, error, Health::warning);
  }
}

Finding examine_network() {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return {"network", Health::warning, "the interfaces cannot be listed", "", ""};
  std::set<std::string> up;
  for (const ifaddrs* i = list; i != nullptr; i = i->ifa_next)
    if ((i->ifa_flags & IFF_UP) != 0 && (i->ifa_flags & IFF_LOOPBACK) == 0) up.insert(i->ifa_name);
  freeifaddrs(list);
  if (up.empty()) return {"network", Health::ok, "this machine alone", "", ""};
  return {"network", Health::ok, fmt::format("{}", fmt::join(up, ", ")), "", ""};
}

// The GPUs, and what several of them need; gives their number.
int examine_gpus(std::vector<Finding>& findings) {
  std::vector<GpuInfo> gpus;
  try {
    gpus = find_gpus();
  } catch (const Error& error) {
    const bool without = error.code() == ErrorCode::unsupported;  // a build without CUDA
    findings.push_back(failure("GPU", error, without ? Health::warning : Health::failure));
    return 0;
  }
  if (gpus.empty())
    findings.push_back({"GPU", Health::warning, "no NVIDIA GPU was found; the CPU computes", "an Ampere or newer one",
                        "does nvidia-smi list it? In a container: docker run --gpus all"});
  for (size_t i = 0; i < gpus.size(); ++i)
    findings.push_back(
        judge_gpu(static_cast<int>(i), gpus[i].name, gpus[i].major, gpus[i].minor, gpus[i].memory_bytes));
  if (gpus.size() > 1) {
    try {
      findings.push_back({"NCCL", Health::ok, comm::nccl_version(), "", ""});
    } catch (const Error& error) {
      findings.push_back(failure("NCCL", error));
    }
  }
  return static_cast<int>(gpus.size());
}

Finding examine_checkpoint(const std::filesystem::path& folder) {
  try {
    const ModelsOnDisk models(folder, {});
    return {"checkpoint", Health::ok,
            fmt::format("{}; every tensor is there, of the right shape", to_string(models.task())), "", ""};
  } catch (const Error& error) {
    return {"checkpoint", Health::failure, error.what(), "every tensor of the model",
            "wan download, or wan convert --verify"};
  }
}

}  // namespace

Finding judge_memory(int64_t usable, int64_t installed) {
  Finding f{"memory", Health::ok, fmt::format("{} of {} may be used", size_text(usable), size_text(installed)), "", ""};
  if (usable < 4 * gb) {
    f.health = Health::warning;
    f.needed = "4 GB for the smallest official request on a GPU; wan plan says what each takes";
    f.mend = "end other programs, or raise the container's limit (docker run --memory)";
  }
  return f;
}

Finding judge_disk(const std::filesystem::path& folder, int64_t free) {
  const std::string where = folder.string();
  if (free < 0) return {"disk", Health::failure, fmt::format("{} cannot be read", where), "a folder to write to", ""};
  Finding f{"disk", Health::ok, fmt::format("{} free in {}", size_text(free), where), "", ""};
  if (free < gb) {
    f.health = Health::warning;
    f.needed = "1 GB for a video and the steps that are kept; 126 GB for A14B, 34 GB for 5B";
    f.mend = "make room, or write elsewhere (--save_file, --local_dir)";
  }
  return f;
}

Finding judge_shared_memory(int64_t bytes, int gpus) {
  Finding f{"/dev/shm", Health::ok, bytes < 0 ? "not there" : size_text(bytes), "", ""};
  if (gpus > 1 && bytes < gb / 2) {
    f.health = Health::warning;
    f.needed = "1 GB, for NCCL between processes";
    f.mend = "docker run --shm-size=1g";
  }
  return f;
}

Finding judge_locked_memory(int64_t bytes, int gpus) {
  Finding f{"memlock", Health::ok, size_text(bytes), "", ""};
  if (gpus > 1 && bytes != unlimited) {
    f.health = Health::warning;
    f.needed = "no limit, for NCCL over InfiniBand";
    f.mend = "ulimit -l unlimited; docker run --ulimit memlock=-1";
  }
  return f;
}

Finding judge_gpu(int number, const std::string& name, int major, int minor, int64_t bytes) {
  Finding f{fmt::format("GPU {}", number), Health::ok,
            fmt::format("{}, {}, compute capability {}.{}", name, size_text(bytes), major, minor), "", ""};
  if (major < 8) {
    f.health = Health::failure;
    f.needed = "compute capability 8.0 or newer (A100, RTX 30)";
    f.mend = "another GPU, or --device cpu";
  }
  return f;
}

}  // namespace engine

std::vector<Finding> examine(const DoctorOptions& options) {
  using namespace engine;
  std::vector<Finding> findings = {examine_cpu(), judge_memory(usable_memory(), installed_memory())};
  const int gpus = examine_gpus(findings);
  findings.push_back(judge_shared_memory(free_of("/dev/shm", true), gpus));
  findings.push_back(judge_locked_memory(locked_limit(), gpus));
  findings.push_back(examine_network());
  findings.push_back(judge_disk(options.folder, free_of(options.folder, false)));
  for (const char* name : {"mp4", "webm"}) findings.push_back(examine_encoder(options.folder, name));
  if (!options.ckpt_dir.empty()) findings.push_back(examine_checkpoint(options.ckpt_dir));
  return findings;
}

}  // namespace wan
