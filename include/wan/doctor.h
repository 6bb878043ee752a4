#pragma once
#include <filesystem>
#include <string>
#include <vector>

/// What of a machine would keep the program from running, or from running well.
namespace wan {

enum class Health { ok, warning, failure };
/// "ok", "warning" or "failure"
const char* to_string(Health health) noexcept;

/// One thing that was looked at.
struct Finding {
  std::string subject;  ///< "GPU 0", "disk"
  Health health = Health::ok;
  std::string found;
  std::string needed;  ///< empty where it is well
  std::string mend;    ///< what to do, one command where there is one; empty where it is well
};

struct DoctorOptions {
  std::filesystem::path ckpt_dir;      ///< a checkpoint to look at: headers and shapes of all its tensors; empty: none
  std::filesystem::path folder = ".";  ///< where videos would be written
};

/// Looks at this machine and changes nothing. Takes some seconds where a GPU's driver has to wake up. What cannot be
/// found out is a finding too; throws only where memory runs out.
std::vector<Finding> examine(const DoctorOptions& options = {});

}  // namespace wan
