// Attention on Hopper for heads of 128. One block of threads computes 192 rows of one head: three warpgroups have 64
// rows each, a fourth feeds them with keys and values, 80 at a time, through rings in shared memory. The warpgroups
// take turns with the tensor cores, so that the softmax of one runs beside the products of the others; and within each,
// the scores of the next keys are computed beside the values of the last. After FlashAttention-3 (arXiv 2407.08608).
//
// The sizes come from measurements: the GPU is at its power limit here, and more rows per block read keys and values
// from the L2 cache less often. 80 keys are what the registers of three warpgroups hold.
#include <cmath>
#include <source_location>

#include "core/checked.h"
#include "core/cuda/check.h"
#include "ops/attention_hopper.h"
#include "ops/cuda_util.cuh"
#include "ops/hopper.cuh"

namespace wan::ops::cuda {
namespace {

constexpr int head_dim = 128, panel_columns = 64, row_bytes = 128;  // of a panel
constexpr int groups = 3, group_rows = 64, tile_rows = groups * group_rows, keys = 80, stages = 3;
constexpr int threads = 128 * (groups + 1);
constexpr int q_panel = tile_rows * row_bytes, kv_panel = keys * row_bytes;
constexpr int q_bytes = 2 * q_panel, kv_bytes = 2 * kv_panel;
constexpr int barrier_bytes = 8 * (1 + 4 * stages), alignment = 1024;
constexpr int shared_bytes = q_bytes + 2 * stages * kv_bytes + barrier_bytes + alignment;
[[maybe_unused]] constexpr int registers_feeding = 32, registers_computing = 160;

struct Maps {
  CUtensorMap q, k, v;
};

struct Sizes {
  int lq, lk, heads;
  float scale_log2;  // scale * log2(e)
};

#ifdef WAN_HOPPER
namespace h = hopper;

// Where things lie in shared memory.
struct Layout {
  uint32_t q, k, v, q_full, k_full, k_empty, v_full, v_empty;

  __device__ explicit Layout(const void* memory) {
    q = (h::shared_address(memory) + alignment - 1) & ~static_cast<uint32_t>(alignment - 1);
    k = q + q_bytes;
    v = k + stages * kv_bytes;
    q_full = v + stages * kv_bytes;
    k_full = q_full + 8;
    k_empty = k_full + 8 * stages;
    v_full = k_empty + 8 * stages;
    v_empty = v_full + 8 * stages;
  }
  __device__ void init_barriers() const {
    h::barrier_init(q_full, 1);
    for (int s = 0; s < stages; ++s) {
      h::barrier_init(k_full + 8 * s, 1);
      h::barrier_init(v_full + 8 * s, 1);
      h::barrier_init(k_empty + 8 * s, 4 * groups);  // every warp says when it is done
      h::barrier_init(v_empty + 8 * s, 4 * groups);
    }
    h::barrier_init_done();
  }
};

// One thread orders all copies. Keys and values come from the last block to the first: the last alone has to be masked.
__device__ void feed(const Maps& maps, const Layout& at, int tile, int head, int blocks) {
  h::barrier_expect(at.q_full, q_bytes);
  for (int panel = 0; panel < 2; ++panel)
    h::load_box(at.q + panel * q_panel, maps.q, at.q_full, panel * panel_columns, head, tile * tile_rows);
  const auto fetch = [&](const CUtensorMap& map, uint32_t ring, uint32_t full, uint32_t empty, int i) {
    const int s = i % stages;
    if (i >= stages) h::barrier_wait(empty + 8 * s, (i / stages - 1) & 1);
    h::barrier_expect(full + 8 * s, kv_bytes);
    for (int panel = 0; panel < 2; ++panel)
      h::load_box(ring + s * kv_bytes + panel * kv_panel, map, full + 8 * s, panel * panel_columns, head,
                  (blocks - 1 - i) * keys);
  };
  fetch(maps.k, at.k, at.k_full, at.k_empty, 0);
  for (int i = 1; i < blocks; ++i) {
    fetch(maps.k, at.k, at.k_full, at.k_empty, i);
    fetch(maps.v, at.v, at.v_full, at.v_empty, i - 1);
  }
  fetch(maps.v, at.v, at.v_full, at.v_empty, blocks - 1);
}

// The 64 rows of one warpgroup. Each thread has parts of two of them (see hopper::product_64x80).
struct Rows {
  float out[64], scores[keys / 2];
  uint32_t weights[keys / 4];  // pairs of bf16
  float top[2], total[2], factor[2];

  __device__ Rows() {
#pragma unroll
    for (float& x : out) x = 0.f;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      top[r] = -INFINITY;
      total[r] = 0.f;
    }
  }
  __device__ void pin_all() {
    h::pin(scores);
    h::pin(out);
    h::pin(weights);
  }
  __device__ void start_scores(uint32_t q, uint32_t k) {
    h::products_fence();
#pragma unroll
    for (int i = 0; i < head_dim / 16; ++i) {  // 16 columns are 32 bytes
      const int panel = i / 4, column = i % 4 * 2;
      h::product_64x80(scores, h::describe(q + panel * q_panel, 16) + column,
                       h::describe(k + panel * kv_panel, 16) + column, i > 0);
    }
    h::products_commit();
  }
  __device__ void start_values(uint32_t v) {
    h::products_fence();
#pragma unroll
    for (int i = 0; i < keys / 16; ++i)
      h::product_64x128(out, weights + 4 * i, h::describe(v, kv_panel) + i * (16 * row_bytes >> 4));
    h::products_commit();
  }
  __device__ void mask(int count, int lane) {
#pragma unroll
    for (int i = 0; i < keys / 2; ++i)
      if (i / 4 * 8 + lane % 4 * 2 + i % 2 >= count) scores[i] = -INFINITY;
  }
  // scores = 2^(scale scores - top). A top that is too small by 8 at most stays: weights are then below 256, which
  // costs no precision, and `out` needs no new scale. Says whether any row of the warp needs one.
  __device__ bool soften(float scale) {
    bool grown = false;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float most = scores[2 * r];
#pragma unroll
      for (int i = 0; i < keys / 8; ++i) most = fmaxf(most, fmaxf(scores[4 * i + 2 * r], scores[4 * i + 2 * r + 1]));
      most = fmaxf(most, __shfl_xor_sync(~0u, most, 1));
      most = fmaxf(most, __shfl_xor_sync(~0u, most, 2));
      const bool grow = (most - top[r]) * scale > 8.f;
      factor[r] = grow ? h::exp2_fast((top[r] - most) * scale) : 1.f;
      if (grow) top[r] = most;
      grown |= grow;
      const float shift = top[r] * scale;
      float sum = 0.f;
#pragma unroll
      for (int i = 0; i < keys / 4; ++i) {
        float& x = scores[i / 2 * 4 + 2 * r + i % 2];
        x = h::exp2_fast(fmaf(x, scale, -shift));
        sum += x;
      }
      total[r] = total[r] * factor[r] + sum;
    }
    return __any_sync(~0u, grown);
  }
  __device__ void round_weights() {
#pragma unroll
    for (int i = 0; i < keys / 4; ++i) weights[i] = h::pack_bf16(scores[2 * i], scores[2 * i + 1]);
  }
  __device__ void rescale() {
#pragma unroll
    for (int i = 0; i < 64; ++i) out[i] *= factor[i / 2 % 2];
  }
  __device__ void write(half_t* y, int first_row, int head, int lane, const Sizes& z) const {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float sum = total[r];
      sum += __shfl_xor_sync(~0u, sum, 1);
      sum += __shfl_xor_sync(~0u, sum, 2);
      const float inverse = 1.f / sum;
      const int row = first_row + lane / 4 + 8 * r;
      if (row >= z.lq) continue;
      half_t* to = y + (static_cast<int64_t>(row) * z.heads + head) * head_dim + lane % 4 * 2;
#pragma unroll
      for (int i = 0; i < head_dim / 8; ++i)
        *reinterpret_cast<uint32_t*>(to + 8 * i) =
            h::pack_bf16(out[4 * i + 2 * r] * inverse, out[4 * i + 2 * r + 1] * inverse);
    }
  }
};

__device__ void compute(const Layout& at, half_t* y, int tile, int head, int blocks, const Sizes& z) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x % 128 / 32, group = threadIdx.x / 128 - 1;
  constexpr int first_turn = 1, turn_threads = 256;  // of the group that waits and the one that gives
  const int my_turn = first_turn + group, next_turn = first_turn + (group + 1) % groups;
  const uint32_t q = at.q + group * group_rows * row_bytes;
  const auto release = [&](uint32_t barrier) {
    if (lane == 0) h::barrier_arrive(barrier);
  };
  Rows rows;
  if (group == groups - 1) h::turn_give(first_turn, turn_threads);

  h::barrier_wait(at.q_full, 0);
  h::barrier_wait(at.k_full, 0);
  rows.start_scores(q, at.k);
  h::products_wait<0>();
  rows.pin_all();
  release(at.k_empty);
  const int last_count = z.lk - (blocks - 1) * keys;
  if (last_count < keys) rows.mask(last_count, lane);
  rows.soften(z.scale_log2);
  rows.round_weights();

  for (int i = 1; i < blocks; ++i) {
    const int ks = i % stages, vs = (i - 1) % stages;
    h::barrier_wait(at.k_full + 8 * ks, i / stages & 1);
    h::turn_wait(my_turn, turn_threads);
    rows.pin_all();
    rows.start_scores(q, at.k + ks * kv_bytes);
    h::barrier_wait(at.v_full + 8 * vs, (i - 1) / stages & 1);
    rows.start_values(at.v + vs * kv_bytes);
    h::turn_give(next_turn, turn_threads);
    h::products_wait<1>();
    h::pin(rows.scores);
    release(at.k_empty + 8 * ks);
    const bool grown = rows.soften(z.scale_log2);
    h::products_wait<0>();
    rows.pin_all();
    release(at.v_empty + 8 * vs);
    rows.round_weights();
    if (grown) rows.rescale();
  }
  const int vs = (blocks - 1) % stages;
  h::barrier_wait(at.v_full + 8 * vs, (blocks - 1) / stages & 1);
  rows.pin_all();
  rows.start_values(at.v + vs * kv_bytes);
  h::products_wait<0>();
  rows.pin_all();
  rows.write(y, tile * tile_rows + group * group_rows + warp * 16, head, lane, z);
}
#endif

__global__ void __launch_bounds__(threads, 1)
    hopper_attention_kernel(const __grid_constant__ Maps maps, half_t* y, Sizes z) {
#ifdef WAN_HOPPER
  extern __shared__ uint8_t memory[];
  const Layout at(memory);
  const int tile = static_cast<int>(blockIdx.x), head = static_cast<int>(blockIdx.y);
  const int blocks = (z.lk + keys - 1) / keys;
  if (threadIdx.x == 0) at.init_barriers();
  __syncthreads();
  if (threadIdx.x < 128) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(registers_feeding));
    if (threadIdx.x == 0) feed(maps, at, tile, head, blocks);
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(registers_computing));
    compute(at, y, tile, head, blocks, z);
  }
#endif
}

__global__ void has_code_kernel(int* answer) {
#ifdef WAN_HOPPER
  *answer = 1;
#else
  *answer = 0;
#endif
}

using EncodeTiled = decltype(&cuTensorMapEncodeTiled);

// A function of the driver, which this program does not link: it has to start without one.
EncodeTiled find_encode_tiled() {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result{};
#if CUDART_VERSION >= 12050
  constexpr unsigned since = 12000;
  wan::cuda::check(
      cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, since, cudaEnableDefault, &result));
#else
  wan::cuda::check(cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &found, cudaEnableDefault, &result));
#endif
  if (!found || result != cudaDriverEntryPointSuccess)
    wan::cuda::fail_call("CUDA", "cuTensorMapEncodeTiled",
                         "the driver does not have it: install one for CUDA 12 or newer", false,
                         std::source_location::current());
  return reinterpret_cast<EncodeTiled>(found);
}

// [rows, heads, 128] with rows `row` elements apart, read in boxes of box_rows x 64.
CUtensorMap map_of(const void* data, int64_t heads, int64_t rows, int64_t row, int box_rows) {
  static const EncodeTiled encode = find_encode_tiled();
  CUtensorMap map{};
  const cuuint64_t sizes[3] = {head_dim, static_cast<cuuint64_t>(heads), static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[2] = {head_dim * sizeof(half_t), static_cast<cuuint64_t>(row) * sizeof(half_t)};
  const cuuint32_t box[3] = {panel_columns, 1, static_cast<cuuint32_t>(box_rows)}, steps[3] = {1, 1, 1};
  const CUresult status = encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 3, const_cast<void*>(data), sizes, strides,
                                 box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                                 CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (status != CUDA_SUCCESS)
    wan::cuda::fail_call("CUDA", "cuTensorMapEncodeTiled", "the driver cannot describe the rows of an attention", false,
                         std::source_location::current());
  return map;
}

}  // namespace

bool has_hopper_attention(cudaStream_t stream) {
  int* answer = nullptr;
  int has = 0;
  wan::cuda::check(cudaMalloc(&answer, sizeof(int)));
  has_code_kernel<<<1, 1, 0, stream>>>(answer);
  cudaError_t status = cudaGetLastError();
  if (status == cudaSuccess) status = cudaMemcpyAsync(&has, answer, sizeof(int), cudaMemcpyDeviceToHost, stream);
  if (status == cudaSuccess) status = cudaStreamSynchronize(stream);
  (void)cudaFree(answer);
  wan::cuda::check(status);
  return has != 0;
}

void hopper_attention(cudaStream_t stream, const AttentionShape& s, const void* q, const void* k, const void* v,
                      void* y) {
  const Maps maps{map_of(q, s.heads, s.lq, s.q_row, tile_rows), map_of(k, s.heads, s.lk, s.k_row, keys),
                  map_of(v, s.heads, s.lk, s.v_row, keys)};
  const Sizes sizes{static_cast<int>(s.lq), static_cast<int>(s.lk), static_cast<int>(s.heads),
                    s.scale * 1.4426950408889634f};
  wan::cuda::check(
      cudaFuncSetAttribute(hopper_attention_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes));
  const dim3 grid(static_cast<unsigned>(div_up(s.lq, int64_t{tile_rows})), static_cast<unsigned>(s.heads));
  hopper_attention_kernel<<<grid, threads, shared_bytes, stream>>>(maps, static_cast<half_t*>(y), sizes);
  wan::cuda::check_launch();
}

}  // namespace wan::ops::cuda
