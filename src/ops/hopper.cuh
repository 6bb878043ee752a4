#pragma once
#include <cuda.h>

#include <cstdint>

/// The parts of Hopper that CUDA C++ has no words for: barriers in shared memory, the copy engine of tensors (TMA) and
/// products of warpgroups (wgmma). After NVIDIA's PTX ISA; only in code for sm_90a.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define WAN_HOPPER 1

namespace wan::ops::cuda::hopper {

__device__ inline uint32_t shared_address(const void* p) { return static_cast<uint32_t>(__cvta_generic_to_shared(p)); }

/// A barrier is 8 bytes of shared memory. Its phase ends when `count` arrivals and all expected bytes have come.
__device__ inline void barrier_init(uint32_t barrier, uint32_t count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(count));
}
/// Makes initialised barriers known to the copy engine.
__device__ inline void barrier_init_done() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
__device__ inline void barrier_arrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
/// Arrives, and lets the phase wait for so many bytes of the copy engine.
__device__ inline void barrier_expect(uint32_t barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}
/// Waits until the phase of this parity has ended; phases count 0, 1, 2, ...
__device__ inline void barrier_wait(uint32_t barrier, uint32_t parity) {
  asm volatile(
      "{\n"
      ".reg .pred ended;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 ended, [%0], %1;\n"
      "@ended bra done;\n"
      "bra again;\n"
      "done:\n"
      "}" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

/// Copies a box of a 3-dimensional tensor to shared memory, and tells the barrier. What lies outside becomes zero.
__device__ inline void load_box(uint32_t to, const CUtensorMap& map, uint32_t barrier, int x, int y, int z) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];" ::
          "r"(to),
      "l"(&map), "r"(barrier), "r"(x), "r"(y), "r"(z)
      : "memory");
}

/// Describes a matrix in shared memory to wgmma: rows of 128 bytes (64 bf16) in the copy engine's swizzle, whose
/// pattern repeats every 8 rows. A wider matrix lies in panels of 64 columns, `panel` bytes apart; only a matrix whose
/// columns are the product's needs that, the others are described panel by panel.
__device__ inline uint64_t describe(uint32_t at, uint32_t panel) {
  constexpr uint64_t eight_rows = 1024, swizzle_128 = 1;
  return static_cast<uint64_t>((at & 0x3ffffu) >> 4) | static_cast<uint64_t>(panel >> 4) << 16 | eight_rows >> 4 << 32 |
         swizzle_128 << 62;
}

/// Products of a warpgroup run beside its other instructions: fence, products, commit, and later wait until at most
/// `Left` of the committed groups run.
__device__ inline void products_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void products_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int Left>
__device__ inline void products_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Left) : "memory");
}
/// Keeps the compiler from moving accesses to registers of products across this place.
template <int Count>
__device__ inline void pin(float (&x)[Count]) {
#pragma unroll
  for (int i = 0; i < Count; ++i) asm volatile("" : "+f"(x[i])::"memory");
}
template <int Count>
__device__ inline void pin(uint32_t (&x)[Count]) {
#pragma unroll
  for (int i = 0; i < Count; ++i) asm volatile("" : "+r"(x[i])::"memory");
}

#define WAN_8(d, i)                                                                                           \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), \
      "+f"(d[i + 7])

/// d [64, 80] = a [64, 16] b[80, 16]^T, or += with `add`. Of d each thread holds, in the warp's 16 rows, row lane / 4
/// (elements 4 i + {0, 1}) and row 8 + lane / 4 (4 i + {2, 3}), columns 8 i + 2 (lane % 4) + {0, 1}.
__device__ inline void product_64x80(float (&d)[40], uint64_t a, uint64_t b, bool add) {
  asm volatile(
      "{\n"
      ".reg .pred add;\n"
      "setp.ne.b32 add, %42, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n80k16.f32.bf16.bf16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, "
      "%20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39}, "
      "%40, %41, add, 1, 1, 0, 0;\n"
      "}"
      : WAN_8(d, 0), WAN_8(d, 8), WAN_8(d, 16), WAN_8(d, 24), WAN_8(d, 32)
      : "l"(a), "l"(b), "r"(static_cast<int>(add)));
}

/// d [64, 128] += a [64, 16] b [16, 128]; b lies in rows of its columns, in two panels. a is in registers, as the
/// elements 8 i .. 8 i + 7 of a product above give it, packed in pairs.
__device__ inline void product_64x128(float (&d)[64], const uint32_t* a, uint64_t b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, "
      "%22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, "
      "%43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
      "{%64, %65, %66, %67}, %68, 1, 1, 1, 1;"
      : WAN_8(d, 0), WAN_8(d, 8), WAN_8(d, 16), WAN_8(d, 24), WAN_8(d, 32), WAN_8(d, 40), WAN_8(d, 48), WAN_8(d, 56)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
#undef WAN_8

/// Named barriers of `threads` threads: one group waits for its turn, another gives it.
__device__ inline void turn_wait(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
__device__ inline void turn_give(int id, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

__device__ inline float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
/// Two numbers rounded to bf16, the first in the lower half.
__device__ inline uint32_t pack_bf16(float first, float second) {
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  return pair;
}

}  // namespace wan::ops::cuda::hopper
#endif
