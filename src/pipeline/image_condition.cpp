#include "pipeline/image_condition.h"

#include "io/resize.h"
#include "ops/elementwise.h"

namespace wan::pipeline {

std::vector<float> fit_bicubic(const io::Image& image, PixelSize size) {
  return io::resize_bicubic(io::to_planes(image), image.height, image.width, size.height, size.width);
}

std::vector<float> fit_and_crop(const io::Image& image, PixelSize size) {
  const PixelSize cover = cover_size({image.width, image.height}, size);
  return io::to_planes(io::crop_centre(io::resize_lanczos(image, cover.width, cover.height), size.width, size.height));
}

void fill_clip(Context& ctx, const std::vector<float>& picture, int64_t first, const Tensor& frames) {
  MemoryResource& memory = ctx.arena->memory();
  memory.fill_zero(frames.data, frames.nbytes());
  if (first > 0) return;
  const int64_t plane = frames.dim(2) * frames.dim(3);
  for (int64_t c = 0; c < 3; ++c) {
    const Tensor target = frames.slice(0, c, 1).slice(1, 0, 1);
    memory.upload(target.data, picture.data() + c * plane, plane * size_of(DType::f32));
  }
}

OwnedTensor image_condition(Context& ctx, const Tensor& z) {
  constexpr int64_t mask_channels = 4;
  MemoryResource& memory = ctx.arena->memory();
  OwnedTensor y(memory, DType::f32, {mask_channels + z.dim(0), z.dim(1), z.dim(2), z.dim(3)});
  const Tensor mask = y.tensor.slice(0, 0, mask_channels);
  memory.fill_zero(mask.data, mask.nbytes());
  const std::vector<float> ones(static_cast<size_t>(z.dim(2) * z.dim(3)), 1.f);
  for (int64_t c = 0; c < mask_channels; ++c)
    memory.upload(mask.slice(0, c, 1).data, ones.data(), static_cast<int64_t>(ones.size() * sizeof(float)));
  ops::copy(ctx, z, y.tensor.slice(0, mask_channels, z.dim(0)));
  return y;
}

}  // namespace wan::pipeline
