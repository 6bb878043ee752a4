#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/tensor_index.h"

/// What the official and the diffusers layouts call each tensor: one table per model, read in both directions.
namespace wan::io {

enum class ModelPart : uint8_t { dit, umt5, vae21, vae22 };
enum class Naming : uint8_t { official, diffusers };

/// One tensor, or one per block where the names have '#'. Shapes and bytes are the same in both layouts.
struct TensorName {
  std::string official, diffusers;
  /// Computed in float32 whatever the matrices' type is (biases, norms, modulation, time embedding, head): a conversion
  /// to bf16 leaves it as it is, so that the result computes what the original computes in bf16.
  bool exact = false;
};

/// The names of WanModel and WanTransformer3DModel, T5Encoder and UMT5EncoderModel, or WanVAE_ and AutoencoderKLWan.
class TensorNames {
 public:
  explicit TensorNames(ModelPart part);

  /// The same tensor's name in the other naming; nullopt for a name that is not in the table.
  std::optional<std::string> translate(std::string_view name, Naming from, Naming to) const;
  /// What a tensor of an official name and type `own` is in a bf16 checkpoint: bf16, or `own` if it is exact, no
  /// floating-point number, or not in the table.
  DType bf16_type(std::string_view official, DType own) const;

  const std::vector<TensorName>& rows() const noexcept { return rows_; }

 private:
  using Index = std::map<std::string, size_t, std::less<>>;
  const Index& index(Naming naming) const noexcept { return naming == Naming::official ? official_ : diffusers_; }

  std::vector<TensorName> rows_;
  Index official_, diffusers_;
};

/// A model of a diffusers folder under its official names; tensors that the table does not have keep theirs.
/// `label` as in TensorIndex. Throws bad_file if two tensors end up with one name.
TensorIndex with_official_names(const TensorIndex& diffusers, ModelPart part);

}  // namespace wan::io
