#!/usr/bin/env python3
"""One forward of diffusers' WanTransformer3DModel with random weights, for comparison with `wan bench --what dit`."""
import sys

import peer

TEXT_TOKENS = 512


def config(options):
    five = options.task == "ti2v-5B"
    channels = {"t2v-A14B": 16, "i2v-A14B": 36, "ti2v-5B": 48}[options.task]
    dims = {"num_attention_heads": 24 if five else 40, "attention_head_dim": 128,
            "ffn_dim": 14336 if five else 13824, "num_layers": 30 if five else 40, "text_dim": 4096}
    if options.tiny:
        dims = {"num_attention_heads": 2, "attention_head_dim": 24, "ffn_dim": 64, "num_layers": 3, "text_dim": 32}
    return {"in_channels": channels, "out_channels": 48 if five else 16, **dims}


def keep_float32(model, torch):
    """Puts back into float32 what from_pretrained keeps there."""
    names = set(model._keep_in_fp32_modules or ())
    for name, parameter in model.named_parameters():
        if names & set(name.split(".")):
            parameter.data = parameter.data.float()


def use_cudnn(model):
    """Asks for cuDNN's attention; says which one is used."""
    try:
        model.set_attention_backend("_native_cudnn")
        return "cudnn"
    except (AttributeError, RuntimeError, ValueError) as error:
        print(f"cuDNN attention is not available ({error}); using torch's choice", file=sys.stderr)
        return "torch's choice"


def run(options, torch, diffusers, layers):
    dims = config(options) | {"num_layers": layers}
    model = peer.make(options, torch, lambda: diffusers.WanTransformer3DModel(**dims))
    keep_float32(model, torch)
    attention = use_cudnn(model) if options.device == "cuda" and options.attention == "cudnn" else "torch's choice"
    if options.compile:
        model.compile()
    like = {"device": options.device, "dtype": options.torch_dtype}
    latent = torch.randn(1, dims["in_channels"], *options.latent[1:], **like)
    text = torch.randn(1, TEXT_TOKENS, dims["text_dim"], **like)
    tokens = options.latent[1] * (options.latent[2] // 2) * (options.latent[3] // 2)
    steps = (1, tokens) if options.expand_timesteps else (1,)
    time = torch.full(steps, 500, device=options.device)
    figures = peer.measure(options, torch, lambda: model(latent, time, text, return_dict=False))
    parameters = sum(p.numel() * p.element_size() for p in model.parameters())
    return {**figures, "weight_bytes": parameters, "tokens": tokens, "attention": attention}


def extrapolate(none, some, ran, layers):
    """A line through the runs with no and with some layers."""
    def line(name):
        return none[name] + (some[name] - none[name]) * layers / ran

    whole = {**some, "median_seconds": line("median_seconds"), "weight_bytes": round(line("weight_bytes"))}
    whole["seconds"] = [none["median_seconds"] + (s - none["median_seconds"]) * layers / ran for s in some["seconds"]]
    if some["peak_bytes"] is not None:
        whole["peak_bytes"] = some["peak_bytes"] + whole["weight_bytes"] - some["weight_bytes"]
    return whole


def main():
    parser = peer.arguments(__doc__)
    parser.add_argument("--layers", type=int, help="run only so many blocks, and extrapolate")
    parser.add_argument("--attention", default="cudnn", choices=["cudnn", "default"])
    parser.add_argument("--expand_timesteps", action="store_true",
                        help="one timestep a token, as diffusers' pipeline calls the 5B model")
    options = parser.parse_args()
    torch, diffusers = peer.load()
    peer.settle(options, torch)
    layers = config(options)["num_layers"]
    ran = min(options.layers or layers, layers)
    figures = run(options, torch, diffusers, ran)
    if ran < layers:
        figures = extrapolate(run(options, torch, diffusers, 0), figures, ran, layers)
    peer.report(options, torch, diffusers, "dit",
                {**figures, "layers": layers, "layers_run": ran, "extrapolated": ran < layers})


if __name__ == "__main__":
    main()
