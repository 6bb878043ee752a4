#pragma once
#include <cstdint>
#include <filesystem>

#include "wan/doctor.h"

/// The judgements of `wan doctor`, apart from how the facts are found.
namespace wan::engine {

constexpr int64_t unlimited = INT64_MAX;

Finding judge_memory(int64_t usable, int64_t installed);
Finding judge_disk(const std::filesystem::path& folder, int64_t free);
/// /dev/shm, through which NCCL moves data between processes; without several GPUs nobody needs it.
Finding judge_shared_memory(int64_t bytes, int gpus);
/// How much memory a process may lock.
Finding judge_locked_memory(int64_t bytes, int gpus);
Finding judge_gpu(int number, const std::string& name, int major, int minor, int64_t bytes);

}  // namespace wan::engine
