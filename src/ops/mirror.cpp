#include "ops/mirror.h"

#include <deque>

#include "core/error.h"
#include "ops/host_copy.h"
#include "ops/visit.h"

namespace wan::ops {
namespace {

template <auto Entry, class Args>
void run(Context& ctx, const Args& args) {
  const auto& table = static_cast<const MirrorTable&>(*ctx.kernels);
  MemoryResource& memory = ctx.arena->memory();
  const auto scope = table.arena->scope();
  Context inner = ctx;
  inner.arena = table.arena;
  inner.kernels = table.host;
  inner.stream = nullptr;

  Args there = args;
  std::deque<HostCopy> copies;
  std::deque<const HostCopy*> results;
  const auto fetch = [&](const Tensor& t) {
    copies.emplace_back(memory, t);
    return copies.back().tensor();
  };
  visit(there, [&](const char*, Tensor& t, Role role) {
    t = fetch(t);
    if (role != Role::in) results.push_back(&copies.back());
  });
  Rope3d rope;
  if constexpr (requires { args.rope; }) {
    if (args.rope) {
      rope = {fetch(args.rope->frame), fetch(args.rope->height), fetch(args.rope->width)};
      there.rope = &rope;
    }
  }
  const auto kernel = table.host->*Entry;
  require(kernel != nullptr, ErrorCode::unsupported, "[check] the {} back end lacks a kernel", table.host->name);
  kernel(inner, there);
  for (const HostCopy* result : results) result->write_back();
}

template <auto Entry>
struct Mirror;
template <class Args, void (*KernelTable::*Entry)(Context&, const Args&)>
struct Mirror<Entry> {
  static void call(Context& ctx, const Args& args) { run<Entry>(ctx, args); }
};

template <auto Entry>
constexpr auto mirrored = Mirror<Entry>::call;

}  // namespace

MirrorTable mirror_kernels(const KernelTable& host, Arena& host_arena) noexcept {
#define WAN_ENTRY(op, Args) .op = mirrored<&KernelTable::op>,
  static constexpr KernelTable table{.name = "host", WAN_FOR_EACH_OP(WAN_ENTRY)};
#undef WAN_ENTRY
  return {table, &host, &host_arena};
}

}  // namespace wan::ops
