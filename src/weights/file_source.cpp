#include "weights/file_source.h"

#include <algorithm>
#include <cassert>

#include "core/checked.h"
#include "core/error.h"
#include "weights/read_weight.h"
#include "weights/upload.h"

namespace wan::weights {
namespace {

constexpr int64_t alignment = 256;  // of tensors in one piece of memory

/// [O, I, K...] to [O, KT, KH, KW, I]; a missing KT is 1.
Shape conv_shape(const Shape& file) {
  if (file.rank() == 4) return {file[0], 1, file[2], file[3], file[1]};
  return {file[0], file[2], file[3], file[4], file[1]};
}

/// Whether the file's own bytes can serve as the tensor.
bool usable_in_place(const io::TensorEntry& entry, const WeightSpec& spec, const Policy& policy) {
  if (policy.memory->device().kind != Device::Kind::cpu || spec.kind == WeightKind::conv) return false;
  if (entry.dtype != bound_dtype(spec.kind, entry.dtype, policy.compute)) return false;
  if (policy.round_to_bf16 && entry.dtype == DType::f32) return false;
  const auto address = reinterpret_cast<uintptr_t>(io::bytes(entry).data());
  return address % static_cast<uintptr_t>(size_of(entry.dtype)) == 0;
}

}  // namespace

DType bound_dtype(WeightKind kind, DType file, DType compute) noexcept {
  switch (kind) {
    case WeightKind::matrix:
    case WeightKind::conv: return compute;
    case WeightKind::vector:
    case WeightKind::exact: return DType::f32;
    case WeightKind::table: return file;
  }
  return DType::f32;
}

Shape bound_shape(WeightKind kind, const Shape& file) {
  if (kind == WeightKind::vector) return {file.numel()};
  if (kind == WeightKind::matrix && file.rank() > 2) return {file[0], file.numel() / file[0]};
  return kind == WeightKind::conv ? conv_shape(file) : file;
}

ShapeOf shape_of(const io::TensorIndex& index) {
  return [&index](const std::string& name) -> std::optional<Shape> {
    const io::TensorEntry* entry = index.find(name);
    if (!entry || entry->shape.size() > Shape::max_rank) return std::nullopt;
    return Shape(std::span<const int64_t>(entry->shape));
  };
}

void check_specs(const io::TensorIndex& index, std::span<const WeightSpec> specs, std::vector<std::string>& problems) {
  for (const WeightSpec& spec : specs) {
    const io::TensorEntry* entry = index.find(spec.name);
    if (!entry)
      problems.push_back(
          fmt::format("{}: '{}' is missing, expected {}", index.label(), spec.name, to_string(spec.shape)));
    else if (!std::ranges::equal(entry->shape, spec.shape.dims()))
      problems.push_back(fmt::format("{}: '{}' has shape {}, expected {}", index.label(), spec.name,
                                     io::shape_to_string(entry->shape), to_string(spec.shape)));
  }
}

void throw_if_any(const std::vector<std::string>& problems, const std::string& where) {
  if (problems.empty()) return;
  constexpr size_t shown = 30;
  std::string list;
  for (size_t i = 0; i < std::min(shown, problems.size()); ++i) list += "\n  " + problems[i];
  if (problems.size() > shown) list += fmt::format("\n  and {} more", problems.size() - shown);
  fail(ErrorCode::bad_file,
       "[{}] {} of the checkpoint's tensors are missing or have another shape than the model needs; "
       "download the checkpoint again, or check that its folders belong together:{}",
       where, problems.size(), list);
}

PackedLayout::PackedLayout(const io::TensorIndex& index, std::span<const WeightSpec> specs, DType compute) {
  for (const WeightSpec& spec : specs) {
    const DType dtype = bound_dtype(spec.kind, index.at(spec.name).dtype, compute);
    const Shape shape = bound_shape(spec.kind, spec.shape);
    parts_.push_back({dtype, shape, add(shape.numel() * size_of(dtype)), spec.kind != WeightKind::conv});
  }
}

int64_t PackedLayout::add(int64_t bytes) {
  const int64_t offset = round_up(bytes_, alignment);
  bytes_ = offset + bytes;
  return offset;
}

PackedLayout PackedLayout::part(const Shard& shard) const {
  assert(!is_shard_);
  if (shard.of == 1) return *this;
  require(std::ranges::all_of(parts_, &Part::any_size), ErrorCode::unsupported,
          "[weights] convolutions cannot be spread over ranks; expected blocks of matrices and vectors");
  PackedLayout part = *this;
  part.is_shard_ = true;
  part.bytes_ = round_up(div_up(bytes_, static_cast<int64_t>(shard.of)), alignment);
  part.first_byte_ = shard.rank * part.bytes_;
  return part;
}

std::vector<Tensor> PackedLayout::tensors_at(void* base, Device device) const {
  if (is_shard_) return {Tensor(base, DType::u8, {bytes_}, device)};
  std::vector<Tensor> tensors;
  for (const Part& part : parts_)
    tensors.emplace_back(static_cast<std::byte*>(base) + part.offset, part.dtype, part.shape, device);
  return tensors;
}

std::vector<PackedLayout::Piece> PackedLayout::pieces_at(void* base, Device device) const {
  std::vector<Piece> pieces;
  for (size_t i = 0; i < parts_.size(); ++i) {
    const Part& part = parts_[i];
    const int64_t size = size_of(part.dtype), end = part.offset + part.shape.numel() * size;
    const int64_t from = std::max(part.offset, first_byte_), to = std::min(end, first_byte_ + bytes_);
    if (from >= to) continue;
    // Shards begin and end at multiples of the alignment, which every element's size divides.
    const Shape shape = from == part.offset && to == end ? part.shape : Shape{(to - from) / size};
    pieces.push_back({i,
                      (from - part.offset) / size,
                      {static_cast<std::byte*>(base) + (from - first_byte_), part.dtype, shape, device}});
  }
  return pieces;
}

WeightSet::WeightSet(const io::TensorIndex& index, std::span<const WeightSpec> specs, const Policy& policy) {
  const Device device = policy.memory->device();
  struct Converted {
    const WeightSpec* spec;
    const io::TensorEntry* entry;
    size_t tensor;
    int64_t offset;
  };
  std::vector<Converted> converted;
  PackedLayout layout;
  tensors_.reserve(specs.size());
  for (const WeightSpec& spec : specs) {
    const io::TensorEntry& entry = index.at(spec.name);
    // Tensor views are not const-qualified; nothing writes to weights.
    const bool in_place = usable_in_place(entry, spec, policy);
    void* data = in_place ? const_cast<std::byte*>(io::bytes(entry).data()) : nullptr;
    tensors_.emplace_back(data, bound_dtype(spec.kind, entry.dtype, policy.compute), bound_shape(spec.kind, spec.shape),
                          device);
    if (in_place) {
      const bool seen = std::ranges::any_of(mapped_, [&](const auto& m) { return m.file == entry.file; });
      if (!seen) mapped_.push_back(entry);
    } else {
      converted.push_back({&spec, &entry, tensors_.size() - 1, layout.add(tensors_.back().nbytes())});
    }
  }
  if (converted.empty()) return;
  memory_ = Buffer(*policy.memory, layout.bytes());
  std::vector<WeightToUpload> uploads;
  for (const Converted& c : converted) {
    Tensor& tensor = tensors_[c.tensor];
    tensor.data = static_cast<std::byte*>(memory_.data()) + c.offset;
    if (device.kind == Device::Kind::cpu)
      read_weight_in_parallel(*c.entry, *c.spec, policy.round_to_bf16, tensor.dtype, 0, tensor.numel(), tensor.data,
                              policy.threads);
    else if (device.kind == Device::Kind::cuda)
      uploads.push_back({c.entry, c.spec, tensor});
  }
  if (!uploads.empty()) upload_weights(*policy.upload, uploads, policy.round_to_bf16, policy.threads);
}

void WeightSet::check_files() const {
  for (const io::TensorEntry& entry : mapped_) (void)io::bytes(entry);
}

FileBlocks::FileBlocks(const io::TensorIndex& index, std::vector<std::vector<WeightSpec>> specs, const Policy& policy,
                       Residency residency)
    : index_(&index), specs_(std::move(specs)), policy_(policy), residency_(residency), resident_(specs_.size()) {}

Lease FileBlocks::acquire(Context&, int64_t i) {
  const auto slot = static_cast<size_t>(i);
  std::shared_ptr<const WeightSet> set = resident_[slot];
  if (!set) {
    set = std::make_shared<const WeightSet>(*index_, specs_[slot], policy_);
    if (residency_ == Residency::keep) resident_[slot] = set;
  }
  set->check_files();
  const std::span<const Tensor> tensors = set->tensors();
  return {tensors, std::move(set)};
}

int64_t FileBlocks::owned_bytes() const noexcept {
  int64_t total = 0;
  for (const auto& set : resident_) total += set ? set->owned_bytes() : 0;
  return total;
}

}  // namespace wan::weights
