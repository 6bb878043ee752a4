#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "comm/messages.h"

/// The sentences with which a job of several ranks ends: who, where, what came, what to try.
namespace wan::comm {

using std::chrono::milliseconds;

/// "rank 1 of 4 on gpu2 (GPU 0, NVIDIA H100)", "rank 1 of 4 on gpu2 (process 77, CPU)".
std::string describe(const Member& member, int size);
/// "step 12 of 40; in its collective call 532, all_gather".
std::string describe(const Status& status);

std::string died(const Member& member, int size, const Status& last);
std::string silent(const Member& member, int size, const Status& last, milliseconds limit);
std::string never_joined(const std::vector<int>& missing, const std::vector<Member>& joined, int size,
                         const std::string& place, milliseconds limit);
std::string unreachable(const Member& self, int size, const std::string& place, const std::string& problem,
                        milliseconds limit);

/// What rank 0 knows of a rank when it looks for one that stalls.
struct Observed {
  Member member;
  Status status;
  milliseconds age{0};  ///< since its status last changed
  bool left = false;    ///< it is done
};

/// The sentence for the rank that holds up the job, or "" if none does: a rank that waits in a collective call is not
/// to blame as long as one that does not wait goes on.
std::string stalled(const std::vector<Observed>& ranks, milliseconds limit);

/// Why `other` must not work with rank 0, or "" if it may: protocol, number of ranks, traits, the same GPU twice.
std::string mismatch(const Hello& root, const Hello& other, const std::vector<Member>& joined);

}  // namespace wan::comm
