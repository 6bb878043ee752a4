#pragma once

namespace wan::app {

/// Runs this program again as `ranks` processes of one group on this machine (rank r with WAN_RANK=r, WAN_WORLD_SIZE,
/// WAN_LOCAL_RANK, WAN_LOCAL_SIZE and WAN_JOB) with the same arguments, and waits for all of them. Rank 0 has this
/// process's stdin, stdout and stderr; what another rank says is shown, with its rank, only if it is the first to fail.
/// SIGINT, SIGTERM and SIGHUP are passed on; Ctrl-Z stops all, and all go on together. Once a rank has failed, or rank
/// 0 is done, the others have a while to end by themselves and are then killed; if this process dies, all of them are.
/// Returns the exit status: of the rank that failed first, or was killed (128 + the signal), or 0. Throws wan::Error if
/// the processes cannot be started.
int supervise(char** argv, int ranks);

}  // namespace wan::app
