#include "weights/upload.h"

#include <algorithm>

#include "core/error.h"
#include "weights/read_weight.h"

namespace wan::weights {
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
    read_weight_in_parallel(entry, spec, round_to_bf16, to.dtype, first, count, staging.data(), threads);
    upload.send(static_cast<std::byte*>(to.data) + first * bytes, count * bytes);
    first += count;
  }
}

}  // namespace wan::weights
