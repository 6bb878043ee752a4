#include "core/memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "core/error.h"

namespace wan {
namespace {

constexpr int64_t alignment = 256;  // cuBLASLt demands it of its workspace
constexpr int64_t first_block = int64_t{1} << 20;

class HostMemory final : public MemoryResource {
 public:
  void* allocate(int64_t bytes) override {
    void* memory = std::aligned_alloc(alignment, static_cast<size_t>(round_up(std::max<int64_t>(bytes, 1), alignment)));
    require(memory != nullptr, ErrorCode::out_of_memory,
            "[host memory] {} bytes were refused by the system; use fewer frames or a smaller size", bytes);
    return memory;
  }
  void deallocate(void* memory, int64_t) noexcept override { std::free(memory); }
  Device device() const noexcept override { return {}; }
  void upload(void* destination, const void* host, int64_t bytes) override { copy(destination, host, bytes); }
  void download(void* host, const void* source, int64_t bytes) override { copy(host, source, bytes); }
  void fill_zero(void* memory, int64_t bytes) override { std::memset(memory, 0, static_cast<size_t>(bytes)); }

 private:
  static void copy(void* to, const void* from, int64_t bytes) {
    if (bytes > 0) std::memcpy(to, from, static_cast<size_t>(bytes));
  }
};

}  // namespace

MemoryResource& host_memory() noexcept {
  static HostMemory memory;
  return memory;
}

void* DryMemory::allocate(int64_t bytes) {
  const int64_t address = next_;
  next_ += round_up(std::max<int64_t>(bytes, 1), alignment);
  in_use_ += bytes;
  return reinterpret_cast<void*>(address);
}

Buffer::Buffer(MemoryResource& memory, int64_t bytes)
    : memory_(&memory), data_(memory.allocate(bytes)), bytes_(bytes) {}

Buffer::Buffer(Buffer&& other) noexcept
    : memory_(std::exchange(other.memory_, nullptr)),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Buffer::~Buffer() {
  if (data_) memory_->deallocate(data_, bytes_);
}

Tensor Buffer::tensor(DType dtype, const Shape& shape) const {
  assert(shape.numel() * size_of(dtype) <= bytes_);
  return {data_, dtype, shape, memory_->device()};
}

Tensor Arena::make(DType dtype, const Shape& shape) {
  const auto elements = checked_numel(shape.dims());
  const auto bytes = elements ? checked_mul(*elements, size_of(dtype)) : std::nullopt;
  require(bytes.has_value(), ErrorCode::out_of_memory, "[scratch memory] a tensor of shape {} is too large",
          to_string(shape));
  const int64_t need = round_up(std::max<int64_t>(*bytes, 1), alignment);
  while (block_ < blocks_.size() && used_ + need > blocks_[block_].size()) {
    ++block_;
    used_ = 0;
  }
  if (block_ == blocks_.size()) {
    blocks_.emplace_back(*memory_, std::max({need, first_block, most_ - in_use_}));
    used_ = 0;
  }
  void* data = static_cast<std::byte*>(blocks_[block_].data()) + used_;
  used_ += need;
  in_use_ += need;
  peak_ = std::max(peak_, in_use_);
  most_ = std::max(most_, in_use_);
  return {data, dtype, shape, memory_->device()};
}

void Arena::rewind(size_t block, int64_t used, int64_t total) noexcept {
  block_ = block;
  used_ = used;
  in_use_ = total;
  const size_t unused_from = block + 1;
  if (blocks_.size() > unused_from + 1)
    blocks_.erase(blocks_.begin() + static_cast<ptrdiff_t>(unused_from), blocks_.end());
}

void Arena::release() noexcept {
  blocks_.clear();
  block_ = 0;
  used_ = in_use_ = most_ = 0;
}

}  // namespace wan
