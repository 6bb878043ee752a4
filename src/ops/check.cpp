#include "ops/check.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "core/error.h"
#include "ops/host_copy.h"
#include "ops/reference.h"
#include "ops/visit.h"

namespace wan::ops {
namespace {

// f(offset in a, offset in b) for every element of two tensors of one shape.
template <class F>
void each_pair(const Tensor& a, const Tensor& b, const F& f) {
  const int64_t n = a.numel();
  for (int64_t i = 0; i < n; ++i) {
    int64_t rest = i, at = 0, bt = 0;
    for (int axis = a.rank() - 1; axis >= 0; --axis) {
      at += rest % a.dim(axis) * a.stride(axis);
      bt += rest % a.dim(axis) * b.stride(axis);
      rest /= a.dim(axis);
    }
    f(at, bt);
  }
}

void copy_values(MemoryResource& memory, const Tensor& from, const Tensor& to) {
  const HostCopy source(memory, from), target(memory, to);
  each_pair(source.tensor(), target.tensor(), [&](int64_t at, int64_t there) {
    reference::set_at(target.tensor(), there, reference::value_at(source.tensor(), at));
  });
  target.write_back();
}

template <class Args>
std::string describe(Args args) {
  std::string text;
  visit(args, [&](const char* name, const Tensor& t, Role) {
    if (t) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, to_string(t));
  });
  return text;
}

// Runs the trusted back end on copies of the outputs first: the tested one then works in place as it always does.
template <auto Entry, class Args>
void run_both(Context& ctx, const Args& args) {
  const auto& table = static_cast<const CheckTable&>(*ctx.kernels);
  MemoryResource& memory = ctx.arena->memory();
  const auto scope = ctx.arena->scope();
  Args expected = args, actual = args;
  visit(expected, [&](const char*, Tensor& t, Role role) {
    if (!t || role == Role::in) return;
    const Tensor copy = ctx.make(t.dtype, t.shape);
    if (role == Role::in_out) copy_values(memory, t, copy);
    t = copy;
  });
  for (const auto& [back_end, side] : {std::pair{table.trusted, &expected}, {table.tested, &actual}}) {
    Context inner = ctx;
    inner.kernels = back_end;
    const auto kernel = back_end->*Entry;
    require(kernel != nullptr, ErrorCode::unsupported, "[check] the {} back end lacks a kernel", back_end->name);
    kernel(inner, *side);
  }

  std::array<Tensor, 16> results;
  size_t count = 0;
  visit(expected, [&](const char*, Tensor& t, Role) { results[count++] = t; });
  count = 0;
  visit(actual, [&](const char* name, Tensor& t, Role role) {
    const Tensor& wanted = results[count++];
    if (!t || role == Role::in) return;
    const double bound = t.dtype == DType::bf16 ? std::max(table.tolerance, 1.0 / 256) : table.tolerance;
    const double error = relative_error(HostCopy(memory, t).tensor(), HostCopy(memory, wanted).tensor());
    require(error <= bound, ErrorCode::device,
            "[check] {} of back end {} is off by {:.3g} from {} (at most {:.3g} expected); arguments: {}", name,
            table.tested->name, error, table.trusted->name, bound, describe(args));
  });
}

// The two answers are flags, not tensors.
void all_finite(Context& ctx, const AllFiniteArgs& args) {
  const auto& table = static_cast<const CheckTable&>(*ctx.kernels);
  bool expected = false;
  Context inner = ctx;
  inner.kernels = table.trusted;
  table.trusted->all_finite(inner, {args.x, &expected});
  inner.kernels = table.tested;
  table.tested->all_finite(inner, args);
  require(*args.result == expected, ErrorCode::device, "[check] all_finite of back end {} says {}, {} says {}; x {}",
          table.tested->name, *args.result, table.trusted->name, expected, to_string(args.x));
}

template <auto Entry>
struct RunBoth;
template <class Args, void (*KernelTable::*Entry)(Context&, const Args&)>
struct RunBoth<Entry> {
  static void run(Context& ctx, const Args& args) { run_both<Entry>(ctx, args); }
};

template <auto Entry>
constexpr auto both = RunBoth<Entry>::run;

}  // namespace

CheckTable check_kernels(const KernelTable& tested, const KernelTable& trusted, double tolerance) noexcept {
#define WAN_ENTRY(op, Args) .op = both<&KernelTable::op>,
  static constexpr KernelTable table = [] {
    KernelTable check{.name = "check", WAN_FOR_EACH_OP(WAN_ENTRY)};
    check.all_finite = all_finite;
    return check;
  }();
#undef WAN_ENTRY
  return {table, &tested, &trusted, tolerance};
}

double relative_error(const Tensor& a, const Tensor& b) {
  double difference = 0, size = 0;
  each_pair(a, b, [&](int64_t at, int64_t bt) {
    const double x = reference::value_at(a, at), y = reference::value_at(b, bt);
    if (std::isfinite(x) && std::isfinite(y)) {
      difference += (x - y) * (x - y);
      size += y * y;
    } else if (!(x == y || (std::isnan(x) && std::isnan(y)))) {
      difference = std::numeric_limits<double>::infinity();
    }
  });
  return difference == 0 ? 0 : std::sqrt(difference / size);
}

}  // namespace wan::ops
