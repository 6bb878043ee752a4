#include <memory>

#include "flags.h"
#include "parse.h"

namespace wan::app {
namespace {

const char* const kFooter = R"(
The folder of the model is the last line on stdout, for --ckpt_dir; models in the cache are found by their names too.
Progress goes to stderr. What was received before the program was stopped, or killed, is not fetched again.
Exit status: 0 done, 1 failed, 2 wrong arguments or names, 130 or 143 stopped by Ctrl-C or SIGTERM.

Environment: HF_TOKEN or HF_TOKEN_PATH (for models that need permission), HF_ENDPOINT, HF_HOME, HF_HUB_CACHE,
XDG_CACHE_HOME, HF_HUB_OFFLINE, HF_HUB_ETAG_TIMEOUT, HF_HUB_DOWNLOAD_TIMEOUT, MODELSCOPE_DOMAIN, https_proxy.

Examples:
  wan download ti2v-5B
  wan download t2v-A14B --local_dir ./Wan2.2-T2V-A14B
  wan download t2v-A14B --local_dir ./Wan2.2-T2V-bf16 --bf16
  wan download Wan-AI/Wan2.2-I2V-A14B@main --all
  wan download ti2v-5B --source modelscope
  wan generate --ckpt_dir ti2v-5B --prompt "Two cats box on a stage.")";

constexpr const char* kLocalDir = "local_dir,--local-dir";  // the second as in hf download

ModelSource parse_source(const std::string& name) {
  if (name.empty() || name == "huggingface") return ModelSource::hugging_face;
  if (name == "modelscope") return ModelSource::modelscope;
  throw UsageError(fmt::format("--source '{}': expected huggingface or modelscope", name));
}

void add_flags(Flags& f) {
  f.value(kLocalDir, "DIR", "Plain files in this folder (default: the cache that huggingface_hub uses)", "Where to");
  f.value("cache", "DIR", "Another cache (default: $HF_HUB_CACHE, else ~/.cache/huggingface/hub)", "Where to");
  f.value("source", "NAME", "huggingface or modelscope (default: huggingface)", "Where from");
  f.value("endpoint", "URL", "Another address of the source (default: $HF_ENDPOINT, else https://huggingface.co)",
          "Where from");
  f.on_off(
      "bf16",
      "Convert float32 transformers to bf16 as they come: half the disk, the same videos in bf16; with --local_dir",
      "What");
  f.on_off("all", "Every file of the repository, not only those that wan reads", "What");
  f.value("connections", "N", "At once, 1 to 64 (default: 8)", "How");
  f.on_off("offline", "No network: print the folder of a model that is there", "How");
  f.on_off("json", "Events as JSON lines on stdout instead of the progress bar", "How");
  f.on_off("quiet", "No progress", "How");
}

}  // namespace

std::function<DownloadCommandOptions()> add_download_flags(CLI::App& command, const Environment& environment) {
  command.set_help_flag("-h,--help", "Print this help and exit");
  command.footer(kFooter);
  auto model = std::make_shared<std::string>();
  command.add_option("MODEL", *model, "t2v-A14B, i2v-A14B, ti2v-5B, or ORG/REPO; @REVISION may follow")->required();
  auto flags = std::make_shared<Flags>(command);
  add_flags(*flags);
  return [flags, model, &environment] {
    const Flags& f = *flags;
    DownloadCommandOptions o;
    DownloadOptions& d = o.download;
    d.model = *model;
    d.source = parse_source(f.filled("source"));
    const bool modelscope = d.source == ModelSource::modelscope;
    d.endpoint = f.filled("endpoint");
    if (d.endpoint.empty()) d.endpoint = modelscope ? environment.modelscope_endpoint : environment.hub_endpoint;
    if (!modelscope) d.token = environment.hub_token;
    d.local_dir = f.filled(kLocalDir);
    d.cache = f.filled("cache");
    if (d.cache.empty()) d.cache = environment.hub_cache;
    d.all = f.given("all");
    d.bf16 = f.given("bf16");
    d.offline = f.given("offline") || environment.hub_offline;
    d.connections = f.parsed("connections", parse_int).value_or(d.connections);
    d.answer_timeout = environment.hub_answer_timeout.value_or(d.answer_timeout);
    d.stall_timeout = environment.hub_stall_timeout.value_or(d.stall_timeout);
    o.json = f.given("json");
    o.quiet = f.given("quiet");
    return o;
  };
}

}  // namespace wan::app
