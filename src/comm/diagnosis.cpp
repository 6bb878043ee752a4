#include "comm/diagnosis.h"

#include <algorithm>

#include "core/error.h"

namespace wan::comm {
namespace {

std::string seconds(milliseconds t) { return fmt::format("{:.3g} s", static_cast<double>(t.count()) / 1000); }

std::string list(const std::vector<int>& ranks) {
  std::string out;
  for (size_t i = 0; i < ranks.size(); ++i)
    out += fmt::format("{}{}", i == 0 ? "" : i + 1 == ranks.size() ? " and " : ", ", ranks[i]);
  return out;
}

const Trait* find(const Hello& hello, const std::string& name) {
  const auto found = std::ranges::find(hello.same, name, &Trait::name);
  return found == hello.same.end() ? nullptr : &*found;
}

std::string difference(const Hello& root, const Hello& other) {
  for (const Trait& mine : root.same) {
    const Trait* theirs = find(other, mine.name);
    const std::string value = theirs == nullptr ? "(none)" : theirs->value;
    if (value != mine.value) return fmt::format("has the {} '{}', rank 0 has '{}'", mine.name, value, mine.value);
  }
  for (const Trait& theirs : other.same)
    if (find(root, theirs.name) == nullptr)
      return fmt::format("has the {} '{}', rank 0 has none", theirs.name, theirs.value);
  return "";
}

}  // namespace

std::string describe(const Member& m, int size) {
  return fmt::format("rank {} of {} on {} ({})", m.rank, size, m.host,
                     m.gpu.empty() ? fmt::format("process {}, CPU", m.process) : m.gpu);
}

std::string describe(const Status& s) {
  const std::string state = s.state.empty() ? "started" : s.state;
  if (s.calls == 0) return state;
  return fmt::format("{}; {} its collective call {}, {}", state, s.waiting ? "in" : "after", s.calls, s.call);
}

std::string died(const Member& m, int size, const Status& last) {
  return fmt::format(
      "[ranks] {} ended without a word (last state: {}); expected it to stay until the work is done. Look at its own "
      "messages, and for a kill for want of memory (dmesg, or the limits of its container)",
      describe(m, size), describe(last));
}

std::string silent(const Member& m, int size, const Status& last, milliseconds limit) {
  return fmt::format(
      "[ranks] {} has sent nothing for {} (last state: {}); expected a sign of life every second. Its process is "
      "stopped, or its machine or the network to it is gone: check these, and a firewall or interface between the "
      "machines (MASTER_ADDR, NCCL_SOCKET_IFNAME)",
      describe(m, size), seconds(limit), describe(last));
}

std::string never_joined(const std::vector<int>& missing, const std::vector<Member>& joined, int size,
                         const std::string& place, milliseconds limit) {
  std::string there;
  for (const Member& m : joined) there += fmt::format("{}rank {} on {}", there.empty() ? "" : ", ", m.rank, m.host);
  return fmt::format(
      "[ranks] {} {} of {} did not join at {} within {} (there: {}); expected all. Check that they were started and "
      "have not failed, that MASTER_ADDR and MASTER_PORT are the same everywhere, and that no firewall is between",
      missing.size() == 1 ? "rank" : "ranks", list(missing), size, place, seconds(limit), there);
}

std::string unreachable(const Member& self, int size, const std::string& place, const std::string& problem,
                        milliseconds limit) {
  return fmt::format(
      "[ranks] {} found no rank 0 at {} within {} ({}). Check that rank 0 was started and has not failed, that "
      "MASTER_ADDR and MASTER_PORT name its machine, and that no firewall is between",
      describe(self, size), place, seconds(limit), problem);
}

std::string stalled(const std::vector<Observed>& ranks, milliseconds limit) {
  const int size = static_cast<int>(ranks.size());
  const Observed* culprit = nullptr;
  for (const Observed& r : ranks) {
    if (r.left) continue;
    if (r.age <= limit) {
      if (!r.status.waiting) return "";  // the others may be waiting for this one
      continue;
    }
    const auto blame = [](const Observed& o) { return std::pair(o.status.waiting, o.status.calls); };
    if (culprit == nullptr || blame(r) < blame(*culprit)) culprit = &r;
  }
  if (culprit == nullptr) return "";
  std::string others;
  for (const Observed& r : ranks)
    if (&r != culprit && !r.left) others += fmt::format("; rank {}: {}", r.member.rank, describe(r.status));
  return fmt::format(
      "[ranks] {} has not gone on for {} (last state: {}{}). Look at its machine and its GPU's driver (dmesg, Xid). If "
      "it hangs between GPUs, try NCCL_P2P_DISABLE=1, a larger /dev/shm (docker: --shm-size=1g) or another interface "
      "(NCCL_SOCKET_IFNAME)",
      describe(culprit->member, size), seconds(culprit->age), describe(culprit->status), others);
}

std::string mismatch(const Hello& root, const Hello& other, const std::vector<Member>& joined) {
  if (other.protocol != root.protocol)
    return fmt::format(
        "[ranks] a rank speaks version {} of the ranks' protocol, rank 0 version {}; expected the same program on "
        "every machine",
        other.protocol, root.protocol);
  const std::string who = describe(other.member, other.size);
  if (other.size != root.size)
    return fmt::format("[ranks] {} joined a job whose rank 0 expects {} ranks; start all of them alike", who,
                       root.size);
  if (other.member.rank < 1 || other.member.rank >= root.size)
    return fmt::format("[ranks] {} joined rank 0; expected ranks 1 to {}", who, root.size - 1);
  if (const std::string text = difference(root, other); !text.empty())
    return fmt::format("[ranks] {} {}; expected the same on every rank: start all of them alike", who, text);
  for (const Member& m : joined) {
    if (m.rank == other.member.rank)
      return fmt::format(
          "[ranks] two processes say that they are rank {}: process {} on {} and process {} on {}; expected one of "
          "each. Check how they were started",
          m.rank, m.process, m.host, other.member.process, other.member.host);
    if (!m.gpu_id.empty() && m.gpu_id == other.member.gpu_id)
      return fmt::format(
          "[ranks] rank {} and rank {} on {} both have {} ({}); expected one GPU for each. Start at most as many ranks "
          "as there are GPUs, with a LOCAL_RANK each",
          m.rank, other.member.rank, m.host, m.gpu, m.gpu_id);
  }
  return "";
}

}  // namespace wan::comm
