#pragma once
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "comm/control.h"
#include "comm/socket.h"

namespace wan::comm {

/// Makes the data connections between ranks of a job: each rank listens, and a group's higher ranks connect to its
/// lower ones. Made by all ranks of `control` at once.
class Connector {
 public:
  explicit Connector(std::shared_ptr<Control> control);

  Control& control() const noexcept { return *control_; }
  /// A connection to each of these ranks of the job (ascending; this one among them stays empty), for the group that
  /// all of its ranks give the same number, which no other group of theirs has had. Throws the verdict if the job ends.
  std::vector<Socket> connect(uint64_t group, const std::vector<int>& ranks);

 private:
  Socket call(uint64_t group, int rank);
  Socket answer(uint64_t group, int rank);
  void take_one();

  std::shared_ptr<Control> control_;
  Socket listener_;
  std::vector<int> ports_;                            // by rank
  std::mutex mutex_;                                  // one connect() at a time
  std::map<std::pair<uint64_t, int>, Socket> early_;  // connections that came before they were asked for
};

}  // namespace wan::comm
