#include "weights/read_weight.h"

#include <algorithm>
#include <exception>
#include <span>
#include <vector>

namespace wan::weights {
namespace {

constexpr int64_t share_bytes = int64_t{512} << 10;

int64_t taps_of(const WeightSpec& spec) noexcept {
  const int64_t pairs = spec.shape[0] * spec.shape[1];
  return pairs > 0 ? spec.shape.numel() / pairs : 0;
}

/// [out, in, taps] to [out, taps, in]
template <class T>
void channels_last(std::span<const T> from, T* to, int64_t in, int64_t taps) {
  const int64_t out = static_cast<int64_t>(from.size()) / std::max<int64_t>(in * taps, 1);
  for (int64_t o = 0; o < out; ++o)
    for (int64_t i = 0; i < in; ++i)
      for (int64_t k = 0; k < taps; ++k)
        to[(o * taps + k) * in + i] = from[static_cast<size_t>((o * in + i) * taps + k)];
}

io::TensorEntry part_of(const io::TensorEntry& entry, int64_t first, int64_t count) {
  io::TensorEntry part = entry;
  part.offset += first * size_of(entry.dtype);
  part.nbytes = count * size_of(entry.dtype);
  part.shape = {count};
  return part;
}

template <class T, class Read>
void read_as(const WeightSpec& spec, T* to, int64_t count, const Read& read) {
  const auto n = static_cast<size_t>(count);
  if (spec.kind != WeightKind::conv) return read(std::span<T>(to, n));
  std::vector<T> packed(n);
  read(std::span<T>(packed));
  channels_last<T>(packed, to, spec.shape[1], taps_of(spec));
}

}  // namespace

int64_t weight_unit(const WeightSpec& spec) noexcept {
  return spec.kind == WeightKind::conv ? std::max<int64_t>(spec.shape[1] * taps_of(spec), 1) : 1;
}

void read_weight(const io::TensorEntry& entry, const WeightSpec& spec, bool round_to_bf16, DType dtype, int64_t first,
                 int64_t count, void* out) {
  const io::TensorEntry part = part_of(entry, first, count);
  if (dtype == DType::bf16) {
    read_as(spec, static_cast<bf16*>(out), count, [&](std::span<bf16> to) { io::read_as_bf16(part, to); });
  } else if (dtype == DType::f32) {
    read_as(spec, static_cast<float*>(out), count, [&](std::span<float> to) {
      io::read_as_f32(part, to);
      if (round_to_bf16)
        for (float& value : to) value = static_cast<float>(bf16(value));
    });
  } else {
    io::read_bytes(part, {static_cast<std::byte*>(out), static_cast<size_t>(part.nbytes)});
  }
}

void read_weight_in_parallel(const io::TensorEntry& entry, const WeightSpec& spec, bool round_to_bf16, DType dtype,
                             int64_t first, int64_t count, void* out, int threads) {
  const int64_t unit = weight_unit(spec), units = count / unit, bytes = size_of(dtype);
  const int64_t shares = std::clamp<int64_t>(count * bytes / share_bytes, 1, std::max<int64_t>(units, 1));
  std::vector<std::exception_ptr> errors(static_cast<size_t>(shares));
  const int team = static_cast<int>(std::min<int64_t>(shares, threads));
  // A thread that is held up takes fewer of the shares, which are smaller than a thread's part.
#pragma omp parallel for schedule(dynamic) num_threads(team)
  for (int64_t i = 0; i < shares; ++i) {
    const int64_t from = units * i / shares * unit, to = units * (i + 1) / shares * unit;
    try {
      read_weight(entry, spec, round_to_bf16, dtype, first + from, to - from,
                  static_cast<std::byte*>(out) + from * bytes);
    } catch (...) {
      errors[static_cast<size_t>(i)] = std::current_exception();
    }
  }
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}

}  // namespace wan::weights
