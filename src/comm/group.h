#pragma once
#include "comm/communicator.h"
#include "comm/control.h"
#include "comm/ranks.h"
#include "wan/group.h"

namespace wan {

/// What a Group is inside: for the engine.
struct Group::Impl {
  comm::Ranks ranks;
  int gpu = -1;
  std::shared_ptr<comm::Control> control;
  std::shared_ptr<comm::Communicator> world;  ///< of the GPUs' bytes, or the host's where gpu is -1
};

}  // namespace wan
