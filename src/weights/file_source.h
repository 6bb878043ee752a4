#pragma once
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "io/tensor_index.h"
#include "weights/block_source.h"
#include "weights/upload.h"
#include "weights/weight_spec.h"

/// Weights straight from checkpoint files on this machine.
namespace wan::weights {

/// What becomes of a tensor on its way from file to memory.
struct Policy {
  DType compute = DType::f32;        ///< of matrices and convolutions: f32 or bf16
  bool round_to_bf16 = false;        ///< round float32 tensors to bf16 first (upstream's --convert_model_dtype)
  MemoryResource* memory = nullptr;  ///< where converted tensors live
  Upload* upload = nullptr;          ///< how they get there, if it is not the host's own memory
  int threads = 1;                   ///< of the host, to read and convert
};

/// Dtype and shape in memory of a tensor that a file has as `file`; see WeightKind.
DType bound_dtype(WeightKind kind, DType file, DType compute) noexcept;
Shape bound_shape(WeightKind kind, const Shape& file);

/// A checkpoint's shapes, for the models' inference. `index` must outlive the function.
ShapeOf shape_of(const io::TensorIndex& index);

/// Appends one line per tensor that is missing or has another shape than declared.
void check_specs(const io::TensorIndex& index, std::span<const WeightSpec> specs, std::vector<std::string>& problems);

/// Throws Error(bad_file) that lists every problem (the first thirty, and how many more), if there is one.
void throw_if_any(const std::vector<std::string>& problems, const std::string& where);

/// One of `of` equal parts of a block's bytes.
struct Shard {
  int rank = 0, of = 1;
  bool operator==(const Shard&) const = default;
};

/// Tensors one after the other in one piece of memory, each at a multiple of 256 bytes; or a shard of that memory.
class PackedLayout {
 public:
  PackedLayout() = default;
  /// Of the tensors that the files' become.
  PackedLayout(const io::TensorIndex& index, std::span<const WeightSpec> specs, DType compute);
  /// Gives the tensor's offset.
  int64_t add(int64_t bytes);
  int64_t bytes() const noexcept { return bytes_; }
  /// The shard's own layout; all `shard.of` have the same size and lie one behind the other, the last with padding.
  /// Throws Error(unsupported) if a tensor cannot be read in parts of any size.
  PackedLayout part(const Shard& shard) const;
  /// The tensors of the second constructor, in memory that starts at `base`; of a shard, one of bytes.
  std::vector<Tensor> tensors_at(void* base, Device device) const;
  /// What has to be read into memory at `base`: `to` holds the elements of the tensor of the spec from `first` on.
  struct Piece {
    size_t spec;
    int64_t first;
    Tensor to;
  };
  std::vector<Piece> pieces_at(void* base, Device device) const;

 private:
  struct Part {
    DType dtype;
    Shape shape;
    int64_t offset;
    bool any_size;  // its elements lie in the file's order
  };
  std::vector<Part> parts_;
  int64_t bytes_ = 0;
  int64_t first_byte_ = 0;  // of the shard
  bool is_shard_ = false;
};

/// Tensors in the order of their specs. Where neither dtype nor layout changes they are the mapped file itself;
/// otherwise converted copies. Throws Error(bad_file).
class WeightSet {
 public:
  WeightSet() = default;
  WeightSet(const io::TensorIndex& index, std::span<const WeightSpec> specs, const Policy& policy);
  std::span<const Tensor> tensors() const noexcept { return tensors_; }
  /// Bytes held in memory of our own, besides mapped files.
  int64_t owned_bytes() const noexcept { return memory_.size(); }
  /// Throws Error(bad_file) if a mapped file was truncated since.
  void check_files() const;

 private:
  std::vector<Tensor> tensors_;
  Buffer memory_;
  std::vector<io::TensorEntry> mapped_;  // one per file that is used in place
};

enum class Residency {
  keep,       ///< a block is converted at its first use and stays (the DiT: used by every forward)
  transient,  ///< a block is converted when acquired and dropped when its lease ends (T5: used once per prompt set)
};

/// Blocks of a model from an index; `index` must outlive it.
class FileBlocks final : public BlockSource {
 public:
  FileBlocks(const io::TensorIndex& index, std::vector<std::vector<WeightSpec>> specs, const Policy& policy,
             Residency residency);
  int64_t blocks() const noexcept override { return static_cast<int64_t>(specs_.size()); }
  Lease acquire(Context& ctx, int64_t i) override;
  int64_t owned_bytes() const noexcept;

 private:
  const io::TensorIndex* index_;
  std::vector<std::vector<WeightSpec>> specs_;
  Policy policy_;
  Residency residency_;
  std::vector<std::shared_ptr<const WeightSet>> resident_;
};

/// The specs of blocks 0..layers-1 of a model whose block weights are W, under prefix + i + ".".
template <class W, class Config>
std::vector<std::vector<WeightSpec>> block_specs(const Config& config, int64_t layers, const std::string& prefix) {
  std::vector<std::vector<WeightSpec>> specs;
  for (int64_t i = 0; i < layers; ++i) specs.push_back(specs_of<W>(config, prefix + std::to_string(i) + "."));
  return specs;
}

}  // namespace wan::weights
