#include "sampler/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "core/error.h"
#include "support/expected.h"

namespace wan::sampler {
namespace {

TEST(Schedule, ExpertPerStepIsEqualToUpstream) {
  std::ifstream in(WAN_SOURCE_DIR "/tests/golden/tiny/cases.json");
  const auto json = nlohmann::json::parse(in);
  const test::Expected expected(WAN_SOURCE_DIR "/tests/golden/tiny/expected.safetensors");
  int checked = 0;
  for (const char* name : {"t2v_unipc", "t2v_dpmpp", "i2v_unipc"}) {
    const auto& c = json.at(name);
    const Schedule s = make_schedule(parse_solver(c["solver"].get<std::string>()), c["steps"], c["shift"]);
    for (size_t i = 0; i < s.timesteps.size(); ++i) {
      const auto t = expected.f32(std::string(name) + ".step0" + std::to_string(i) + ".t");
      EXPECT_EQ(static_cast<float>(s.timesteps[i]), t.at(0)) << name << i;
      EXPECT_EQ(is_high_noise(s.timesteps[i], c["boundary"]) ? "high" : "low", c["experts"][i].get<std::string>())
          << name << i;
      ++checked;
    }
  }
  EXPECT_EQ(checked, 18);
}

TEST(Schedule, TheBoundaryItselfIsHighNoise) {
  EXPECT_TRUE(is_high_noise(900, 0.900));
  EXPECT_FALSE(is_high_noise(899, 0.900));
  EXPECT_TRUE(is_high_noise(875, 0.875));
  EXPECT_FALSE(is_high_noise(874, 0.875));
}

TEST(Schedule, EulerUsesUnipcSigmas) {
  const Schedule a = make_schedule(SolverKind::unipc, 30, 5);
  const Schedule b = make_schedule(SolverKind::euler, 30, 5);
  EXPECT_EQ(a.sigmas, b.sigmas);
  EXPECT_EQ(a.timesteps, b.timesteps);
}

void expect_refused(int64_t steps, double shift, const std::string& part) {
  try {
    make_schedule(SolverKind::unipc, steps, shift);
    ADD_FAILURE() << steps << " steps, shift " << shift;
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
    EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
  }
}

TEST(Schedule, RefusesWhatIsOutOfRange) {
  for (const int64_t steps : {int64_t{0}, int64_t{-1}, int64_t{1001}, std::numeric_limits<int64_t>::max()})
    expect_refused(steps, 5, "1..1000");
  for (const double shift : {0.0, -1.0, 1e-7, 1e7, std::nan(""), std::numeric_limits<double>::infinity()})
    expect_refused(40, shift, "1e-06..1000000");
}

TEST(Schedule, NamesRoundTrip) {
  for (const SolverKind k : {SolverKind::unipc, SolverKind::dpmpp, SolverKind::euler})
    EXPECT_EQ(parse_solver(to_string(k)), k);
  EXPECT_THROW(parse_solver("dpm"), Error);
}

}  // namespace
}  // namespace wan::sampler
