#!/usr/bin/env python3
"""diffusers' AutoencoderKLWan with random weights, for comparison with `wan bench --what vae`."""
import peer


def config(options):
    dims = {"base_dim": 8 if options.tiny else 96}
    if options.task == "ti2v-5B":
        dims = {"base_dim": 8 if options.tiny else 160, "decoder_base_dim": 8 if options.tiny else 256, "z_dim": 48,
                "is_residual": True, "in_channels": 12, "out_channels": 12, "patch_size": 2, "scale_factor_spatial": 16,
                "latents_mean": [0.0] * 48, "latents_std": [1.0] * 48}
    return dims


def main():
    parser = peer.arguments(__doc__)
    parser.add_argument("--what", default="decode", choices=["decode", "encode"],
                        help="encode: one image and, for i2v, zero frames")
    options = parser.parse_args()
    torch, diffusers = peer.load()
    peer.settle(options, torch)
    model = peer.make(options, torch, lambda: diffusers.AutoencoderKLWan(**config(options)))
    like = {"device": options.device, "dtype": options.torch_dtype}
    if options.what == "decode":
        if options.compile:
            model.decoder.compile()
        latent = torch.randn(1, *options.latent, **like)
        figures = peer.measure(options, torch, lambda: model.decode(latent, return_dict=False))
    else:
        if options.compile:
            model.encoder.compile()
        video = torch.zeros(1, 3, 1 if options.task == "ti2v-5B" else options.frames, options.height, options.width, **like)
        video[:, :, 0].uniform_(-1, 1)
        figures = peer.measure(options, torch, lambda: model.encode(video, return_dict=False))
    peer.report(options, torch, diffusers, f"vae_{options.what}", figures)


if __name__ == "__main__":
    main()
