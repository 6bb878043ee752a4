#include "comm/group.h"
#include "core/error.h"
#include "engine/ranks.h"
#include "wan/wan.h"

namespace wan {
namespace {

parallel::MeshSizes mesh_sizes(int ranks, const Sharing& sharing) {
  const int most_branches = sharing.guided ? 2 : 1;
  if (!sharing.ulysses_size) {
    const int branches = ranks % most_branches == 0 ? most_branches : 1;
    return {branches, ranks / branches};
  }
  const int sequence = *sharing.ulysses_size;
  const bool fits = sequence >= 1 && ranks % sequence == 0 && ranks / sequence <= most_branches;
  require(fits, ErrorCode::invalid_argument, "[--ulysses_size] {} of {} ranks; expected {}{}, or leave it out",
          sequence, ranks, ranks,
          most_branches == 2 && ranks % 2 == 0 ? fmt::format(", or {} on each branch of the guidance", ranks / 2)
                                               : std::string());
  return {ranks / sequence, sequence};
}

}  // namespace

std::shared_ptr<const engine::Ranks> share_work(const Group& group, const Sharing& sharing) {
  if (group.size() == 1) return nullptr;
  auto ranks = std::make_shared<engine::Ranks>();
  ranks->mesh = mesh_sizes(group.size(), sharing);
  ranks->world = {group.impl_pointer(), group.impl().world.get()};
  ranks->shard_dit = sharing.dit_fsdp;
  ranks->gpu = std::max(group.gpu(), 0);
  ranks->on_this_machine = group.impl().ranks.local_size;
  ranks->tick = [group] { group.tick(); };
  ranks->report = [group](const std::string& state) { group.report(state); };
  ranks->agree = [group](const auto& same) { group.agree(same); };
  return ranks;
}

}  // namespace wan
