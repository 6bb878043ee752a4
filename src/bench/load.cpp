#include <algorithm>
#include <chrono>
#include <memory>
#include <set>
#include <vector>

#include "bench/machine.h"
#include "core/error.h"
#include "engine/models_on_disk.h"
#include "engine/ranges.h"
#include "io/tokenizer.h"

namespace wan {
namespace {

constexpr int64_t piece_bytes = int64_t{16} << 20;

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The first of all, and the median of `runs` more.
std::pair<double, double> first_and_median(int runs, const std::function<void()>& work) {
  const double first = seconds_of(work);
  std::vector<double> seconds;
  for (int i = 0; i < runs; ++i) seconds.push_back(seconds_of(work));
  return {first, bench::median(std::move(seconds))};
}

using Files = std::set<std::shared_ptr<const io::MappedFile>>;

/// The transformers' experts, and the files of each.
struct Transformers {
  explicit Transformers(const engine::ModelsOnDisk& models) : experts{pipeline::Expert::high} {
    add(models.files().high_noise);
    if (!models.files().two_experts) return;
    experts.push_back(pipeline::Expert::low);
    add(models.files().low_noise);
  }
  void add(const io::DitFiles& dit) {
    for (const auto& [name, entry] : dit.tensors.get().entries()) files.insert(entry.file);
  }
  int64_t bytes() const {
    int64_t total = 0;
    for (const auto& file : files) total += file->size();
    return total;
  }

  std::vector<pipeline::Expert> experts;
  Files files;
};

void read_all(const Files& files, int threads) {
  struct Piece {
    const io::MappedFile* file;
    int64_t offset, bytes;
  };
  std::vector<Piece> pieces;
  for (const auto& file : files)
    for (int64_t at = 0; at < file->size(); at += piece_bytes)
      pieces.push_back({file.get(), at, std::min(piece_bytes, file->size() - at)});
  std::vector<std::exception_ptr> errors(pieces.size());
#pragma omp parallel num_threads(threads)
  {
    std::unique_ptr<std::byte[]> buffer;
#pragma omp for schedule(dynamic)
    for (size_t i = 0; i < pieces.size(); ++i) try {
        if (!buffer) buffer = std::make_unique_for_overwrite<std::byte[]>(piece_bytes);
        pieces[i].file->read(pieces[i].offset, {buffer.get(), static_cast<size_t>(pieces[i].bytes)});
      } catch (...) {
        errors[i] = std::current_exception();
      }
  }
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}

/// Returns what the weights take in the device's memory.
int64_t load_all(bench::Machine& machine, const engine::ModelsOnDisk& models, const Transformers& transformers) {
  const engine::Backend& backend = machine.backend();
  const weights::Policy policy{machine.ctx().compute, false, &machine.memory(), backend.upload.get(),
                               machine.ctx().threads};
  int64_t bytes = 0;
  for (const pipeline::Expert expert : transformers.experts) {
    const auto loaded = models.load_dit(expert, policy);
    weights::BlockSource& blocks = *loaded->dit().blocks;
    for (int64_t i = 0; i < blocks.blocks(); ++i) blocks.acquire(machine.ctx(), i);
    backend.synchronise();
    bytes += machine.memory().in_use();
  }
  return bytes;
}

/// Seconds for `bytes` through the same ring of pinned buffers, with nothing written into them.
double copy_seconds(bench::Machine& machine, int64_t bytes, int runs) {
  constexpr int64_t most = int64_t{1} << 30, at_least = int64_t{2} << 30;
  const Buffer there(machine.memory(), std::min(bytes, most));
  const int64_t rounds = (at_least + there.size() - 1) / there.size();
  weights::Upload& upload = *machine.backend().upload;
  const auto [first, seconds] = first_and_median(runs, [&] {
    for (int64_t round = 0; round < rounds; ++round)
      for (int64_t at = 0; at < there.size();) {
        const std::span<std::byte> staged = upload.stage();
        const auto count = std::min(static_cast<int64_t>(staged.size()), there.size() - at);
        upload.send(staged, static_cast<std::byte*>(there.data()) + at, count);
        at += count;
      }
    machine.backend().synchronise();
  });
  return seconds * static_cast<double>(bytes) / static_cast<double>(rounds * there.size());
}

}  // namespace

double LoadReport::ratio() const noexcept { return load_seconds / std::max(read_seconds, copy_seconds.value_or(0)); }

LoadReport run_load_bench(const BenchOptions& options) {
  require(!options.ckpt_dir.empty(), ErrorCode::invalid_argument,
          "[--ckpt_dir] loading is timed with a checkpoint, and none was given");
  engine::check_number("--runs", options.runs, 1, 1000);
  engine::check_number("--threads", options.threads, 0, 4096);
  LoadReport r;
  engine::Backend backend;
  r.open_device_seconds = seconds_of([&] { backend = engine::make_backend(options.device); });
  std::optional<engine::ModelsOnDisk> models;
  r.open_checkpoint_seconds = seconds_of([&] { models.emplace(options.ckpt_dir, std::nullopt); });
  r.open_tokenizer_seconds = seconds_of([&] { (void)io::Tokenizer::load(models->files().tokenizer); });

  bench::Machine machine(options, std::move(backend));
  const Transformers transformers(*models);
  r.task = models->task();
  r.checkpoint = options.ckpt_dir.string();
  r.device = machine.backend().name;
  r.precision = machine.ctx().compute == DType::bf16 ? Precision::bf16 : Precision::f32;
  r.threads = machine.ctx().threads;
  r.runs = options.runs;
  r.transformers = static_cast<int>(transformers.experts.size());
  r.file_bytes = transformers.bytes();

  machine.note("reading the files");
  std::tie(r.first_read_seconds, r.read_seconds) =
      first_and_median(r.runs, [&] { read_all(transformers.files, r.threads); });
  machine.note("loading the weights");
  std::tie(r.first_load_seconds, r.load_seconds) =
      first_and_median(r.runs, [&] { r.device_bytes = load_all(machine, *models, transformers); });
  if (machine.backend().upload && r.device_bytes > 0) {
    machine.note("copying to the device");
    r.copy_seconds = copy_seconds(machine, r.device_bytes, r.runs);
  }
  return r;
}

}  // namespace wan
