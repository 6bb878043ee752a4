#pragma once
#include <vector>

#include "core/context.h"
#include "models/frame_window.h"
#include "models/row_bands.h"
#include "models/vae.h"

/// The parts of both autoencoders, on channels-last chunks x [T, H, W, C] of a clip in the dtype ctx.compute. Results
/// go to memory of the caller; scratch comes from ctx.arena and is gone on return. State is what one clip leaves
/// behind. In bands of rows, x begins with the rows kept of the band before and y is this band's own rows; frames of y
/// may then lie apart.
namespace wan::models {

struct VaeResidualState {
  FrameWindow conv1, conv2;
  KeptRows input, inner;  // of the block's and of conv2's input
};

struct VaeStageState {
  std::vector<VaeResidualState> blocks;
  FrameCache time;
  KeptRows input, space;  // of the stage's input and of the doubling convolution's
};

/// Everything that one encoder or decoder keeps between chunks.
struct VaeState {
  explicit VaeState(const std::vector<VaeStage>& stages);
  /// Prepares the stages, decoder's or encoder's, for bands of a clip of which the first gets `frames` frames.
  void keep_rows_up(const std::vector<VaeStage>& stages, bool shortcut, int64_t frames);
  void keep_rows_down(const std::vector<VaeStage>& stages, bool shortcut, int64_t frames);
  /// Forgets all frames; the rows kept of the band before stay.
  void start_band();
  int64_t bytes() const noexcept;

  FramePools pools;  // the memory of the windows below
  FrameWindow conv_in, head;
  VaeResidualState before, after;
  std::vector<VaeStageState> stages;
  KeptRows head_input;
  bool first = true;  // no chunk was seen yet
};

/// CausalConv3d over three frames, on the frame that was written to `next` = window.next(), which then becomes history:
/// y [1, H, W, O] = conv(history, next) + residual, if present. In bands, next has a row more on either side.
void causal_conv(Context& ctx, const ConvWeights& w, const RowBand& band, FrameWindow& window, const Tensor& next,
                 const Tensor& y, const Tensor& residual = {});
/// The same for a frame x that lies elsewhere, without the rows of zeros.
void causal_conv_of(Context& ctx, const ConvWeights& w, const RowBand& band, FrameWindow& window, FramePools& pools,
                    const Tensor& x, const Tensor& y);

/// A convolution of extent 1: [T, H, W, I] to [T, H, W, O], in ctx.arena. `rows` takes only the first outputs.
Tensor pointwise(Context& ctx, const ConvWeights& w, const Tensor& x, int64_t rows = -1);

/// ResidualBlock on one frame: y = shortcut(x) + conv(silu(norm(conv(silu(norm(x)))))). y may not be x.
void residual_block(Context& ctx, const VaeResidualWeights& w, const RowBand& band, VaeResidualState& state,
                    FramePools& pools, const Tensor& x, const Tensor& y);

/// AttentionBlock: x += attention within each frame, one head over its H * W pixels.
void attention_block(Context& ctx, const VaeAttentionWeights& w, const Tensor& x);

/// The middle of encoder and decoder, in place, on one frame.
void middle_blocks(Context& ctx, const VaeMiddleWeights& w, VaeState& state, const Tensor& x);

/// norm, SiLU and the last convolution of one frame.
void head(Context& ctx, const VaeHeadWeights& w, const RowBand& band, FrameWindow& window, FramePools& pools,
          const Tensor& x, const Tensor& y);

/// Which stage, and where in the clip.
struct VaeStageRun {
  const VaeStage& stage;
  bool shortcut;  // 2.2's parameter-free path around the stage
  bool first;     // the chunk is the first of its clip: one frame, which time_conv never sees
  RowBand band = {};
};

/// The shape that a stage makes of a chunk, `channels` wide.
Shape up_shape(const VaeStageRun& run, const Shape& x, int64_t channels);
Shape down_shape(const VaeStageRun& run, const Shape& x, int64_t channels);

/// One resolution of the decoder (Up_ResidualBlock, or its flat equivalent in 2.1), x to y. x may be overwritten, but
/// not in bands; there it is one frame, with up_reach rows of the band before.
void up_stage(Context& ctx, const VaeStageRun& run, const VaeStageWeights& w, VaeStageState& state, FramePools& pools,
              const Tensor& x, const Tensor& y);
/// One resolution of the encoder (Down_ResidualBlock, or its flat equivalent in 2.1), x to y. x may be overwritten, but
/// not in bands; there it has down_reach rows of the band before, and frames of y do not lie apart.
void down_stage(Context& ctx, const VaeStageRun& run, const VaeStageWeights& w, VaeStageState& state, FramePools& pools,
                const Tensor& x, const Tensor& y);

}  // namespace wan::models
