#include "hub/owner.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "io/fingerprint.h"

namespace wan::hub {
namespace {

// A process id means something within one boot and one namespace of process ids only.
std::string this_machine() {
  std::ifstream in("/proc/sys/kernel/random/boot_id");
  std::string boot;
  std::getline(in, boot);
  std::error_code ignored;
  io::Fingerprint hash;
  hash.add(std::string_view(boot));
  hash.add(std::string_view(std::filesystem::read_symlink("/proc/self/ns/pid", ignored).native()));
  return hash.hex();
}

// When a process began, in clock ticks since the boot: field 22 of its stat. Empty if there is none.
std::string start_of(const std::string& pid) {
  std::ifstream in("/proc/" + pid + "/stat");
  std::string line;
  std::getline(in, line);
  const size_t name_end = line.rfind(')');  // the name may hold anything
  if (name_end == std::string::npos) return "";
  std::istringstream fields(line.substr(name_end + 1));
  std::string field;
  std::string state;
  for (int i = 3; i <= 22 && fields >> field; ++i)
    if (i == 3) state = field;
  return state == "Z" || state == "X" ? "" : field;
}

}  // namespace

std::string own_name() {
  const std::string pid = std::to_string(getpid());
  return fmt::format("{}-{}-{}", this_machine(), pid, start_of(pid));
}

OwnerState state_of(std::string_view owner) {
  if (owner == own_name()) return OwnerState::this_process;
  const std::string machine = this_machine() + "-";
  if (!owner.starts_with(machine)) return OwnerState::elsewhere;
  owner.remove_prefix(machine.size());
  const size_t dash = owner.find('-');
  if (dash == std::string_view::npos) return OwnerState::gone;
  const std::string pid(owner.substr(0, dash));
  if (pid.empty() || pid.find_first_not_of("0123456789") != std::string::npos) return OwnerState::gone;
  return start_of(pid) == owner.substr(dash + 1) ? OwnerState::alive : OwnerState::gone;
}

}  // namespace wan::hub
