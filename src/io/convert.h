#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/dtype.h"

namespace wan::io {

/// Element conversion of checkpoint data, host only. `in` is a packed little-endian array of `from` with any alignment;
/// in.size() must be out.size() * size_of(from).
/// Accepted types: f32, bf16, f16, f64; others throw unsupported. Rounding is to nearest even in one step (f64 to bf16
/// does not round twice); infinities and NaN stay what they are; values too large become infinite.
void convert_to_f32(DType from, std::span<const std::byte> in, std::span<float> out);
void convert_to_bf16(DType from, std::span<const std::byte> in, std::span<bf16> out);

/// An IEEE half given by its bits, exactly.
float half_to_float(uint16_t bits) noexcept;

}  // namespace wan::io
