#pragma once
#include "ops/kernels.h"

/// Which tensors each op reads and writes: visit(args, f) calls f(name, tensor, role) for each of them.
/// The check table, and whoever copies arguments between devices, reuse it.
namespace wan::ops {

enum class Role : uint8_t { in, out, in_out };

// clang-format off
template <class F> void visit(LinearArgs& a, F&& f) { f("x", a.x, Role::in); f("w", a.w, Role::in); f("b", a.b, Role::in); f("y", a.y, Role::out); }
template <class F> void visit(NormModulateArgs& a, F&& f) { f("x", a.x, Role::in); f("shift", a.shift, Role::in); f("scale", a.scale, Role::in); f("y", a.y, Role::out); }
template <class F> void visit(LayerNormArgs& a, F&& f) { f("x", a.x, Role::in); f("w", a.w, Role::in); f("b", a.b, Role::in); f("y", a.y, Role::out); }
template <class F> void visit(RmsNormArgs& a, F&& f) { f("x", a.x, Role::in); f("w", a.w, Role::in); f("y", a.y, Role::out); }
template <class F> void visit(ChannelNormArgs& a, F&& f) { f("x", a.x, Role::in); f("gamma", a.gamma, Role::in); f("y", a.y, Role::out); }
template <class F> void visit(RmsNormRopeArgs& a, F&& f) { f("x", a.x, Role::in_out); f("w", a.w, Role::in); }
template <class F> void visit(AttentionArgs& a, F&& f) { f("q", a.q, Role::in); f("k", a.k, Role::in); f("v", a.v, Role::in); f("rel_bias", a.rel_bias, Role::in); f("y", a.y, Role::out); }
template <class F> void visit(GatedAddArgs& a, F&& f) { f("x", a.x, Role::in_out); f("y", a.y, Role::in); f("gate", a.gate, Role::in); }
template <class F> void visit(GatedAddNormArgs& a, F&& f) { f("x", a.x, Role::in_out); f("y", a.y, Role::in); f("gate", a.gate, Role::in); f("shift", a.shift, Role::in); f("scale", a.scale, Role::in); f("z", a.z, Role::out); }
template <class F> void visit(GeluMulArgs& a, F&& f) { f("a", a.a, Role::in_out); f("b", a.b, Role::in); }
template <class F> void visit(SiluArgs& a, F&& f) { f("x", a.x, Role::in); f("y", a.y, Role::out); }
template <class F> void visit(ConvertArgs& a, F&& f) { f("x", a.x, Role::in); f("y", a.y, Role::out); }
template <class F> void visit(CombineArgs& a, F&& f) { for (int s = 0; s < a.slots; ++s) f("slot", a.slot[static_cast<size_t>(s)], !a.writes(s) ? Role::in : a.reads(s) ? Role::in_out : Role::out); }
template <class F> void visit(EmbeddingArgs& a, F&& f) { f("table", a.table, Role::in); f("y", a.y, Role::out); }
template <class F> void visit(PatchifyArgs& a, F&& f) { f("x", a.x, Role::in); f("extra", a.extra, Role::in); f("y", a.y, Role::out); }
template <class F> void visit(UnpatchifyArgs& a, F&& f) { f("x", a.x, Role::in); f("y", a.y, Role::out); }
template <class F> void visit(ConvArgs& a, F&& f) { f("x", a.x, Role::in); f("history", a.history, Role::in); f("w", a.w, Role::in); f("b", a.b, Role::in); f("residual", a.residual, Role::in); f("y", a.y, Role::out); }
template <class F> void visit(ResampleShortcutArgs& a, F&& f) { f("x", a.x, Role::in); f("y", a.y, Role::in_out); }
template <class F> void visit(InterleaveTimeArgs& a, F&& f) { f("x", a.x, Role::in); f("y", a.y, Role::out); }
template <class F> void visit(CopyRowsArgs& a, F&& f) { f("x", a.x, Role::in); f("y", a.y, Role::out); }
template <class F> void visit(ToChannelsLastArgs& a, F&& f) { f("x", a.x, Role::in); f("scale", a.scale, Role::in); f("shift", a.shift, Role::in); f("y", a.y, Role::out); }
template <class F> void visit(ToPlanarArgs& a, F&& f) { f("x", a.x, Role::in); f("scale", a.scale, Role::in); f("shift", a.shift, Role::in); f("y", a.y, Role::out); }
template <class F> void visit(AllFiniteArgs& a, F&& f) { f("x", a.x, Role::in); }
// clang-format on

}  // namespace wan::ops
