#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace wan::io {

/// Text that came from a file, safe to put into a message: in quotes, control and non-ASCII bytes as \xNN, at most
/// 120 characters.
std::string printable(std::string_view untrusted);

/// "512 bytes", "3.1 MB", "9.9 GB" (decimal units, as download pages show them).
std::string human_bytes(int64_t bytes);

/// "3.1 of 9.9 GB": both in the unit of the larger one.
std::string human_bytes_of(int64_t have, int64_t want);

}  // namespace wan::io
