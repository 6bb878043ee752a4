#include "bench/machine.h"

#include <algorithm>
#include <chrono>

#include "core/error.h"
#include "engine/host.h"

namespace wan::bench {
namespace {

constexpr double short_run = 2;  // seconds; scratch memory and clocks settle in a second run where that costs little

const char* family_of(ops::WorkKind kind) noexcept {
  switch (kind) {
    case ops::WorkKind::linear: return "linear";
    case ops::WorkKind::self_attention: return "self-attention";
    case ops::WorkKind::cross_attention: return "cross-attention";
    case ops::WorkKind::conv: return "convolution";
    case ops::WorkKind::norm: return "norms";
    case ops::WorkKind::other: return "other";
  }
  return "?";
}

double time_once(const Machine& machine, const Work& work, bool check) {
  machine.backend().synchronise();
  const auto start = std::chrono::steady_clock::now();
  work(check);
  machine.backend().synchronise();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

void count(std::vector<BenchFamily>& families, const Rates* rates, const ops::OpWork& work, double seconds) {
  constexpr double tera = 1e12;
  const char* name = family_of(work.kind);
  auto family = std::ranges::find(families, name, &BenchFamily::name);
  if (family == families.end()) family = families.insert(family, BenchFamily{.name = name});
  family->calls += 1;
  family->seconds += seconds;
  family->tflop += work.flop / tera;
  if (rates) family->floor_seconds = family->floor_seconds.value_or(0) + floor_seconds(*rates, work);
}

// The table is for this run alone, so that the others do not wait after every op.
std::vector<BenchFamily> profile(Machine& machine, const Work& work) {
  std::vector<BenchFamily> families;
  const ops::ProfileTable table = ops::profile_kernels(
      *machine.backend().kernels, machine.backend().synchronise,
      [&](const ops::OpWork& op, double seconds) { count(families, machine.rates(), op, seconds); });
  Context& ctx = machine.ctx();
  ctx.kernels = &table;
  try {
    machine.backend().synchronise();
    work(false);
  } catch (...) {
    ctx.kernels = machine.backend().kernels.get();
    throw;
  }
  ctx.kernels = machine.backend().kernels.get();
  std::ranges::sort(families, std::greater(), &BenchFamily::seconds);
  return families;
}

double line(double none, double some, double factor) { return none + (some - none) * factor; }

std::optional<double> line(const std::optional<double>& none, const std::optional<double>& some, double factor) {
  if (!some) return std::nullopt;
  return line(none.value_or(0), *some, factor);
}

}  // namespace

Machine::Machine(const BenchOptions& options, engine::Backend backend)
    : backend_(std::move(backend)),
      memory_(*backend_.memory),
      arena_(memory_),
      plain_upload_(backend_.upload ? nullptr : std::make_unique<weights::PlainUpload>(memory_)),
      fill_(backend_.upload ? *backend_.upload : *plain_upload_),
      on_note_(options.on_note) {
  ctx_.arena = &arena_;
  ctx_.kernels = backend_.kernels.get();
  ctx_.stream = backend_.stream;
  ctx_.compute = backend_.compute;
  if (options.precision) ctx_.compute = *options.precision == Precision::bf16 ? DType::bf16 : DType::f32;
  ctx_.threads = options.threads > 0 ? options.threads : engine::usable_cpus();
  if (ctx_.compute == DType::bf16) rates_ = find_rates(backend_.name);
}

OwnedTensor random_tensor(Machine& machine, const Shape& shape) {
  OwnedTensor out(machine.memory(), DType::f32, shape);
  machine.fill().fill(out.tensor, 1);
  return out;
}

BenchPart measure(Machine& machine, int runs, const Work& work) {
  BenchPart part;
  part.warm_up_seconds = time_once(machine, work, true);
  if (part.warm_up_seconds < short_run) time_once(machine, work, false);
  for (int i = 0; i < runs; ++i) part.seconds.push_back(time_once(machine, work, false));
  part.median_seconds = median(part.seconds);
  part.families = profile(machine, work);
  for (const BenchFamily& family : part.families) {
    part.tflop += family.tflop;
    if (family.floor_seconds) part.floor_seconds = part.floor_seconds.value_or(0) + *family.floor_seconds;
  }
  return part;
}

BenchPart extrapolate(BenchPart part, const BenchPart& none, int64_t layers) {
  const double factor = static_cast<double>(layers) / static_cast<double>(part.layers_run);
  for (double& seconds : part.seconds) seconds = line(none.median_seconds, seconds, factor);
  part.median_seconds = line(none.median_seconds, part.median_seconds, factor);
  part.tflop = line(none.tflop, part.tflop, factor);
  part.floor_seconds = line(none.floor_seconds, part.floor_seconds, factor);
  for (BenchFamily& family : part.families) {
    const auto found = std::ranges::find(none.families, family.name, &BenchFamily::name);
    const BenchFamily zero = found == none.families.end() ? BenchFamily{} : *found;
    family.calls = line(zero.calls, family.calls, factor);
    family.seconds = line(zero.seconds, family.seconds, factor);
    family.tflop = line(zero.tflop, family.tflop, factor);
    family.floor_seconds = line(zero.floor_seconds, family.floor_seconds, factor);
  }
  return part;
}

}  // namespace wan::bench
