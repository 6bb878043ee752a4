"""What diffusers makes of the layout that it defines: fixtures for our reader, and a check of our writer.

Usage (needs torch, diffusers 0.42, transformers, safetensors):
  python diffusers_fixture.py write            writes tests/fixtures/diffusers: tiny pipelines of Wan2.1's and Wan2.2's VAE,
                                               saved by WanPipeline.save_pretrained, and what their models compute
  python diffusers_fixture.py check FOLDER     FOLDER is what `wan convert --layout diffusers` made of
                                               tests/golden/tiny/Wan2.2-T2V-A14B: every tensor must find its place in
                                               diffusers' models, and these compute what upstream did
"""

import json
import pathlib
import shutil
import sys

import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel
from safetensors.torch import load_file, save_file
from transformers import UMT5Config, UMT5EncoderModel

TESTS = pathlib.Path(__file__).resolve().parents[2] / "tests"
TEXT_LEN = 512


def randomise(model, generator):
    """Values of which none is zero or one: a tensor in a wrong place then changes the result."""
    for name, p in model.named_parameters():
        near_one = name.endswith("gamma") or "norm" in name and name.endswith("weight")
        p.copy_(torch.randn(p.shape, generator=generator) * (0.1 if near_one else p[0].numel() ** -0.5) + near_one)
    return model.eval()


def transformer(channels, generator):
    return randomise(WanTransformer3DModel(num_attention_heads=2, attention_head_dim=12, in_channels=channels,
                                           out_channels=channels, text_dim=16, freq_dim=16, ffn_dim=40, num_layers=2),
                     generator)


def vae(version, generator):
    if version == "wan21":
        return randomise(AutoencoderKLWan(base_dim=2), generator)
    return randomise(AutoencoderKLWan(base_dim=2, decoder_base_dim=2, z_dim=48, is_residual=True, patch_size=2,
                                      in_channels=12, out_channels=12, scale_factor_spatial=16,
                                      latents_mean=[0.0] * 48, latents_std=[1.0] * 48), generator)


def text_encoder(generator):
    config = UMT5Config(vocab_size=64, d_model=16, d_kv=4, d_ff=24, num_layers=2, num_heads=4, is_encoder_decoder=False,
                        feed_forward_proj="gated-gelu", tie_word_embeddings=False)
    return randomise(UMT5EncoderModel(config), generator)


def run_dit(model, latent, timestep, context):
    padded = torch.zeros(1, TEXT_LEN, context.shape[1])
    padded[0, : len(context)] = context
    return model(latent[None], torch.tensor([timestep]), padded, return_dict=False)[0][0]


def write():
    random = torch.Generator().manual_seed(11)
    folder = TESTS / "fixtures" / "diffusers"
    shutil.rmtree(folder, ignore_errors=True)
    expected = {}
    for version, channels, size in (("wan21", 16, (16, 2, 2, 4)), ("wan22", 48, (48, 2, 2, 4))):
        experts = version == "wan21"
        high = transformer(channels, random)
        low = transformer(channels, random) if experts else None
        coder, text = vae(version, random).bfloat16(), text_encoder(random)  # half the size, exact in float32
        WanPipeline(tokenizer=None, text_encoder=text, vae=coder, scheduler=UniPCMultistepScheduler(),
                    transformer=high, transformer_2=low, boundary_ratio=0.875 if experts else None,
                    expand_timesteps=not experts).save_pretrained(folder / version)
        coder.float()
        ids = torch.tensor([[5, 9, 2, 33, 1]])
        context = text(ids).last_hidden_state[0]
        latent = torch.randn(size, generator=random)
        out = {"ids": ids[0].int(), "context": context, "latent": latent, "high": run_dit(high, latent, 937.0, context)}
        if experts:
            out["low"] = run_dit(low, latent, 437.0, context)
        frames = coder.decode(latent[None], return_dict=False)[0][0]
        out |= {"frames": frames, "encoded": coder.encode(frames[None]).latent_dist.mean[0]}
        expected |= {f"{version}.{name}": t.contiguous() for name, t in out.items()}
    save_file(expected, folder / "expected.safetensors")


def strictly(cls, folder):
    model, report = cls.from_pretrained(folder, output_loading_info=True, torch_dtype=torch.float32)
    bad = {k: v for k, v in report.items() if v}
    assert not bad, f"{folder}: {bad}"
    return model.eval()


def check(folder):
    index = json.loads((folder / "model_index.json").read_text())
    assert index["_class_name"] == "WanPipeline" and index["boundary_ratio"] == 0.875, index
    golden = load_file(TESTS / "golden" / "tiny" / "expected.safetensors")
    scheduler = UniPCMultistepScheduler.from_pretrained(folder / "scheduler")
    assert scheduler.config.use_flow_sigmas, scheduler.config
    strictly(UMT5EncoderModel, folder / "text_encoder")
    worst = 0.0

    def compare(name, got, want):
        nonlocal worst
        error = float((got - want).norm() / want.norm())
        worst = max(worst, error)
        print(f"{name}: relative error {error:.1e}")

    for part, step in (("transformer", 0), ("transformer_2", 5)):
        key = f"t2v_unipc.step{step:02}"
        model = strictly(WanTransformer3DModel, folder / part)
        for branch in ("cond", "uncond"):
            got = run_dit(model, golden[f"{key}.latent_in"], float(golden[f"{key}.t"].flatten()[-1]),
                          golden[f"t2v_unipc.context.{branch}"])
            compare(f"{part} {branch}", got, golden[f"{key}.{branch}"])
    coder = strictly(AutoencoderKLWan, folder / "vae")
    shape = (1, -1, 1, 1, 1)
    z = golden["t2v_unipc.latent_out"][None]
    z = z * torch.tensor(coder.config.latents_std).view(shape) + torch.tensor(coder.config.latents_mean).view(shape)
    compare("vae decode", coder.decode(z, return_dict=False)[0][0].clamp(-1, 1), golden["t2v_unipc.video"])
    assert worst < 1e-5, worst
    print("ok")


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    if sys.argv[1:] == ["write"]:
        write()
    elif len(sys.argv) == 3 and sys.argv[1] == "check":
        check(pathlib.Path(sys.argv[2]))
    else:
        sys.exit(__doc__)
