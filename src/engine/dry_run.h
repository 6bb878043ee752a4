#pragma once
#include <array>
#include <map>
#include <tuple>
#include <vector>

#include "engine/dimensions.h"
#include "engine/vae_bands.h"
#include "engine/weight_bytes.h"
#include "ops/profile.h"
#include "parallel/mesh.h"
#include "sampler/schedule.h"

/// A generation on memory that does not exist: the models' own code, run for what it takes.
namespace wan::engine {

/// Everything about a generation that decides its memory and work.
struct GenerationSpec {
  Dimensions dimensions;
  Task task = Task::t2v_A14B;
  bool two_experts = true;
  int64_t width = 0, height = 0, frames = 0;  ///< pixels
  bool image = false;                         ///< starts from an image
  bool decode_only = false;                   ///< from latents
  SolverKind solver = SolverKind::unipc;
  int64_t steps = 0;
  double shift = 5, boundary = 0;
  double guidance_low = 1, guidance_high = 1;
  std::array<int64_t, 2> text_tokens{};  ///< of prompt and negative prompt; 0: as many as the model takes
  DType compute = DType::f32;
  bool cuda = false;
  bool text_on_cpu = false;               ///< --t5_cpu
  int threads = 1;                        ///< of the CPU
  bool round_to_bf16 = false;             ///< --convert_model_dtype
  parallel::MeshSizes mesh;               ///< ranks that share the work; everything else here is one rank's
  bool sharded = false;                   ///< among all of them the transformers' blocks are spread
  const io::Checkpoint* files = nullptr;  ///< whose dtypes count; null: as the official files have them

  bool guided() const noexcept { return guidance_low != 1 || (two_experts && guidance_high != 1); }
  Shape latent() const;  ///< [z, F, h, w]
  int64_t tokens() const;
};

/// Equal ops, with how often they run.
class Work {
 public:
  void add(const ops::OpWork& op, double times = 1);
  template <class Seconds>  // double(const ops::OpWork&)
  double seconds(const Seconds& of) const {
    double sum = 0;
    for (const auto& [key, entry] : ops_) sum += entry.second * of(entry.first);
    return sum;
  }
  double flop() const;

 private:
  using Key = std::tuple<ops::WorkKind, DType, int64_t, double, double>;
  std::map<Key, std::pair<ops::OpWork, double>> ops_;
};

/// sum of factor * work: parts of a run whose own work cannot be seen apart.
struct WorkSum {
  std::vector<std::pair<double, const Work*>> terms;
  template <class Seconds>
  double seconds(const Seconds& of) const {
    double sum = 0;
    for (const auto& [factor, work] : terms) sum += factor * work->seconds(of);
    return sum;
  }
  double flop() const;
};

/// The most bytes at once of a stage, besides the weights: scratch, caches, and what earlier stages left for later
/// ones.
struct StageBytes {
  int64_t text = 0, image = 0, decode = 0;
  int64_t condition = 0;      ///< before the first forward
  int64_t high = 0, low = 0;  ///< while an expert is at work
  int64_t text_host = 0;      ///< with --t5_cpu
};

/// How many steps each expert computes; without experts all are `high`.
struct ExpertSteps {
  int64_t high = 0, low = 0;
};
ExpertSteps expert_steps(const GenerationSpec& spec);

/// Runs every stage without computing: some milliseconds. Two steps of each expert, some blocks and three latent frames
/// of the VAE show the peak. Throws as the stages do.
StageBytes dry_memory(const GenerationSpec& spec);

/// The most bytes at once of the VAE alone, besides its weights and the latents.
int64_t dry_decode_memory(const GenerationSpec& spec, int64_t bands);
int64_t dry_encode_memory(const GenerationSpec& spec, int64_t bands);

/// Runs the VAE's part of a generation, as `rank` of the spec's has it in so many bands, on a table that computes
/// nothing: every kind of call that it will make. Some milliseconds.
void show_vae(const GenerationSpec& spec, const VaeBands& bands, int rank, const ops::KernelTable& table);

/// The work of each stage.
class DryWork {
 public:
  explicit DryWork(const GenerationSpec& spec);
  WorkSum text() const;                           ///< of all prompts
  WorkSum image() const { return clip(image_); }  ///< empty without an image
  WorkSum decode() const { return clip(decode_); }
  WorkSum block() const;    ///< one block of one forward
  WorkSum outer() const;    ///< the rest of a forward and its step
  WorkSum prompts() const;  ///< what each expert computes once per prompt

 private:
  struct Clip {
    Work two, three;  // latent frames; or all, where there are no more than two
    int64_t latent_frames = 0;
  };
  static WorkSum clip(const Clip& c);

  int64_t layers_, text_layers_;
  Work text_[2];  // of one and two layers
  Clip image_, decode_;
  Work sample_[2][2];  // of one and two layers, one and two steps
};

}  // namespace wan::engine
