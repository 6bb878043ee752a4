#pragma once
#include <chrono>
#include <vector>

#include "comm/communicator.h"

namespace wan::comm {

/// A group of ranks that are threads of this process, for tests: element r is rank r's, to be used by one thread. Bytes
/// are the host's. A rank that waits longer than `limit` for the others, or whose peer's communicator was destroyed
/// meanwhile, throws Error(comm) that names it; so do all of them when their calls do not match.
std::vector<std::unique_ptr<Communicator>> make_threads(int size,
                                                        std::chrono::milliseconds limit = std::chrono::seconds(60));

}  // namespace wan::comm
