#pragma once
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/memory.h"
#include "engine/prepare.h"
#include "pipeline/denoise.h"

/// What a generation keeps of its steps, so that the same request goes on after an interruption.
namespace wan::engine {

/// Names a request: everything that decides the result's bytes, but for a seed that was drawn. `described` is its
/// metadata.
std::string run_key(const std::string& described, const PreparedRequest& prepared, const std::string& device);

/// The file for one request, `.wan-run-KEY.safetensors` in the folder of its output. While an object exists, no other
/// one of this machine for the same file can be made.
class SavedRun {
 public:
  struct Options {
    bool every_step = false;  ///< else once an interval, and not before the first has passed
    std::chrono::seconds interval{60};
  };
  /// Absent if another process is at work on the same request.
  static std::optional<SavedRun> open(const std::filesystem::path& folder, const std::string& key,
                                      const Options& options);
  SavedRun(SavedRun&& other) noexcept;
  SavedRun& operator=(SavedRun&&) = delete;
  ~SavedRun();

  struct Found {
    int64_t seed = 0, steps_done = 0;
    std::vector<float> latent;
    std::vector<std::vector<float>> history;
  };
  /// What an interrupted run left, if its tensors have `latent`'s shape; a file that is damaged or of another kind
  /// counts as none.
  std::optional<Found> find(const Shape& latent, int64_t steps, int64_t history) const;

  /// Saves a state if it is time for it; whole or not at all. `seed`: the one in use. Throws Error(bad_file), such as
  /// for a full disk; what was saved before is still there.
  void offer(const pipeline::RunState& state, int64_t seed, MemoryResource& memory);
  /// Saves the last state that was offered, if it is not saved yet and the run has taken long enough.
  void save_last(MemoryResource& memory);
  /// The tensors of the last state are gone.
  void forget_last() noexcept { offered_.reset(); }
  /// Steps that a later run need not repeat.
  int64_t saved_steps() const noexcept { return saved_steps_; }
  /// The result is safe: nothing is left behind.
  void remove() noexcept;

 private:
  using Clock = std::chrono::steady_clock;
  SavedRun(std::filesystem::path path, int lock, const Options& options);
  void save(const pipeline::RunState& state, MemoryResource& memory);

  std::filesystem::path path_;
  int lock_;
  Options options_;
  Clock::time_point opened_ = Clock::now(), last_ = opened_;
  std::optional<pipeline::RunState> offered_;
  int64_t seed_ = 0, saved_steps_ = 0;
};

}  // namespace wan::engine
