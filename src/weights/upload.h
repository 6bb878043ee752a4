#pragma once
#include <memory>
#include <span>
#include <vector>

#include "core/memory.h"
#include "io/tensor_index.h"
#include "weights/weight_spec.h"

namespace wan::weights {

/// Carries bytes from the host to a device through a bounded amount of host memory: some staging buffers of one size.
/// Any thread may call, but one at a time; at most half of the buffers may be out at once.
class Upload {
 public:
  virtual ~Upload() = default;
  virtual int64_t buffers() const noexcept = 0;
  virtual int64_t buffer_bytes() const noexcept = 0;
  /// A staging buffer that is free to be written. Waits until what it last held has left.
  virtual std::span<std::byte> stage() = 0;
  /// Takes a staging buffer back and sends its first `bytes` (or nothing) to the device, in order with the work of its
  /// stream; may return before they have arrived.
  virtual void send(std::span<const std::byte> staged, void* destination, int64_t bytes) = 0;
};

/// For any memory: a few staging buffers, and MemoryResource::upload.
class PlainUpload final : public Upload {
 public:
  explicit PlainUpload(MemoryResource& memory, int64_t buffer_bytes = int64_t{4} << 20, int64_t buffers = 4);
  int64_t buffers() const noexcept override { return static_cast<int64_t>(ring_.size()); }
  int64_t buffer_bytes() const noexcept override { return ring_[0].size(); }
  std::span<std::byte> stage() override;
  void send(std::span<const std::byte> staged, void* destination, int64_t bytes) override;

 private:
  MemoryResource* memory_;
  std::vector<Buffer> ring_;
  std::vector<size_t> free_;
};

/// For the memory of a GPU (cuda::CudaMemory): a ring of pinned buffers, filled while earlier ones travel.
/// Throws Error(unsupported) in a build without CUDA.
std::unique_ptr<Upload> make_cuda_upload(MemoryResource& memory);

/// A tensor of a checkpoint file, and contiguous memory of the device for its elements from `first` on, in the dtype
/// that it becomes.
struct WeightToUpload {
  const io::TensorEntry* entry;
  const WeightSpec* spec;
  Tensor to;
  int64_t first = 0;
};

/// Reads, converts and sends tensors by `threads` threads, each a piece at a time that fits a staging buffer, so that
/// no thread waits for another before the last piece. May return before they have arrived. Throws Error(bad_file).
void upload_weights(Upload& upload, std::span<const WeightToUpload> weights, bool round_to_bf16, int threads);

}  // namespace wan::weights
