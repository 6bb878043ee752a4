#pragma once
#include <memory>

#include "comm/communicator.h"
#include "comm/control.h"

namespace wan::comm {

/// Ranks that are processes, connected by TCP; bytes are the host's. To be made by all ranks of `control` at once.
/// A call that waits for others ends with the control connection's verdict; calls that do not match end the job. send()
/// does not wait for the matching receive() as long as the receiver is in some call of this communicator too.
/// Communicators made by split() have connections of their own, so that threads may use them side by side; splitting is
/// for one thread.
std::unique_ptr<Communicator> make_sockets(std::shared_ptr<Control> control);

}  // namespace wan::comm
