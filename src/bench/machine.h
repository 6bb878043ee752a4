#pragma once
#include <functional>
#include <string>
#include <vector>

#include "bench/synthetic.h"
#include "core/counting_memory.h"
#include "engine/backend.h"
#include "engine/rates.h"
#include "wan/bench.h"

namespace wan::bench {

/// The device, its memory with a count, and the context that all parts run in.
class Machine {
 public:
  Machine(const BenchOptions& options, engine::Backend backend);
  Context& ctx() noexcept { return ctx_; }
  CountingMemory& memory() noexcept { return memory_; }
  NormalFill& fill() noexcept { return fill_; }
  const engine::Backend& backend() const noexcept { return backend_; }
  /// For this device and precision; null where none are known.
  const engine::Rates* rates() const noexcept { return rates_; }
  void note(std::string text) const {
    if (on_note_) on_note_(std::move(text));
  }

 private:
  engine::Backend backend_;
  CountingMemory memory_;
  Arena arena_;
  std::unique_ptr<weights::Upload> plain_upload_;  // where the device has none of its own
  NormalFill fill_;
  Context ctx_;
  const engine::Rates* rates_ = nullptr;
  std::function<void(std::string)> on_note_;
};

/// Normal numbers, f32.
OwnedTensor random_tensor(Machine& machine, const Shape& shape);

double median(std::vector<double> values);

/// Computes once. In the first call of all `check` is true: then the result is to be looked at.
using Work = std::function<void(bool check)>;

/// Warms up, times `runs` runs and profiles one more. Fills in everything of a part but its name, memory and layers.
BenchPart measure(Machine& machine, int runs, const Work& work);

/// The part of a whole model with `layers` layers, linearly from one measured with part.layers_run and one with none.
BenchPart extrapolate(BenchPart part, const BenchPart& none, int64_t layers);

}  // namespace wan::bench
