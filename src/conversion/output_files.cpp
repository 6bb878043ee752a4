#include "conversion/output_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "conversion/configs.h"
#include "core/error.h"
#include "io/printable.h"

namespace wan::conversion {
namespace {

namespace fs = std::filesystem;
using io::ModelPart;
using io::Naming;

// What hosts of models and other programs look for in the files of a torch model.
const io::SafetensorsMetadata metadata{{"format", "pt"}};
constexpr int64_t largest_text = int64_t{64} << 20;  // tokenizer.json has 17 MB

class Planner {
 public:
  Planner(const engine::ModelsOnDisk& source, const ConvertOptions& options)
      : source_(source),
        files_(source.files()),
        options_(options),
        layout_(options.layout == CheckpointLayout::diffusers ? Naming::diffusers : Naming::official),
        from_(io::layout_names(files_.layout)),
        to_(io::layout_names(layout_)) {}

  std::vector<OutputFile> plan() {
    add_dit(files_.two_experts ? to_.high : to_.only, files_.high_noise);
    if (files_.two_experts) add_dit(to_.low, files_.low_noise);
    add_text_encoder();
    add_vae();
    check_unknown();
    add_folder(fs::path(from_.tokenizer), to_.tokenizer);
    copy_if_there("generation.json", "generation.json");
    out_.insert(out_.end(), std::make_move_iterator(last_.begin()), std::make_move_iterator(last_.end()));
    if (layout_ == Naming::diffusers) add_pipeline();
    return std::move(out_);
  }

 private:
  static std::string in(std::string_view folder, std::string_view name) {
    return folder.empty() ? std::string(name) : fmt::format("{}/{}", folder, name);
  }

  // Under the names of the layout to be written; `tensors` has the official ones.
  std::vector<io::TensorCopy> copies(const io::TensorIndex& tensors, ModelPart part, bool bf16) {
    const io::TensorNames names(part);
    std::vector<io::TensorCopy> out;
    for (const auto& [name, entry] : tensors.entries()) {
      auto translated = names.translate(name, Naming::official, layout_);
      if (!translated && layout_ == files_.layout) translated = name;
      if (!translated) {
        unknown_.push_back(fmt::format("{}: {}", tensors.label(), io::printable(name)));
        continue;
      }
      out.push_back({std::move(*translated), &entry, bf16 ? names.bf16_type(name, entry.dtype) : entry.dtype});
    }
    return out;
  }

  void add_dit(std::string_view folder, const io::DitFiles& dit) {
    add_shards(folder, io::dit_stem, copies(dit.tensors.get(), ModelPart::dit, options_.bf16));
    std::string config;
    if (layout_ == files_.layout)
      config = read_text(dit.config);
    else
      config = layout_ == Naming::diffusers ? diffusers_dit_config(dit_config_of(dit))
                                            : official_dit_config(dit_config_of(dit), source_.task());
    last_.push_back({.path = in(folder, "config.json"), .text = std::move(config)});
  }

  const models::DitConfig& dit_config_of(const io::DitFiles& dit) const {
    return source_.dit_config(&dit == &files_.low_noise ? pipeline::Expert::low : pipeline::Expert::high);
  }

  void add_text_encoder() {
    const io::TensorIndex& tensors = files_.text_encoder.get();
    std::vector<io::TensorCopy> copied = copies(tensors, ModelPart::umt5, options_.bf16);
    if (layout_ == Naming::official) return add_torch(to_.text_encoder, std::move(copied));
    add_shards(to_.text_encoder, io::diffusers_text_stem, std::move(copied));
    copy_or("text_encoder/config.json", [&] { return diffusers_text_config(source_.umt5_config(), tensors); });
  }

  void add_vae() {
    const bool v22 = source_.vae_config().version == models::VaeVersion::v22;
    std::vector<io::TensorCopy> copied = copies(files_.vae.get(), v22 ? ModelPart::vae22 : ModelPart::vae21, false);
    if (layout_ == Naming::official) return add_torch(v22 ? to_.vae22 : to_.vae21, std::move(copied));
    out_.push_back({.path = in(to_.vae21, fmt::format("{}.safetensors", io::dit_stem)),
                    .kind = OutputFile::Kind::safetensors,
                    .tensors = std::move(copied)});
    copy_or("vae/config.json", [&] { return diffusers_vae_config(source_.vae_config()); });
  }

  void add_torch(const char* path, std::vector<io::TensorCopy> tensors) {
    const bool same = layout_ == files_.layout &&
                      std::ranges::all_of(tensors, [&](const io::TensorCopy& t) { return t.dtype == t.from->dtype; });
    if (same && !tensors.empty())
      out_.push_back({.path = path, .kind = OutputFile::Kind::copy, .source = tensors.front().from->file});
    else
      out_.push_back({.path = path, .kind = OutputFile::Kind::torch, .tensors = std::move(tensors)});
  }

  void add_shards(std::string_view folder, const char* stem, std::vector<io::TensorCopy> tensors) {
    std::vector<std::vector<io::TensorCopy>> shards(1);
    int64_t filled = 0;
    for (io::TensorCopy& t : tensors) {
      const int64_t bytes = t.nbytes();
      if (options_.shard_bytes > 0 && filled > 0 && bytes > options_.shard_bytes - filled) {
        shards.emplace_back();
        filled = 0;
      }
      filled += bytes;
      shards.back().push_back(std::move(t));
    }
    require(shards.size() <= 99'999, ErrorCode::invalid_argument,
            "[convert] {} bytes a file make {} files of one model; expected at most 99999: give a larger --shard_size",
            options_.shard_bytes, shards.size());
    nlohmann::ordered_json map = nlohmann::ordered_json::object();
    int64_t total = 0;
    for (size_t i = 0; i < shards.size(); ++i) {
      const std::string name = shards.size() == 1
                                   ? fmt::format("{}.safetensors", stem)
                                   : fmt::format("{}-{:05}-of-{:05}.safetensors", stem, i + 1, shards.size());
      for (const io::TensorCopy& t : shards[i]) {
        map[t.name] = name;
        total += t.nbytes();
      }
      out_.push_back(
          {.path = in(folder, name), .kind = OutputFile::Kind::safetensors, .tensors = std::move(shards[i])});
    }
    if (shards.size() == 1) return;
    const nlohmann::ordered_json index = {{"metadata", {{"total_size", total}}}, {"weight_map", map}};
    last_.push_back({.path = in(folder, fmt::format("{}.safetensors.index.json", stem)), .text = index.dump(2) + "\n"});
  }

  // The pipeline's description, which makes the folder a checkpoint, is the last file.
  void add_pipeline() {
    if (layout_ == files_.layout) {
      add_folder("scheduler", "scheduler");
      copy_if_there(io::model_index_file, io::model_index_file);
      return;
    }
    out_.push_back({.path = "scheduler/scheduler_config.json", .text = diffusers_scheduler_config(source_)});
    out_.push_back({.path = io::model_index_file, .text = diffusers_model_index(source_)});
  }

  std::string read_text(const fs::path& path) const {
    const auto file = io::MappedFile::open(path);
    require(file->size() <= largest_text, ErrorCode::bad_file, "[{}] has {}; expected a small file of at most {}",
            path.string(), io::human_bytes(file->size()), io::human_bytes(largest_text));
    const std::vector<std::byte> bytes = file->read(0, file->size());
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  bool copy_if_there(const std::string& from, const std::string& to) {
    std::error_code error;
    if (!fs::is_regular_file(files_.root / from, error)) return false;
    out_.push_back({.path = to, .text = read_text(files_.root / from)});
    return true;
  }

  // Within one layout the file is kept, if there is one.
  template <class Make>
  void copy_or(const std::string& path, Make make) {
    if (layout_ == files_.layout && copy_if_there(path, path)) return;
    out_.push_back({.path = path, .text = make()});
  }

  void add_folder(const fs::path& from, const std::string& to) {
    std::vector<std::string> names;
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator(files_.root / from, error)) {
      const std::string name = entry.path().filename().string();
      if (entry.is_regular_file(error) && !name.starts_with('.')) names.push_back(name);
    }
    std::ranges::sort(names);
    for (const std::string& name : names) copy_if_there((from / name).string(), in(to, name));
  }

  void check_unknown() const {
    if (unknown_.empty()) return;
    std::string list;
    for (size_t i = 0; i < std::min<size_t>(unknown_.size(), 20); ++i) list += "\n  " + unknown_[i];
    fail(ErrorCode::unsupported,
         "[{}] has {} tensors that the other layout has no name for; they would be lost, so nothing was written:{}{}",
         files_.root.string(), unknown_.size(), list, unknown_.size() > 20 ? "\n  ..." : "");
  }

  const engine::ModelsOnDisk& source_;
  const io::Checkpoint& files_;
  const ConvertOptions& options_;
  const Naming layout_;
  const io::LayoutNames &from_, &to_;
  std::vector<OutputFile> out_, last_;
  std::vector<std::string> unknown_;
};

}  // namespace

int64_t OutputFile::bytes() const {
  switch (kind) {
    case Kind::text: return static_cast<int64_t>(text.size());
    case Kind::safetensors: return io::safetensors_bytes(tensors, metadata);
    case Kind::torch: return io::torch_file_bytes(tensors);
    case Kind::copy: return source->size();
  }
  return 0;
}

void OutputFile::stream(const io::ByteSink& sink) const {
  switch (kind) {
    case Kind::text: return sink(std::as_bytes(std::span(text)));
    case Kind::safetensors: return io::stream_safetensors(tensors, metadata, sink);
    case Kind::torch: return io::stream_torch_file(tensors, sink);
    case Kind::copy: return io::stream_file(*source, sink);
  }
}

std::vector<OutputFile> output_files(const engine::ModelsOnDisk& source, const ConvertOptions& options) {
  return Planner(source, options).plan();
}

}  // namespace wan::conversion
