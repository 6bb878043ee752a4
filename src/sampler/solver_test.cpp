#include "sampler/solver.h"

#include <gtest/gtest.h>

#include <string>

#include "core/error.h"
#include "sampler/sampler_test_util.h"
#include "support/expected.h"

namespace wan::sampler {
namespace {

using test::golden_velocity;
using test::HostSolver;
using wan::test::Expected;
using wan::test::relative_l2;

struct Case {
  const char* file;
  const char* solver;
  int64_t steps;
  const char* shift;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const char* solver : {"unipc", "dpm++"}) {
    const char* golden = WAN_SOURCE_DIR "/tests/golden/tiny/expected.safetensors";
    for (const auto& [steps, shift] : {std::pair{4, "5"}, {20, "3"}, {40, "12"}, {50, "5"}})
      all.push_back({golden, solver, steps, shift});
    const char* fixture = WAN_SOURCE_DIR "/tests/fixtures/sampler/expected.safetensors";
    for (const auto& [steps, shift] : {std::pair{1, "5"},
                                       {2, "5"},
                                       {3, "5"},
                                       {5, "1"},
                                       {8, "3"},
                                       {10, "7.5"},
                                       {14, "5"},
                                       {15, "5"},
                                       {16, "0.5"},
                                       {30, "17"},
                                       {50, "12"},
                                       {100, "5"},
                                       {333, "2"},
                                       {1000, "1"}})
      all.push_back({fixture, solver, steps, shift});
  }
  return all;
}

// int64 in the fixture, float32 in the golden file
std::vector<int64_t> timesteps(const Expected& e, const std::string& name) {
  if (e.dtype(name) == "I64") return e.i64(name);
  const auto t = e.f32(name);
  return {t.begin(), t.end()};
}

class SolverAgainstUpstream : public testing::TestWithParam<Case> {};

TEST_P(SolverAgainstUpstream, ScheduleIsEqualAndTrajectoryAgrees) {
  const Case& c = GetParam();
  const Expected e(c.file);
  const std::string key = std::string("sched.") + c.solver + "." + std::to_string(c.steps) + "." + c.shift;
  const Schedule schedule = make_schedule(parse_solver(c.solver), c.steps, std::stod(c.shift));
  EXPECT_EQ(schedule.timesteps, timesteps(e, key + ".timesteps"));
  EXPECT_EQ(schedule.sigmas, e.f32(key + ".sigmas"));

  HostSolver solver(schedule, e.f32(key + ".x0"));
  int compared = 0;
  for (int64_t i = 0; i < c.steps; ++i) {
    solver.step(i, golden_velocity);
    const std::string name = key + ".x" + std::to_string(i + 1);
    if (!e.has(name)) continue;
    EXPECT_LE(relative_l2(solver.latent(), e.f32(name)), 1e-5) << name;
    ++compared;
  }
  EXPECT_GE(compared, std::min<int64_t>(c.steps, 3));
}

INSTANTIATE_TEST_SUITE_P(Cases, SolverAgainstUpstream, testing::ValuesIn(cases()), [](const auto& param) {
  std::string name = std::string(param.param.solver == std::string("unipc") ? "unipc" : "dpmpp") + "_" +
                     std::to_string(param.param.steps) + "_" + param.param.shift;
  std::replace(name.begin(), name.end(), '.', 'p');
  return name;
});

class EverySolver : public testing::TestWithParam<SolverKind> {};

// dx/dsigma = x - 1 has the solution 1 + (x0 - 1) e^(sigma - sigma0): all solvers must approach it, and with the
// order that they claim.
TEST_P(EverySolver, ConvergesToTheFlowsSolution) {
  const auto error_at = [](SolverKind kind, int64_t steps) {
    const Schedule s = make_schedule(kind, steps, 1.0);
    const float x0 = 0.25f;
    HostSolver solver(s, {x0});
    for (int64_t i = 0; i < steps; ++i)
      solver.step(i, [](const auto& x, int64_t) { return std::vector<float>{x[0] - 1}; });
    const double exact = 1 + (double(x0) - 1) * std::exp(-double(s.sigmas[0]));
    return std::abs(double(solver.latent()[0]) - exact);
  };
  const double coarse = error_at(GetParam(), 80);
  const double fine = error_at(GetParam(), 320);
  const bool first_order = GetParam() == SolverKind::euler;
  EXPECT_LT(fine, first_order ? 5e-4 : 5e-6);
  EXPECT_LT(fine, coarse * (first_order ? 0.3 : 0.15));
}

TEST_P(EverySolver, AnyStepCountAndShiftStaysFinite) {
  for (const int64_t steps : {1, 2, 3, 7, 40, 999, 1000})
    for (const double shift : {1e-6, 1e-3, 0.5, 1.0, 12.0, 1e4, 1e6}) {
      HostSolver solver(make_schedule(GetParam(), steps, shift), {0.7f, -1.3f, 0.0f});
      for (int64_t i = 0; i < steps; ++i) solver.step(i, golden_velocity);
      for (const float x : solver.latent()) {
        ASSERT_TRUE(std::isfinite(x)) << steps << " steps, shift " << shift;
        ASSERT_LT(std::abs(x), 10) << steps << " steps, shift " << shift;
      }
    }
}

TEST_P(EverySolver, UsesNoMoreHistoryThanItSays) {
  const Schedule s = make_schedule(GetParam(), 12, 5);
  for (int64_t i = 0; i < 12; ++i) {
    const StepPlan plan = plan_step(s, i);
    for (const LinearUpdate& u : plan.updates())
      for (const Term& t : u.terms())
        EXPECT_LT(static_cast<int>(t.slot) - static_cast<int>(Slot::history0), history_slots(GetParam()));
  }
}

// A constant data prediction must be kept by every combination: the coefficients of one update sum to what the
// noise-free part needs. With velocity = (x - 2) / sigma the prediction is 2 everywhere and the last step lands on it.
TEST_P(EverySolver, LandsOnAConstantPrediction) {
  const Schedule s = make_schedule(GetParam(), 20, 5);
  HostSolver solver(s, {-0.8f, 1.9f});
  for (int64_t i = 0; i < 20; ++i) {
    const float sigma = s.sigmas[static_cast<size_t>(i)];
    solver.step(i, [&](const auto& x, int64_t) { return std::vector<float>{(x[0] - 2) / sigma, (x[1] - 2) / sigma}; });
  }
  EXPECT_NEAR(solver.latent()[0], 2, 1e-5);
  EXPECT_NEAR(solver.latent()[1], 2, 1e-5);
}

TEST_P(EverySolver, RefusesStepsOutsideTheSchedule) {
  const Schedule s = make_schedule(GetParam(), 5, 5);
  EXPECT_THROW(plan_step(s, -1), Error);
  EXPECT_THROW(plan_step(s, 5), Error);
}

INSTANTIATE_TEST_SUITE_P(Kinds, EverySolver, testing::Values(SolverKind::unipc, SolverKind::dpmpp, SolverKind::euler),
                         [](const auto& param) {
                           return param.param == SolverKind::dpmpp ? "dpmpp" : std::string(to_string(param.param));
                         });

// The two experts differ only in the velocity that they return; history written under one must be read under the
// other. Replays the golden run's own velocities of both experts.
TEST(SolverHistory, RunsOnAcrossTheExpertSwitch) {
  const Expected e(WAN_SOURCE_DIR "/tests/golden/tiny/expected.safetensors");
  for (const auto& [name, solver, shift] :
       {std::tuple{"t2v_unipc", "unipc", 12.0}, {"t2v_dpmpp", "dpm++", 12.0}, {"i2v_unipc", "unipc", 5.0}}) {
    const double boundary = std::string(name) == "i2v_unipc" ? 0.900 : 0.875;
    const float guide_low = std::string(name) == "i2v_unipc" ? 3.5f : 3.0f;
    const float guide_high = std::string(name) == "i2v_unipc" ? 3.5f : 4.0f;
    HostSolver run(make_schedule(parse_solver(solver), 6, shift), e.f32(std::string(name) + ".noise"));
    for (int64_t i = 0; i < 6; ++i) {
      const std::string key = std::string(name) + ".step0" + std::to_string(i);
      EXPECT_LE(relative_l2(run.latent(), e.f32(key + ".latent_in")), 1e-5) << key;
      run.step(i, [&](const auto&, int64_t t) {
        const auto cond = e.f32(key + ".cond"), uncond = e.f32(key + ".uncond");
        const float scale = is_high_noise(t, boundary) ? guide_high : guide_low;
        std::vector<float> v(cond.size());
        for (size_t k = 0; k < v.size(); ++k) v[k] = uncond[k] + scale * (cond[k] - uncond[k]);
        return v;
      });
    }
    EXPECT_LE(relative_l2(run.latent(), e.f32(std::string(name) + ".latent_out")), 1e-5) << name;
  }
}

}  // namespace
}  // namespace wan::sampler
