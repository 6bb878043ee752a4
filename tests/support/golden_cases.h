#pragma once
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "wan/wan.h"

/// The golden cases: tiny random checkpoints, and what upstream computed from them.
namespace wan::test {

inline const std::string golden_folder = WAN_SOURCE_DIR "/tests/golden/tiny/";

struct GoldenCase {
  const char* name;
  const char* checkpoint;
  bool image;  ///< starts from input.png
};

inline constexpr GoldenCase golden_cases[] = {{"t2v_unipc", "Wan2.2-T2V-A14B", false},
                                              {"t2v_dpmpp", "Wan2.2-T2V-A14B", false},
                                              {"i2v_unipc", "Wan2.2-I2V-A14B", true},
                                              {"ti2v_t2v_unipc", "Wan2.2-TI2V-5B", false},
                                              {"ti2v_i2v_unipc", "Wan2.2-TI2V-5B", true}};

/// The case's entry of cases.json.
inline nlohmann::json golden_arguments(const GoldenCase& c) {
  return nlohmann::json::parse(std::ifstream(golden_folder + "cases.json"))[c.name];
}

/// The request that upstream ran.
inline Request golden_request(const GoldenCase& c) {
  const nlohmann::json j = golden_arguments(c);
  Request r;
  r.prompt = j["prompt"];
  r.width = j["size"][0];
  r.height = j["size"][1];
  r.frames = j["frames"];
  r.solver = parse_solver(j["solver"]);
  r.steps = j["steps"];
  r.shift = j["shift"];
  const nlohmann::json& guide = j["guide"];
  r.guidance_low = guide.is_array() ? guide[0].get<double>() : guide.get<double>();
  r.guidance_high = guide.is_array() ? guide[1].get<double>() : guide.get<double>();
  r.seed = j["seed"];
  if (c.image) r.image = golden_folder + "input.png";
  return r;
}

/// Names for GoogleTest's parameterised tests.
inline std::string golden_name(const ::testing::TestParamInfo<GoldenCase>& info) { return info.param.name; }

}  // namespace wan::test
