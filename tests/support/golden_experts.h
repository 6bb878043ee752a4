#pragma once
#include <string>
#include <vector>

#include "pipeline/denoise.h"
#include "support/golden_dit.h"

namespace wan::test {

/// The T2V experts, and what they were asked for.
struct GoldenExperts final : pipeline::Experts {
  void with_conditioning(pipeline::Expert e, const UseConditioning& use) override {
    use(model(e).dit.config, model(e).conditioning);
  }
  const models::Dit& at_work(pipeline::Expert e) override {
    events.push_back(std::string("at work: ") + pipeline::to_string(e));
    return model(e).dit;
  }
  void announce(pipeline::Expert next) override { events.push_back(std::string("next: ") + pipeline::to_string(next)); }
  const GoldenDit& model(pipeline::Expert e) const { return e == pipeline::Expert::high ? high : low; }

  GoldenDit high{"Wan2.2-T2V-A14B/high_noise_model"}, low{"Wan2.2-T2V-A14B/low_noise_model"};
  std::vector<std::string> events;
};

}  // namespace wan::test
