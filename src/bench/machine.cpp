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

void count(std::vector<BenchOps>& rows, const std::string& name, const engine::Rates* rates, const ops::OpWork& work,
           double seconds) {
  constexpr double tera = 1e12;
  auto row = std::ranges::find(rows, name, &BenchOps::name);
  if (row == rows.end()) row = rows.insert(row, BenchOps{.name = name});
  row->calls += 1;
  row->seconds += seconds;
  row->tflop += work.flop / tera;
  if (rates) row->floor_seconds = row->floor_seconds.value_or(0) + engine::floor_seconds(*rates, work);
}

void sort_longest_first(BenchPart& part) {
  for (auto* rows : {&part.families, &part.ops}) std::ranges::sort(*rows, std::greater(), &BenchOps::seconds);
}

// The table is for this run alone, so that the others do not wait after every op.
void profile(Machine& machine, const Work& work, BenchPart& part) {
  const ops::ProfileTable table = ops::profile_kernels(
      *machine.backend().kernels, machine.backend().synchronise, [&](const ops::OpWork& op, double seconds) {
        count(part.families, family_of(op.kind), machine.rates(), op, seconds);
        count(part.ops, op.what, machine.rates(), op, seconds);
      });
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
  sort_longest_first(part);
}

double line(double none, double some, double factor) { return none + (some - none) * factor; }

std::optional<double> line(const std::optional<double>& none, const std::optional<double>& some, double factor) {
  if (!some) return std::nullopt;
  return line(none.value_or(0), *some, factor);
}

void extrapolate_rows(std::vector<BenchOps>& rows, const std::vector<BenchOps>& none, double factor) {
  for (BenchOps& row : rows) {
    const auto found = std::ranges::find(none, row.name, &BenchOps::name);
    const BenchOps zero = found == none.end() ? BenchOps{} : *found;
    row.calls = line(zero.calls, row.calls, factor);
    row.seconds = line(zero.seconds, row.seconds, factor);
    row.tflop = line(zero.tflop, row.tflop, factor);
    row.floor_seconds = line(zero.floor_seconds, row.floor_seconds, factor);
  }
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
  if (ctx_.compute == DType::bf16) rates_ = engine::find_rates(backend_.name);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
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
  profile(machine, work, part);
  for (const BenchOps& family : part.families) {
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
  extrapolate_rows(part.families, none.families, factor);
  extrapolate_rows(part.ops, none.ops, factor);
  sort_longest_first(part);
  return part;
}

}  // namespace wan::bench
