#pragma once
#include <memory>
#include <span>

#include "core/memory.h"
#include "io/tensor_index.h"
#include "weights/weight_spec.h"

namespace wan::weights {

/// Carries bytes from the host to a device through a bounded amount of host memory. One thread at a time.
class Upload {
 public:
  virtual ~Upload() = default;
  /// A staging buffer that is free to be written, of one size always. Waits until what it last held has left.
  virtual std::span<std::byte> stage() = 0;
  /// Sends the first `bytes` of the last staging buffer to the device, in order with the work of its stream; may return
  /// before they have arrived.
  virtual void send(void* destination, int64_t bytes) = 0;
};

/// For any memory: one staging buffer, and MemoryResource::upload.
class PlainUpload final : public Upload {
 public:
  explicit PlainUpload(MemoryResource& memory, int64_t staging_bytes = int64_t{16} << 20);
  std::span<std::byte> stage() override {
    return {static_cast<std::byte*>(buffer_.data()), static_cast<size_t>(buffer_.size())};
  }
  void send(void* destination, int64_t bytes) override { memory_->upload(destination, buffer_.data(), bytes); }

 private:
  MemoryResource* memory_;
  Buffer buffer_;
};

/// For the memory of a GPU (cuda::CudaMemory): a ring of pinned buffers, filled while earlier ones travel.
/// Throws Error(unsupported) in a build without CUDA.
std::unique_ptr<Upload> make_cuda_upload(MemoryResource& memory);

/// One tensor from a checkpoint file to `to`, contiguous memory of the device: read and converted by `threads` threads,
/// piece by piece. Throws Error(bad_file).
void upload_weight(Upload& upload, const io::TensorEntry& entry, const WeightSpec& spec, bool round_to_bf16,
                   const Tensor& to, int threads);

}  // namespace wan::weights
