#include "ops/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "core/error.h"
#include "ops/visit.h"

namespace wan::ops {
namespace {

double product(std::initializer_list<int64_t> factors) {
  double p = 1;
  for (const int64_t f : factors) p *= static_cast<double>(f);
  return p;
}

template <class Args>
double bytes_of(const Args& args) {
  Args copy = args;
  double bytes = 0;
  visit(copy, [&](const char*, const Tensor& t, Role role) {
    if (t) bytes += static_cast<double>(t.nbytes()) * (role == Role::in_out ? 2 : 1);
  });
  return bytes;
}

std::string join(std::initializer_list<int64_t> extents) {
  return fmt::format("{}", fmt::join(extents.begin(), extents.end(), "x"));
}

// The extents of the first argument.
template <class Args>
std::string extents_of(const Args& args) {
  Args copy = args;
  std::string text;
  visit(copy, [&](const char*, const Tensor& t, Role) {
    if (text.empty() && t) text = fmt::format("{} {}", to_string(t.dtype), fmt::join(t.shape.dims(), "x"));
  });
  return text;
}

template <class Args>
OpWork work_of(const Args& a) {
  return {.what = extents_of(a), .bytes = bytes_of(a)};
}
OpWork work_of(const LinearArgs& a) {
  const int64_t m = a.x.dim(0), k = a.w.dim(1), n = a.w.dim(0);
  return {.what = fmt::format("{} {}", to_string(a.x.dtype), join({m, k, n})),
          .kind = WorkKind::linear,
          .dtype = a.x.dtype,
          .flop = 2 * product({m, k, n}),
          .bytes = bytes_of(a)};
}
// The models' cross-attention has the text's tokens for keys; as many keys as queries mean attention to oneself.
OpWork work_of(const AttentionArgs& a) {
  const int64_t queries = a.q.dim(0), keys = a.k.dim(0), heads = a.q.dim(1), width = a.q.dim(2);
  return {.what = fmt::format("{} {}, {} heads of {}", to_string(a.q.dtype), join({queries, keys}), heads, width),
          .kind = queries == keys ? WorkKind::self_attention : WorkKind::cross_attention,
          .dtype = a.q.dtype,
          .flop = 4 * product({queries, keys, heads, width}),
          .bytes = bytes_of(a)};
}
OpWork work_of(const ConvArgs& a) {
  const int64_t out = a.w.dim(0), in = a.w.dim(4);
  return {.what = fmt::format("{} {}, {}->{}, {}", to_string(a.x.dtype), join({a.y.dim(0), a.y.dim(1), a.y.dim(2)}), in,
                              out, join({a.w.dim(1), a.w.dim(2), a.w.dim(3)})),
          .kind = WorkKind::conv,
          .dtype = a.x.dtype,
          .flop = 2 * product({a.y.numel(), a.w.dim(1), a.w.dim(2), a.w.dim(3), in}),
          .bytes = bytes_of(a),
          .channels = std::min(out, in)};
}
// Of a table only the rows that are asked for.
OpWork work_of(const EmbeddingArgs& a) {
  return {.what = extents_of(a), .bytes = 2 * static_cast<double>(a.y.nbytes())};
}
template <class Args>
OpWork norm_work(const Args& a) {
  return {.what = extents_of(a), .kind = WorkKind::norm, .bytes = bytes_of(a)};
}
OpWork work_of(const NormModulateArgs& a) { return norm_work(a); }
OpWork work_of(const LayerNormArgs& a) { return norm_work(a); }
OpWork work_of(const RmsNormArgs& a) { return norm_work(a); }
OpWork work_of(const GatedAddNormArgs& a) { return norm_work(a); }
OpWork work_of(const ChannelNormArgs& a) { return norm_work(a); }
OpWork work_of(const RmsNormRopeArgs& a) { return norm_work(a); }

// The device is idle when an op starts, because the one before was waited for.
template <auto Entry, class Args>
void run(Context& ctx, const Args& args, const char* name) {
  const auto& table = static_cast<const ProfileTable&>(*ctx.kernels);
  const auto kernel = table.inner->*Entry;
  require(kernel != nullptr, ErrorCode::unsupported, "[profile] the {} back end lacks {}", table.inner->name, name);
  Context inner = ctx;
  inner.kernels = table.inner;
  const auto start = std::chrono::steady_clock::now();
  kernel(inner, args);
  table.synchronise();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  OpWork work = work_of(args);
  work.what = fmt::format("{} {}", name, work.what);
  table.done(work, taken.count());
}

// An op's name as a template argument.
template <size_t N>
struct Name {
  constexpr Name(const char (&literal)[N]) { std::copy_n(literal, N, text); }
  char text[N];
};

template <Name Op, auto Entry>
struct Timed;
template <Name Op, class Args, void (*KernelTable::*Entry)(Context&, const Args&)>
struct Timed<Op, Entry> {
  static void call(Context& ctx, const Args& args) { run<Entry>(ctx, args, Op.text); }
};

template <Name Op, auto Entry>
constexpr auto timed = Timed<Op, Entry>::call;

}  // namespace

ProfileTable profile_kernels(const KernelTable& inner, std::function<void()> synchronise, OpDone done) {
#define WAN_ENTRY(op, Args) .op = timed<#op, &KernelTable::op>,
  static constexpr KernelTable table{.name = "profile", WAN_FOR_EACH_OP(WAN_ENTRY)};
#undef WAN_ENTRY
  return {table, &inner, std::move(synchronise), std::move(done)};
}

}  // namespace wan::ops
