#pragma once
#include <string>
#include <string_view>

namespace wan::hub {

/// Names this process so that no other, on any machine that shares the disk, has the same name at any time:
/// "machine-pid-start", where the machine is this boot of it and this container.
std::string own_name();

enum class OwnerState { this_process, alive, gone, elsewhere };
/// What can be known of an owner from here; of another machine's: nothing.
OwnerState state_of(std::string_view owner);

}  // namespace wan::hub
