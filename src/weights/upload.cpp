#include "weights/upload.h"

#include <algorithm>
#include <exception>
#include <vector>

#include "core/error.h"
#include "weights/read_weight.h"

namespace wan::weights {
namespace {

constexpr int64_t worth_a_thread = int64_t{256} << 10;  // bytes

/// Elements [first, first + count) in equal shares, in units that can be read on their own.
void read_in_parallel(const io::TensorEntry& entry, const WeightSpec& spec, bool round_to_bf16, DType dtype,
                      int64_t first, int64_t count, std::byte* out, int threads) {
  const int64_t unit = weight_unit(spec), units = count / unit, bytes = size_of(dtype);
  const int64_t shares = std::clamp<int64_t>(std::min(count * bytes / worth_a_thread, units), 1, threads);
  std::vector<std::exception_ptr> errors(static_cast<size_t>(shares));
#pragma omp parallel for schedule(static) num_threads(static_cast <int>(shares))
  for (int64_t i = 0; i < shares; ++i) {
    const int64_t from = units * i / shares * unit, to = units * (i + 1) / shares * unit;
    try {
      read_weight(entry, spec, round_to_bf16, dtype, first + from, to - from, out + from * bytes);
    } catch (...) {
      errors[static_cast<size_t>(i)] = std::current_exception();
    }
  }
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}

}  // namespace

PlainUpload::PlainUpload(MemoryResource& memory, int64_t staging_bytes)
    : memory_(&memory), buffer_(host_memory(), staging_bytes) {}

void upload_weight(Upload& upload, const io::TensorEntry& entry, const WeightSpec& spec, bool round_to_bf16,
                   const Tensor& to, int threads) {
  const int64_t bytes = size_of(to.dtype), unit = weight_unit(spec), total = to.numel();
  for (int64_t first = 0; first < total;) {
    const std::span<std::byte> staging = upload.stage();
    const int64_t fits = static_cast<int64_t>(staging.size()) / (unit * bytes) * unit;
    require(fits > 0, ErrorCode::unsupported,
            "[{}] one output channel of '{}' is {} bytes, more than the {} of a buffer", entry.file->name(), entry.name,
            unit * bytes, staging.size());
    const int64_t count = std::min(fits, total - first);
    read_in_parallel(entry, spec, round_to_bf16, to.dtype, first, count, staging.data(), threads);
    upload.send(static_cast<std::byte*>(to.data) + first * bytes, count * bytes);
    first += count;
  }
}

}  // namespace wan::weights
