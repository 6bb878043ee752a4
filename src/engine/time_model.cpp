#include "engine/time_model.h"

#include <algorithm>

#include "models/row_bands.h"

namespace wan::engine {
namespace {

// What this program reached of the floors on an H100: 9.54 of 9.69 s (A14B at 720p), 2.47 of 2.53 (480p), 0.770 of
// 0.809 (5B); VAE 2.1 1.52 of 1.70, VAE 2.2 3.15 of 3.59; the text encoder all of it.
constexpr double transformer_share = 0.97, vae_share = 0.885;

}  // namespace

TimeModel::TimeModel(const GenerationSpec& spec, const Rates& rates, const Link& link)
    : spec_(spec), rates_(rates), link_(link), work_(spec) {}

// Blocks that are not resident arrive while the one before computes; what Ulysses exchanges waits for the computation.
double TimeModel::forward(const MemoryPlan& m, const Placement& p, const Sharing& s) const {
  const auto of = [&](const ops::OpWork& op) { return floor_seconds(rates_, op); };
  const double group = s.sequence;
  const double tensor = static_cast<double>(spec_.tokens() * spec_.dimensions.dit.dim * size_of(spec_.compute));
  const double exchanged = s.sequence > 1 ? 4 * tensor / group * (group - 1) / group / link_.peer : 0;
  const double block = work_.block().seconds(of) / transformer_share / group + exchanged;
  const auto bytes = static_cast<double>(m.block_bytes());
  if (!spec_.cuda) return work_.outer().seconds(of) / transformer_share + static_cast<double>(p.blocks) * block;
  const double streamed = std::max(block, bytes / link_.host);
  // A file may hold its blocks in float32.
  const double in_files =
      bytes * static_cast<double>(m.weights().high.file) / static_cast<double>(m.weights().high.all());
  const double read = std::max(block, in_files / disk_bytes_per_second);
  // The other shards of a block are as large as one's own.
  const double resident = s.sharded ? std::max(block, bytes * (s.gpus() - 1) / link_.peer) : block;
  return work_.outer().seconds(of) / transformer_share / group + static_cast<double>(p.resident) * resident +
         static_cast<double>(p.in_host) * streamed + static_cast<double>(p.from_disk) * read;
}

Seconds TimeModel::of(const MemoryPlan& m, const Placement& p, const Sharing& s) const {
  const auto on_device = [&](const ops::OpWork& op) { return floor_seconds(rates_, op); };
  const Rates cpu = cpu_rates(spec_.threads);
  const auto on_cpu = [&](const ops::OpWork& op) { return floor_seconds(cpu, op); };
  const auto disk = [](int64_t bytes) { return static_cast<double>(bytes) / disk_bytes_per_second; };
  Seconds t;
  const auto decoding = models::decoder_ranks(spec_.dimensions.vae.up, spec_.latent()[2], s.gpus(), 1);
  t.decode = work_.decode().seconds(on_device) / vae_share / static_cast<double>(decoding);
  t.load = disk(m.weights().decoder.file);
  if (spec_.decode_only) return t;
  const ExpertSteps steps = expert_steps(spec_);
  t.load += disk(m.weights().text.file + (steps.high > 0 ? m.weights().high.file : 0) +
                 (steps.low > 0 ? m.weights().low.file : 0) + (spec_.image ? m.weights().encoder.file : 0));
  const bool text_on_cpu = !spec_.cuda || spec_.text_on_cpu;
  t.text = text_on_cpu
               ? work_.text().seconds(on_cpu)
               : std::max(work_.text().seconds(on_device), static_cast<double>(m.weights().text.all()) / link_.host);
  if (spec_.image) t.image = work_.image().seconds(on_device) / vae_share;

  const double forward_seconds = forward(m, p, s);
  const auto forwards = [&](double guidance) { return guidance != 1 && s.branches == 1 ? 2 : 1; };
  const double high = forwards(spec_.two_experts ? spec_.guidance_high : spec_.guidance_low);
  const double count =
      static_cast<double>(steps.high) * high + static_cast<double>(steps.low) * forwards(spec_.guidance_low);
  t.sample = count * forward_seconds +
             (steps.low > 0 && steps.high > 0 ? 2 : 1) * work_.prompts().seconds(on_device) / transformer_share;
  t.step = t.sample / static_cast<double>(std::max<int64_t>(spec_.steps, 1));
  return t;
}

}  // namespace wan::engine
