#include "weights/file_source.h"

#include <algorithm>

#include "core/error.h"

namespace wan::weights {
namespace {

DType target_dtype(WeightKind kind, DType file, const Policy& policy) {
  switch (kind) {
    case WeightKind::matrix:
    case WeightKind::conv: return policy.compute;
    case WeightKind::vector:
    case WeightKind::exact: return DType::f32;
    case WeightKind::table: return file;
  }
  return DType::f32;
}

/// [O, I, K...] to [O, KT, KH, KW, I]; a missing KT is 1.
Shape conv_shape(const Shape& file) {
  if (file.rank() == 4) return {file[0], 1, file[2], file[3], file[1]};
  return {file[0], file[2], file[3], file[4], file[1]};
}

Shape bound_shape(WeightKind kind, const Shape& file) {
  if (kind == WeightKind::vector) return {file.numel()};
  if (kind == WeightKind::matrix && file.rank() > 2) return {file[0], file.numel() / file[0]};
  return kind == WeightKind::conv ? conv_shape(file) : file;
}

template <class T>
void channels_last(std::span<const T> from, std::span<T> to, int64_t out, int64_t in, int64_t taps) {
  for (int64_t o = 0; o < out; ++o)
    for (int64_t i = 0; i < in; ++i)
      for (int64_t k = 0; k < taps; ++k)
        to[static_cast<size_t>((o * taps + k) * in + i)] = from[static_cast<size_t>((o * in + i) * taps + k)];
}

/// Reads as T into memory, in the layout that the ops want.
template <class T, class Read>
void read_into(const io::TensorEntry& entry, const WeightSpec& spec, T* to, Read read) {
  const std::span<T> out(to, static_cast<size_t>(entry.numel()));
  if (spec.kind != WeightKind::conv) return read(out);
  std::vector<T> packed(out.size());
  read(std::span<T>(packed));
  const int64_t pairs = spec.shape[0] * spec.shape[1];
  channels_last<T>(packed, out, spec.shape[0], spec.shape[1], entry.numel() / pairs);
}

void fill(const io::TensorEntry& entry, const WeightSpec& spec, bool round_to_bf16, const Tensor& to) {
  if (to.dtype == DType::bf16) {
    read_into(entry, spec, to.ptr<bf16>(), [&](std::span<bf16> out) { io::read_as_bf16(entry, out); });
  } else if (to.dtype == DType::f32) {
    read_into(entry, spec, to.ptr<float>(), [&](std::span<float> out) {
      io::read_as_f32(entry, out);
      if (round_to_bf16)
        for (float& value : out) value = static_cast<float>(bf16(value));
    });
  } else {
    io::read_bytes(entry, {static_cast<std::byte*>(to.data), static_cast<size_t>(entry.nbytes)});
  }
}

/// Whether the file's own bytes can serve as the tensor.
bool usable_in_place(const io::TensorEntry& entry, const WeightSpec& spec, const Policy& policy) {
  if (policy.memory->device().kind != Device::Kind::cpu || spec.kind == WeightKind::conv) return false;
  if (entry.dtype != target_dtype(spec.kind, entry.dtype, policy)) return false;
  if (policy.round_to_bf16 && entry.dtype == DType::f32) return false;
  const auto address = reinterpret_cast<uintptr_t>(io::bytes(entry).data());
  return address % static_cast<uintptr_t>(size_of(entry.dtype)) == 0;
}

}  // namespace

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

WeightSet::WeightSet(const io::TensorIndex& index, std::span<const WeightSpec> specs, const Policy& policy) {
  tensors_.reserve(specs.size());
  for (const WeightSpec& spec : specs) {
    const io::TensorEntry& entry = index.at(spec.name);
    const DType dtype = target_dtype(spec.kind, entry.dtype, policy);
    const Shape shape = bound_shape(spec.kind, spec.shape);
    if (usable_in_place(entry, spec, policy)) {
      // Tensor views are not const-qualified; nothing writes to weights.
      tensors_.emplace_back(const_cast<std::byte*>(io::bytes(entry).data()), dtype, shape);
      const bool seen = std::ranges::any_of(mapped_, [&](const auto& m) { return m.file == entry.file; });
      if (!seen) mapped_.push_back(entry);
      continue;
    }
    buffers_.emplace_back(*policy.memory, shape.numel() * size_of(dtype));
    tensors_.push_back(buffers_.back().tensor(dtype, shape));
    if (policy.memory->device().kind == Device::Kind::cpu) fill(entry, spec, policy.round_to_bf16, tensors_.back());
  }
}

int64_t WeightSet::owned_bytes() const noexcept {
  int64_t total = 0;
  for (const Buffer& buffer : buffers_) total += buffer.size();
  return total;
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
