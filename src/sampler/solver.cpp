#include "sampler/solver.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <initializer_list>

#include "core/error.h"

namespace wan::sampler {
namespace {

void add(StepPlan& plan, Slot out, std::initializer_list<Term> terms) {
  assert(plan.count < StepPlan::kMaxUpdates);
  LinearUpdate& u = plan.storage[plan.count++];
  u.out = out;
  for (const Term& t : terms) {
    if (t.coefficient == 0) continue;  // so that a slot not yet written is not read
    assert(u.count < LinearUpdate::kMaxTerms);
    u.storage[u.count++] = t;
  }
}

double log_snr(double sigma) { return std::log(1 - sigma) - std::log(sigma); }

// The exact solution of the flow over one step for a constant data prediction m: x_t = ratio * x_s - ab * m,
// with ratio = sigma_t / sigma_s and ab = alpha_t * (e^-h - 1), written without h so that sigma 0 and 1 need no care.
struct Transfer {
  double ratio, ab;

  Transfer(double sigma_s, double sigma_t)
      : ratio(sigma_s > 0 ? sigma_t / sigma_s : 0), ab((1 - sigma_s) * ratio - (1 - sigma_t)) {}
};

// 1 / r with r = (lambda_before - lambda_s) / (lambda_t - lambda_s), negative; 0 (drop the second-order term)
// where float32 sigmas coincide.
double inverse_step_ratio(double sigma_before, double sigma_s, double sigma_t) {
  const double h = log_snr(sigma_t) - log_snr(sigma_s);
  const double before = log_snr(sigma_before) - log_snr(sigma_s);
  const double inverse = h / before;
  return std::isfinite(inverse) ? inverse : 0;
}

// Data predictions live in a ring of the solver's slots, so that none is ever copied.
Slot ring(Slot first, int64_t size, int64_t step) {
  return static_cast<Slot>(static_cast<int64_t>(first) + (step % size));
}

// Weights of the corrector's differences (m_before - m_s) / r and (m_t - m_s): the solution of
// rho0 + rho1 = b1, r * rho0 + rho1 = b2 with b_k from phi functions of -h.
struct CorrectorWeights {
  double before;  // already divided by r
  double now;
};

CorrectorWeights corrector_weights(double sigma_before, double sigma_s, double sigma_t, int order) {
  constexpr CorrectorWeights kOrder1{0, 0.5};
  if (order == 1) return kOrder1;
  const double hh = -(log_snr(sigma_t) - log_snr(sigma_s));
  const double inverse_r = inverse_step_ratio(sigma_before, sigma_s, sigma_t);
  if (hh == 0 || inverse_r == 0 || !std::isfinite(hh)) return kOrder1;
  const double b_h = std::expm1(hh);
  const double phi_2 = b_h / hh - 1;
  const double phi_3 = phi_2 / hh - 0.5;
  const double b1 = phi_2 / b_h;
  const double b2 = 2 * phi_3 / b_h;
  const double rho0 = (b1 - b2) / (1 - 1 / inverse_r);
  return {rho0 * inverse_r, b1 - rho0};
}

int unipc_order(int64_t steps, int64_t step) { return step == 0 || step == steps - 1 ? 1 : 2; }

void plan_unipc(StepPlan& plan, const Schedule& s, int64_t i) {
  const auto sigma = [&](int64_t k) { return static_cast<double>(s.sigmas[static_cast<size_t>(k)]); };
  const auto prediction = [](int64_t k) { return ring(Slot::history1, 3, k); };
  constexpr Slot sample = Slot::history0;
  const Slot m = prediction(i);

  add(plan, m, {{Slot::latent, 1}, {Slot::velocity, -sigma(i)}});

  if (i == 0) {
    add(plan, sample, {{Slot::latent, 1}});
  } else {
    const Transfer step(sigma(i - 1), sigma(i));
    const int order = unipc_order(s.steps(), i - 1);
    const CorrectorWeights w = corrector_weights(order == 2 ? sigma(i - 2) : 0, sigma(i - 1), sigma(i), order);
    add(plan, sample,
        {{sample, step.ratio},
         {prediction(i - 1), -step.ab * (1 - w.before - w.now)},
         {prediction(i + 1), -step.ab * w.before},  // i - 2: the ring has three places
         {m, -step.ab * w.now}});
  }

  const Transfer step(sigma(i), sigma(i + 1));
  plan.order = unipc_order(s.steps(), i);
  const double second = plan.order == 2 ? 0.5 * inverse_step_ratio(sigma(i - 1), sigma(i), sigma(i + 1)) : 0;
  add(plan, Slot::latent,
      {{sample, step.ratio}, {m, -step.ab * (1 - second)}, {prediction(i + 2), -step.ab * second}});  // i - 1
}

void plan_dpmpp(StepPlan& plan, const Schedule& s, int64_t i) {
  const auto sigma = [&](int64_t k) { return static_cast<double>(s.sigmas[static_cast<size_t>(k)]); };
  const Slot m = ring(Slot::history0, 2, i);
  const Slot before = ring(Slot::history0, 2, i + 1);

  add(plan, m, {{Slot::latent, 1}, {Slot::velocity, -sigma(i)}});

  const Transfer step(sigma(i), sigma(i + 1));
  plan.order = i == 0 || i == s.steps() - 1 ? 1 : 2;
  const double second = plan.order == 2 ? 0.5 * inverse_step_ratio(sigma(i - 1), sigma(i), sigma(i + 1)) : 0;
  add(plan, Slot::latent, {{Slot::latent, step.ratio}, {m, -step.ab * (1 - second)}, {before, -step.ab * second}});
}

void plan_euler(StepPlan& plan) {
  add(plan, Slot::latent,
      {{Slot::latent, 1}, {Slot::velocity, static_cast<double>(plan.sigma_next) - static_cast<double>(plan.sigma)}});
}

}  // namespace

int history_slots(SolverKind solver) noexcept {
  switch (solver) {
    case SolverKind::unipc: return 4;
    case SolverKind::dpmpp: return 2;
    case SolverKind::euler: return 0;
  }
  return 0;
}

StepPlan plan_step(const Schedule& schedule, int64_t step) {
  require(step >= 0 && step < schedule.steps(), ErrorCode::invalid_argument, "[solver] step {}; expected 0..{}", step,
          schedule.steps() - 1);
  const auto i = static_cast<size_t>(step);
  StepPlan plan;
  plan.timestep = schedule.timesteps[i];
  plan.sigma = schedule.sigmas[i];
  plan.sigma_next = schedule.sigmas[i + 1];
  switch (schedule.solver) {
    case SolverKind::unipc: plan_unipc(plan, schedule, step); break;
    case SolverKind::dpmpp: plan_dpmpp(plan, schedule, step); break;
    case SolverKind::euler: plan_euler(plan); break;
  }
  return plan;
}

}  // namespace wan::sampler
