#include "hub/range_set.h"

#include <algorithm>

namespace wan::hub {

void RangeSet::add(ByteRange range) {
  if (range.size() <= 0) return;
  // All that touch the new one become part of it.
  const auto first =
      std::find_if(ranges_.begin(), ranges_.end(), [&](const ByteRange& r) { return r.end >= range.first; });
  auto last = first;
  for (; last != ranges_.end() && last->first <= range.end; ++last) {
    range.first = std::min(range.first, last->first);
    range.end = std::max(range.end, last->end);
  }
  ranges_.insert(ranges_.erase(first, last), range);
}

int64_t RangeSet::total() const noexcept {
  int64_t sum = 0;
  for (const ByteRange& range : ranges_) sum += range.size();
  return sum;
}

std::vector<ByteRange> RangeSet::missing(int64_t size) const {
  std::vector<ByteRange> gaps;
  int64_t at = 0;
  for (const ByteRange& range : ranges_) {
    if (range.first > at) gaps.push_back({at, range.first});
    at = range.end;
  }
  if (at < size) gaps.push_back({at, size});
  return gaps;
}

}  // namespace wan::hub
