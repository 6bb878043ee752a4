#pragma once
#include "core/error.h"

/// What every communicator refuses, in the same words.
namespace wan::comm {

/// `right`: `to` bytes are what a call `name` makes of `from` bytes.
inline void check_bytes(bool right, int rank, int size, const char* name, size_t from, size_t to) {
  require(right, ErrorCode::comm, "[rank {} of {}] {} from {} to {} bytes does not fit", rank, size, name, from, to);
}

inline void check_peer(int peer, int rank, int size) {
  require(peer >= 0 && peer < size, ErrorCode::comm, "[rank {} of {}] there is no rank {}", rank, size, peer);
}

}  // namespace wan::comm
