#pragma once
#include "engine/gpus.h"
#include "engine/memory_plan.h"

/// How long a generation will take: the work of its dry run at the rates of a device.
namespace wan::engine {

/// How several GPUs share the work. One alone: all 1.
struct Sharing {
  int branches = 1;      ///< groups of GPUs that compute one branch of the guidance each: 1 or 2
  int sequence = 1;      ///< GPUs of a group that share the tokens (Ulysses)
  bool sharded = false;  ///< each GPU keeps 1 / gpus() of every block
  int gpus() const noexcept { return branches * sequence; }
};

struct Seconds {
  double load = 0;  ///< files to memory, from a disk
  double text = 0, image = 0, sample = 0, decode = 0;
  double step = 0;  ///< the mean of a step
  double all() const noexcept { return load + text + image + sample + decode; }
};

class TimeModel {
 public:
  /// Rates of a GPU that nobody measured give estimates. `link` is not used on the CPU.
  TimeModel(const GenerationSpec& spec, const Rates& rates, const Link& link);

  Seconds of(const MemoryPlan& memory, const Placement& placement, const Sharing& sharing = {}) const;

  /// Read from a disk, bytes/s: a good NVMe drive. From the page cache the H100's machine read 46 GB/s.
  static constexpr double disk_bytes_per_second = 3e9;

 private:
  double forward(const MemoryPlan& memory, const Placement& placement, const Sharing& sharing) const;

  GenerationSpec spec_;
  Rates rates_;
  Link link_;
  DryWork work_;
};

}  // namespace wan::engine
