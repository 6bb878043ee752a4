#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "hub/http.h"

namespace wan::hub {

/// A set of byte ranges, kept sorted and merged.
class RangeSet {
 public:
  /// Empty ranges add nothing.
  void add(ByteRange range);
  void clear() { ranges_.clear(); }
  /// Bytes in the set.
  int64_t total() const noexcept;
  /// What of [0, size) is not in the set, in order.
  std::vector<ByteRange> missing(int64_t size) const;
  std::span<const ByteRange> ranges() const noexcept { return ranges_; }

 private:
  std::vector<ByteRange> ranges_;
};

}  // namespace wan::hub
