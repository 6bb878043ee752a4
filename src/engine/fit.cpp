#include "engine/fit.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace wan::engine {
namespace {

int64_t needs(const GenerationSpec& spec) { return MemoryPlan(spec).minimum(); }

/// The largest n in [1, last) for which make(n) fits; 0 if none does. What make(n) needs grows about as n to the power
/// of `power`, so that few plans find it; `last_needs` is that of make(last), which does not fit.
int64_t largest_that_fits(int64_t last, int64_t last_needs, double power, int64_t budget,
                          const std::function<GenerationSpec(int64_t)>& make) {
  constexpr int guesses = 6;  // then halves
  if (last <= 1) return 0;
  int64_t fits = 1, too_much = last, fits_needs = needs(make(1)), too_much_needs = last_needs;
  if (fits_needs > budget) return 0;
  for (int i = 0; too_much - fits > 1; ++i) {
    const double low = std::pow(static_cast<double>(fits), power),
                 high = std::pow(static_cast<double>(too_much), power);
    const double share = static_cast<double>(budget - fits_needs) / static_cast<double>(too_much_needs - fits_needs);
    const auto guess = static_cast<int64_t>(std::pow(low + share * (high - low), 1 / power));
    const int64_t n = i < guesses ? std::clamp(guess, fits + 1, too_much - 1) : (fits + too_much) / 2;
    const int64_t taken = needs(make(n));
    (taken <= budget ? fits : too_much) = n;
    (taken <= budget ? fits_needs : too_much_needs) = taken;
  }
  return fits;
}

GenerationSpec with_latent_frames(GenerationSpec spec, int64_t latent_frames) {
  spec.frames = spec.dimensions.vae.video_frames(latent_frames);
  return spec;
}

/// The larger side `steps` steps, the smaller in proportion.
GenerationSpec with_side(GenerationSpec spec, int64_t steps) {
  const bool wide = spec.width >= spec.height;
  int64_t &large = wide ? spec.width : spec.height, &small = wide ? spec.height : spec.width;
  const int64_t large_step = wide ? spec.dimensions.width_step() : spec.dimensions.height_step();
  const int64_t small_step = wide ? spec.dimensions.height_step() : spec.dimensions.width_step();
  const double exact = static_cast<double>(steps * large_step) * static_cast<double>(small) /
                       static_cast<double>(large) / static_cast<double>(small_step);
  large = steps * large_step;
  small = std::max<int64_t>(1, std::llround(exact)) * small_step;
  return spec;
}

int64_t side_steps(const GenerationSpec& spec) {
  return spec.width >= spec.height ? spec.width / spec.dimensions.width_step()
                                   : spec.height / spec.dimensions.height_step();
}

SpecChange frames_change(const GenerationSpec& from, GenerationSpec to) {
  return {fmt::format("{} frames instead of {}", to.frames, from.frames), fmt::format("--frame_num {}", to.frames),
          std::move(to)};
}

SpecChange size_change(const GenerationSpec& from, GenerationSpec to) {
  return {fmt::format("{}x{} instead of {}x{}", to.width, to.height, from.width, from.height),
          fmt::format("--size {}*{}", to.width, to.height), std::move(to)};
}

}  // namespace

std::string gigabytes(int64_t bytes) { return fmt::format("{:.1f} GB", static_cast<double>(bytes) / 1e9); }

GenerationSpec with_area(GenerationSpec spec, int64_t area) {
  const bool wide = spec.width >= spec.height;
  int64_t &large = wide ? spec.width : spec.height, &small = wide ? spec.height : spec.width;
  const int64_t large_step = wide ? spec.dimensions.width_step() : spec.dimensions.height_step();
  const int64_t small_step = wide ? spec.dimensions.height_step() : spec.dimensions.width_step();
  const double ratio = static_cast<double>(large) / static_cast<double>(small), pixels = static_cast<double>(area);
  large = std::max<int64_t>(1, static_cast<int64_t>(std::sqrt(pixels * ratio)) / large_step) * large_step;
  small = std::max<int64_t>(1, std::llround(std::sqrt(pixels / ratio) / static_cast<double>(small_step))) * small_step;
  return spec;
}

std::vector<SpecChange> changes_that_fit(const GenerationSpec& spec, const FitBudget& budget, size_t most) {
  std::vector<SpecChange> found;
  const auto enough = [&] { return found.size() >= most; };
  const auto try_one = [&](SpecChange change, int64_t bytes) {
    if (!enough() && needs(change.spec) <= bytes) found.push_back(std::move(change));
  };
  if (spec.cuda && !spec.text_on_cpu && !spec.decode_only) {
    SpecChange change{"the text encoder on the CPU", "--t5_cpu", spec};
    change.spec.text_on_cpu = true;
    try_one(std::move(change), budget.bytes);
  }
  const int64_t all = needs(spec);
  if (budget.capacity >= all && !enough()) {
    const int64_t tenths = (all + 99'999'999) / 100'000'000;  // of a GB, rounded up
    found.push_back(
        {"a larger budget", fmt::format("--{} {}.{}GB", spec.cuda ? "vram" : "ram", tenths / 10, tenths % 10), spec});
  }
  if (spec.compute == DType::f32) {
    SpecChange change{"bf16 instead of f32", "--dtype bf16", spec};
    change.spec.compute = DType::bf16;
    try_one(std::move(change), budget.bytes);
  }
  if (!spec.decode_only) {
    const auto fewer = [&](int64_t n) { return with_latent_frames(spec, n); };
    const auto smaller = [&](int64_t n) { return with_side(spec, n); };
    const auto search = [&](int64_t last, double power, const auto& make) {
      return enough() ? 0 : largest_that_fits(last, all, power, budget.bytes, make);
    };
    const int64_t frames = search(spec.latent()[1], 1, fewer);
    if (frames > 0) found.push_back(frames_change(spec, fewer(frames)));
    const int64_t side = search(side_steps(spec), 2, smaller);
    if (side > 0) found.push_back(size_change(spec, smaller(side)));
    if (frames == 0 && side == 0) {
      const GenerationSpec few = fewer(1);  // a single frame does not fit in this size
      const int64_t both = search(side_steps(spec), 2, [&](int64_t n) { return with_side(few, n); });
      if (both > 0) {
        SpecChange change = size_change(spec, with_side(few, both));
        change.what += fmt::format(", and 1 frame instead of {}", spec.frames);
        change.flags += " --frame_num 1";
        found.push_back(std::move(change));
      }
    }
  }
  if (spec.cuda && budget.host_bytes > 0) {
    SpecChange change{"the CPU instead of the GPU", "--device cpu", spec};
    change.spec.cuda = false;
    try_one(std::move(change), budget.host_bytes);
  }
  if (found.size() > most) found.resize(most);
  return found;
}

void require_fit(const MemoryPlan& plan, const FitBudget& budget) {
  const GenerationSpec& spec = plan.spec();
  const Placement least = plan.least();
  if (least.device.most() <= budget.bytes) return;
  static constexpr std::pair<const char*, const char*> stages[] = {{"text", "encoding the text"},
                                                                   {"image", "encoding the image"},
                                                                   {"sample", "a transformer's forward"},
                                                                   {"decode", "decoding the video"}};
  std::string part;
  for (const auto& [name, words] : stages)
    if (std::string_view(name) == least.device.tightest()) part = words;
  std::string text = fmt::format(
      "[memory] {}x{} with {} frames in {} needs at least {} of {}'s memory ({} takes the most), and {} may be used",
      spec.width, spec.height, spec.frames, to_string(spec.compute), gigabytes(least.device.most()),
      spec.cuda ? budget.device : "the host", part, gigabytes(budget.bytes));
  const std::vector<SpecChange> changes = changes_that_fit(spec, budget);
  text += changes.empty()
              ? "; nothing that this program can change makes it fit: use a smaller model, or a machine with "
                "more memory"
              : "; it fits with one of:";
  for (const SpecChange& change : changes) text += fmt::format("\n  {} ({})", change.flags, change.what);
  fail(ErrorCode::out_of_memory, "{}", text);
}

}  // namespace wan::engine
